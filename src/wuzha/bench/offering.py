"""A city's raw events as bodies for the doors, made before the clock runs and kept in a file.

Kept true here: sending them costs next to nothing, so that what is measured is the server."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from wuzha.city import generator
from wuzha.city.scripts import load
from wuzha.events import RAW_TABLES

ARROW = "application/vnd.apache.arrow.stream"
#: Events that one resident of the city makes in its two days, about.
_A_RESIDENT = 30
_DAYS = 2
_LZ4 = pa.ipc.IpcWriteOptions(compression="lz4")


@dataclass(frozen=True, slots=True)
class Body:
    """One batch as it is sent: its table, its rows, and where in the file it stands."""

    table: str
    rows: int
    at: int
    length: int


class Bodies:
    """Bodies in the order of their time. ``file`` is theirs alone."""

    def __init__(self, file: Path, listed: Sequence[Body], people: int) -> None:
        self.listed, self.people = listed, people
        self._handle = file.open("rb")
        self._map = mmap.mmap(self._handle.fileno(), 0, access=mmap.ACCESS_READ)

    def read(self, body: Body) -> bytes:
        """Its bytes."""
        return self._map[body.at : body.at + body.length]

    def which(self, event_ids: Sequence[str]) -> dict[str, int]:
        """The number of the body that holds each of these events."""
        wanted = pa.array(sorted(set(event_ids)), pa.string())
        found: dict[str, int] = {}
        for number, body in enumerate(self.listed):
            with pa.ipc.open_stream(self.read(body)) as reader:
                ids = reader.read_all().column("event_id")
            hit = pc.is_in(ids, value_set=wanted)
            if pc.any(hit).as_py():
                found.update(dict.fromkeys(ids.filter(hit).to_pylist(), number))
        return found


def bodies(file: Path, rows: int, batch: int, seed: int) -> Bodies:
    """At least ``rows`` raw events of a city in batches of ``batch``, a table each, by the time of their first row."""
    people = max(500, rows // _A_RESIDENT)
    made = generator.make(people, _DAYS, seed, load(None), date(2026, 3, 2))
    order: list[tuple[int, str, int]] = []
    whole: dict[str, pa.Table] = {}
    for name in sorted(RAW_TABLES & made.keys()):
        table = whole[name] = made.pop(name).sort_by("ts").combine_chunks()
        first = table.column("ts").cast(pa.int64()).to_numpy()[::batch]
        order += [(int(ts), name, i * batch) for i, ts in enumerate(first)]
    del made
    listed: list[Body] = []
    at = taken = 0
    with file.open("wb") as out:
        for _, name, begin in sorted(order):
            part = plain(whole[name].slice(begin, batch))
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, part.schema, options=_LZ4) as writer:
                writer.write_table(part)
            sent = sink.getvalue()
            out.write(sent)
            listed.append(Body(name, part.num_rows, at, sent.size))
            at, taken = at + sent.size, taken + part.num_rows
            if taken >= rows:
                break
    return Bodies(file, listed, people)


def plain(rows: pa.Table) -> pa.Table:
    """``rows`` without dictionaries: a batch must not carry the words of a whole city."""
    columns = [(c.cast(pa.string()) if pa.types.is_dictionary(c.type) else c).combine_chunks() for c in rows.columns]
    return pa.table(columns, names=rows.column_names)
