"""What a text names: links, telephone numbers, accounts, apps.

Kept true here: what is found stands in the text; nothing is completed or guessed. Numbers come as `events.subjects`
writes them.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from wuzha.events.subjects import line_value

_LINK = re.compile(
    r"(?:https?://|www\.)[^\s\u4e00-\u9fff，。；、）】》”“\"'<>]+"
    r"|(?<![\w@.])(?:[a-z0-9-]+\.)+(?:com|cn|net|org|top|xyz|vip|cc|info|site|club|shop|app|me|io|tv|ltd|wang|icu|link|fun|live"
    r"|work|online|store|space|website|hk|tk|ml)(?![a-z])(?::\d+)?(?:/[^\s\u4e00-\u9fff，。；、）】》”“\"'<>]*)?",
    re.IGNORECASE,
)
_MASKED_LINK = re.compile(r"(?<![a-z])url(?![a-z])", re.IGNORECASE)
_NUMBER = re.compile(r"(?<![\dA-Za-z])(?:\+|00)?\d(?:[\d -]{3,22})\d(?!\d)")
_APP = re.compile(
    r"(?:下载|安装|打开|登录|注册|使用|名为|一个叫)(?:并(?:安装|打开|登录|注册))?(?:一?[个款])?(?:名为|叫做?|叫)?"
    r"[“\"「《【(\[]?([A-Za-z][\w.+-]{1,24}|[\u4e00-\u9fff]{2,8}?)[”\"」》】)\]]?\s*(?:这个|的)?(?:app|软件|应用|客户端|程序|平台)",
    re.IGNORECASE,
)
_MOBILE = re.compile(r"1[3-9]\d{9}")
_OTHER_NUMBER = re.compile(r"(?:qq|扣扣|企鹅|微信|vx|wx)(?:群|号|号码)*\W{0,3}$", re.IGNORECASE)
_APP_WORDS = ("app", "软件", "应用", "客户端", "程序", "平台")
_KNOWN = (
    "腾讯会议", "zoom", "钉钉", "飞书会议", "teamviewer", "todesk", "向日葵", "anydesk", "云服务", "百变小娱",
    "银监会认证", "瞩目", "好视通", "视频会议", "会畅通讯", "qq", "微信", "telegram", "纸飞机", "whatsapp",
    "line", "skype", "smartlink", "米讯", "密聊", "国家反诈中心",
)  # fmt: skip
_KNOWN_APPS = re.compile("|".join(_KNOWN), re.IGNORECASE)
_NO_APP = {
    "相关",
    "指定",
    "一个",
    "这个",
    "该",
    "我们",
    "手机",
    "银行",
    "官方",
    "以下",
    "正规",
    "对方",
    "两个",
    "某",
    "贷款",
}


@dataclass(frozen=True, kw_only=True)
class Found:
    """Links, lines (bare values), account-like digits and app names, each in order of first mention."""

    links: tuple[str, ...]
    lines: tuple[str, ...]
    accounts: tuple[str, ...]
    apps: tuple[str, ...]


def plain(text: str) -> str:
    """Normalised words: NFKC, small letters, no blanks nor zero-width characters."""
    return re.sub(r"[\s\u200b-\u200f\ufeff]+", "", unicodedata.normalize("NFKC", text).lower())


def has_link(text: str) -> bool:
    """Whether a link, or the mask that stands for one, is in the text."""
    return bool(_LINK.search(text) or _MASKED_LINK.search(text))


def extract(text: str) -> Found:
    """What ``text`` names."""
    words = unicodedata.normalize("NFKC", text)
    small = words.lower()
    linked = "." in small or "://" in small  # what no pattern can match without is looked for first
    links = [m.rstrip(".,;!?)") for m in _LINK.findall(words)] if linked else []
    rest = _LINK.sub(" ", words) if links else words
    lines: list[str] = []
    accounts: list[str] = []
    for match in _NUMBER.finditer(rest):
        raw = match[0]
        digits = re.sub(r"[ -]", "", raw)
        bare = digits.lstrip("+")
        if not _MOBILE.fullmatch(bare) and _OTHER_NUMBER.search(rest, max(match.start() - 12, 0), match.start()):
            continue  # a QQ or WeChat number is nobody's telephone
        if 15 <= len(bare) <= 19 and not digits.startswith(("+", "00")):
            accounts.append(bare)
            continue
        if len(bare) in (4, 6) and not bare.startswith(("10", "12", "95", "96", "110")):
            continue  # codes and years
        value = line_value(digits)
        if value is not None and (
            not value.startswith("cn-short:") or bare.startswith(("95", "96", "10", "12", "110", "400", "800"))
        ):
            lines.append(value)
    apps: list[str] = []
    if any(word in small for word in _APP_WORDS):
        apps += [m for m in _APP.findall(words) if m not in _NO_APP]
    if any(word in small for word in _KNOWN):
        apps += _KNOWN_APPS.findall(words)
    return Found(
        links=tuple(dict.fromkeys(links)), lines=tuple(dict.fromkeys(lines)), accounts=tuple(dict.fromkeys(accounts)),
        apps=tuple(dict.fromkeys(apps)),
    )  # fmt: skip
