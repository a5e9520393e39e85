"""Drawing identifiers: numbers, accounts, names, apps, domains.

Kept true here: good and bad draw from the same urn. Nothing in a line's digits, an account's bank, a name's shape, an
app's package or an event's id says who uses it, because no function here is told.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]
Strings = npt.NDArray[np.object_]
Rng = np.random.Generator

_ALPHABET = np.frombuffer(b"0123456789abcdefghjkmnpqrstvwxyz", np.uint8)

#: Places: the city's own districts first, then elsewhere (GB/T 2260).
DISTRICTS = ("350203", "350205", "350206", "350211", "350212", "350213")
ELSEWHERE = (
    "110105", "110108", "120101", "130102", "140105", "150102", "210102", "220102", "230103", "310104", "310115",
    "320102", "320505", "330102", "330106", "330203", "340104", "350102", "350502", "350602", "360102", "370102",
    "370202", "410102", "420102", "430102", "440103", "440304", "440605", "441302", "450102", "460105", "500103",
    "510104", "520102", "530102", "532823", "610102", "620102", "630102", "640104", "650102",
)  # fmt: skip
PLACES = DISTRICTS + ELSEWHERE

#: Carriers that report, the share of their lines, and the prefixes that they give out.
CARRIERS = ("carrier-mobile", "carrier-unicom", "carrier-telecom", "carrier-broadnet")
_CARRIER_SHARE = (0.54, 0.2, 0.23, 0.03)
_PREFIXES: tuple[tuple[int, ...], ...] = (
    (134, 135, 136, 137, 138, 139, 147, 150, 151, 152, 157, 158, 159, 172, 178, 182, 183, 184, 187, 188, 195, 198),
    (130, 131, 132, 145, 155, 156, 166, 175, 176, 185, 186, 196),
    (133, 149, 153, 173, 177, 180, 181, 189, 190, 191, 193, 199),
    (192,),
)
#: Virtual operators ride on another's network: prefix by the carrier that reports.
_VIRTUAL: tuple[tuple[int, ...], ...] = ((165,), (167, 171), (162, 170), (192,))
VIRTUAL_SHARE = 0.1
OPERATORS = ("中国移动", "中国联通", "中国电信", "中国广电", "虚拟运营商", "境外运营商")
AREA_CODES = ("10", "21", "592", "595", "591", "20", "755", "571", "574", "28", "27", "23", "731", "351", "871", "771")
#: Countries and territories that people are called from, with the digits of a national number.
COUNTRIES = (
    (852, 8),
    (853, 8),
    (60, 9),
    (95, 9),
    (855, 8),
    (66, 9),
    (63, 10),
    (65, 8),
    (1, 10),
    (61, 9),
    (44, 10),
    (81, 10),
)
_COUNTRY_SHARE = (0.22, 0.06, 0.12, 0.09, 0.06, 0.09, 0.07, 0.08, 0.09, 0.05, 0.04, 0.03)

LINE_KINDS = ("mobile", "fixed", "iot", "voip", "service", "international")
MOBILE, FIXED, IOT, VOIP, SERVICE, INTERNATIONAL = range(6)

BANKS = ("bank-icbc", "bank-abc", "bank-ccb", "bank-boc", "bank-psbc", "bank-cmb", "bank-bocom", "bank-rural")
BANK_NAMES = ("工商银行", "农业银行", "建设银行", "中国银行", "邮储银行", "招商银行", "交通银行", "农商银行")
_BANK_SHARE = (0.2, 0.19, 0.18, 0.12, 0.12, 0.07, 0.06, 0.06)
_BINS = (622202, 622848, 621700, 621660, 621799, 622588, 622260, 623190)
BANK_SHORT = ("95588", "95599", "95533", "95566", "95580", "95555", "95559", "96008")

_SURNAMES = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈姚卢姜崔钟谭陆汪范金石廖贾夏韦付方白邹孟熊秦邱江尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵万钱严覃武戴莫孔向汤"  # noqa: E501
_GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀兰霞平刚桂英华玉萍红玲飞桂梅鑫波斌宇浩凯健俊帆雪琳晨欣怡子轩梓涵雨泽佳慧文博思远嘉豪诗语若曦建国志强海燕春生金凤"  # noqa: E501
_APP_STEMS = "云智汇优聚易通达联信捷友乐享惠众创宏腾瑞恒鼎盛泰和嘉美佳康宁悦万家福安顺启航星海蓝天金桥华东方源"
_APP_TAILS = (
    "通",
    "宝",
    "助手",
    "优选",
    "商城",
    "生活",
    "办公",
    "课堂",
    "社区",
    "物流",
    "旅行",
    "健康",
    "财经",
    "证券",
    "资本",
    "会议",
    "速聊",
    "圈",
    "联盟",
    "达人",
    "到家",
    "记账",
    "乐园",
    "影视",
)
_LATIN = (
    "yun",
    "zhi",
    "hui",
    "you",
    "ju",
    "yi",
    "tong",
    "da",
    "lian",
    "xin",
    "jie",
    "le",
    "xiang",
    "zhong",
    "chuang",
    "hong",
    "teng",
    "rui",
    "heng",
    "ding",
    "sheng",
    "tai",
    "he",
    "jia",
    "mei",
    "kang",
    "wan",
    "fu",
    "an",
    "qi",
)
_TLDS = ("com", "cn", "net", "com.cn", "top", "vip", "cc", "xyz", "shop", "info")
_TLD_SHARE = (0.46, 0.2, 0.07, 0.07, 0.06, 0.04, 0.03, 0.03, 0.02, 0.02)
_TACS = (86012304, 86187305, 86720404, 86445604, 86955205, 35332811, 35674109, 86381804, 86540905, 86880405, 35896710)


@nb.njit(cache=True)
def _scramble(out, start, salt):  # type: ignore[no-untyped-def]
    # splitmix64: a bijection of 64 bits, so that different rows never share an id
    for i in range(out.shape[0]):
        z = np.uint64(start + i) * np.uint64(0x9E3779B97F4A7C15) + salt
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        out[i] = z ^ (z >> np.uint64(31))


@nb.njit(cache=True, nogil=True)
def _letters(values, alphabet, width, out):  # type: ignore[no-untyped-def]
    for i in range(values.shape[0]):
        v = values[i]
        for j in range(width):
            out[i * width + j] = alphabet[v & np.uint64(31)]
            v >>= np.uint64(5)


def scrambled(n: int, seed: int, salt: int, start: int = 0) -> U64:
    """``n`` different 64-bit numbers that look random; the same for the same seed, salt and start."""
    out = np.empty(n, np.uint64)
    mixed = (seed * 0x2545F4914F6CDD1D + salt * 0x9E3779B97F4A7C15 + 0x632BE59BD9B4E019) & 0xFFFFFFFFFFFFFFFF
    _scramble(out, np.int64(start), np.uint64(mixed))
    return out


def id_texts(values: U64, width: int = 13) -> pa.Array:
    """The numbers as texts of ``width`` letters and digits; 13 keep all 64 bits, fewer keep the low ones."""
    n = len(values)
    out = np.empty(n * width, np.uint8)
    _letters(np.ascontiguousarray(values), _ALPHABET, width, out)
    offsets = np.arange(0, (n + 1) * width, width, dtype=np.int32)
    return pa.Array.from_buffers(pa.string(), n, [None, pa.py_buffer(offsets), pa.py_buffer(out)])


def strings(values: Any) -> Strings:
    """An object array of texts."""
    out = np.empty(len(values), object)
    out[:] = values
    return out


def pick(rng: Rng, shares: Any, n: int) -> I32:
    """``n`` indices drawn by shares (any positive numbers)."""
    edges = np.cumsum(np.asarray(shares, float))
    at = np.searchsorted(edges, rng.random(n) * edges[-1], side="right")
    return np.asarray(np.minimum(at, len(edges) - 1), np.int32)


def _distinct(rng: Rng, n: int, seen: set[int], make: Any) -> I64:
    out = make(n)
    for i in range(n):
        v = int(out[i])
        while v in seen:
            v = int(make(1)[0])
        seen.add(v)
        out[i] = v
    return np.asarray(out, np.int64)


class Numbers:
    """Lines' digits, never the same twice."""

    def __init__(self) -> None:
        self.seen: set[int] = set()

    def mobile(self, rng: Rng, n: int) -> tuple[I64, I32, I32]:
        """E.164 digits, carrier and operator of ``n`` mobile lines."""
        carrier = pick(rng, _CARRIER_SHARE, n)
        virtual = rng.random(n) < VIRTUAL_SHARE
        prefix = np.empty(n, np.int64)
        for c in range(len(CARRIERS)):
            own = carrier == c
            k = int(own.sum())
            prefix[own] = np.where(virtual[own], rng.choice(_VIRTUAL[c], k), rng.choice(_PREFIXES[c], k))
        virtual &= carrier != 3
        digits = self._fresh(86 * 10**11 + prefix * 10**8 + rng.integers(0, 10**8, n), rng, 10**8)
        return digits, carrier, np.where(virtual, 4, carrier).astype(np.int32)

    def fixed(self, rng: Rng, n: int) -> tuple[I64, I32, I32]:
        """E.164 digits, carrier and operator of ``n`` fixed lines."""
        area = rng.choice([int(a) for a in AREA_CODES], n).astype(np.int64)
        local = rng.integers(20_000_000, 89_999_999, n)
        base = np.where(area < 100, 8600 + area, 86000 + area) * 10**8
        carrier = pick(rng, _CARRIER_SHARE, n)
        return self._fresh(base + local, rng, 10**7), carrier, carrier

    def international(self, rng: Rng, n: int) -> tuple[I64, I32, I32]:
        """E.164 digits of ``n`` lines abroad; the carrier is whoever brings the call in."""
        which = pick(rng, _COUNTRY_SHARE, n)
        width = np.array([w for _, w in COUNTRIES])[which]
        code = np.array([c for c, _ in COUNTRIES])[which]
        scale = 10 ** width.astype(np.int64)
        local = (scale // 10 * rng.integers(2, 10, n)) + (rng.random(n) * (scale // 10)).astype(np.int64)
        return self._fresh(code * scale + local, rng, 10**6), pick(rng, _CARRIER_SHARE, n), np.full(n, 5, np.int32)

    def _fresh(self, digits: I64, rng: Rng, span: int) -> I64:
        for i, v in enumerate(digits.tolist()):
            while v in self.seen:
                v = v // span * span + int(rng.integers(0, span))
            self.seen.add(v)
            digits[i] = v
        return digits


def line_texts(digits: I64) -> list[str]:
    """``+8613…`` of each."""
    return [f"+{v}" for v in digits.tolist()]


def _luhn(body: I64) -> I64:
    total = np.zeros(len(body), np.int64)
    rest, double = body.copy(), True
    while rest.any():
        d = rest % 10
        total += np.where(d > 4, d * 2 - 9, d * 2) if double else d
        rest //= 10
        double = not double
    return np.asarray((10 - total % 10) % 10)


class Accounts:
    """Account digits, never the same twice."""

    def __init__(self) -> None:
        self.seen: set[int] = set()

    def cards(self, rng: Rng, n: int) -> tuple[list[str], I32]:
        """Digits and bank of ``n`` personal cards, with a right check digit."""
        bank = pick(rng, _BANK_SHARE, n)
        bins = np.array(_BINS, np.int64)[bank]
        body = _distinct(rng, n, self.seen, lambda k: rng.integers(0, 10**12, k))
        full = bins * 10**12 + body
        return [f"{a}{b}" for a, b in zip(full.tolist(), _luhn(full).tolist(), strict=True)], bank

    def firms(self, rng: Rng, n: int) -> tuple[list[str], I32]:
        """Digits and bank of ``n`` accounts of firms and merchants."""
        bank = pick(rng, _BANK_SHARE, n)
        body = _distinct(rng, n, self.seen, lambda k: rng.integers(10**14, 10**15, k))
        return [f"{40 + b}{v}" for b, v in zip(bank.tolist(), body.tolist(), strict=True)], bank


def imei(rng: Rng, n: int) -> I64:
    """Device numbers."""
    body = rng.choice(np.array(_TACS, np.int64), n) * 10**6 + rng.integers(0, 10**6, n)
    return np.asarray(body * 10 + _luhn(body))


def person_names(rng: Rng, n: int) -> list[str]:
    """Names of people."""
    a = rng.integers(0, len(_SURNAMES), n).tolist()
    b = rng.integers(0, len(_GIVEN), n).tolist()
    c = rng.integers(0, len(_GIVEN), n).tolist()
    two = (rng.random(n) < 0.18).tolist()
    rows = zip(a, b, c, two, strict=True)
    return [_SURNAMES[x] + _GIVEN[y] + ("" if short else _GIVEN[z]) for x, y, z, short in rows]


_TRADES = (
    "商贸",
    "科技",
    "餐饮",
    "建材",
    "物流",
    "服饰",
    "食品",
    "电子",
    "文化传媒",
    "装饰",
    "机械",
    "医药",
    "百货",
    "网络",
)


def firm_names(rng: Rng, n: int, form: str = "有限公司") -> list[str]:
    """Names of firms and shops."""
    a = rng.integers(0, len(_APP_STEMS), (n, 2)).tolist()
    t = rng.integers(0, len(_TRADES), n).tolist()
    return [f"{_APP_STEMS[x]}{_APP_STEMS[y]}{_TRADES[k]}{form}" for (x, y), k in zip(a, t, strict=True)]


def apps(rng: Rng, n: int) -> tuple[list[str], list[str], list[str]]:
    """Name, package and signature of ``n`` apps of small makers."""
    a = rng.integers(0, len(_APP_STEMS), (n, 2)).tolist()
    t = rng.integers(0, len(_APP_TAILS), n).tolist()
    names = [f"{_APP_STEMS[x]}{_APP_STEMS[y]}{_APP_TAILS[k]}" for (x, y), k in zip(a, t, strict=True)]
    p = rng.integers(0, len(_LATIN), (n, 3)).tolist()
    tail = rng.integers(0, 100, n).tolist()
    packages = [
        f"{'com' if k % 5 else 'cn'}.{_LATIN[x]}{_LATIN[y]}.{_LATIN[z]}{k if k % 3 == 0 else ''}"
        for (x, y, z), k in zip(p, tail, strict=True)
    ]
    signatures = [f"{u:016x}{v:016x}" for u, v in rng.integers(0, 2**63, (n, 2)).tolist()]
    return names, unlike(packages), signatures


def domains(rng: Rng, n: int) -> list[str]:
    """Hosts of ``n`` small sites."""
    p = rng.integers(0, len(_LATIN), (n, 3)).tolist()
    form = rng.random(n).tolist()
    tld = pick(rng, _TLD_SHARE, n).tolist()
    number = rng.integers(1, 1000, n).tolist()
    out = []
    for (x, y, z), f, t, k in zip(p, form, tld, number, strict=True):
        stem = _LATIN[x] + _LATIN[y] + (_LATIN[z] if f < 0.5 else "") + (str(k) if f > 0.65 else "")
        out.append(("www." if f < 0.2 else "m." if f > 0.9 else "") + stem + "." + _TLDS[t])
    return unlike(out)


def unlike(values: list[str], taken: set[str] | frozenset[str] = frozenset()) -> list[str]:
    """The names made different from each other and from ``taken``.

    A second of the same name gets letters before its last dot, as a second comer has to do.
    """
    seen: dict[str, int] = {}
    out = []
    for v in values:
        k = seen.get(v, 1 if v in taken else 0)
        seen[v] = k + 1
        if k:
            head, _, rest = v.rpartition(".")
            v = f"{head}{_LATIN[k % len(_LATIN)]}{k if k >= len(_LATIN) else ''}.{rest}"
            while v in seen or v in taken:
                v = "x" + v
            seen[v] = 1
        out.append(v)
    return out
