"""How good were the alerts? Measured against the city's labels.

Kept true here: every figure is one sentence, and a figure over nothing is null, never 0 or infinite.

- ``victims``: persons with a labelled loss. ``with_evidence``: those of them with a labelled event of a scam on them
  before their first loss (a warning that truly means them counts, an innocent look-alike does not).
- ``warned_before_first_loss``: victims whose ``high_at`` is before their first loss; lead is first loss − ``high_at``,
  its median in minutes over the warned. Of several alerts on one person the earliest ``high_at`` counts.
- ``alerts_true``: urgent or high alerts on a victim with ``high_at`` between the first labelled event and the last
  loss, both included; ``precision_urgent_high`` = ``alerts_true`` ÷ urgent and high alerts. Every row is one alert.
- ``merge_precision``, ``merge_recall``: over pairs of warnings, those joined in one alert against those that truly mean
  one person.
"""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from . import files
from .generator import CityError

_NEEDED = ("person", "level", "high_at", "warnings")
_MINUTE_US = 60_000_000


def score(city: Path, alerts: Path) -> dict[str, Any]:
    """The figures of an alerts file against a city. CityError where either cannot be read."""
    labels = files.read(
        city, "labels", ["table", "source", "event_id", "ts", "scam_id", "scam_type", "step", "person", "look_alike"]
    )
    if not alerts.is_file():
        raise CityError(f"{alerts} is no file")
    try:
        names = pq.read_schema(alerts).names
        missing = [c for c in _NEEDED if c not in names]
        if missing:
            raise CityError(f"{alerts} has no column {', '.join(missing)}")
        rows = pq.read_table(alerts, columns=list(_NEEDED))
    except (pa.ArrowInvalid, OSError) as error:
        raise CityError(f"{alerts} cannot be read: {error}") from error
    return measure(labels, rows)


def measure(labels: pa.Table, alerts: pa.Table) -> dict[str, Any]:
    """As `score`, over tables: labels as in ``wuzha.events``, alerts with person, level, high_at, warnings."""
    truth = _Truth(labels)
    people = [_bare(p) for p in alerts.column("person").to_pylist()]
    levels = alerts.column("level").to_pylist()
    highs = [None if t is None else int(t) for t in _micros(alerts.column("high_at"))]

    earliest: dict[str, int] = {}
    for person, high in zip(people, highs, strict=True):
        if high is not None and high < earliest.get(person, high + 1):
            earliest[person] = high
    leads = {
        v: truth.first_loss[v] - earliest[v]
        for v in truth.first_loss
        if v in earliest and earliest[v] < truth.first_loss[v]
    }

    strong, right = [], []
    for person, level, high in zip(people, levels, highs, strict=True):
        if level in ("urgent", "high"):
            strong.append(person)
            begin = truth.first_event.get(person)
            if (
                person in truth.first_loss
                and high is not None
                and begin is not None
                and begin <= high <= truth.last_loss[person]
            ):
                right.append(person)

    merge_precision, merge_recall = _merging(truth.meant, alerts.column("warnings").to_pylist())
    return {
        **_block(truth, list(truth.first_loss), leads, right),
        "alerts": alerts.num_rows,
        "precision_urgent_high": _ratio(len(right), len(strong)),
        "merge_precision": merge_precision,
        "merge_recall": merge_recall,
        "by_scam_type": {
            kind: _block(truth, [v for v in truth.first_loss if truth.kind[v] == kind], leads, right)
            for kind in sorted(set(truth.kind.values()))
        },
        "by_look_alike": {
            kind: {"persons": len(who), "alerts_urgent_high": sum(p in who for p in strong)}
            for kind, who in sorted(truth.looks.items())
        },
    }  # fmt: skip


class _Truth:
    """What the labels say, by person; times in microseconds."""

    def __init__(self, labels: pa.Table) -> None:
        scam = labels.filter(pc.and_(pc.is_valid(labels["scam_id"]), pc.is_valid(labels["person"])))
        begin = scam.group_by("person").aggregate([("ts", "min")])
        self.first_event = dict(zip(begin["person"].to_pylist(), _micros(begin["ts_min"]), strict=True))
        loss = scam.filter(pc.equal(scam["step"], "loss"))
        span = loss.group_by("person").aggregate([("ts", "min"), ("ts", "max")])
        who = span["person"].to_pylist()
        self.first_loss: dict[str, int] = dict(sorted(zip(who, _micros(span["ts_min"]), strict=True)))
        self.last_loss: dict[str, int] = dict(zip(who, _micros(span["ts_max"]), strict=True))
        self.kind: dict[str, str] = {}
        rows = zip(loss["person"].to_pylist(), _micros(loss["ts"]), loss["scam_type"].to_pylist(), strict=True)
        for person, ts, kind in rows:
            if ts == self.first_loss[person]:
                self.kind.setdefault(person, kind or "other")
        given = labels.filter(pc.and_(pc.equal(labels["table"], "warnings"), pc.is_valid(labels["person"])))
        refs = zip(given["source"].to_pylist(), given["event_id"].to_pylist(), strict=True)
        self.meant = dict(zip([f"{s}/{e}" for s, e in refs], given["person"].to_pylist(), strict=True))
        alike = labels.filter(pc.and_(pc.is_valid(labels["look_alike"]), pc.is_valid(labels["person"])))
        self.looks: dict[str, set[str]] = {}
        for kind, person in zip(alike["look_alike"].to_pylist(), alike["person"].to_pylist(), strict=True):
            self.looks.setdefault(kind, set()).add(person)


def _block(truth: _Truth, victims: list[str], leads: dict[str, int], right: list[str]) -> dict[str, Any]:
    chosen = set(victims)
    warned = [leads[v] for v in victims if v in leads]
    return {
        "victims": len(victims),
        "with_evidence": sum(truth.first_event[v] < truth.first_loss[v] for v in victims),
        "warned_before_first_loss": len(warned),
        "median_lead_minutes": round(median(warned) / _MINUTE_US, 3) if warned else None,
        "alerts_true": sum(p in chosen for p in right),
    }


def _merging(meant: dict[str, str], joined: list[list[str] | None]) -> tuple[float | None, float | None]:
    pairs: set[tuple[str, str]] = set()
    for refs in joined:
        known = sorted(set(refs or ()))
        pairs.update((a, b) for i, a in enumerate(known) for b in known[i + 1 :])
    right = sum(a in meant and meant.get(a) == meant.get(b) for a, b in pairs)
    sizes: dict[str, int] = {}
    for person in meant.values():
        sizes[person] = sizes.get(person, 0) + 1
    true_pairs = sum(k * (k - 1) // 2 for k in sizes.values())
    return _ratio(right, len(pairs)), _ratio(right, true_pairs)


def _ratio(part: int, whole: int) -> float | None:
    return round(part / whole, 6) if whole else None


def _micros(column: Any) -> list[Any]:
    if pa.types.is_null(column.type):
        return [None] * len(column)
    if not pa.types.is_timestamp(column.type) or column.type.tz is None:
        raise CityError(f"times must carry a zone, got {column.type}")
    return list(column.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).to_pylist())


def _bare(person: str | None) -> str:
    return (person or "").removeprefix("person:")
