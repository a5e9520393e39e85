"""What features mean, in plain Python: events are read one by one into a list, a figure is a sum over that list.

Kept true here: nothing of this knows cells, arrays or kernels. It shares with the engine only the declarations
(`features.toml`), the names of types and flags, and the stored hash of a subject, of which a sketch of 64 bits is made.
"""

from __future__ import annotations

import re
from typing import Any

from tests.detect.declared import (
    BUCKET,
    DAY,
    EVER,
    KINDS,
    MINUTE,
    NEVER,
    PLANS,
    RANK,
    SUSPECT,
    Seen,
    Thing,
    disguised,
    figure,
    foreign,
    formula,
    service,
)

from wuzha.detect.encode import BANK_APPS
from wuzha.detect.layout import HABIT, N_CROWDS, RARE
from wuzha.detect.rulebook import RuleBook


def crowd_of(users: int) -> int:
    """1 … 8 lines are counted apart, more by doublings from 16 on."""
    return users - 1 if users <= 8 else min(8 + ((users - 1) // 16).bit_length(), N_CROWDS - 2)


def bank(app: str) -> bool:
    return re.search(BANK_APPS, app.partition(":")[2]) is not None


class Reading:
    """Rows of the log, read one after the other. A subject is a suspect from an officer's confirmation on."""

    def __init__(self) -> None:
        self.things: dict[str, Thing] = {}
        self.seen: dict[tuple[str, str, str], int] = {}
        self.halves: list[dict[str, Any]] = []
        self.pairs: dict[tuple[str, frozenset[str]], int] = {}
        self.reports: dict[str, int] = {}
        self.waiting: list[tuple[str, str, str]] = []
        self.names: dict[str, str | None] = {}
        self.habits: dict[str, tuple[list[int], list[int]]] = {}
        self.begin: int | None = None
        self.newest = NEVER
        self.lines = 0

    def thing(self, subject: str) -> Thing:
        return self.things.setdefault(subject, Thing())

    def note(self, subject: str, type_: str, side: str, flags: dict[str, Any], ts: int, value: int, other: str) -> None:
        held = frozenset(name for name, on in flags.items() if on)
        self.thing(subject).events.append(Seen(type_, side, held, ts, value, other))

    def read(self, table: str, row: dict[str, Any]) -> None:
        """One row; times are µs."""
        ts = row["ts"]
        identity = (table, row["source"], row["event_id"])
        if identity in self.seen:
            return
        self.seen[identity] = ts
        self.newest = max(self.newest, ts)
        self.begin = ts if self.begin is None else self.begin
        getattr(self, f"_{table}")(row, ts)

    # ------------------------------------------------------------ what happens between two

    def contact(self, group: str, a: str, b: str, ts: int) -> tuple[bool, bool]:
        """(stranger, new): within 72 hours of the first contact; never met before."""
        key = (group, frozenset((a, b)))
        new = key not in self.pairs
        self.pairs[key] = min(self.pairs.get(key, ts), ts)
        return ts - self.pairs[key] < 3 * DAY, new

    def fresh(self, a: str, stranger: bool, ts: int) -> bool:
        first = self.thing(a).first
        return stranger and first is not None and ts - first >= DAY

    def other_side(self, key: tuple[Any, ...], ts: int, source: str, side: str | None, has: bool) -> bool | None:
        """None: the first row of an event; else whether this one names the device that the first did not."""
        fits = [
            h
            for h in self.halves
            if h["key"] == key
            and not h["paired"]
            and abs(h["ts"] - ts) <= 5 * MINUTE
            and (h["source"] != source or (h["side"] != side and h["side"] and side))
        ]
        if not fits:
            self.halves.append({"key": key, "ts": ts, "source": source, "side": side, "has": has, "paired": False})
            return None
        nearest = min(fits, key=lambda h: (abs(h["ts"] - ts), h["ts"]))
        nearest["paired"] = True
        return has and not nearest["has"]

    def used_on(self, s: str, device: str, away: bool, ts: int) -> None:
        me = self.thing(s)
        flags = {"new": me.device is not None and me.device != device, "away": away}
        me.device = device
        self.thing(device).touched(ts)
        self.note(s, "device", "out", flags, ts, 0, device)
        self.note(device, "device", "in", flags, ts, 0, s)

    def met(self, s: str, suspect: str, kind: str, ts: int, value: int) -> None:
        self.note(s, kind, "out", {SUSPECT[suspect.partition(":")[0]]: True}, ts, value, suspect)

    def few(self, s: str) -> bool:
        return self.thing(s).users <= 5 + self.lines // 500

    def rare(self, s: str) -> bool:
        """Of the counted uses of things of its kind at most one in a thousand was of one so little had."""
        kind, crowd = s.partition(":")[0], crowd_of(self.thing(s).users)
        lately, before = self.habits.setdefault(kind, ([], []))
        counted = lately + before
        if len(lately) >= HABIT:
            before[:] = lately
            lately.clear()
        lately.append(crowd)
        return (
            crowd < N_CROWDS - 2 and len(counted) >= HABIT and sum(c <= crowd for c in counted) * RARE <= len(counted)
        )

    def turned_up(self, s: str, ts: int) -> bool:
        """Unseen in the log's first day, first seen within a week, had by at most twelve."""
        me = self.thing(s)
        assert self.begin is not None and me.first is not None
        return me.users <= 12 and me.first - self.begin >= DAY and ts - me.first < 7 * DAY

    # ------------------------------------------------------------ tables

    def _calls(self, r: dict[str, Any], ts: int) -> None:
        a, b, seconds = "line:" + r["caller"], "line:" + r["callee"], r["duration_s"] or 0
        device = "device:" + r["imei"] if r["imei"] else None
        used = None
        if device:
            self.thing(device)
            used = next((x for x in (a, b) if self.thing(x).device == device), None)
            if used is None and self.thing(b).device:
                used = a
            elif used is None and self.thing(a).device:
                used = b
        here = r["place"][:4] if r["place"] else None
        at_home = self.thing(used).place if used else None
        away = bool(used and here and at_home and here != at_home)
        fill = self.other_side(("call", a, b), ts, r["source"], None, bool(used))
        if fill is not None:
            if fill and used and device:
                self.used_on(used, device, away, ts)
            return
        stranger, new = self.contact("call", a, b, ts)
        self.thing(a).touched(ts)
        self.thing(b).touched(ts)
        both = {
            "stranger": stranger, "ring": seconds <= 2, "brief": seconds < 25, "long": seconds >= 300,
            "forwarded": bool(r["forwarded_to"]), "voip": r["line_type"] in ("voip", "international", "iot"),
        }  # fmt: skip
        out = {**both, "foreign": foreign(b), "service": service(b), "fresh": self.fresh(a, stranger, ts)}
        into = {**both, "foreign": foreign(a), "service": service(a), "fresh": self.fresh(b, stranger, ts)}
        into["disguised"] = disguised(r["caller_raw"], a)
        self.note(a, "call", "out", out, ts, seconds, b)
        self.note(b, "call", "in", into, ts, seconds, a)
        self.thing(a).users += new
        if stranger and not service(a):
            self.thing(a).dealt.append((b, "met_call", ts, seconds))
        if used and device:
            self.used_on(used, device, away, ts)
        if self.thing(a).suspect:
            self.met(b, a, "met_call", ts, seconds)
        if self.thing(b).suspect:
            self.met(a, b, "met_call", ts, seconds)

    def _messages(self, r: dict[str, Any], ts: int) -> None:
        a, b = "line:" + r["sender"], "line:" + r["recipient"]
        stranger, _ = self.contact("message", a, b, ts)
        self.thing(a).touched(ts)
        self.thing(b).touched(ts)
        flags = {
            "foreign": foreign(a), "stranger": stranger, "fresh": self.fresh(b, stranger, ts),
            "disguised": disguised(r["sender_raw"], a), "service": service(a),
            "scam": bool(r["fanshi"]) or (r["text_p_scam"] or 0) >= 0.8,
        }  # fmt: skip
        kind = "chat" if r["channel"] == "im" else "message"
        self.note(a, kind, "out", flags, ts, 1, b)
        self.note(b, kind, "in", flags, ts, 1, a)
        if stranger and not service(a):
            self.thing(a).dealt.append((b, "met_message", ts, 1))
        if self.thing(a).suspect:
            self.met(b, a, "met_message", ts, 1)

    def _visits(self, r: dict[str, Any], ts: int) -> None:
        a, b, size = "line:" + r["line"], "domain:" + r["host"], r["bytes"] or 0
        _, new = self.contact("visit", a, b, ts)
        self.thing(b).users += new
        self.thing(a).touched(ts)
        self.thing(b).touched(ts)
        rare = self.rare(b)
        flags = {"rare": rare, "first": new, "new": rare and self.turned_up(b, ts)}
        self.note(a, "visit", "out", flags, ts, size, b)
        if self.few(b):
            self.note(b, "visit", "in", flags, ts, size, a)
            if new:
                self.thing(b).dealt.append((a, "met_visit", ts, size))
        if self.thing(b).suspect:
            self.met(a, b, "met_visit", ts, size)

    def _app_events(self, r: dict[str, Any], ts: int) -> None:
        line = "line:" + r["line"] if r["line"] else None
        device = "device:" + r["device"] if r["device"] else None
        app = "app:" + r["package"] if r["package"] else None
        a = line or device
        if a is None:
            return
        self.thing(a).touched(ts)
        if app:
            _, new = self.contact("app", a, app, ts)
            self.thing(app).users += new
            self.thing(app).touched(ts)
            word = "app:" + r["app"] if r["app"] else app
            if word != app:
                self.names[word] = app if self.names.get(word, app) == app else None
            rare = self.rare(app)
            flags = {"rare": rare, "first": new, "new": rare and self.turned_up(app, ts), "bank": bank(app)}
            if self.few(app):
                self.note(app, r["action"], "in", flags, ts, 1, a)
                if new or r["action"] != "open":
                    self.thing(app).dealt.append((a, "met_app", ts, 1))
            self.note(a, r["action"], "out", flags, ts, 1, app)
            if self.thing(app).suspect:
                self.met(a, app, "met_app", ts, 1)
        else:
            self.note(a, r["action"], "out", {}, ts, 1, "")
        if line and device:
            self.used_on(line, device, False, ts)

    def _transfers(self, r: dict[str, Any], ts: int) -> None:
        a = "account:" + r["payer"] if r["payer"] else None
        b = "account:" + r["payee"] if r["payee"] else None
        device = "device:" + r["device"] if r["device"] else None
        for s in filter(None, (a, b, device)):
            self.thing(s)
        if r["ok"] is False or r["reverses"] or not (a or b):
            return
        amount = r["amount_fen"]
        fill = self.other_side(("transfer", a, b, amount), ts, r["source"], r["side"], bool(device))
        if fill is not None:
            if fill and a and device:
                self.used_on(a, device, False, ts)
            return
        stranger = own = False
        if a and b:
            stranger, new = self.contact("transfer", a, b, ts)
            self.thing(b).users += new
            pa, pb = self.thing(a).word(ts), self.thing(b).word(ts)
            own = bool(pa and pb and pa[4] == pb[4])
        stranger = stranger and not own
        balance = r["payer_balance_fen"]
        both = {
            "stranger": stranger, "tiny": amount <= 1_000, "large": amount >= 1_000_000, "own": own,
            "loan": bool(a and KINDS[self.thing(a).plan] == "loan"),
            "corporate": bool(a and KINDS[self.thing(a).plan] == "corporate"),
            "merchant": r["channel"] in ("pos", "qr")
            or bool(r["merchant_id"])
            or bool(b and KINDS[self.thing(b).plan] == "merchant"),
        }  # fmt: skip
        for s, side, other in ((a, "out", b), (b, "in", a)):
            if s is None:
                continue
            self.thing(s).touched(ts)
            opened = self.thing(other).opened if other else None
            flags = {**both, "fresh": self.fresh(s, stranger, ts)}
            flags["young"] = opened is not None and ts - opened < 30 * DAY
            if side == "out":
                flags["drains"] = balance is not None and balance * 20 <= amount and amount >= 100_000
            self.note(s, "transfer", side, flags, ts, amount, other or "")
        if a and b and stranger and not both["merchant"]:
            self.thing(b).dealt.append((a, "met_paid", ts, amount))
            self.thing(a).dealt.append((b, "met_credit", ts, amount))
        if device and a:
            self.used_on(a, device, False, ts)
        if a and b and not own:
            if self.thing(b).suspect:
                self.met(a, b, "met_paid", ts, amount)
            if self.thing(a).suspect:
                self.met(b, a, "met_credit", ts, amount)

    def own_deed(self, r: dict[str, Any], ts: int, type_: str, value: int, flags: dict[str, Any]) -> None:
        for kind, column in (("account", "account"), ("line", "line"), ("person", "person"), ("line", "sender")):
            if r.get(column):
                self.thing(f"{kind}:{r[column]}").touched(ts)
                self.note(f"{kind}:{r[column]}", type_, "out", flags, ts, value, "")
                return

    def _cash(self, r: dict[str, Any], ts: int) -> None:
        self.own_deed(r, ts, "cash", r["amount_fen"] or 0, {"withdrawal": r["kind"] == "withdrawal"})

    def _purchases(self, r: dict[str, Any], ts: int) -> None:
        self.own_deed(r, ts, "purchase", r["amount_fen"] or 0, {"gold": "黄金" in (r["goods"] or "")})

    def _shipments(self, r: dict[str, Any], ts: int) -> None:
        self.own_deed(r, ts, "shipment", 0, {"ride": r["kind"] == "ride"})

    def _lodging(self, r: dict[str, Any], ts: int) -> None:
        s = "line:" + r["line"] if r["line"] else "person:" + r["person"]
        home = self.thing(s).place
        self.own_deed(r, ts, "lodging", r["nights"] or 0, {"home": home is not None and home == (r["place"] or "")[:4]})

    # ------------------------------------------------------------ registers, relations, words of others

    def registered(self, s: str, r: dict[str, Any], plans: tuple[str, ...], plan: str | None) -> None:
        me = self.thing(s)
        me.opened = r["opened"] if r["opened"] is not None else me.opened
        me.active = r["last_active"] if r.get("last_active") is not None else me.active
        me.plan = plans.index(plan) if plan else me.plan
        me.place = r["place"][:4] if r.get("place") else me.place

    def _lines(self, r: dict[str, Any], ts: int) -> None:
        self.lines += not self.thing("line:" + r["line"]).registered
        self.thing("line:" + r["line"]).registered = True
        self.registered("line:" + r["line"], r, PLANS, r["plan"])

    def _accounts(self, r: dict[str, Any], ts: int) -> None:
        self.registered("account:" + r["account"], r, KINDS, r["kind"])

    def _persons(self, r: dict[str, Any], ts: int) -> None:
        me = self.thing("person:" + r["person"])
        me.place = r["place"][:4] if r["place"] else me.place

    def _relations(self, r: dict[str, Any], ts: int) -> None:
        begin = NEVER if r["valid_from"] is None else r["valid_from"]
        end = EVER if r["valid_to"] is None else r["valid_to"]
        sure = round(1000 * (1.0 if r["confidence"] is None else r["confidence"]))
        self.thing(r["other"])
        me = self.thing(r["subject"])
        for i, w in enumerate(me.words):
            if (w[0], w[2], w[4]) == (RANK[r["role"]], begin, r["other"]):
                me.words[i] = (w[0], sure, begin, end, r["other"])
                return
        me.words.append((RANK[r["role"]], sure, begin, end, r["other"]))

    def named(self, s: str, how: dict[str, Any], ts: int) -> None:
        s = self.names.get(s) or s
        self.thing(s).touched(ts)
        self.note(s, "named", "out", how, ts, 0, "")

    def _reports(self, r: dict[str, Any], ts: int) -> None:
        due = r["reported_at"]
        self.reports[r["report"]] = due
        if r["person"]:
            self.note("person:" + r["person"], "report", "out", {}, due, r["loss_fen"] or 0, "")
            self.thing("person:" + r["person"]).touched(due)
        for report, s, role in self.waiting:
            if report == r["report"] and role in ("suspect", "payee"):
                self.named(s, {"report": True, "paid": role == "payee"}, due)
        self.waiting = [w for w in self.waiting if w[0] != r["report"]]

    def _identifiers(self, r: dict[str, Any], ts: int) -> None:
        s = f"{r['kind']}:{r['value']}"
        self.thing(s)
        if r["report"] not in self.reports:
            self.waiting.append((r["report"], s, r["role"]))
        elif r["role"] in ("suspect", "payee"):
            when = max(ts, self.reports[r["report"]])
            self.named(s, {"report": True, "paid": r["role"] == "payee"}, when)

    def _findings(self, r: dict[str, Any], ts: int) -> None:
        s, now = r["subject"], r["known_at"]
        self.named(s, {"officer": True}, now)
        me = self.thing(s)
        if not me.suspect:
            me.suspect = True
            asked = max(now, me.last or now)
            for other, kind, then, value in me.dealt:
                if asked - then <= 3 * DAY:
                    self.met(other, s, kind, then, value)

    def _warnings(self, r: dict[str, Any], ts: int) -> None:
        for kind, column in (("line", "suspect_line"), ("account", "suspect_account"), ("app", "suspect_app")):
            if r[column]:
                self.named(f"{kind}:{r[column]}", {"upstream": True}, ts)
        level = ("low", "medium", "high", "urgent").index(r["level_upstream"] or "low")
        flags = {"level1": level & 1, "level2": level & 2, "paying": r["stage"] in ("act", "pay")}
        s = "line:" + r["victim_line"]
        self.thing(s).touched(ts)
        self.note(s, "warning", "out", flags, ts, r["amount_fen"] or 0, "")

    # ------------------------------------------------------------ figures

    def has(self, person: str) -> list[tuple[str, Thing, Any]]:
        """What a person has, by each word that says so; of a provisional person its subject, where no word decides."""
        inner = person.removeprefix("person:")
        if ":" in inner:
            return [(inner, self.thing(inner), None)]
        return [(s, t, w) for s, t in self.things.items() for w in t.words if w[4] == person]

    def figures(self, subject: str, book: RuleBook) -> dict[str, float | None]:
        """Every declared feature of a subject, as of its newest event."""
        kind = subject.partition(":")[0]
        me = self.thing(subject)
        as_of, events, owns = me.last, [(e, me.last or NEVER) for e in me.events], False
        if kind == "person":
            moments = [] if as_of is None else [as_of]
            for s, t, w in self.has(subject):
                if t.last is not None and (w is None or min(t.last, w[3] - 1) >= w[2]):
                    moments.append(t.last if w is None else min(t.last, w[3] - 1))
                last = {(e.type, e.side, e.flags, e.ts // BUCKET): e.ts for e in sorted(t.events, key=lambda e: e.ts)}
                del s
                # a bucket's events of one sort are whose the last of them was
                whose = (e for e in t.events if t.word(last[e.type, e.side, e.flags, e.ts // BUCKET]) == w)
                events += [(e, t.last or NEVER) for e in whose]
            as_of = max(moments, default=None)
            owns = as_of is not None and any(
                t.suspect and (w[2] <= as_of < w[3] if w else t.word(as_of) is None) for _, t, w in self.has(subject)
            )
        values: dict[str, float | None] = {}
        for f in book.features.values():
            if f.subject != kind:
                continue
            if f.op == "formula":
                values[f.name] = formula(f.formula, values)
                continue
            values[f.name] = figure(f, events, NEVER if as_of is None else as_of, me.attributes(as_of, owns))
        return values
