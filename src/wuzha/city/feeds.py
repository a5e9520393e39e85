"""Six warning feeds (部、省、运营商、银行、App、12381), each with its own numbers, levels, type codes and deadlines.

Kept true here: a feed sees only what happened near it, late, in its own words. Feeds repeat each other, contradict each
other, name the registered owner instead of the user, and warn of people whom nobody defrauds.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa

from wuzha.events.scam_types import parent, scam_types
from wuzha.ingest.mapping import shipped

from . import draw
from .rows import STAGES, id_texts, table, time_order, times
from .stage import AWAKE, Stage, clock_times, lognormal
from .tables import N_SOURCES

LEVELS = ("urgent", "high", "medium", "low")


@dataclass(frozen=True, kw_only=True)
class Feed:
    """One feed: its delay in minutes (median, 95th percentile) and its minutes to sign and to answer by level."""

    name: str
    issued_by: str
    number: str
    delay: tuple[float, float]
    codes: str
    sign: tuple[int, int, int, int]
    answer: tuple[int, int, int, int]
    late: float


FEEDS = (
    Feed(
        name="feed-ministry",
        issued_by="部级预警平台",
        number="BJ{day}{serial:06d}",
        delay=(35, 400),
        codes="number",
        sign=(10, 30, 120, 720),
        answer=(240, 720, 1440, 4320),
        late=0.08,
    ),
    Feed(
        name="feed-province",
        issued_by="省反诈中心",
        number="闽诈预〔{year}〕第{serial:05d}号",
        delay=(18, 240),
        codes="letter",
        sign=(15, 30, 240, 1440),
        answer=(360, 1440, 2880, 4320),
        late=0.05,
    ),
    Feed(
        name="feed-carrier",
        issued_by="运营商反诈专班",
        number="YYS-{serial:07d}",
        delay=(6, 60),
        codes="own",
        sign=(15, 60, 240, 1440),
        answer=(720, 1440, 2880, 7200),
        late=0.04,
    ),
    Feed(
        name="feed-bank",
        issued_by="银行风控",
        number="FK{day}-{serial:05d}",
        delay=(2, 15),
        codes="letter",
        sign=(5, 15, 60, 480),
        answer=(120, 480, 1440, 2880),
        late=0.02,
    ),
    Feed(
        name="feed-app",
        issued_by="国家反诈中心App",
        number="APP{serial:09d}",
        delay=(3, 40),
        codes="number",
        sign=(10, 30, 120, 1440),
        answer=(360, 1440, 2880, 4320),
        late=0.04,
    ),
    Feed(
        name="feed-12381",
        issued_by="12381",
        number="12381-{day}-{serial:05d}",
        delay=(12, 90),
        codes="words",
        sign=(10, 30, 120, 720),
        answer=(240, 720, 1440, 4320),
        late=0.04,
    ),
)
#: The feed that comes as workbooks with a layout of its own (`listed`), and its share of what the carriers see.
LISTED, _SEEN = "feed-12381", 0.5
NAMES = tuple(f.name for f in FEEDS)
_SHORT = {"ministry": 0, "province": 1, "carrier": 2, "bank": 3, "app": 4}
_12381 = NAMES.index(LISTED)
_CARRIER_CODES = {t: f"H{i:02d}" for i, t in enumerate(sorted(scam_types()))}
#: Levels given at each stage to a right hint and to a wrong one: urgent, high, medium, low.
_RIGHT = {
    "approach": (0.03, 0.2, 0.42, 0.35),
    "trust": (0.06, 0.34, 0.4, 0.2),
    "act": (0.22, 0.45, 0.25, 0.08),
    "pay": (0.5, 0.35, 0.12, 0.03),
}
_WRONG = {
    "approach": (0.01, 0.12, 0.42, 0.45),
    "trust": (0.03, 0.2, 0.45, 0.32),
    "act": (0.08, 0.3, 0.4, 0.22),
    "pay": (0.15, 0.35, 0.35, 0.15),
}
_WORDS = {
    "line": "与高风险号码通话",
    "app": "安装或使用高风险应用",
    "site": "访问高风险网址",
    "account": "向高风险账户付款",
    "amount": "资金异动",
}


def issue(stage: Stage) -> tuple[pa.Table, dict[str, Any]]:
    """The ``warnings`` table, in the order of arrival, and the labels of its rows."""
    rng = stage.stream("feeds")
    right: list[dict[str, Any]] = []
    wrong: list[dict[str, Any]] = []
    for hint in stage.hints:
        for short, p in hint["feeds"].items():
            if rng.random() < p:
                (right if hint["scam"] >= 0 else wrong).extend(_warn(stage, hint, _SHORT[short], rng))
    # 12381 looks at the carriers' data; it knows numbers, never names or accounts.
    other = stage.stream("feeds 12381")
    for hint in stage.hints:
        if other.random() < hint["feeds"].get("carrier", 0) * _SEEN:
            (right if hint["scam"] >= 0 else wrong).extend(_warn(stage, hint, _12381, other))
    right, wrong = _inside(stage, right), _inside(stage, wrong)
    return _table(stage, right + _balance(stage, right, wrong, rng), rng)


def _inside(stage: Stage, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [r for r in rows if 0 <= r["sec"] < stage.end]


def _balance(stage: Stage, right: list[dict[str, Any]], wrong: list[dict[str, Any]], rng: Any) -> list[dict[str, Any]]:
    """Wrong warnings in the feeds' shares of the right ones: which feed speaks must not tell whether it is right.

    What is missing is made up by warnings without any ground (a number recycled, a list out of date); what a feed has
    too many of is dropped.
    """
    k = len(FEEDS)
    share = np.bincount([r["feed"] for r in right], minlength=k).astype(float)
    share = share / share.sum() if share.sum() else np.full(k, 1 / k)
    have = np.bincount([r["feed"] for r in wrong], minlength=k)
    base = len(wrong) + stage.world.n * stage.days * 0.0006 + 2
    want = np.round(share * max(base, 1.2 * len(right))).astype(int)
    kept: list[dict[str, Any]] = []
    for f in range(k):
        mine = [r for r in wrong if r["feed"] == f]
        chosen = set(rng.permutation(len(mine))[: want[f]].tolist())
        kept.extend(r for i, r in enumerate(mine) if i in chosen)
        missing = int(want[f] - min(have[f], want[f]))
        while missing > 0:
            fresh = _inside(stage, [_warn(stage, h, f, rng)[0] for h in _groundless(stage, missing, rng)])
            kept.extend(fresh)
            missing -= len(fresh)
    return kept


def _groundless(stage: Stage, n: int, rng: Any) -> list[dict[str, Any]]:
    w = stage.world
    person = rng.choice(np.flatnonzero(w.account >= 0), n)
    sec = clock_times(rng, stage.days, AWAKE, n)
    kinds = [t for t in scam_types() if t != "none"]
    look = stage.look("groundless_warning")
    out = []
    for p, s in zip(person.tolist(), sec.tolist(), strict=True):
        shown = rng.random(4) < (0.5, 0.25, 0.3, 0.25)
        out.append(
            {
                "sec": s,
                "person": p,
                "feeds": {},
                "scam": -1,
                "look": look,
                "stage": STAGES[int(draw.pick(rng, (0.4, 0.3, 0.2, 0.1), 1)[0])],
                "line": int(rng.choice(w.outside_mobile)) if shown[0] else -1,
                "app": int(rng.choice(w.rare_apps)) if shown[1] else -1,
                "site": int(rng.choice(w.rare_sites)) if shown[2] else -1,
                "account": int(rng.choice(w.outside_accounts)) if shown[3] else -1,
                "amount": int(np.exp(rng.normal(8, 1.5))) * 100 if rng.random() < 0.3 else -1,
                "type": kinds[int(rng.integers(0, len(kinds)))],
            }
        )
    return out


def _warn(stage: Stage, hint: dict[str, Any], feed: int, rng: Any) -> list[dict[str, Any]]:
    right = hint["scam"] >= 0
    shares = (_RIGHT if right else _WRONG)[hint["stage"]]
    level = int(draw.pick(rng, shares, 1)[0])
    kind = hint["type"]
    if rng.random() < 0.12:
        kind = parent(kind)
    first = {
        "hint": hint,
        "feed": feed,
        "level": level,
        "type": kind if rng.random() < 0.9 else None,
        "sec": int(hint["sec"] + lognormal(rng, *FEEDS[feed].delay, 1)[0] * 60),
        "late": rng.random() < FEEDS[feed].late,
    }
    out = [first]
    if rng.random() < 0.1:
        out.append(
            {
                **first,
                "sec": first["sec"] + int(rng.integers(180, 5400)),
                "level": max(0, level - int(rng.random() < 0.4)),
            }
        )
    if rng.random() < 0.15 and feed != 1:
        # Passed on by the province, which judges for itself.
        other = {**first, "feed": 1, "sec": first["sec"] + int(lognormal(rng, 20, 200, 1)[0] * 60)}
        if rng.random() < 0.35:
            other["level"] = int(draw.pick(rng, shares, 1)[0])
        if rng.random() < 0.25:
            kinds = [t for t in scam_types() if t != "none"]
            other["type"] = kinds[int(rng.integers(0, len(kinds)))]
        out.append(other)
    return out


def _table(stage: Stage, rows: list[dict[str, Any]], rng: Any) -> tuple[pa.Table, dict[str, Any]]:
    n = len(rows)
    ids = draw.scrambled(n, stage.seed, zlib.crc32(b"warnings"))
    sec = np.array([r["sec"] for r in rows], np.int64)
    delay = np.where([r["late"] for r in rows], lognormal(rng, 90, 1400, n) * 60, 0).astype(np.int64)
    numbered = time_order(sec, ids)
    serial: dict[int, int] = {}
    numbers = [""] * n
    for i in numbered.tolist():
        feed = rows[i]["feed"]
        serial[feed] = serial.get(feed, int(draw.scrambled(1, stage.seed, 400 + feed)[0] % np.uint64(9000))) + 1
        day = np.datetime64(stage.start) + int(sec[i] // 86400)
        numbers[i] = FEEDS[feed].number.format(serial=serial[feed], day=str(day).replace("-", ""), year=str(day)[:4])
    order = time_order(sec + delay, ids)
    if n:
        # A few are sent twice, number and all; whoever receives them counts them once.
        again = order[rng.random(n) < 0.01]
        at = np.searchsorted(sec[order] + delay[order], sec[again] + delay[again] + 60)
        arrival = np.insert(order, at, again)
    else:
        arrival = order
    fields = [_fields(stage, r, rng) for r in rows]
    columns: dict[str, list[Any]] = {k: [f[k] for f in fields] for k in fields[0]} if n else {}
    code = np.array([r["feed"] for r in rows], np.int64)
    data: dict[str, pa.Array] = {
        "source": pa.array([NAMES[f] for f in code.tolist()], pa.string()),
        "event_id": id_texts(ids),
        "ts": times(sec, stage.start_us),
        "source_no": pa.array(numbers, pa.string()),
        "issued_by": pa.array([FEEDS[f].issued_by for f in code.tolist()], pa.string()),
        "level_upstream": pa.array([LEVELS[r["level"]] for r in rows], pa.string()),
        "reasons": pa.array([f["reasons"] for f in fields], pa.list_(pa.string())),
        "amount_fen": pa.array([f["amount_fen"] for f in fields], pa.int64()),
        "sign_by": times(
            sec + 60 * np.array([FEEDS[r["feed"]].sign[r["level"]] for r in rows], np.int64), stage.start_us
        ),
        "feedback_by": times(
            sec + 60 * np.array([FEEDS[r["feed"]].answer[r["level"]] for r in rows], np.int64), stage.start_us
        ),
    }
    for name in columns.keys() - {"reasons", "amount_fen"}:
        data[name] = pa.array(columns[name], pa.string())
    built = table("warnings", n, data).take(pa.array(arrival))
    labels = {
        "id": ids,
        "sec": sec,
        "source": code + N_SOURCES,
        "feeds": NAMES,
        "scam": np.array([r["hint"]["scam"] for r in rows], np.int64),
        "stage": np.array([STAGES.index(r["hint"]["stage"]) if r["hint"]["scam"] >= 0 else -1 for r in rows], np.int64),
        "step": np.full(n, -1),
        "person": np.array([r["hint"]["person"] for r in rows], np.int64),
        "look": np.array([r["hint"].get("look", -1) for r in rows], np.int64),
    }
    return built, labels


@cache
def _words() -> dict[str, str]:
    """12381's own word of each scam type that it has one for, from the layout of its lists."""
    return {kind: word for word, kind in shipped()["warnings_12381"].values["scam_type"].items()}


def _type_code(feed: int, kind: str) -> str | None:
    style = FEEDS[feed].codes
    if style == "own":
        return _CARRIER_CODES[kind]
    if style == "words":
        return _words().get(kind) or _words().get(parent(kind)) or _words()["other"]
    known = scam_types()[kind].feeds or scam_types()[parent(kind)].feeds
    digits = [c for c in known if c.isdigit()]
    letters = [c for c in known if not c.isdigit()]
    if style == "number":
        return digits[0] if digits else next((c for c in scam_types()[parent(kind)].feeds if c.isdigit()), "99")
    return letters[0] if letters else "QT"


def _fields(stage: Stage, row: dict[str, Any], rng: Any) -> dict[str, Any]:
    w, hint, feed = stage.world, row["hint"], row["feed"]
    person = hint["person"]
    registrant = int(w.lines["registrant"][person])
    named = registrant if feed in (0, 1, 2, _12381) else person
    if rng.random() < 0.02:
        named = int(rng.integers(0, w.n))
    shows = rng.random(8)
    account = int(w.account[person])
    line = shows[0] < (0.25 if feed == 3 else 0.72 if feed == 4 else 0.96)
    has_account = account >= 0 and shows[1] < (0.97 if feed == 3 else 0.06)
    device = shows[2] < (0.9 if feed == 4 else 0.03)
    if not (line or has_account or device):
        line = True
    name = shows[3] < (0.85 if feed == 3 else 0.5 if feed < 2 else 0.2)
    number = shows[4] < (0.6 if feed == 3 else 0.35 if feed < 2 else 0.05)
    if feed == _12381:
        line, has_account, device, name, number = True, False, False, False, False
        shows[5] = 1.0
    reasons = [words for key, words in _WORDS.items() if hint[key] >= 0][: 1 + int(rng.random() < 0.5)]
    url = f"http://{w.sites['text'][hint['site']]}/" if hint["site"] >= 0 else None
    code = _type_code(feed, row["type"]) if row["type"] else None
    return {
        "type_code": code,
        # 12381's words are coarse: they say no more than their layout reads in them.
        "scam_type": shipped()["warnings_12381"].values["scam_type"][code] if code and feed == _12381 else row["type"],
        "stage": hint["stage"] if shows[5] < 0.4 else None,
        "reasons": reasons or None,
        "victim_line": str(w.lines["text"][person]) if line else None,
        "victim_account": str(w.accounts["text"][account]) if has_account else None,
        "victim_device": f"{int(w.device_numbers[person]):015d}" if device else None,
        "victim_name": str(w.persons["name"][named]) if name else None,
        "victim_id": str(w.persons["id"][named]) if number else None,
        "place": draw.DISTRICTS[int(w.district[person])] if shows[6] < 0.8 else None,
        "suspect_line": str(w.lines["text"][hint["line"]]) if hint["line"] >= 0 and feed in (0, 1, 2, _12381) else None,
        "suspect_url": url if feed in (0, 1, 2, 4, _12381) else None,
        "suspect_app": str(w.apps["name"][hint["app"]]) if hint["app"] >= 0 and feed in (0, 1, 4) else None,
        "suspect_account": str(w.accounts["text"][hint["account"]])
        if hint["account"] >= 0 and feed in (0, 1, 3)
        else None,
        "amount_fen": int(hint["amount"]) if hint["amount"] >= 0 and feed in (0, 1, 3) else None,
    }
