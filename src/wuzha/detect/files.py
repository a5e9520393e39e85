"""Detection over a folder of event tables, without a server: one log from the files, alerts and suspects as tables.

Kept true here: ``labels`` is never opened; a table that is not there is an empty one; the folder is read as one log
ordered by (time, table, source, event_id); what is written cites events as ``source/event_id``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from wuzha.events import TABLES
from wuzha.events.batch import check, conform
from wuzha.events.subjects import key
from wuzha.events.table import TEXT, TIME

from .asked import reads
from .changes import Alert, Changes, Evidence, Suspect
from .codes import JUDGED
from .codes import TABLES as READ
from .encode import MAX_ROWS, Block, encode
from .engine import Engine
from .merge import merge
from .reasons import reason
from .rulebook import RuleBook, shipped

_TIME = pa.timestamp("us", tz="UTC")
EVIDENCE = pa.struct(
    [
        ("rule", pa.string()),
        ("at", _TIME),
        ("weight", pa.float64()),
        ("reason", pa.string()),
        ("event_ids", pa.list_(pa.string())),
    ]
)
ALERTS = pa.schema(
    [
        ("person", pa.string()), ("line", pa.string()), ("raised_at", _TIME), ("level", pa.string()),
        ("scam_type", pa.string()), ("stage", pa.string()), ("score", pa.float64()), ("typology", pa.string()),
        ("episode", pa.int64()), ("high_at", _TIME), ("last_evidence_at", _TIME), ("amount_fen", pa.int64()),
        ("place", pa.string()), ("evidence", pa.list_(EVIDENCE)), ("warnings", pa.list_(pa.string())),
    ]
)  # fmt: skip
SUSPECTS = pa.schema(
    [("subject", pa.string()), ("typology", pa.string()), ("score", pa.float64()), ("first_at", _TIME),
     ("last_at", _TIME), ("reasons", pa.list_(pa.string()))]
)  # fmt: skip
#: Rows fed at a time; results do not depend on it.
CHUNK = 1 << 18


class Collected:
    """Changes gathered into their newest state: one alert an episode, one record a suspect."""

    def __init__(self, book: RuleBook) -> None:
        self.book = book
        self.alerts: dict[tuple[str, int], Alert] = {}
        self.evidence: dict[tuple[str, int], list[Evidence]] = {}
        self.warnings: dict[tuple[str, int], list[int]] = {}
        self.suspects: dict[str, Suspect] = {}

    def add(self, changes: Changes) -> None:
        """Take in what one block changed."""
        for at in changes.withdrawn:
            self.alerts.pop(at, None)
        for at in (*changes.withdrawn, *changes.restated):
            self.evidence.pop(at, None)
            self.warnings.pop(at, None)
        for alert in changes.alerts:
            self.alerts[alert.person, alert.episode] = alert
        for piece in changes.evidence:
            self.evidence.setdefault((piece.person, piece.episode), []).append(piece)
        for warning in changes.warnings:
            self.warnings.setdefault((warning.person, warning.episode), []).append(warning.ref)
        for suspect in changes.suspects:
            self.suspects[suspect.subject] = suspect

    def alerts_table(self, cite: Callable[[int], str], language: str = "zh") -> pa.Table:
        """Alerts as `ALERTS`, by time raised and person."""
        rows = []
        for at, a in sorted(self.alerts.items(), key=lambda item: (item[1].raised_at, item[0])):
            evidence = [
                {
                    "rule": e.rule, "at": e.at, "weight": e.weight,
                    "reason": reason(e.rule, e.version, e.args, language, self.book),
                    "event_ids": [cite(ref) for ref in e.events],
                }
                for e in sorted(self.evidence.get(at, []), key=lambda e: (e.at, e.rule))
            ]  # fmt: skip
            warnings = sorted({cite(ref) for ref in self.warnings.get(at, [])})
            rows.append(
                {
                    "person": key("person", a.person), "line": key("line", a.line) if a.line else None,
                    "raised_at": a.raised_at, "level": a.level, "scam_type": a.scam_type, "stage": a.stage,
                    "score": a.score, "typology": a.typology, "episode": a.episode, "high_at": a.high_at,
                    "last_evidence_at": a.last_evidence_at, "amount_fen": a.amount_fen, "place": a.place,
                    "evidence": evidence, "warnings": warnings,
                }
            )  # fmt: skip
        return pa.Table.from_pylist(rows, schema=ALERTS)

    def suspects_table(self, language: str = "zh") -> pa.Table:
        """Suspects as `SUSPECTS`, by subject."""
        rows = [
            {
                "subject": s.subject, "typology": s.typology, "score": s.score, "first_at": s.first_at,
                "last_at": s.last_at,
                "reasons": [reason(r, v["version"], v["args"], language, self.book) for r, v in s.args.items()],
            }
            for _, s in sorted(self.suspects.items())
        ]  # fmt: skip
        return pa.Table.from_pylist(rows, schema=SUSPECTS)


def read_folder(
    folder: Path, prepare: Callable[[str, pa.Table], pa.Table] | None = None, step: Callable[[int], None] | None = None
) -> tuple[Block, int]:
    """The folder's tables as one block, and how many rows were refused by their table's rules.

    ``prepare`` may fill columns of a table (``text`` does, for messages). ValueError names the file that is no such
    table; FileNotFoundError where the folder holds none.
    """
    blocks: list[Block] = []
    refused = 0
    position = 1
    found = False
    for name in READ:
        path = folder / f"{name}.parquet"
        if not path.is_file():
            continue
        found = True
        try:
            rows = _read(name, path, whole=prepare is not None)
        except (ValueError, OSError, pa.ArrowException) as error:
            raise ValueError(f"{path}: {error}") from error
        rows, rejects = check(TABLES[name], rows)
        refused += len(rejects)
        if prepare is not None:
            rows = prepare(name, rows)
        for begin in range(0, rows.num_rows, MAX_ROWS):
            blocks.append(encode(name, rows.slice(begin, MAX_ROWS), position))
            position += 1
        if step is not None:
            step(rows.num_rows)
    if not found:
        raise FileNotFoundError(f"{folder} holds no event tables ({', '.join(READ)}, each as NAME.parquet)")
    return merge(blocks or [encode("calls", TABLES["calls"].empty(), position)]), refused


def _read(name: str, path: Path, *, whole: bool) -> pa.Table:
    """The table's columns that are read or checked, the others null; repeated texts as codes, which is half the work.

    ``whole``: the columns that are filled beforehand may be read from any text.
    """
    table = TABLES[name]
    schema = pq.read_schema(path)
    conform(table, schema.empty_table())
    columns = [c for c in schema.names if c in wanted(name, whole=whole)]
    return conform(table, pq.read_table(path, columns=columns, read_dictionary=coded(name)), coded=True)


def wanted(name: str, *, whole: bool) -> set[str]:
    """Columns of a table that are read, checked or (``whole``) filled from."""
    table = TABLES[name]
    found = set(reads(name)) | {c.name for c in table.all_columns if c.required or c.values or c.minimum is not None}
    return found | {c.name for c in table.all_columns if c.type == TIME} | ({"text"} if whole else set())


def coded(name: str) -> list[str]:
    """Columns of repeated texts, which are read as codes."""
    return [c.name for c in TABLES[name].all_columns if c.type == TEXT and not c.values and c.name != "event_id"]


def citing(block: Block) -> Callable[[int], str]:
    """``source/event_id`` of a ref of this block."""
    by_position: dict[int, int] = {}
    positions = block.ref >> 20
    first = np.unique(positions, return_index=True)[1]
    for i in first:
        by_position[int(positions[i])] = int(block.part[i])
    columns = {p: (block.parts[p].column("source"), block.parts[p].column("event_id")) for p in by_position.values()}

    def cite(ref: int) -> str:
        source, event = columns[by_position[ref >> 20]]
        row = ref & (MAX_ROWS - 1)
        return f"{source[row].as_py()}/{event[row].as_py()}"

    return cite


def detect_block(
    block: Block, rules: RuleBook | None = None, step: Callable[[int], None] | None = None
) -> tuple[Collected, dict[str, int]]:
    """Run a whole log through a new engine. Returns what came of it and the engine's counts."""
    book = rules or shipped()
    engine = Engine(book)
    found = Collected(book)
    counts: dict[str, int] = {}
    for begin in range(0, len(block), CHUNK):
        changes = engine.feed(block.slice(begin, begin + CHUNK))
        found.add(changes)
        counts = changes.counts
        if step is not None:
            step(min(CHUNK, len(block) - begin))
    return found, counts


def summary(found: Collected, counts: dict[str, int], seconds: float) -> dict[str, Any]:
    """The command's result: events, speed, alerts by level and scam type."""
    alerts = found.alerts.values()
    events = counts.get("events", 0) + counts.get("duplicates", 0) + counts.get("conflicts", 0)
    return {
        "events": events, "seconds": round(seconds, 3), "events_per_s": round(events / seconds) if seconds else 0,
        "alerts": len(found.alerts), "by_level": dict(sorted(Counter(a.level for a in alerts).items())),
        "by_scam_type": dict(sorted(Counter(a.scam_type for a in alerts).items())), "suspects": len(found.suspects),
        "duplicates": counts.get("duplicates", 0), "conflicts": counts.get("conflicts", 0),
        "merged_sides": counts.get("merged_sides", 0), "unjoined": counts.get("unjoined", 0),
    }  # fmt: skip


def replayed(block: Block, until: int | None = None, rules: RuleBook | None = None) -> Engine:
    """An engine that has read the log up to ``until`` (µs, included): what counts from later on it does not know."""
    if until is not None:
        block = block.pick(block.due <= until)
    engine = Engine(rules)
    for begin in range(0, len(block), CHUNK):
        engine.feed(block.slice(begin, begin + CHUNK))
    return engine


def figures_table(engine: Engine, kinds: Iterable[str] = JUDGED, part: tuple[int, int] = (0, 1)) -> pa.Table:
    """Every feature of every subject of these kinds that the engine knows: one row a subject, by key; a column a
    feature, null where it is unknown or the subject is of another kind. ``part``: which of so many equal parts, whose
    rows follow each other."""
    asked = set(kinds)
    named = [f for f in engine.rules.features.values() if f.subject in asked]
    keys = sorted({k for k in engine.subjects() if k.partition(":")[0] in asked})
    keys = keys[len(keys) * part[0] // part[1] : len(keys) * (part[0] + 1) // part[1]]
    rows = [engine.figures(k) or {} for k in keys]
    columns: dict[str, pa.Array] = {"subject": pa.array(keys, pa.string())}
    columns |= {f.name: pa.array([r.get(f.name) for r in rows], pa.float64()) for f in named}
    return pa.table(columns)
