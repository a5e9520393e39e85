"""History jobs on a cluster: what of each can be divided, and what has to be one task.

Kept true here: a job gives what it gives on one machine, row by row. Reading, checking, the words of messages and
encoding go piece by piece; so do the figures of subjects, once the log is read, and a backtest's two books. The log
itself is read by **one engine in its order**, as one task: what an event says of its subject depends on others' earlier
events (who was met before, who is suspect, how many use a site, whose a line is), so that no cut by subject, bucket or
time is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from wuzha import detect, text
from wuzha.detect.backtest import MINUTES, Run, Truth, compared
from wuzha.detect.backtest import read as run_book
from wuzha.detect.encode import Block
from wuzha.detect.files import CHUNK, citing, detect_block, figures_table, replayed
from wuzha.detect.files import summary as summed
from wuzha.detect.pieces import Piece, pieces, read_piece
from wuzha.detect.rulebook import RuleBook

from .cluster import Cluster
from .past import Past, segment

#: Rows of a piece.
ROWS = 1 << 18
Step = Callable[[int], None] | None


def _annotated(name: str, rows: pa.Table) -> pa.Table:
    return text.annotate(rows) if name == "messages" else rows


def _read(piece: Piece) -> tuple[Block, int]:
    return read_piece(piece, _annotated)


def _merged(parts: Sequence[tuple[Block, int]]) -> tuple[Block, int]:
    return detect.merge([block for block, _ in parts]), sum(refused for _, refused in parts)


def _parts(cluster: Cluster, folder: Path, step: Step) -> list[Any]:
    """The folder's pieces, each read by some worker and kept there. ``step`` is told how many rows have been read."""
    cut = pieces(folder.absolute(), ROWS)
    cluster.see(sorted({p.path for p in cut}))
    futures = [cluster.hand_out(_read, piece, reads=[piece.path]) for piece in cut]

    def read(number: int) -> None:
        if step is not None:
            step(cut[number].end - cut[number].begin)

    cluster.finish(futures, read)
    return futures


def rows_of(folder: Path) -> int:
    """Rows of the folder's tables. As `pieces` where it cannot be read."""
    return sum(p.end - p.begin for p in pieces(folder))


# ---------------------------------------------------------------- detect


def _detected(parts: Sequence[tuple[Block, int]], book: RuleBook, language: str) -> tuple[pa.Table, pa.Table, Any]:
    block, refused = _merged(parts)
    found, counts = detect_block(block, book)
    cite = citing(block)
    said = (summed(found, counts, 0.0), refused, counts)
    return found.alerts_table(cite, language), found.suspects_table(language), said


def detect_folder(
    cluster: Cluster, folder: Path, book: RuleBook, language: str, step: Step = None
) -> tuple[pa.Table, pa.Table, dict[str, Any], int, dict[str, int]]:
    """Alerts, suspects, summary, refused rows and counts of ``wuzha detect``."""
    parts = _parts(cluster, folder, step)
    (result,) = cluster.wait([cluster.hand_out(_detected, parts, book, language)])
    alerts, suspects, (summary, refused, counts) = result
    return alerts, suspects, summary, refused, counts


# ---------------------------------------------------------------- features


def _replayed(parts: Sequence[tuple[Block, int]], until: int | None) -> tuple[dict[str, Any], int]:
    block, refused = _merged(parts)
    return replayed(block, until).snapshot(), refused


def _figures(state: tuple[dict[str, Any], int], part: tuple[int, int]) -> tuple[pa.Table, int]:
    return figures_table(detect.Engine.restore(state[0]), part=part), state[1]


def _figures_of(state: tuple[dict[str, Any], int], subject: str) -> tuple[dict[str, float | None] | None, int]:
    return detect.Engine.restore(state[0]).figures(subject), state[1]


def features_table(cluster: Cluster, folder: Path, until: int | None, step: Step = None) -> tuple[pa.Table, int]:
    """Every feature of every subject as of ``until`` (µs), and the refused rows; each worker computes those of some."""
    state = cluster.hand_out(_replayed, _parts(cluster, folder, step), until)
    n = cluster.size
    done = cluster.wait([cluster.hand_out(_figures, state, (i, n)) for i in range(n)])
    return pa.concat_tables([table for table, _ in done]), done[0][1]


def features_of(
    cluster: Cluster, folder: Path, until: int | None, subject: str, step: Step = None
) -> tuple[dict[str, float | None] | None, int]:
    """Features of one subject, None where it does not appear, and the refused rows."""
    state = cluster.hand_out(_replayed, _parts(cluster, folder, step), until)
    (result,) = cluster.wait([cluster.hand_out(_figures_of, state, subject)])
    values, refused = result
    return values, refused


# ---------------------------------------------------------------- backtests


def _run_folder(parts: Sequence[tuple[Block, int]], book: RuleBook) -> tuple[Run, int]:
    block, refused = _merged(parts)
    return run_book(book, (block.slice(at, at + CHUNK) for at in range(0, len(block), CHUNK))), refused


def backtest_folder(
    cluster: Cluster, folder: Path, before: RuleBook, after: RuleBook, rule: str, truth: Truth, *,
    days: float | None = None, minutes: float = MINUTES, step: Step = None,
) -> tuple[dict[str, Any], int]:  # fmt: skip
    """As `detect.backtest` over a folder, and the refused rows: each book's run is a task of its own."""
    parts = _parts(cluster, folder, step)
    (without, refused), (with_it, _) = cluster.wait([cluster.hand_out(_run_folder, parts, b) for b in (before, after)])
    return compared(without, with_it, rule, truth, days=days, minutes=minutes), refused


def _run_past(segments: Sequence[tuple[Block, Truth]], tail: Sequence[Block], book: RuleBook) -> Run:
    return run_book(book, (*(block for block, _ in segments), *tail))


def _truth(part: tuple[Block, Truth]) -> Truth:
    return part[1]


def backtest_past(
    cluster: Cluster, past: Past, before: RuleBook, after: RuleBook, rule: str, *, days: float | None = None,
    minutes: float = MINUTES, step: Step = None,
) -> dict[str, Any]:  # fmt: skip
    """As `detect.backtest` over what a deployment keeps: its history is read by the workers, who see the folder; the
    log beyond it comes from here, where the database is."""
    segments = past.segments()
    cluster.see([path for paths in segments for path in paths])
    parts = [cluster.hand_out(segment, paths, reads=paths) for paths in segments]
    counted = [past.rows_of(paths) for paths in segments]
    cluster.finish(parts, None if step is None else lambda number: step(counted[number]))
    tail = list(past.tail())
    truth = Truth()
    for known in cluster.wait([cluster.hand_out(_truth, part) for part in parts]):
        truth.join(known)
    truth.join(past.truth)
    without, with_it = cluster.wait([cluster.hand_out(_run_past, parts, tail, b) for b in (before, after)])
    return compared(without, with_it, rule, truth, days=days, minutes=minutes)
