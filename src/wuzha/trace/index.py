"""An index of transfers by payer and by payee, in time order, over NumPy arrays; appended to while it is read.

Kept true here: an index that was appended to answers as one that is built of all rows at once. Appends take what comes
in time order at the end (the tail, chained by account); what comes late is put in its place, over as much of the end as
it needs, at worst by building anew. An append and a question wait for one another (`Index.lock`); both are short.

A transfer takes 32 bytes in its two directions and 8 for its time; balances, fees, rows of names and ids are side
columns. Saved arrays are memory-mapped when they are opened again.
"""

from __future__ import annotations

import json
import threading
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from wuzha.events.hashing import identity, text_hash

from . import order, rows
from .entries import arranged, built, extended, joined, nothing, picked, split, unbuilt
from .hubs import Hubs
from .layout import NOBODY, Transfers
from .links import Links
from .numbers import Numbers
from .rows import Arrays
from .tail import Tail

#: Layout of the files; another one is refused.
LAYOUT = 1
#: A tail of more than this part of the whole is built in.
_MOST_TAIL = 0.25
_LEAST_TAIL = 1 << 16


@dataclass(frozen=True)
class View:
    """What one question reads: the transfers, their times, rows of ids, and how many accounts there are. It holds until
    the next append: who reads it holds `Index.lock`."""

    transfers: Transfers
    ts: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]  # of the base and of the tail
    row: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
    how: tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]
    accounts: int

    def rank_at(self, moment: int) -> int:
        """Rank of the first transfer at or after ``moment`` (µs)."""
        base, tail = self.ts
        i = int(np.searchsorted(base, moment))
        return i if i < base.shape[0] else i + int(np.searchsorted(tail, moment))

    def _at(self, pair: tuple[npt.NDArray[Any], npt.NDArray[Any]], ranks: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        n = pair[0].shape[0]
        out = np.empty(ranks.shape[0], pair[0].dtype)
        early = ranks < n
        out[early] = pair[0][ranks[early]]
        out[~early] = pair[1][ranks[~early] - n]
        return out

    def times(self, ranks: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """µs of the transfers of these ranks."""
        return self._at(self.ts, ranks)

    def rows(self, ranks: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Rows (of `Index.event_ids`) of the transfers of these ranks."""
        return self._at(self.row, ranks)

    def ties(self, ranks: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        """How each one's place within its time was found, of `order.TIES`."""
        return self._at(self.how, ranks)


#: Rank of an arrival that the data does not reach.
_NOT_YET = 0xFFFFFFFE


class Index:
    """Transfers by account. ``Index.of(table)``; ``append(table)``; ``view()`` for a query; ``save`` and ``open``."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.accounts = Numbers()
        self.left_out: dict[str, int] = {}
        self._ids: list[pa.Table] = []  # source, event_id, payer, payee of the rows
        self._begins: list[int] = []  # row at which each of them begins
        self._met = np.empty(0, np.int64)  # by account: row × 2 + side at which it was met first; has room
        self._n_rows = 0
        self._newest = 0
        self._coming: Arrays | None = None  # ends of transfers that arrive after the newest time
        self._base = built(nothing(), np.empty(0, np.uint8), 0)
        self._tail = Tail(0, 0)
        self._made: View | None = None
        self._hubs: dict[int, Hubs] = {}
        self._links = Links()

    @classmethod
    def of(cls, table: pa.Table) -> Index:
        """An index of rows of the transfers table, as `rows.read` gives them."""
        index = cls()
        index.append(table)
        return index

    def __len__(self) -> int:
        return self._n_rows

    @property
    def entries(self) -> int:
        """How many ranks there are: transfers, and arrivals of those that arrive later."""
        view = self.view()
        return int(view.ts[0].shape[0] + view.ts[1].shape[0])

    # ------------------------------------------------------------ rows in

    def append(self, table: pa.Table) -> None:
        """More rows; their order among themselves and with earlier ones is by time, however they come.

        Rows that undo earlier ones, or tell the true payee of earlier ones (or the reverse), are taken in by building
        the whole anew.
        """
        with self.lock:
            table, again = self._links.new(table)
            if again:
                table = pa.concat_tables([*self._links.rows, table])
                links, lock = self._links, self.lock
                self.__init__()  # type: ignore[misc]
                self._links, self.lock, links.rows = links, lock, []
            self._links.rows.append(table)
            table, left = rows.moved(table)
            for why, n in left.items():
                self.left_out[why] = self.left_out.get(why, 0) + n
            if self._links.twice:
                self.left_out["duplicate"] = self._links.twice
            self.take(table)

    def take(self, table: pa.Table) -> None:
        """As `append`, of rows that need not go through `rows.moved`: each moved money, and stands there once."""
        if table.num_rows:
            with self.lock:
                self._take(self._entries(table))

    def _take(self, entries: Arrays) -> None:
        self._newest = max(self._newest, int(entries["ts"].max()))
        entries = split(entries)
        if self._coming is not None:
            entries = joined(entries, self._coming)
        self._coming = None
        if int(entries["ts"].max()) > self._newest:
            later = entries["ts"] > self._newest
            self._coming, entries = picked(entries, np.flatnonzero(later)), picked(entries, np.flatnonzero(~later))
        self._made = None
        for known in self._hubs.values():
            known.came(entries)
        oldest = int(entries["ts"].min())
        if not self._tail.n or (self._tail.begin and oldest <= int(self._base["ts"][-1])):
            self._build(joined(self._all(), entries))
            return
        cut = int(np.searchsorted(self._tail["ts"], oldest))
        if cut < self._tail.n:
            entries = joined(self._tail.cut(cut), entries)
        self._tail.extend(*self._ordered(entries), len(self.accounts))
        if self._tail.n > max(_LEAST_TAIL, int(_MOST_TAIL * self._tail.begin)):
            self._settle()

    def _settle(self) -> None:
        """The tail goes into the base, but for the newest time: more rows may come with it."""
        tail = self._tail
        cut = int(np.searchsorted(tail["ts"], tail["ts"][-1]))
        if 2 * cut < tail.n:
            return  # most of it may still change its order
        newest, how = tail.entries(cut), np.array(tail["how"][cut:])
        newest = {name: np.array(column) for name, column in newest.items()}
        self._base = extended(self._base, tail.records(cut), len(self.accounts))
        self._tail = Tail(tail.begin + cut, len(self.accounts))
        self._tail.extend(newest, how, len(self.accounts))

    def _all(self) -> Arrays:
        return joined(unbuilt(self._base), self._tail.entries()) if len(self._base["ts"]) else self._tail.entries()

    def _entries(self, table: pa.Table) -> Arrays:
        columns = rows.arrays(table)
        begin = self._n_rows
        n = table.num_rows
        payer, payee = (self._numbers(columns[side], begin, i) for i, side in enumerate(("payer", "payee")))
        self._begins.append(begin)
        self._ids.append(table.select([c for c in _NAMED if c in table.column_names]))
        self._n_rows = begin + n
        return {
            **columns, "payer": payer, "payee": payee, "to": payee, "by": payer,
            "row": np.arange(begin, begin + n, dtype=np.int64),
        }  # fmt: skip

    def _numbers(self, hashes: npt.NDArray[np.uint64], begin: int, side: int) -> npt.NDArray[np.uint32]:
        """Numbers of accounts by their hashes, in rows from ``begin`` on; where new ones stand is remembered."""
        numbers, met = self.accounts.intern(hashes)
        n = len(self.accounts)
        if n > self._met.shape[0]:
            self._met = np.concatenate([self._met, np.empty(max(n, 4096), np.int64)])
        self._met[n - met.shape[0] : n] = 2 * (met + begin) + side
        return numbers

    def _ordered(self, entries: Arrays) -> tuple[Arrays, npt.NDArray[np.uint8]]:
        found, how = order.put_in_order(entries, lambda at: self._hashes(entries["row"][at]))
        return arranged(entries, found), how

    def _hashes(self, row: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
        """Hash of the identity of each row; a row of a table without ids is known by its number."""
        out = row.astype(np.uint64)
        if not row.size:
            return out
        first = bisect_right(self._begins, int(row.min())) - 1
        last = bisect_right(self._begins, int(row.max()))
        for begin, table in zip(self._begins[first:last], self._ids[first:last], strict=True):
            mine = np.flatnonzero((row >= begin) & (row < begin + table.num_rows))
            if mine.size and "event_id" in table.column_names:
                out[mine] = identity(table.select(["source", "event_id"]).take(pa.array(row[mine] - begin)))
        return out

    # ------------------------------------------------------------ the base: two arrays by account

    def _build(self, entries: Arrays) -> None:
        entries, how = self._ordered(entries)
        n = entries["ts"].shape[0]
        # the newest time goes to the tail: more rows may come with it
        cut = int(np.searchsorted(entries["ts"], entries["ts"][-1])) if n else 0
        self._base = built({name: column[:cut] for name, column in entries.items()}, how[:cut], len(self.accounts))
        self._tail = Tail(cut, len(self.accounts))
        self._tail.extend({name: column[cut:] for name, column in entries.items()}, how[cut:], len(self.accounts))

    # ------------------------------------------------------------ what a query reads

    def view(self) -> View:
        """The index as it is now."""
        if self._made is not None:
            return self._made
        base, tail = self._base, self._tail
        fees = tail.with_fee
        depart, arrive = self._arrivals()
        self._made = View(
            transfers=Transfers(
                out_at=base["out_at"], in_at=base["in_at"], outs=base["outs"], ins=base["ins"],
                out_balance=base["out_balance"], in_balance=base["in_balance"],
                fee_rank=np.concatenate([base["fee_rank"], (fees + tail.begin).astype(np.uint32)]),
                fee=np.concatenate([base["fee"], tail["fee"][fees]]), depart_rank=depart, arrive_rank=arrive,
                hub=np.zeros(0, np.uint8), tail_from=np.array([tail.begin], np.int64), tail_out=tail["outs"],
                tail_in=tail["ins"], tail_out_balance=tail["payer_balance"], tail_in_balance=tail["payee_balance"],
                next_out=tail["next_out"], next_in=tail["next_in"], head_out=tail["head_out"], head_in=tail["head_in"],
            ),
            ts=(base["ts"], tail["ts"]), row=(base["row"], tail["row"]), how=(base["how"], tail["how"]),
            accounts=len(self.accounts),
        )  # fmt: skip
        return self._made

    def _arrivals(self) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
        base, tail = self._base, self._tail
        leaves = np.concatenate([base["late_leaves"], tail["payer"][tail.late] != NOBODY])
        row = np.concatenate([base["late_row"], tail["row"][tail.late]])
        rank = np.concatenate([base["late_rank"], tail.late + tail.begin])
        ends = {int(r): int(k) for r, k in zip(row[~leaves], rank[~leaves], strict=True)}
        depart = rank[leaves].astype(np.uint32)
        arrive = np.array([ends.get(int(r), _NOT_YET) for r in row[leaves]], np.uint32)
        return depart, arrive

    def hubs(self, neighbours: int) -> npt.NDArray[np.uint8]:
        """By account: 1 where it has dealt with that many others or more."""
        known = self._hubs.setdefault(neighbours, Hubs(neighbours))
        return known.now(self.view().transfers, len(self.accounts))

    # ------------------------------------------------------------ names

    def number(self, account: str) -> int:
        """Number of an account key (``account:…``), −1 where no transfer names it."""
        return self.accounts.find(text_hash(account.removeprefix("account:")))

    def names(self, numbers: Sequence[int] | npt.NDArray[Any]) -> list[str]:
        """Keys of accounts."""
        met = self._met[np.asarray(numbers, np.int64)]
        paid = self._cells("payer", met[met % 2 == 0] // 2), self._cells("payee", met[met % 2 == 1] // 2)
        at = iter(paid[0]), iter(paid[1])
        return [f"account:{next(at[side])}" for side in (met % 2).tolist()]

    def event_ids(self, row: npt.NDArray[np.int64]) -> list[tuple[str, str]]:
        """(source, event_id) of rows; a table without ids gives none."""
        return list(zip(self._cells("source", row), self._cells("event_id", row), strict=True))

    def _cells(self, column: str, row: npt.NDArray[np.int64]) -> list[str]:
        """Texts of a column of the rows, in the order asked."""
        begins = np.array(self._begins)
        part = np.searchsorted(begins, row, side="right") - 1
        out = np.full(row.shape[0], "", object)
        for i in np.unique(part).tolist():
            if column in self._ids[i].column_names:
                mine = part == i
                out[mine] = self._ids[i].column(column).take(pa.array(row[mine] - begins[i])).to_numpy()
        return list(out)

    # ------------------------------------------------------------ kept on disk

    def save(self, folder: Path) -> None:
        """Write the index: arrays that `open` maps, ids and names as Arrow files. The tail is built in first."""
        if self._tail.n:
            entries, how = self._ordered(self._all())
            self._base = built(entries, how, len(self.accounts))
            self._tail, self._made = Tail(entries["ts"].shape[0], len(self.accounts)), None
        folder.mkdir(parents=True, exist_ok=True)
        for name, column in {
            **self._base,
            "met": self._met[: len(self.accounts)],
            "slots": self.accounts.slots,
        }.items():
            np.save(folder / f"{name}.npy", column)
        if self._coming is not None:
            np.savez(folder / "coming.npz", **self._coming)  # type: ignore[arg-type]
        ids = (
            pa.concat_tables(self._ids) if self._ids else pa.table({name: pa.array([], pa.string()) for name in _NAMED})
        )
        with pa.OSFile(str(folder / "ids.arrow"), "wb") as sink, pa.ipc.new_file(sink, ids.schema) as writer:
            writer.write_table(ids)
        about = {"layout": LAYOUT, "rows": self._n_rows, "accounts": len(self.accounts), "newest": self._newest,
                 "left_out": self.left_out}  # fmt: skip
        (folder / "index.json").write_text(json.dumps(about))

    @classmethod
    def open(cls, folder: Path) -> Index:
        """A saved index, its arrays mapped from the files. ValueError where it is none, or of another layout."""
        try:
            about = json.loads((folder / "index.json").read_text())
        except (OSError, ValueError) as error:
            raise ValueError(f"{folder} holds no index of transfers: {error}") from error
        if about["layout"] != LAYOUT:
            raise ValueError(f"{folder} has layout {about['layout']}, not {LAYOUT}; build it anew")
        index = cls()
        mapped = {path.stem: np.load(path, mmap_mode="c") for path in folder.glob("*.npy")}
        index._met = np.asarray(mapped.pop("met"))
        index.accounts = Numbers(mapped.pop("slots"), about["accounts"])
        index._base = mapped
        index._tail = Tail(mapped["ts"].shape[0], about["accounts"])
        if (folder / "coming.npz").exists():
            index._coming = dict(np.load(folder / "coming.npz"))
        ids = pa.ipc.open_file(pa.memory_map(str(folder / "ids.arrow"))).read_all()
        index._ids, index._begins = [ids], [0]
        index._n_rows, index._newest, index.left_out = about["rows"], about["newest"], about["left_out"]
        return index

    def bytes_per_transfer(self) -> dict[str, float]:
        """What a transfer of the base takes: in its two directions and its time, and in each side column."""
        n = max(self._base["ts"].shape[0], 1)
        edges = sum(self._base[name].nbytes for name in ("outs", "ins", "ts"))
        accounts = self._base["out_at"].nbytes + self._base["in_at"].nbytes
        return {
            "edge": round(edges / n, 2), "account_places": round(accounts / n, 2),
            "balances": round((self._base["out_balance"].nbytes + self._base["in_balance"].nbytes) / n, 2),
            "rows": round((self._base["row"].nbytes + self._base["how"].nbytes) / n, 2),
            "account_numbers": round((self.accounts.slots.nbytes + self._met.nbytes) / n, 2),
        }  # fmt: skip


#: Columns kept of each row, for names.
_NAMED = ("source", "event_id", "payer", "payee")
