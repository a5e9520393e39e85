"""From rows of codes to Arrow tables with the exact columns of ``wuzha.events``.

Kept true here: a column that follows from a line or an account (carrier, bank, name, SIM) is looked up, never passed
along by who acts, so that it cannot differ between good and bad. Balances add up: an account starts with what it needs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba as nb
import numpy as np
import pyarrow as pa

from wuzha.events import TABLES

from . import draw
from .rows import STAGES, STEPS, Pool, Rows, id_texts, table, time_order, times
from .stage import ACTIONS, CHANNELS, PAY_CHANNELS, Stage
from .world import ACCOUNT_KINDS, DAY, OCCUPATION_ZH, PLANS, STATUSES

PLATFORM_IM, PLATFORM_APPS = "platform-im", "platform-apps"
JEWELLERS, COURIERS, RIDES, HOTELS = "platform-jewellers", "platform-couriers", "platform-rides", "platform-hotels"
REGISTRY, DESK = "registry", "desk-110"

_SOURCES = (*draw.CARRIERS, *draw.BANKS, PLATFORM_IM, PLATFORM_APPS, JEWELLERS, COURIERS, RIDES, HOTELS, REGISTRY, DESK)
SOURCE = {s: i for i, s in enumerate(_SOURCES)}
_BANK0 = SOURCE[draw.BANKS[0]]


class Lookups:
    """Pools of texts by line, account, person, device, site, app; made once everything has been drawn."""

    def __init__(self, stage: Stage) -> None:
        w = stage.world
        self.stage = stage
        self.source = Pool.of(_SOURCES)
        self.line = Pool.of(w.lines["text"])
        self.raw = Pool.of(
            [_raw(t, k) for t, k in zip(w.lines["text"].tolist(), w.lines["kind"].tolist(), strict=True)]
        )
        self.line_type = Pool.of(draw.LINE_KINDS)
        sims = draw.scrambled(len(w.lines), stage.seed, 31) % np.uint64(10**10)
        mnc = ("00", "01", "11", "15")
        self.sim = Pool.of(
            [
                None if kind in (draw.SERVICE, draw.INTERNATIONAL) else f"460{mnc[c]}{s:010d}"
                for kind, c, s in zip(w.lines["kind"].tolist(), w.lines["carrier"].tolist(), sims.tolist(), strict=True)
            ]
        )
        self.device = Pool.of([f"{v:015d}" for v in w.device_numbers.tolist()])
        ips = draw.scrambled(len(w.device_numbers), stage.seed, 53)
        self.ip = Pool.of(
            [f"{36 + (v >> 40) % 180}.{(v >> 24) % 256}.{(v >> 12) % 256}.{v % 254 + 1}" for v in ips.tolist()]
        )
        self.mac = Pool.of(
            [
                "{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}".format(*(int(v) & 0xFFFFFFFFFFFF).to_bytes(6, "big"))
                for v in ips.tolist()
            ]
        )
        self.cell = Pool.of([f"{460_00_10000 + i * 37}-{1000 + i * 13 % 255}" for i in range(w.n_cells)])
        self.place = Pool.of(draw.PLACES)
        self.cell_place = w.cell_place
        self.account = Pool.of(w.accounts["text"])
        self.account_name = Pool.of(w.accounts["name"])
        self.bank = Pool.of(draw.BANK_NAMES)
        self.outlet = Pool.of([f"{b}{d}支行" for b in draw.BANK_NAMES for d in range(40)])
        self.text = Pool.of(stage.texts.values or [""])
        self.site = Pool.of(w.sites["text"])
        self.app_name = Pool.of(w.apps["name"])
        self.package = Pool.of(w.apps["package"])
        self.signature = Pool.of(w.apps["signature"])
        self.person = Pool.of(w.person_texts())
        self.line_opened, _ = _moments(stage, w.lines["opened"], w.lines["opened"], 61)
        self.account_opened, self.account_last = _moments(stage, w.accounts["opened"], w.accounts["last"], 67)


def _moments(stage: Stage, opened: Any, last: Any, salt: int) -> tuple[Any, Any]:
    """Opened and last active as the registers tell them, seconds from the start.

    Many a row was modelled on another one, or given an age in whole days; so that neither shows, every row alike gets
    a second of its own, and whatever is older than two months some percent of its age.
    """
    n = len(opened)
    chance = draw.scrambled(n, stage.seed, salt)
    day = (chance % np.uint64(DAY)).astype(np.int64)
    share = (chance >> np.uint64(32)).astype(np.float64) / 2**32
    told = opened + day + (np.minimum(opened + 60 * DAY, 0) * share * 0.08).astype(np.int64)
    again = (draw.scrambled(n, stage.seed, salt + 1) % np.uint64(DAY)).astype(np.int64)
    told = np.minimum(told, -1)
    return told, np.where(last == opened, told, np.maximum(told, last - again))


def _raw(text: str, kind: int) -> str:
    if text.startswith("cn-short:"):
        return text[9:]
    if kind == draw.INTERNATIONAL:
        return "00" + text[1:]
    if kind in (draw.FIXED, draw.VOIP):
        return "0" + text[3:]
    return text[3:]


class Built:
    """Tables, and for labels the id, second and source of every row in order of adding."""

    def __init__(self) -> None:
        self.tables: dict[str, pa.Table] = {}
        self.keys: dict[str, tuple[Any, Any, Any]] = {}


def build(stage: Stage, step: Callable[[str], None] = lambda name: None) -> Built:
    """All raw tables and registers of a stage."""
    look, built = Lookups(stage), Built()
    for name, make in _MAKERS.items():
        _one(stage, look, built, stage.rows[name], make)
        step(name)
    built.tables.update(registers(stage, look))
    return built


def _one(stage: Stage, look: Lookups, built: Built, rows: Rows, make: Any) -> None:
    sec = rows.column("sec")
    if len(sec) and (sec.min() < 0 or sec.max() >= stage.end):
        raise AssertionError(f"{rows.table}: rows outside the city's days")
    ids = rows.ids(stage.seed)
    order = time_order(sec, ids)
    col = {name: rows.column(name)[order] for name in rows.defaults}
    col["sec"] = sec[order]
    source, columns = make(stage, look, col)
    unsorted = np.empty(rows.n, np.int32)
    unsorted[order] = source
    built.keys[rows.table] = (ids, sec, unsorted)
    columns |= {
        "source": look.source.take(source), "event_id": id_texts(ids[order]), "ts": times(col["sec"], stage.start_us),
    }  # fmt: skip
    built.tables[rows.table] = table(rows.table, rows.n, columns)


def _calls(stage: Stage, look: Lookups, c: dict[str, Any]) -> Any:
    lines = stage.world.lines
    rep, caller = c["rep"], c["caller"]
    device = np.where(c["device"] == -2, lines["device"][rep], c["device"])
    place = np.where(c["cell"] >= 0, look.cell_place[c["cell"]], -1)
    return lines["carrier"][rep], {
        "caller": look.line.take(caller), "callee": look.line.take(c["callee"]), "caller_raw": look.raw.take(caller),
        "callee_raw": look.raw.take(c["callee"]), "duration_s": pa.array(c["dur"]), "imsi": look.sim.take(rep),
        "imei": look.device.take(device), "cell": look.cell.take(c["cell"]), "place": look.place.take(place),
        "roaming": pa.array(c["roaming"]), "forwarded_to": look.line.take(c["fwd"]),
        "line_type": look.line_type.take(lines["kind"][caller]),
    }  # fmt: skip


def _messages(stage: Stage, look: Lookups, c: dict[str, Any]) -> Any:
    lines, n = stage.world.lines, stage.world.n
    rep = np.where(c["recipient"] < n, c["recipient"], c["sender"])
    source = np.where(c["channel"] == 2, SOURCE[PLATFORM_IM], lines["carrier"][rep])
    return source, {
        "sender": look.line.take(c["sender"]), "recipient": look.line.take(c["recipient"]),
        "sender_raw": look.raw.take(c["sender"]), "channel": Pool.of(CHANNELS).take(c["channel"]),
        "text": look.text.take(c["text"]),
    }  # fmt: skip


def _visits(stage: Stage, look: Lookups, c: dict[str, Any]) -> Any:
    lines, w = stage.world.lines, stage.world
    with_path = np.flatnonzero(c["path"] >= 0)
    url = np.full(len(c["path"]), -1, np.int32)
    hosts, paths, texts = w.sites["text"], stage.texts.values, []
    for h, p in zip(c["host"][with_path].tolist(), c["path"][with_path].tolist(), strict=True):
        texts.append(f"https://{hosts[h]}{texts_path(paths[p])}")
    url[with_path] = np.arange(len(with_path))
    return lines["carrier"][c["line"]], {
        "line": look.line.take(c["line"]), "host": look.site.take(c["host"]), "url": Pool.of(texts or [""]).take(url),
        "bytes": pa.array(c["bytes"]),
    }  # fmt: skip


def texts_path(path: str) -> str:
    """A path with its leading stroke."""
    return path if path.startswith("/") else "/" + path


def _app_events(stage: Stage, look: Lookups, c: dict[str, Any]) -> Any:
    device = np.where(c["device"] == -2, stage.world.lines["device"][c["line"]], c["device"])
    return np.full(len(c["sec"]), SOURCE[PLATFORM_APPS]), {
        "line": look.line.take(c["line"]), "device": look.device.take(device), "app": look.app_name.take(c["app"]),
        "package": look.package.take(c["app"]), "signature": look.signature.take(c["app"]),
        "action": Pool.of(ACTIONS).take(c["action"]),
    }  # fmt: skip


@nb.njit(cache=True)
def _balances(payer, payee, amount, ok, opening, payer_after, payee_after):  # type: ignore[no-untyped-def]
    low = np.zeros(opening.shape[0], np.int64)
    now = np.zeros(opening.shape[0], np.int64)
    for i in range(payer.shape[0]):
        if not ok[i]:
            continue
        if payer[i] >= 0:
            now[payer[i]] -= amount[i]
            low[payer[i]] = min(low[payer[i]], now[payer[i]])
        if payee[i] >= 0:
            now[payee[i]] += amount[i]
    for a in range(opening.shape[0]):
        now[a] = opening[a] - low[a]
    for i in range(payer.shape[0]):
        done = amount[i] if ok[i] else 0
        if payer[i] >= 0:
            now[payer[i]] -= done
            payer_after[i] = now[payer[i]]
        if payee[i] >= 0:
            now[payee[i]] += done
            payee_after[i] = now[payee[i]]


def _transfers(stage: Stage, look: Lookups, c: dict[str, Any]) -> Any:
    acc = stage.world.accounts
    n = len(c["sec"])
    payer, payee = c["payer"].astype(np.int64), c["payee"].astype(np.int64)
    payer_after, payee_after = np.zeros(n, np.int64), np.zeros(n, np.int64)
    _balances(payer, payee, c["amount"], c["ok"], acc["opening"], payer_after, payee_after)
    payer_bank = np.where(payer >= 0, acc["bank"][payer], -1)
    payee_bank = np.where(payee >= 0, acc["bank"][payee], -1)
    owner = np.where(payer >= 0, payer_bank, payee_bank)
    same = (payer >= 0) & (payee >= 0) & (payer_bank == payee_bank)
    online = np.isin(c["channel"], (1, 2, 4, 6, 7)) & (payer >= 0)
    device = np.where(online, np.where(c["device"] == -2, acc["device"][payer], c["device"]), -1).astype(np.int32)
    at_shop = (payee >= 0) & (acc["kind"][payee] == 2)
    side = np.where(same, 2, np.where(payer >= 0, 0, 1))
    seen = np.where(payer >= 0, payer, payee)
    teller = np.where(c["channel"] == 0, acc["outlet"][seen], -1)
    return _BANK0 + owner, {
        "payer": look.account.take(payer),
        "payee": look.account.take(payee),
        "payer_name": look.account_name.take(payer),
        "payee_name": look.account_name.take(payee),
        "payer_bank": look.bank.take(payer_bank),
        "payee_bank": look.bank.take(payee_bank),
        "amount_fen": pa.array(c["amount"]),
        "channel": Pool.of(PAY_CHANNELS).take(c["channel"]),
        "ok": pa.array(c["ok"]),
        "payer_balance_fen": pa.array(payer_after, mask=payer < 0),
        "payee_balance_fen": pa.array(payee_after, mask=(payee < 0) | ~(same | (payer < 0))),
        "side": Pool.of(("payer", "payee", "both")).take(side),
        "ts_precision_s": pa.array(np.ones(n, np.int64)),
        "cash": pa.array(c["cash"]),
        "place": look.place.take(c["place"]),
        "outlet": look.outlet.take(np.where(teller >= 0, owner * 40 + teller, -1)),
        "merchant": look.account_name.take(np.where(at_shop, payee, -1)),
        "ip": look.ip.take(device),
        "mac": look.mac.take(device),
        "device": look.device.take(device),
        "memo": look.text.take(c["memo"]),
    }


def _cash(stage: Stage, look: Lookups, c: dict[str, Any]) -> Any:
    bank = stage.world.accounts["bank"][c["account"]]
    due = pa.array(c["due"] * 1_000_000 + stage.start_us, mask=c["due"] < 0).cast(pa.timestamp("us", tz="UTC"))
    return _BANK0 + bank, {
        "account": look.account.take(c["account"]), "person": look.person.take(c["person"]),
        "line": look.line.take(c["line"]), "amount_fen": pa.array(c["amount"]),
        "kind": Pool.of(("withdrawal", "booking")).take(c["booking"].astype(np.int32)), "due_at": due,
        "outlet": look.outlet.take(np.where(c["outlet"] >= 0, bank * 40 + c["outlet"], -1)),
        "place": look.place.take(c["place"]),
    }  # fmt: skip


def _purchases(stage: Stage, look: Lookups, c: dict[str, Any]) -> Any:
    return np.full(len(c["sec"]), SOURCE[JEWELLERS]), {
        "account": look.account.take(c["account"]), "person": look.person.take(c["person"]),
        "line": look.line.take(c["line"]), "amount_fen": pa.array(c["amount"]), "goods": look.text.take(c["goods"]),
        "merchant": look.account_name.take(c["merchant"]), "place": look.place.take(c["place"]),
    }  # fmt: skip


def _shipments(stage: Stage, look: Lookups, c: dict[str, Any]) -> Any:
    return np.where(c["ride"], SOURCE[RIDES], SOURCE[COURIERS]), {
        "sender": look.line.take(c["sender"]), "recipient": look.line.take(c["recipient"]),
        "kind": Pool.of(("courier", "ride")).take(c["ride"].astype(np.int32)), "goods": look.text.take(c["goods"]),
        "place": look.place.take(c["place"]), "to_place": look.place.take(c["to_place"]),
    }  # fmt: skip


def _lodging(stage: Stage, look: Lookups, c: dict[str, Any]) -> Any:
    return np.full(len(c["sec"]), SOURCE[HOTELS]), {
        "person": look.person.take(c["person"]), "line": look.line.take(c["line"]),
        "hotel": Pool.of(stage.world.hotel_names).take(c["hotel"]), "place": look.place.take(c["place"]),
        "nights": pa.array(c["nights"]),
    }  # fmt: skip


_MAKERS = {
    "calls": _calls, "messages": _messages, "visits": _visits, "app_events": _app_events, "transfers": _transfers,
    "cash": _cash, "purchases": _purchases, "shipments": _shipments, "lodging": _lodging,
}  # fmt: skip


def registers(stage: Stage, look: Lookups) -> dict[str, pa.Table]:
    """``lines``, ``accounts``, ``persons`` and ``relations``, as registered at the city's start."""
    w = stage.world
    lines = np.flatnonzero(~np.isin(w.lines["kind"], (draw.SERVICE, draw.INTERNATIONAL)))
    pick = {k: w.lines[k][lines] for k in w.lines.kinds}
    out = {
        "lines": _register(stage, look, "lines", pick["carrier"], {
            "line": look.line.take(lines), "operator": Pool.of(draw.OPERATORS).take(pick["operator"]),
            "plan": Pool.of(PLANS).take(pick["plan"]), "opened": times(look.line_opened[lines], stage.start_us),
            "status": Pool.of(STATUSES).take(pick["status"]), "place": look.place.take(pick["place"]),
        })
    }  # fmt: skip
    acc = {k: w.accounts[k] for k in w.accounts.kinds}
    every = np.arange(len(w.accounts))
    out["accounts"] = _register(stage, look, "accounts", _BANK0 + acc["bank"], {
        "account": look.account.take(every), "kind": Pool.of(ACCOUNT_KINDS).take(acc["kind"]),
        "bank": look.bank.take(acc["bank"]), "outlet": look.outlet.take(acc["bank"] * 40 + acc["outlet"]),
        "opened": times(look.account_opened, stage.start_us), "last_active": times(look.account_last, stage.start_us),
        "status": Pool.of(STATUSES).take(acc["status"]),
    })  # fmt: skip
    p = {k: w.persons[k] for k in w.persons.kinds}
    every = np.arange(len(w.persons))
    out["persons"] = _register(stage, look, "persons", np.full(len(every), SOURCE[REGISTRY]), {
        "person": look.person.take(every), "born": pa.array(p["born"]).cast(pa.date32()),
        "gender": Pool.of(("male", "female")).take(p["female"].astype(np.int32)), "place": look.place.take(p["place"]),
        "occupation": Pool.of(OCCUPATION_ZH).take(p["occupation"]), "name": pa.array(p["name"], pa.string()),
        "id": pa.array(p["id"], pa.string()),
    })  # fmt: skip
    out["relations"] = _relations(stage, look)
    return out


def _register(stage: Stage, look: Lookups, name: str, source: Any, columns: dict[str, Any]) -> pa.Table:
    n = len(source)
    ids = draw.scrambled(n, stage.seed, len(name) * 7919 + ord(name[0]))
    order = np.argsort(ids)
    columns |= {
        "source": look.source.take(source), "event_id": id_texts(ids),
        "ts": times(np.zeros(n, np.int64), stage.start_us),
    }  # fmt: skip
    return table(name, n, columns).take(pa.array(order))


def _keys(kind: str, pool: Pool, codes: Any) -> Any:
    texts = pool.take(codes).cast(pa.string()).to_pylist()
    return [f"{kind}:{t}" for t in texts]


def _relations(stage: Stage, look: Lookups) -> pa.Table:
    w = stage.world
    lines, source, other, role, opened = w.lines, [], [], [], []
    subject: list[str] = []

    def rows(kind: str, pool: Pool, codes: Any, people: Any, name: str, src: Any, since: Any) -> None:
        subject.extend(_keys(kind, pool, codes))
        other.extend(_keys("person", look.person, people))
        role.extend([name] * len(codes))
        source.append(np.broadcast_to(src, len(codes)))
        opened.append(np.broadcast_to(since, len(codes)))

    for name in ("registrant", "user"):
        at = np.flatnonzero(lines[name] >= 0)
        if name == "user":
            # Who really uses a line is not always known.
            unknown = (lines["user"] != lines["registrant"]) & (stage.stream("users").random(len(lines)) < 0.12)
            at = np.flatnonzero((lines["user"] >= 0) & ~unknown)
        rows("line", look.line, at, lines[name][at], name, lines["carrier"][at], look.line_opened[at])
    at = np.flatnonzero(w.accounts["holder"] >= 0)
    rows(
        "account",
        look.account,
        at,
        w.accounts["holder"][at],
        "holder",
        _BANK0 + w.accounts["bank"][at],
        look.account_opened[at],
    )
    reg = SOURCE[REGISTRY]
    n = w.n
    pair = np.flatnonzero((w.home[1:] == w.home[:-1]) & (w.rank[1:] == 1)) + 1
    rows("person", look.person, pair, pair - 1, "spouse", reg, -5000 * DAY)
    rows("person", look.person, pair - 1, pair, "spouse", reg, -5000 * DAY)
    young = np.flatnonzero(w.rank >= 2)
    head = young - w.rank[young]
    kid = w.age[young] < w.age[head]
    rows("person", look.person, young[kid], head[kid], "parent", reg, -5000 * DAY)
    rows("person", look.person, young[~kid], head[~kid], "child", reg, -5000 * DAY)
    alone = np.flatnonzero((w.rank == 0) & (w.age < 60))
    kin = (alone + stage.stream("kin").integers(1, max(n, 2), len(alone))) % n
    fit = w.age[kin] > w.age[alone] + 20
    rows("person", look.person, alone[fit], kin[fit], "parent", reg, -5000 * DAY)
    child = np.flatnonzero(lines["plan"][:n] == PLANS.index("child_watch"))
    guard = lines["registrant"][child]
    ok = guard != child
    rows("line", look.line, child[ok], guard[ok], "guardian", lines["carrier"][child[ok]], look.line_opened[child[ok]])
    return _register(stage, look, "relations", np.concatenate(source), {
        "subject": pa.array(subject), "other": pa.array(other), "role": pa.array(role),
        "valid_from": times(np.concatenate(opened).astype(np.int64), stage.start_us),
    })  # fmt: skip


def labels(stage: Stage, built: Built, warnings: dict[str, Any]) -> pa.Table:
    """Ground truth: one row for every labelled event, in order of time."""
    person = Pool.of(stage.world.person_texts())
    parts: dict[str, list[Any]] = {
        k: [] for k in ("table", "source", "id", "sec", "scam", "stage", "step", "person", "look")
    }
    for i, name in enumerate(_MAKERS):
        found = stage.rows[name].labelled()
        ids, sec, source = built.keys[name]
        row = found["row"]
        parts["table"].append(np.full(len(row), i))
        parts["id"].append(ids[row])
        parts["sec"].append(sec[row])
        parts["source"].append(source[row])
        for k in ("scam", "stage", "step", "person", "look"):
            parts[k].append(found[k])
    parts["table"].append(np.full(len(warnings["id"]), len(_MAKERS)))
    for k in ("id", "sec", "source", "scam", "stage", "step", "person", "look"):
        parts[k].append(warnings[k])
    col = {k: np.concatenate(v) for k, v in parts.items()}
    order = np.lexsort((col["id"], col["sec"]))
    col = {k: v[order] for k, v in col.items()}
    n = len(order)
    scam = np.where(col["scam"] >= 0, col["scam"], -1)
    sources = Pool.of((*_SOURCES, *warnings["feeds"]))
    return table("labels", n, {
        "source": sources.take(col["source"]), "event_id": id_texts(col["id"].astype(np.uint64)),
        "ts": times(col["sec"].astype(np.int64), stage.start_us),
        "table": Pool.of((*_MAKERS, "warnings")).take(col["table"]),
        "scam_id": Pool.of([s[0] for s in stage.scams] or [""]).take(scam),
        "scam_type": Pool.of([s[1] for s in stage.scams] or [""]).take(scam),
        "script": Pool.of([s[2] for s in stage.scams] or [""]).take(scam),
        "stage": Pool.of(STAGES).take(col["stage"]), "step": Pool.of(STEPS).take(col["step"]),
        "person": person.take(col["person"]), "look_alike": Pool.of(stage.looks or [""]).take(col["look"]),
    })  # fmt: skip


N_SOURCES = len(_SOURCES)
assert set(_MAKERS) <= set(TABLES)
