"""Following stolen money through an index of transfers: claims in, what each account holds of it out.

Kept true here: stolen = held + exited + unknown, to the fen, for every claim; what is held where is exact under the
policy that is named. `Policy`: ``fifo``, ``lifo``, ``haircut`` (see `walk`), and ``poison``, which keeps the figures of
``haircut`` and besides tells everything that stolen money may have reached, each payment in full (``reach_fen``).

The smallest opening balance that keeps every balance ≥ 0 is taken where none is given. With a larger one an account
pays more from its own money: under ``fifo`` and ``haircut`` it may then hold up to all it received
(``held_high_fen``); under ``lifo`` nothing changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from wuzha.events.money import LIMIT_FEN

from . import layout, walk
from .index import Index, View
from .layout import EXITS, Claims, Scratch
from .order import TIES

Policy = Literal["fifo", "lifo", "haircut", "poison"]
POLICIES: tuple[Policy, ...] = ("fifo", "lifo", "haircut", "poison")
#: Who has dealt with so many others is a payment firm or a shop, not a mule: the walk stops there unless asked.
HUB_NEIGHBOURS = 10_000
_HOUR_US = 3_600_000_000


@dataclass(frozen=True, kw_only=True)
class Theft:
    """What was stolen: ``amount_fen`` out of ``account`` from ``at`` (µs) on; ``into``: the account received it."""

    account: str
    at: int
    amount_fen: int
    into: bool = False


@dataclass(frozen=True, kw_only=True)
class Result:
    """What became of stolen money; lists of plain records, fen and ISO times. ``notes`` says what was not certain."""

    policy: str
    accounts: list[dict[str, Any]]
    edges: list[dict[str, Any]]
    exits: list[dict[str, Any]]
    totals: dict[str, int]
    thefts: list[dict[str, Any]]
    reach_fen: int | None = None
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """One JSON object."""
        out = {
            "policy": self.policy, "accounts": self.accounts, "edges": self.edges, "exits": self.exits,
            "totals": self.totals, "thefts": self.thefts, "notes": self.notes,
        }  # fmt: skip
        return out | ({"reach_fen": self.reach_fen} if self.reach_fen is not None else {})


class Tracer:
    """Queries on one index, one at a time; it keeps its working memory between them."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self._scratch: Scratch | None = None
        self._room = 1 << 10
        self._stopped: npt.NDArray[np.int64] = np.empty(0, np.int64)

    def walk(
        self, claims: Claims, view: View, *, policy: Policy, until: int, end: int, hub: npt.NDArray[np.uint8],
        stopped: npt.NDArray[np.int64] | None = None,
    ) -> Scratch:  # fmt: skip
        """Run the kernel up to the key ``end``; the scratch holds what it found until the next query."""
        transfers = view.transfers._replace(hub=hub)
        number = POLICIES.index(policy)
        while True:
            z = self._scratch = _room_for(self._scratch, self._room, view.accounts, claims.key.shape[0])
            walk.clear(z)
            if self._stopped.size:
                z.slot_of[self._stopped] = -1
            self._stopped = np.empty(0, np.int64)
            if stopped is not None and stopped.size:
                z.slot_of[stopped] = -2
                self._stopped = stopped
            if walk.walk(transfers, claims, z, number, until, end):
                return z
            self._room *= 4

    def follow(
        self, thefts: Sequence[Theft], *, policy: Policy = "fifo", until: int | None = None, hours: float | None = None,
        levels: int | None = None, to: str | None = None, follow_hubs: bool = False,
        hub_neighbours: int = HUB_NEIGHBOURS,
    ) -> Result:  # fmt: skip
        """What became of the thefts' money.

        ``until``: µs, the last moment that counts (default: the newest transfer); ``hours`` from the earliest theft and
        ``levels`` are limits beyond which money counts as held where it lies; ``to``: only what lies on a path to that
        account, which may be one by which money left; totals stay the thefts' own. ValueError for a theft that cannot
        be.
        """
        if not thefts:
            raise ValueError("nothing was stolen: say from which account, when and how much")
        with self.index.lock:
            return self._follow(thefts, policy, until, hours, levels, to, follow_hubs, hub_neighbours)

    def _follow(
        self, thefts: Sequence[Theft], policy: Policy, until: int | None, hours: float | None, levels: int | None,
        to: str | None, follow_hubs: bool, hub_neighbours: int,
    ) -> Result:  # fmt: skip
        view = self.index.view()
        claims, notes, order = self._claims(thefts, view)
        z = self._walked(view, claims, thefts, policy, until, hours, levels, follow_hubs, hub_neighbours)
        return _told(self.index, view, z, claims, thefts, order, policy, to, notes)

    def held_for(
        self, account: str, thefts: Sequence[Theft], *, policy: Policy = "fifo", until: int | None = None,
    ) -> list[int]:  # fmt: skip
        """Fen that ``account`` holds of each theft, in their order, as `follow` without limits tells their sum."""
        with self.index.lock:
            view = self.index.view()
            claims, _, order = self._claims(thefts, view)
            z = self._walked(view, claims, thefts, policy, until, None, None, False, HUB_NEIGHBOURS)
            number = self.index.number(account)
            held = [0 if number >= 0 or t.account != account or not t.into else t.amount_fen for t in thefts]
            slot = int(z.slot_of[number]) if number >= 0 else -1
            parcel = int(z.slots["head"][slot]) if slot >= 0 else -1
            while parcel >= 0:
                owner, amount, parcel = (int(x) for x in z.parcels[parcel][["owner", "amount", "next"]])
                if owner != layout.CLEAN:
                    held[order[owner]] += amount
            return held

    def _walked(
        self, view: View, claims: Claims, thefts: Sequence[Theft], policy: Policy, until: int | None,
        hours: float | None, levels: int | None, follow_hubs: bool, hub_neighbours: int,
    ) -> Scratch:  # fmt: skip
        last = view.accounts and max((int(t[-1]) for t in view.ts if t.shape[0]), default=0)
        cut = last if until is None else until
        until_key = 2 * view.rank_at(cut + 1)
        end = until_key
        if hours is not None:
            end = min(end, 2 * view.rank_at(min(t.at for t in thefts) + round(hours * _HOUR_US) + 1))
        hub = np.zeros(0, np.uint8) if follow_hubs else self.index.hubs(hub_neighbours)
        if claims.key.shape[0]:
            hub = _not_hubs(hub, claims.account[claims.into] if claims.into.any() else claims.account[:0])
        z = self.walk(claims, view, policy=policy, until=until_key, end=end, hub=hub)
        if levels is not None:
            slots = z.slots[: z.n[layout.N_SLOTS]]
            beyond = slots["account"][slots["level"] >= levels].astype(np.int64)
            z = self.walk(claims, view, policy=policy, until=until_key, end=end, hub=hub, stopped=beyond)
        return z

    def _claims(self, thefts: Sequence[Theft], view: View) -> tuple[Claims, list[str], list[int]]:
        """The thefts as claims in order of time; the place of each claim's theft; what could not be found."""
        notes: list[str] = []
        found = []
        for i, theft in enumerate(thefts):
            if not 0 < theft.amount_fen <= LIMIT_FEN:
                raise ValueError(f"{theft.amount_fen} fen cannot have been stolen from {theft.account}")
            number = self.index.number(theft.account)
            if number < 0:
                if theft.into:
                    notes.append(f"{theft.account} is in no transfer: what it received lies there")
                else:
                    notes.append(f"{theft.account} is in no transfer: nothing to follow")
                continue
            found.append((2 * view.rank_at(theft.at), i, number))
        known = sorted(found, key=lambda f: (thefts[f[1]].at, f[1]))
        order = [i for _, i, _ in known]
        return (
            Claims(
                account=np.array([a for _, _, a in known], np.int64),
                key=np.array([k for k, _, _ in known], np.int64),
                amount=np.array([thefts[i].amount_fen for i in order], np.int64),
                into=np.array([thefts[i].into for i in order], np.bool_),
            ),
            notes,
            order,
        )


def _not_hubs(hub: npt.NDArray[np.uint8], accounts: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    """An account that is named as having received stolen money is followed, however many it deals with."""
    if not hub.shape[0] or not accounts.size or not hub[accounts].any():
        return hub
    hub = hub.copy()
    hub[accounts] = 0
    return hub


def _room_for(had: Scratch | None, room: int, accounts: int, claims: int) -> Scratch:
    if (
        had is not None
        and had.slots.shape[0] >= room
        and had.slot_of.shape[0] >= accounts
        and had.left.shape[0] >= claims
    ):
        return had
    carried = np.zeros(8 * room, layout.CARRIED)
    carried["rank"] = -1
    return Scratch(
        slots=np.zeros(room, layout.SLOT), parcels=np.zeros(8 * room, layout.PARCEL),
        edges=np.zeros(4 * room, layout.EDGE),
        exits=np.zeros(4 * room, layout.EXIT), heap=np.zeros(2 * room + claims, layout.HEAP),
        carried=carried, carried_at=np.zeros(4 * room + 1, np.int64), slot_of=np.full(max(accounts, 1), -1, np.int32),
        left=np.zeros(max(claims, 1), np.int64), next_claim=np.full(max(claims, 1), -1, np.int32),
        n=np.zeros(8, np.int64),
    )  # fmt: skip


def _iso(us: int) -> str:
    from wuzha.events.clock import zone

    return datetime.fromtimestamp(us / 1_000_000, UTC).astimezone(zone()).isoformat()


def _told(
    index: Index, view: View, z: Scratch, claims: Claims, thefts: Sequence[Theft], order: list[int], policy: Policy,
    to: str | None, notes: list[str],
) -> Result:  # fmt: skip
    slots = z.slots[: z.n[layout.N_SLOTS]].copy()
    edges = z.edges[: z.n[layout.N_EDGES]].copy()
    exits = z.exits[: z.n[layout.N_EXITS]].copy()
    left = z.left[: claims.key.shape[0]]
    held = slots["received"] + slots["stolen"] - slots["sent"]
    thefts_told, stolen, nowhere = [], 0, 0
    claim_of = {theft: c for c, theft in enumerate(order)}
    for i, theft in enumerate(thefts):
        found = theft.amount_fen - int(left[claim_of[i]]) if i in claim_of else (theft.amount_fen if theft.into else 0)
        nowhere += found if i not in claim_of else 0
        stolen += found
        if found < theft.amount_fen:
            notes.append(f"{theft.account}: of {theft.amount_fen} fen only {found} left it from {_iso(theft.at)} on")
        thefts_told.append(
            {"account": theft.account, "into": theft.into, "at": _iso(theft.at), "amount_fen": theft.amount_fen,
             "found_fen": found}
        )  # fmt: skip
    names = dict(zip(range(slots.shape[0]), index.names(slots["account"].tolist()), strict=True))
    target = index.number(to) if to is not None else -1
    ends = (_ends(view, edges) == target) & (target >= 0)
    on_path = _on_path(slots, edges, target, ends) if to is not None else None
    if on_path is not None and not on_path.any():
        notes.append(f"no stolen money reached {to}")
    poison = policy == "poison"
    accounts: list[dict[str, Any]] = [
        {
            "account": names[s], "level": int(slots["level"][s]), "first_at": _first(view, int(slots["first"][s])),
            "received_fen": int(slots["received"][s]), "sent_fen": int(slots["sent"][s]),
            "held_fen": int(held[s]), **_range(policy, slots[s], int(held[s])),
            **({"reach_fen": int(slots["reach"][s])} if poison else {}),
        }
        for s in range(slots.shape[0])
        if on_path is None or on_path[s]
    ]  # fmt: skip
    for i, theft in enumerate(thefts):
        if i not in claim_of and theft.into:
            accounts.append(
                {"account": theft.account, "level": 1, "first_at": _iso(theft.at), "received_fen": theft.amount_fen,
                 "sent_fen": 0, "held_fen": theft.amount_fen, "held_low_fen": theft.amount_fen,
                 "held_high_fen": theft.amount_fen} | ({"reach_fen": theft.amount_fen} if poison else {})
            )  # fmt: skip
    accounts.sort(key=lambda a: (a["level"], a["first_at"] or "", a["account"]))
    exited, unknown, exits_told = _exits(index, exits, poison)
    if to is not None:
        exits_told = [e for e in exits_told if e["account"] == to]
    totals = {
        "stolen_fen": stolen, "held_fen": int(held.sum()) + nowhere, "exited_fen": exited, "unknown_fen": unknown,
    }  # fmt: skip
    assert totals["stolen_fen"] == totals["held_fen"] + exited + unknown, totals
    kept = np.ones(edges.shape[0], bool) if on_path is None else _edges_on_path(edges, on_path) | ends
    edges = edges[kept]
    if (ties := _ties(view, edges)) is not None:
        notes.append(ties)
    return Result(
        policy=policy, accounts=accounts, edges=_edges(index, view, edges, names, poison), exits=exits_told,
        totals=totals, thefts=thefts_told, notes=notes,
        reach_fen=int(edges["reach"].sum() + claims.amount[claims.into].sum()) if poison else None,
    )  # fmt: skip


def _first(view: View, key: int) -> str | None:
    if key >= 2**62:
        return None
    rank = min(key // 2, sum(t.shape[0] for t in view.ts) - 1)
    return _iso(int(view.times(np.array([rank]))[0]))


def _range(policy: Policy, slot: Any, held: int) -> dict[str, int]:
    certain = bool(slot["known"]) or policy == "lifo" or bool(slot["stopped"])
    return {"held_low_fen": held, "held_high_fen": held if certain else int(slot["received"])}


def _exits(index: Index, exits: npt.NDArray[Any], poison: bool) -> tuple[int, int, list[dict[str, Any]]]:
    sums: dict[tuple[int, int], list[int]] = {}
    for one in exits:
        at = sums.setdefault((int(one["kind"]), int(one["account"])), [0, 0])
        at[0] += int(one["amount"])
        at[1] += int(one["reach"])
    names = index.names([account for _, account in sums])
    told: list[dict[str, Any]] = [
        {"kind": EXITS[kind], "account": name, "amount_fen": amount, **({"reach_fen": reach} if poison else {})}
        for ((kind, _), (amount, reach)), name in zip(sums.items(), names, strict=True)
        if amount or poison
    ]
    told.sort(key=lambda e: (EXITS.index(e["kind"]), -e["amount_fen"], e["account"]))
    unknown = sum(a for (kind, _), (a, _) in sums.items() if EXITS[kind] == "unknown")
    return sum(a for a, _ in sums.values()) - unknown, unknown, told


def _edges(
    index: Index, view: View, edges: npt.NDArray[Any], names: dict[int, str], poison: bool
) -> list[dict[str, Any]]:
    ranks = edges["rank"].astype(np.int64)
    ids = index.event_ids(view.rows(ranks))
    times = view.times(ranks)
    paid = _amounts(view, ranks, edges, index)
    ties = view.ties(ranks)
    out = []
    for i in range(edges.shape[0]):
        one = edges[i]
        amount, other = paid[i]
        record = {
            "event_id": ids[i][1], "source": ids[i][0], "payer": names[int(one["payer"])],
            "payee": names[int(one["payee"])] if one["payee"] >= 0 else other, "ts": _iso(int(times[i])),
            "amount_fen": amount, "tainted_fen": int(one["tainted"]),
        }  # fmt: skip
        if one["exit"] >= 0:
            record["exit"] = EXITS[int(one["exit"])]
        if ties[i]:
            record["order_by"] = TIES[int(ties[i])]
        if poison:
            record["reach_fen"] = int(one["reach"])
        out.append(record)
    return out


def _amounts(
    view: View, ranks: npt.NDArray[np.int64], edges: npt.NDArray[Any], index: Index
) -> list[tuple[int, str | None]]:
    """(fen, payee) of the transfers of these ranks, found among their payers' own."""
    t = view.transfers
    base = int(t.tail_from[0])
    out: list[tuple[int, str | None]] = []
    for i, rank in enumerate(ranks.tolist()):
        side = t.tail_out[rank - base] if rank >= base else t.outs[int(edges["place"][i])]
        other = int(side["other"])
        payee = None if other == int(layout.NOBODY) or edges["payee"][i] >= 0 else index.names([other])[0]
        out.append((int(side["amount"]) & int(layout.AMOUNT), payee))
    return out


def _ends(view: View, edges: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Who got what left by each payment: the shop, the firm, the hub; −1 where it stayed, or was cash."""
    t = view.transfers
    base, ranks = int(t.tail_from[0]), edges["rank"].astype(np.int64)
    out = np.full(edges.shape[0], -1, np.int64)
    left = edges["payee"] < 0
    early, late = left & (ranks < base), left & (ranks >= base)
    out[early] = t.outs["other"][edges["place"][early]]
    out[late] = t.tail_out["other"][ranks[late] - base]
    out[out == int(layout.NOBODY)] = -1
    return out


def _on_path(
    slots: npt.NDArray[Any], edges: npt.NDArray[Any], target: int, ends: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    """Which accounts lie on a path of stolen money to the account ``target``; ``ends``: payments that left to it."""
    on: npt.NDArray[np.bool_] = slots["account"].astype(np.int64) == target
    on[edges["payer"][ends]] = True
    changed = bool(on.any())
    while changed:
        before = int(on.sum())
        inner = edges[edges["payee"] >= 0]
        on[inner["payer"][on[inner["payee"]]]] = True
        changed = int(on.sum()) > before
    return on


def _edges_on_path(edges: npt.NDArray[Any], on: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    kept: npt.NDArray[np.bool_] = (edges["payee"] >= 0) & on[edges["payer"]] & on[edges["payee"]]
    return kept


def _ties(view: View, edges: npt.NDArray[Any]) -> str | None:
    how = view.ties(edges["rank"].astype(np.int64))
    counts = {TIES[k]: int((how == k).sum()) for k in range(1, len(TIES)) if (how == k).any()}
    if not counts:
        return None
    words = ", ".join(f"{n} by {name}" for name, n in counts.items())
    return f"transfers of one second were put in order: {words}"
