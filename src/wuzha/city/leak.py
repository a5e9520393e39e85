"""Can scams be told from innocents by anything but what they do?

Kept true here: the classifiers see identifiers (digit by digit and as n-grams), sources, shapes of names, order of ids
and of rows, and registered columns without behaviour in them: operator, plan, status, bank, outlet, kind, place, who is
known as registrant, user and holder, and the second of the day and the uniqueness of registered times. They never see
times of events, amounts, durations, ages of lines and accounts, counterparts or words. Each figure is the area under
the ROC curve over folds that the classifier has not seen; 0.5 is chance, and above 0.55 the city is wrong.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .leak_subjects import SUBJECTS, refs

LIMIT = 0.55
_FOLDS = 3
_NEGATIVES = 4
_MOST = 1500
_WIDTH = 20
_TABLES = ("calls", "messages", "visits", "app_events", "transfers", "warnings")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One question: how many rows were scams' and innocents', and the two classifiers' areas."""

    positives: int
    negatives: int
    boosting: float
    ngrams: float

    @property
    def worst(self) -> float:
        """The higher of the two."""
        return max(self.boosting, self.ngrams)


def measure(
    tables: dict[str, pa.Table], seed: int = 0, only: Collection[str] | None = None, most: int = _MOST
) -> dict[str, Finding]:
    """Findings by question: ``event <table>`` and ``subject <kind>``. Needs scikit-learn.

    ``only`` names the questions to ask, all unless given; ``most`` is how many of a scam's rows are learned from.
    Questions with fewer than 30 scams' rows are left out: nothing can be said of them.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(1):
        return _measure(tables, np.random.default_rng(seed), only, most)


def _measure(tables: dict[str, pa.Table], rng: Any, only: Collection[str] | None, most: int) -> dict[str, Finding]:
    out: dict[str, Finding] = {}
    labels = tables["labels"]
    for name in _TABLES:
        if only is not None and "event " + name not in only:
            continue
        rows = tables[name]
        mine = labels.filter(pc.and_(pc.equal(labels["table"], name), pc.is_valid(labels["scam_id"])))
        bad = pc.is_in(refs(rows), value_set=refs(mine)).to_numpy()
        if name == "warnings":
            rows, bad = _once(rows, bad)
        finding = _judge(rng, bad, lambda at, r=rows: _event_view(r, at), most)
        if finding is not None:
            out["event " + name] = finding
    for kind, ask in SUBJECTS.items():
        if only is not None and "subject " + kind not in only:
            continue
        texts, bad, extra = ask(tables)
        finding = _judge(rng, bad, lambda at, t=texts, e=extra: _subject_view(t, e, at), most)
        if finding is not None:
            out["subject " + kind] = finding
    return out


def _once(rows: pa.Table, bad: Any) -> tuple[pa.Table, Any]:
    _, first = np.unique(np.asarray(refs(rows).to_pylist(), object).astype(str), return_index=True)
    first.sort()
    return rows.take(pa.array(first)), bad[first]


def _judge(rng: Any, bad: Any, view: Any, most: int = _MOST) -> Finding | None:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold

    yes, no = np.flatnonzero(bad), np.flatnonzero(~bad)
    if len(yes) < 30 or len(no) < 30:
        return None
    yes = rng.choice(yes, min(len(yes), most), replace=False)
    no = rng.choice(no, min(len(no), len(yes) * _NEGATIVES, most * 2), replace=False)
    at = np.sort(np.concatenate([yes, no]))
    target = bad[at]
    numbers, texts = view(at)
    grams = CountVectorizer(analyzer="char", ngram_range=(1, 3), lowercase=False, min_df=3).fit_transform(texts)
    boosting, ngrams = np.zeros(len(at)), np.zeros(len(at))
    for train, test in StratifiedKFold(_FOLDS, shuffle=True, random_state=0).split(numbers, target):
        tree = HistGradientBoostingClassifier(
            max_iter=25, max_leaf_nodes=12, learning_rate=0.08, min_samples_leaf=30, random_state=0
        )  # fmt: skip
        boosting[test] = tree.fit(numbers[train], target[train]).predict_proba(numbers[test])[:, 1]
        line = LogisticRegression(C=0.05, solver="liblinear", class_weight="balanced", random_state=0)
        ngrams[test] = line.fit(grams[train], target[train]).decision_function(grams[test])
    return Finding(
        positives=len(yes), negatives=len(no), boosting=round(float(roc_auc_score(target, boosting)), 4),
        ngrams=round(float(roc_auc_score(target, ngrams)), 4),
    )  # fmt: skip


def _digits(texts: list[str]) -> Any:
    out = np.full((len(texts), _WIDTH), -1.0)
    for i, t in enumerate(texts):
        for j, ch in enumerate(t[:_WIDTH]):
            out[i, j] = ord(ch)
    return out


def _codes(column: list[Any]) -> Any:
    if all(isinstance(x, int | float) for x in column):
        return np.array(column, float)
    known = {v: i for i, v in enumerate(sorted({x for x in column if x is not None}))}
    return np.array([known.get(x, -1) for x in column], float)


def _event_view(rows: pa.Table, at: Any) -> tuple[Any, list[str]]:
    """Id, source, order of the id, and the row's place among the rows of its own second."""
    ids = rows["event_id"].cast(pa.string())
    rank = np.empty(rows.num_rows)
    rank[pc.array_sort_indices(ids.combine_chunks()).to_numpy()] = np.arange(rows.num_rows)
    ts = rows["ts"].cast(pa.int64()).to_numpy()
    change = np.flatnonzero(np.append(True, ts[1:] != ts[:-1]))
    size = np.diff(np.append(change, len(ts)))
    place = np.arange(len(ts)) - np.repeat(change, size)
    among = place / np.maximum(np.repeat(size, size) - 1, 1)
    some = rows.take(pa.array(at))
    texts = some["event_id"].cast(pa.string()).to_pylist()
    source = some["source"].cast(pa.string()).to_pylist()
    numbers = np.column_stack([_digits(texts), _codes(source), rank[at], among[at]])
    return numbers, [f"{s} {t}" for s, t in zip(source, texts, strict=True)]


def _subject_view(texts: list[str], extra: list[list[Any]], at: Any) -> tuple[Any, list[str]]:
    own = [texts[i] for i in at]
    beside = [[column[i] for i in at] for column in extra]
    numbers = np.column_stack([_digits(own), [len(t) for t in own], *(_codes(c) for c in beside)])
    said = [c for c in beside if not all(isinstance(x, int | float) for x in c)]
    return numbers, [" ".join([t, *(str(c[k]) for c in said)]) for k, t in enumerate(own)]
