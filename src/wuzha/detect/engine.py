"""The engine: blocks of the log in, changes out.

Kept true here: what comes out depends on the log up to its last event, not on how it was cut into blocks, on how often
the state was saved and restored between, or on anything outside the log.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

from wuzha.events import LEVELS

from . import ahead, codes, grafting, layout, stream
from .book import Book
from .changes import Changes, Told
from .codes import K_PERSON, KIND, KINDS
from .encode import PROVISIONAL, Block, key_hash
from .figures import features
from .layout import ARENAS, TABLES_OF, State, fresh, grown
from .names import Names, new_keys
from .owners import provisional_of
from .rulebook import RuleBook, shipped
from .tables import tables
from .tallies import recount
from .telling import Outcome, collect
from .windows import MEMORY_DAYS, day, find, intern, lasting, spread_out, spread_since

#: Changes when the state's arrays mean something else; a snapshot of another layout is refused.
LAYOUT = 5
#: Rows whose subjects are looked up at a time, so that room is taken for what there is.
_INTERNED = 1 << 14
#: Arrays that are neither arenas nor tables.
_PLAIN = ("free_cells", "free_contacts", "watermark", "habits", "n")


class Engine:
    """Keyed state and the rules that judge it. Not safe for two threads at once."""

    def __init__(self, rules: RuleBook | None = None) -> None:
        self._state = fresh()
        self._names = Names()
        self._book: Book = None  # type: ignore[assignment]  # `use` gives it one
        #: Number of the last graft (`grafting`) that the windows hold; 0: none.
        self.grafted = 0
        #: Seconds that `feed` has taken: looking up subjects, making room, reading events, telling what has changed.
        self.spent = dict.fromkeys(("subjects", "room", "events", "told"), 0.0)
        self.use(rules or shipped())

    @property
    def rules(self) -> RuleBook:
        """The book that judges now."""
        return self._rules

    def use(self, rules: RuleBook) -> None:
        """Judge by these rules from the next event on; windows that are kept already stay. The typologies are those of
        the rules before, in their order."""
        made = tables(rules)
        if self._book is not None:
            grafting.let_go(self._state, self._book.keep, made.keep)
        self._rules, self._book = rules, made
        recount(self._state)
        self._typologies = list(rules.typologies.values())
        self._numbers = rules.former | {r.number: r for r in rules.rules.values()}
        n_f, n_r = max(len(rules.features), 1), max(len(rules.rules), 1)
        self._scratch = stream.Scratch(
            values=np.zeros(n_f), acc=np.zeros((n_f, 2), np.int64), most=np.zeros(n_f, np.int64),
            bits=np.zeros(n_f, np.uint64), first=np.zeros(n_f, np.int64), last=np.zeros(n_f, np.int64),
            stack=np.zeros(64), seen=np.zeros(n_r, np.uint8), times=np.zeros(layout.N_REFS, np.int64),
            spans=np.zeros(layout.N_SPANS, np.int64),
        )  # fmt: skip

    # ------------------------------------------------------------ the log

    def feed(self, block: Block, guessed: npt.NDArray[np.int32] | None = None) -> Changes:
        """Read one block; what changed. Blocks come in log order. ``guessed``: by `pipeline.guessed`."""
        told, spent, clock = Told(), self.spent, perf_counter
        if len(block):
            begun = clock()
            ids = self._intern(block, guessed)
            events = self._events(block, ids)
            spent["subjects"] += (now := clock()) - begun
            at = 0
            while at < len(block):
                begun = now
                self._make_room()
                spent["room"] += (now := clock()) - begun
                begun = now
                at = stream.process(events, self._state, self._book, self._scratch, at, len(block), PROVISIONAL)
                spent["events"] += (now := clock()) - begun
                begun = now
                self._name_provisional()
                collect(Outcome(self._state, self._typologies, self._numbers, self.subject), told)
                spent["told"] += (now := clock()) - begun
        n = self._state.n
        return told.changes({name: int(n[i]) for i, name in enumerate(layout.COUNTERS)})

    @staticmethod
    def _events(block: Block, ids: npt.NDArray[np.int32]) -> stream.Events:
        # one type for all blocks: kernels are compiled once more for arrays that may not be written
        fields = (name for name in stream.Events._fields if name != "ids")
        arrays = {name: np.require(getattr(block, name), requirements=("C", "W")) for name in fields}
        return stream.Events(ids=ids, **arrays)

    def touch(self, block: Block) -> None:
        """Only read the state's lines that the block's events would read; nothing changes. Subjects are known ones."""
        ahead.touch(self._events(block, self._intern(block)), self._state, stream.GROUP)

    def _intern(self, block: Block, guessed: npt.NDArray[np.int32] | None = None) -> npt.NDArray[np.int32]:
        n, width = block.keys.shape
        ids = np.full((n, width), -1, np.int32) if guessed is None else guessed
        keys, kinds = (np.require(a, requirements=("C", "W")) for a in (block.keys, block.kinds))
        met: list[npt.NDArray[np.int64]] = []
        for begin in range(0, n, _INTERNED):
            here = slice(begin, min(begin + _INTERNED, n))
            # room for as many subjects as these rows name, should all of them be new
            room = int(np.count_nonzero(keys[here]))
            state = grown(self._state, "subjects", room + 2048)
            self._state = state = self._rehashed(state, "slots", room + 2048)
            new = np.empty(room, np.int64)
            before = int(state.n[layout.N_SUBJECTS])
            after, m = intern(keys[here], kinds[here], state.slots, state.subjects, before, ids[here], new)
            state.n[layout.N_SUBJECTS] = after
            met.append(new[:m] + begin * width)
        new = np.concatenate(met) if len(met) != 1 else met[0]
        if len(new):
            self._names.extend(*new_keys(block, new))
        return ids

    def _name_provisional(self) -> None:
        missing = int(self._state.n[layout.N_SUBJECTS]) - len(self._names)
        if missing:
            self._names.extend(np.zeros(0, np.uint8), np.zeros(missing, np.int64))

    @staticmethod
    def _rehashed(state: State, name: str, room: int, since: int | None = None) -> State:
        table = getattr(state, name)
        counter = TABLES_OF[name][1]
        was = table.shape[0]
        if (int(state.n[counter]) + room) * 3 // 2 < was:
            return state
        stay = int(state.n[counter]) if since is None else int(lasting(table, since))
        want = (stay + room) * 3 // 2 + 1
        # where most may be forgotten there is room enough without more places
        size = was if want <= was * 3 // 4 else max(want, was * 3 // 2)
        table = layout.longer(table, was, size)
        zero = np.zeros(1, table.dtype)
        if since is None:
            spread_out(table, was, zero)
        else:
            state.n[counter] = spread_since(table, was, zero, since)
        return state._replace(**{name: table})

    def _make_room(self) -> None:
        state = self._state
        room = {
            "subjects": 2048, "cells": 2 * stream.ROOM_CELLS, "contacts": 4 * stream.ROOM_CONTACTS, "members": 4096,
            "dossiers": 2 * stream.ROOM_SMALL, "evidence": 2 * stream.ROOM_EVIDENCE, "joined": 1024, "waiting": 1024,
            "moves": 2 * stream.ROOM_SMALL, "twins": 64, "dirty": 4 * stream.ROOM_SMALL, "tasks": 8192,
            "people": 2 * stream.ROOM_SMALL, "tallies": 2 * stream.ROOM_SMALL,
        }  # fmt: skip
        for name, more in room.items():
            state = grown(state, name, more)
        if layout.used(state, "waiting") + 1024 > state.added.shape[0]:
            state = state._replace(added=np.zeros(2 * layout.used(state, "waiting") + 1024, layout.ADDED))
        since = day(int(state.watermark[31])) - MEMORY_DAYS
        state = self._rehashed(state, "slots", 4096)
        state = self._rehashed(state, "seen", 4096, since)
        state = self._rehashed(state, "halves", 4096, since)
        self._state = self._rehashed(state, "pairs", 4096)

    # ------------------------------------------------------------ results

    @property
    def n_subjects(self) -> int:
        """How many lines, accounts, persons and other subjects the state holds."""
        return int(self._state.n[layout.N_SUBJECTS])

    def subject(self, i: int) -> str:
        """Key of the subject with this number; a provisional person's is ``person:`` and its subject's key."""
        record = self._state.subjects[i]
        if record["marks"] & 1 and record["kind"] == K_PERSON:
            return "person:" + self.subject(int(record["provisional"]))
        return self._names[i]

    def subjects(self) -> list[str]:
        """Keys of all subjects that are known; of one human being under several names, each."""
        return [self.subject(i) for i in range(int(self._state.n[layout.N_SUBJECTS]))]

    def figures(self, subject: str) -> dict[str, float | None] | None:
        """Every feature of a subject (by key) as of its newest event, null as None; None where it is unknown here."""
        i = self._number(subject)
        kind, _, value = subject.partition(":")
        if i < 0 and kind == "person" and value.partition(":")[0] in ("line", "account", "device"):
            # one of whom only a line, an account or a device is known is made where a rule may hold, or now
            j = self._number(value)
            if j >= 0 and self._state.subjects[j]["n_cells"] > 0 and self._state.subjects[j]["owner"] < 0:
                self._make_room()
                i = int(provisional_of(self._state.subjects, self._state.slots, self._state.n, PROVISIONAL, j))
                self._name_provisional()
        if i < 0:
            return None
        state, z = self._state, self._scratch
        if state.subjects[i]["kind"] == K_PERSON:
            i = int(state.subjects[i]["root"])
        k = int(state.subjects[i]["kind"])
        features(state, self._book, k, k, i, z.values, z.acc, z.most, z.bits, z.first, z.last, z.stack)
        return {
            f.name: None if np.isnan(z.values[n]) else float(z.values[n])
            for n, f in enumerate(self._rules.features.values())
            if f.subject == KINDS[k]
        }

    def _number(self, subject: str) -> int:
        slot = self._state.slots[find(self._state.slots, np.uint64(key_hash(subject)))]
        return int(slot["id"]) if slot["key"] else -1

    # ------------------------------------------------------------ snapshots

    def snapshot(self, *, copied: bool = True) -> dict[str, npt.NDArray[Any]]:
        """The whole state as plain arrays. Not ``copied``, they are the engine's own, for whoever looks at them before
        it reads on."""
        state = self._state
        out = {name: getattr(state, name)[: layout.used(state, name)] for name in ARENAS}
        out |= {name: getattr(state, name) for name in (*TABLES_OF, *_PLAIN)}
        if copied:
            out = {name: array.copy() for name, array in out.items()}
            _forget_made(out)
        data, offsets = self._names.arrays()
        typologies = np.frombuffer("\n".join(self._rules.typologies).encode(), np.uint8)
        out |= {"names": data, "name_offsets": offsets, "typologies": typologies}
        out |= {"keep": grafting.sparse(self._book.keep), "grafted": np.array([self.grafted], np.int64)}
        return out | {"layout": np.array([LAYOUT], np.int64)}

    @classmethod
    def restore(cls, arrays: dict[str, npt.NDArray[Any]], rules: RuleBook | None = None) -> Engine:
        """The engine of a snapshot. ValueError where it was written by another layout, KeyError where arrays miss."""
        if "layout" not in arrays or int(arrays["layout"][0]) != LAYOUT:
            raise ValueError(f"this snapshot's layout is not {LAYOUT}; replay the log instead")
        engine = cls(rules)
        empty = engine._state
        kept: dict[str, npt.NDArray[Any]] = {}
        for name in (*ARENAS, *TABLES_OF, *_PLAIN):
            if arrays[name].dtype != getattr(empty, name).dtype:
                raise ValueError(f"snapshot array {name} has another layout")
        for name in ARENAS:
            kept[name] = layout.filled(arrays[name], max(1024, arrays[name].shape[0]))
        for name in TABLES_OF:
            kept[name] = layout.filled(arrays[name], arrays[name].shape[0])
        for name in _PLAIN:
            kept[name] = arrays[name].copy()
        _forget_made(kept)
        kept["people"], kept["tallies"], kept["added"] = empty.people, empty.tallies, empty.added
        engine._state = State(**kept)
        if "keep" in arrays:  # written under a book with other windows, at the place from which this one holds
            engine.grafted = int(arrays["grafted"][0])
            grafting.let_go(engine._state, grafting.dense(arrays["keep"]), engine._book.keep)
        engine._renumber(arrays["typologies"].tobytes().decode().split("\n"))
        recount(engine._state)
        engine._names = Names(arrays["names"], arrays["name_offsets"])
        return engine

    def _renumber(self, stood: list[str]) -> None:
        """Typologies by their present numbers: files may have been added or taken away since ``stood``. What a typology
        that is gone has raised bears the first one of its kind from now on."""
        if stood == list(self._rules.typologies):
            return
        now = {t.id: i for i, t in enumerate(self._typologies)}
        first = {KIND[t.subject]: i for i, t in reversed(list(enumerate(self._typologies)))}
        state = self._state
        dossiers = state.dossiers[: layout.used(state, "dossiers")]
        pieces = state.evidence[: layout.used(state, "evidence")]
        kinds = state.subjects["kind"][dossiers["subject"]]
        for records, of in ((dossiers, kinds), (pieces, kinds[pieces["dossier"]])):
            told = records["typology"] >= 0
            instead = np.array([first.get(int(k), 0) for k in of], np.int64)
            known = np.array([now.get(t, -1) for t in stood], np.int64)[records["typology"]]
            records["typology"] = np.where(told, np.where(known >= 0, known, instead), -1)

    def sizes(self) -> dict[str, int]:
        """Bytes in use by part of the state."""
        state = self._state
        out = {name: layout.used(state, name) * getattr(state, name).dtype.itemsize for name in ARENAS}
        out |= {name: getattr(state, name).nbytes for name in TABLES_OF}
        out["tallies"] = layout.used(state, "tallies") * layout.TALLY.itemsize
        out["people"] = layout.used(state, "people") * layout.PEOPLE.itemsize
        return out | {"names": self._names.nbytes}


def _forget_made(arrays: dict[str, npt.NDArray[Any]]) -> None:
    """What is made again from the windows (`recount`)."""
    arrays["subjects"]["people"] = arrays["subjects"]["tally"] = arrays["members"]["people"] = -1


__all__ = ["LAYOUT", "LEVELS", "Engine", "codes"]
