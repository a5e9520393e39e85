"""Who and what there is: people, homes, work, lines, accounts, devices, apps, sites.

Kept true here: what is added later for a scam (a line, an account, a holder, an app, a site) is drawn from the same
registers as what was there before, so that no registered column but an age tells them apart.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import draw
from .draw import I32, I64, Rng
from .known_names import POPULAR_APPS, POPULAR_SITES, SERVICE_SHORT
from .rows import id_texts

OCCUPATIONS = (
    "child", "student", "worker", "clerk", "teacher", "medical", "accountant", "shop_owner", "self_employed",
    "homemaker", "retired", "courier", "farmer", "programmer", "official", "business_owner", "jobless",
)  # fmt: skip
OCC = {name: i for i, name in enumerate(OCCUPATIONS)}
OCCUPATION_ZH = (
    "学生（未成年）",
    "大学生",
    "工人",
    "职员",
    "教师",
    "医护",
    "会计",
    "店主",
    "个体经营",
    "全职家庭",
    "退休",
    "快递员",
    "务农",
    "程序员",
    "公务人员",
    "企业主",
    "待业",
)
_ADULT_SHARE = (0, 0, 0.2, 0.19, 0.04, 0.04, 0.02, 0.05, 0.09, 0.07, 0, 0.03, 0.05, 0.05, 0.05, 0.02, 0.1)

PLANS = ("mobile", "fixed", "hotel", "iot", "child_watch", "voip", "service")
ACCOUNT_KINDS = ("personal", "corporate", "merchant", "payment", "wallet", "loan")
STATUSES = ("active", "dormant", "limited", "suspended", "closed")

DAY = 86400
_CALLING_KINDS = (draw.MOBILE, draw.FIXED, draw.INTERNATIONAL)


class Columns:
    """Columns that grow by blocks; ``len`` rows. Read a column with ``[name]``: a view, until the next growth."""

    def __init__(self, **kinds: Any) -> None:
        self.kinds = {k: np.dtype(v) for k, v in kinds.items()}
        self.data = {k: np.empty(64, v) for k, v in self.kinds.items()}
        self.n = 0

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, name: str) -> Any:
        return self.data[name][: self.n]

    def grow(self, n: int, **columns: Any) -> I32:
        """Indices of ``n`` new rows. Every column must be given."""
        first = self.n
        if columns.keys() != self.kinds.keys():
            raise KeyError(f"want {sorted(self.kinds)}, got {sorted(columns)}")
        for k, v in columns.items():
            data = self.data[k]
            if first + n > len(data):
                # Doubling, since accounts and lines of scams come one at a time.
                data = np.concatenate([data, np.empty(max(len(data), n), self.kinds[k])])
                self.data[k] = data
            data[first : first + n] = v
        self.n = first + n
        return np.arange(first, first + n, dtype=np.int32)


class World:
    """The city. Residents are persons 0 … n-1, and person i's own line and device are line i and device i."""

    def __init__(self, people: int, seed: int, rng: Rng) -> None:
        self.n = people
        self.seed = seed
        self.rng = rng
        self.numbers = draw.Numbers()
        self.cards = draw.Accounts()
        self.persons = Columns(born=np.int32, female=bool, place=np.int32, occupation=np.int32, name=object, id=object)
        self.lines = Columns(
            text=object, kind=np.int8, carrier=np.int32, operator=np.int32, plan=np.int32, opened=np.int64,
            status=np.int32, place=np.int32, user=np.int32, registrant=np.int32, device=np.int32,
        )  # fmt: skip
        self.accounts = Columns(
            text=object, kind=np.int32, bank=np.int32, outlet=np.int32, opened=np.int64, last=np.int64,
            status=np.int32, holder=np.int32, name=object, device=np.int32, opening=np.int64,
        )  # fmt: skip
        self._devices = Columns(number=np.int64)
        self.apps = Columns(name=object, package=object, signature=object)
        self.sites = Columns(text=object)
        self._taken: set[str] = set()
        self._people()
        self._homes_and_work()
        self._lines()
        self._accounts()
        self._apps_and_sites()
        self._contacts()

    # ------------------------------------------------------------------ people

    def _people(self) -> None:
        n, rng = self.n, self.rng
        size = draw.pick(rng, (0.2, 0.28, 0.28, 0.17, 0.07), n) + 1
        home = np.repeat(np.arange(n), size)[:n].astype(np.int32)
        rank = np.arange(n) - np.searchsorted(home, home)
        self.home = home
        head_age = np.clip(rng.normal(45, 14, n), 22, 85)[home]
        age = head_age + rng.normal(0, 1, n)
        age = np.where(rank == 1, head_age + rng.normal(-1, 3, n), age)
        young = rank >= 2
        child = np.clip(head_age - rng.normal(28, 3, n), 6, 40)
        elder = np.clip(head_age + rng.normal(26, 3, n), 50, 92)
        age = np.where(young, np.where((rng.random(n) < 0.72) | (head_age > 62), child, elder), age)
        self.age = np.clip(age, 6, 95)
        self.rank = rank.astype(np.int32)
        female = rng.random(n) < 0.5
        female = np.where(rank == 1, ~female[np.maximum(np.arange(n) - 1, 0)], female)
        occupation = draw.pick(rng, _ADULT_SHARE, n)
        a = self.age
        occupation = np.where(a < 18, OCC["child"], occupation)
        occupation = np.where((a >= 18) & (a < 23) & (rng.random(n) < 0.7), OCC["student"], occupation)
        occupation = np.where(a >= np.where(female, 55, 60), OCC["retired"], occupation)
        self.district = rng.integers(0, len(draw.DISTRICTS), n).astype(np.int32)[home]
        self._add_persons(n, self.age, female, occupation, self.district)
        self.female = self.persons["female"]
        self.occupation = self.persons["occupation"]
        # Outside: whom residents know, trade with and are called by.
        m = self.m = int(n * 0.7) + 300
        occ = draw.pick(rng, _ADULT_SHARE, m)
        place = rng.integers(len(draw.DISTRICTS), len(draw.PLACES), m)
        self._add_persons(m, np.clip(rng.normal(40, 13, m), 18, 85), rng.random(m) < 0.5, occ, place)

    def _add_persons(self, n: int, age: Any, female: Any, occupation: Any, place: Any) -> I32:
        rng = self.rng
        born = (20514 - np.asarray(age) * 365.25 - rng.integers(0, 365, n)).astype(np.int32)
        days = np.datetime_as_string(born.astype("datetime64[D]"))
        serial = rng.integers(1, 999, n)
        serial += serial % 2 == np.asarray(female)
        # Identity numbers begin with where somebody was first registered, which need not be where they live.
        area = rng.integers(0, len(draw.PLACES), n).tolist()
        ids = []
        for p, d, s in zip(area, days.tolist(), serial.tolist(), strict=True):
            body = f"{draw.PLACES[p]}{d[:4]}{d[5:7]}{d[8:10]}{s:03d}"
            check = sum((ord(ch) - 48) * w for ch, w in zip(body, _ID_WEIGHTS, strict=True)) % 11
            ids.append(body + "10X98765432"[check])
        return self.persons.grow(
            n, born=born, female=female, place=place, occupation=occupation,
            name=draw.strings(draw.person_names(rng, n)), id=draw.strings(ids),
        )  # fmt: skip

    def person_texts(self) -> Any:
        """Bare values of all persons."""
        return id_texts(draw.scrambled(len(self.persons), self.seed, 77), 10)

    # ------------------------------------------------------------------ homes and work

    def _homes_and_work(self) -> None:
        n, rng = self.n, self.rng
        self.n_cells = n // 150 + 12
        self.cell_place = (np.arange(self.n_cells) % len(draw.DISTRICTS)).astype(np.int32)
        per = self.n_cells // len(draw.DISTRICTS)
        spot = rng.integers(0, per, n)[self.home]
        self.home_cell = np.minimum(spot * len(draw.DISTRICTS) + self.district, self.n_cells - 1).astype(np.int32)
        works = ~np.isin(
            self.occupation, [OCC[o] for o in ("child", "student", "retired", "homemaker", "jobless", "farmer")]
        )
        self.firms = n // 25 + 4
        weight = 1.0 / np.arange(1, self.firms + 1) ** 0.7
        firm = draw.pick(rng, weight, n)
        self.firm = np.where(works, firm, -1).astype(np.int32)
        firm_cell = rng.integers(0, self.n_cells, self.firms)
        school = rng.integers(0, self.n_cells, 1 + n // 800)[self.district % (1 + n // 800)]
        day = np.where(self.firm >= 0, firm_cell[self.firm], self.home_cell)
        self.day_cell = np.where(np.isin(self.occupation, [0, 1]), school, day).astype(np.int32)
        self.firm_names = draw.firm_names(rng, self.firms)

    # ------------------------------------------------------------------ lines

    @property
    def device_numbers(self) -> I64:
        """Numbers of all devices."""
        return np.asarray(self._devices["number"])

    def devices(self, n: int) -> I32:
        """Indices of ``n`` new devices."""
        return self._devices.grow(n, number=draw.imei(self.rng, n))

    def add_lines(self, kind: str, n: int, **given: Any) -> I32:
        """``n`` lines of one kind (mobile, fixed, iot, voip, service, international); the rest as anybody's."""
        rng = self.rng
        maker = {"fixed": self.numbers.fixed, "voip": self.numbers.fixed, "international": self.numbers.international}
        digits, carrier, operator = maker.get(kind, self.numbers.mobile)(rng, n)
        plan = {"mobile": 0, "fixed": 1, "voip": 5, "iot": 3, "international": -1, "service": 6}[kind]
        opened = -(rng.gamma(1.3, 1100, n) * DAY).astype(np.int64) - DAY
        columns: dict[str, Any] = {
            "text": draw.strings(draw.line_texts(digits)), "kind": draw.LINE_KINDS.index(kind), "carrier": carrier,
            "operator": operator, "plan": plan, "opened": opened, "status": 0,
            "place": rng.integers(len(draw.DISTRICTS), len(draw.PLACES), n), "user": -1, "registrant": -1,
            "device": self.devices(n),
        }  # fmt: skip
        return self.lines.grow(n, **{**columns, **given})

    def _lines(self) -> None:
        n, rng = self.n, self.rng
        who = np.arange(n)
        child = self.age < 13
        watch = child & (rng.random(n) < 0.75)
        place = np.where(rng.random(n) < 0.8, self.district, rng.integers(0, len(draw.PLACES), n))
        registrant = who.copy()
        same_home = self._neighbour_at_home()
        other = (rng.random(n) < 0.115) & (same_home >= 0)
        registrant = np.where(other | (child & (same_home >= 0)), np.where(same_home >= 0, same_home, who), registrant)
        own = self.add_lines("mobile", n, user=who, registrant=registrant, place=place)
        self.lines["plan"][own[watch]] = PLANS.index("child_watch")
        self.watches = own[watch]
        grown = np.flatnonzero((self.age >= 16) & (rng.random(n) < 0.12))
        self.second_lines = self.add_lines(
            "mobile", len(grown), user=grown, registrant=grown, place=self.district[grown]
        )
        self.lines["device"][self.second_lines] = grown
        new = own[(rng.random(n) < 0.025)]
        self.lines["opened"][new] = -rng.integers(1, 30, len(new)) * DAY
        # Outside: people known, strangers, firms; some abroad.
        m = self.m
        outside_people = np.arange(n, n + m)
        a, b = int(m * 0.76), int(m * 0.10)
        self.outside_mobile = self.add_lines("mobile", a, user=outside_people[:a], registrant=outside_people[:a])
        self.outside_fixed = self.add_lines("fixed", b)
        self.abroad = self.add_lines("international", m - a - b, user=outside_people[a + b :])
        self.lines["place"][self.abroad] = -1
        fresh = self.outside_mobile[rng.random(a) < 0.04]
        self.lines["opened"][fresh] = -rng.integers(1, 30, len(fresh)) * DAY
        # Inside: firms, hotels, sales and service desks.
        self.firm_lines = self.add_lines("fixed", self.firms, place=rng.integers(0, len(draw.DISTRICTS), self.firms))
        hotels = max(8, n // 700)
        self.hotel_names = [
            s[:4] + ("酒店", "宾馆", "客栈", "民宿")[i % 4] for i, s in enumerate(draw.firm_names(rng, hotels))
        ]
        self.hotel_cell = rng.integers(0, self.n_cells, hotels).astype(np.int32)
        self.hotel_lines = self.add_lines("fixed", hotels, place=self.cell_place[self.hotel_cell])
        self.lines["plan"][self.hotel_lines] = PLANS.index("hotel")
        self.sales_lines = self.add_lines("mobile", n // 250 + 6)
        self.sales_lines = np.concatenate([self.sales_lines, self.add_lines("voip", n // 500 + 4)])
        self.gadgets = self.add_lines("iot", n // 40 + 5, place=rng.integers(0, len(draw.DISTRICTS), n // 40 + 5))
        self.service_names = draw.BANK_SHORT + SERVICE_SHORT
        k = len(self.service_names)
        self.service_lines = self.lines.grow(
            k, text=draw.strings(["cn-short:" + s for s in self.service_names]), kind=draw.SERVICE,
            carrier=draw.pick(rng, (0.4, 0.3, 0.3), k), operator=draw.pick(rng, (0.4, 0.3, 0.3), k), plan=6,
            opened=-3000 * DAY, status=0, place=-1, user=-1, registrant=-1, device=-1,
        )  # fmt: skip
        # What a bought or stolen line looks like in the register: like any other line that is no short code.
        self._line_urn = np.setdiff1d(np.arange(len(self.lines), dtype=np.int32), self.service_lines)

    def _neighbour_at_home(self) -> I32:
        n = self.n
        prev, nxt = np.arange(n) - 1, np.minimum(np.arange(n) + 1, n - 1)
        has_prev = np.where(prev >= 0, self.home[np.maximum(prev, 0)] == self.home, False)
        has_next = (self.home[nxt] == self.home) & (nxt != np.arange(n))
        return np.where(has_prev, prev, np.where(has_next, nxt, -1)).astype(np.int32)

    def like_lines(self, n: int, new_share: float = 0.0, kinds: tuple[int, ...] = _CALLING_KINDS) -> I32:
        """``n`` lines that stand in the register as any line of the kinds; ``new_share`` of them opened this month."""
        rng, urn = self.rng, self._line_urn
        urn = urn[np.isin(self.lines["kind"][urn], kinds)]
        model = rng.choice(urn, n)
        out = np.empty(n, np.int32)
        for kind in kinds:
            at = np.flatnonzero(self.lines["kind"][model] == kind)
            source = model[at]
            # Whoever runs it, the register knows a person who had it put in their name and takes them for its user.
            given = {k: self.lines[k][source] for k in ("opened", "status", "place", "plan", "user", "registrant")}
            given["plan"] = np.where(given["plan"] == PLANS.index("child_watch"), 0, given["plan"])
            out[at] = self.add_lines(draw.LINE_KINDS[kind], len(at), **given)
        new = out[(rng.random(n) < new_share) & (self.lines["plan"][out] >= 0)]
        self.lines["opened"][new] = -rng.integers(1, 30, len(new)) * DAY
        return out

    # ------------------------------------------------------------------ accounts

    def add_accounts(self, kind: str, n: int, **given: Any) -> I32:
        """``n`` accounts of one kind; personal ones are cards."""
        rng = self.rng
        personal = kind in ("personal", "wallet", "payment")
        texts, bank = (self.cards.cards if personal else self.cards.firms)(rng, n)
        opened = -(rng.gamma(1.4, 1000, n) * DAY).astype(np.int64) - DAY
        idle = rng.random(n) < 0.3
        last = np.where(
            idle, opened + ((-opened) * rng.random(n) * 0.9).astype(np.int64), -rng.integers(1, 20 * DAY, n)
        )
        columns: dict[str, Any] = {
            "text": draw.strings(texts), "kind": ACCOUNT_KINDS.index(kind), "bank": bank,
            "outlet": rng.integers(0, 40, n), "opened": opened, "last": np.maximum(last, opened),
            "status": np.where(last < -180 * DAY, 1, 0), "holder": -1, "name": None, "device": -1,
            "opening": np.exp(rng.normal(8.2, 1.6, n)).astype(np.int64) * 100,
        }  # fmt: skip
        index = self.accounts.grow(n, **{**columns, **given})
        if "name" not in given:
            holder = self.accounts["holder"][index]
            self.accounts["name"][index] = self.persons["name"][holder]
        return index

    def _accounts(self) -> None:
        n, rng = self.n, self.rng
        adults = np.flatnonzero(self.age >= 14).astype(np.int32)
        main = self.add_accounts("personal", len(adults), holder=adults, device=adults)
        self.accounts["last"][main] = -rng.integers(0, 5 * DAY, len(main))
        self.accounts["status"][main] = 0
        self.account = np.full(n, -1, np.int32)
        self.account[adults] = main
        more = np.flatnonzero((self.age >= 18) & (rng.random(n) < 0.5)).astype(np.int32)
        self.second_accounts = self.add_accounts("personal", len(more), holder=more, device=more)
        self.second_account = np.full(n, -1, np.int32)
        self.second_account[more] = self.second_accounts
        m = self.m
        outside = np.arange(n, n + m, dtype=np.int32)
        self.outside_accounts = self.add_accounts("personal", m, holder=outside, device=self.devices(m))
        extra = rng.choice(outside, m // 4)
        self.outside_seconds = self.add_accounts("personal", len(extra), holder=extra, device=self.devices(len(extra)))
        young = self.outside_accounts[rng.random(m) < 0.05]
        self.accounts["opened"][young] = -rng.integers(1, 30, len(young)) * DAY
        self.accounts["last"][young] = self.accounts["opened"][young] // 2
        names = draw.strings(self.firm_names)
        self.firm_accounts = self.add_accounts("corporate", self.firms, name=names, device=self.devices(self.firms))
        self.accounts["opening"][self.firm_accounts] *= 200
        k = n // 30 + 10
        self.suppliers = self.add_accounts(
            "corporate", k, name=draw.strings(draw.firm_names(rng, k)), device=self.devices(k)
        )
        k = n // 20 + 20
        shops = draw.strings(draw.firm_names(rng, k, "店"))
        keepers = np.flatnonzero(
            np.isin(self.occupation, [OCC[o] for o in ("shop_owner", "self_employed", "business_owner")])
        )
        keeper = rng.choice(keepers if len(keepers) else adults, k)
        self.merchants = self.add_accounts("merchant", k, name=shops, holder=keeper, device=self.devices(k))
        k = n // 400 + 4
        self.lenders = self.add_accounts(
            "loan", k, name=draw.strings(draw.firm_names(rng, k, "小贷")), device=self.devices(k)
        )
        k = n // 150 + 4
        holder = rng.choice(adults, k)
        self.wallets = self.add_accounts("wallet", k, holder=holder, device=holder)
        self._account_urn = np.concatenate([main, self.second_accounts, self.outside_accounts, self.outside_seconds])

    def like_accounts(self, n: int, kind: str = "personal") -> I32:
        """``n`` accounts that stand in the register as any account of the kind does, held by anybody."""
        rng = self.rng
        if kind != "personal":
            return self.add_accounts(kind, n, name=draw.strings(draw.firm_names(rng, n)), device=self.devices(n))
        model = rng.choice(self._account_urn, n)
        copied = {k: self.accounts[k][model] for k in ("opened", "last", "status", "holder")}
        return self.add_accounts("personal", n, device=self.devices(n), **copied)

    # ------------------------------------------------------------------ apps, sites, contacts

    def add_apps(self, n: int) -> I32:
        """``n`` apps of small makers."""
        name, package, signature = draw.apps(self.rng, n)
        package = self._untaken(package)
        return self.apps.grow(
            n, name=draw.strings(name), package=draw.strings(package), signature=draw.strings(signature)
        )

    def add_sites(self, n: int) -> I32:
        """``n`` small sites."""
        texts = draw.domains(self.rng, n)
        return self.sites.grow(n, text=draw.strings(self._untaken(texts)))

    def _untaken(self, texts: list[str]) -> list[str]:
        # Who comes later finds more names taken: the way out must be the one that earlier ones took too.
        out = draw.unlike(texts, self._taken)
        self._taken.update(out)
        return out

    def _apps_and_sites(self) -> None:
        n, rng = self.n, self.rng
        k = len(POPULAR_APPS)
        self.popular_apps = self.apps.grow(
            k, name=draw.strings([a for a, _ in POPULAR_APPS]), package=draw.strings([p for _, p in POPULAR_APPS]),
            signature=draw.strings([f"{u:016x}{v:016x}" for u, v in rng.integers(0, 2**63, (k, 2)).tolist()]),
        )  # fmt: skip
        self.rare_apps = self.add_apps(600 + n // 12)
        self.popular_sites = self.sites.grow(len(POPULAR_SITES), text=draw.strings(POPULAR_SITES))
        self.rare_sites = self.add_sites(900 + n // 8)
        self.meeting_apps = np.array(
            [i for i, (a, _) in enumerate(POPULAR_APPS) if "会议" in a or a == "钉钉"], np.int32
        )

    def _contacts(self) -> None:
        """``contacts[p]``: 16 lines that person p speaks with, the nearest first."""
        n, rng = self.n, self.rng
        out = np.empty((n, 16), np.int32)
        kin = self._neighbour_at_home()
        friend = np.clip(np.arange(n)[:, None] + rng.integers(-400, 401, (n, 16)), 0, n - 1)
        out[:] = np.where(rng.random((n, 16)) < 0.55, friend, rng.choice(self.outside_mobile, (n, 16)))
        out[:, 0] = np.where(kin >= 0, kin, out[:, 0])
        order = np.argsort(self.firm, kind="stable")
        place = np.empty(n, np.int64)
        place[order] = np.arange(n)
        for k in range(5):
            mate = order[np.clip(place + rng.integers(-30, 31, n), 0, n - 1)]
            same = (self.firm[mate] == self.firm) & (self.firm >= 0)
            out[:, 3 + k] = np.where(same, mate, out[:, 3 + k])
        far = rng.random(n) < 0.06
        out[far, 2] = rng.choice(self.abroad, int(far.sum()))
        out[out == np.arange(n)[:, None]] = self.outside_mobile[0]
        self.contacts = out
        self.far = np.flatnonzero(far)


_ID_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
