"""Can scams be told from innocents by anything but what they do?

Kept true here: the classifiers see identifiers (digit by digit and as n-grams), sources, shapes of names, order of ids
and of rows, and registered columns without behaviour in them (operator, plan, status, bank, outlet, kind, place); they
never see times, amounts, durations, ages of lines and accounts, counterparts or words. Each figure is the area under
the ROC curve over folds that the classifier has not seen; 0.5 is chance, and above 0.55 the city is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

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


def measure(tables: dict[str, pa.Table], seed: int = 0) -> dict[str, Finding]:
    """Findings by question: ``event <table>`` and ``subject <kind>``. Needs scikit-learn.

    Questions with fewer than 30 scams' rows are left out: nothing can be said of them.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(1):
        return _measure(tables, np.random.default_rng(seed))


def _measure(tables: dict[str, pa.Table], rng: Any) -> dict[str, Finding]:
    out: dict[str, Finding] = {}
    labels = tables["labels"]
    for name in _TABLES:
        rows = tables[name]
        mine = labels.filter(pc.and_(pc.equal(labels["table"], name), pc.is_valid(labels["scam_id"])))
        bad = pc.is_in(_refs(rows), value_set=_refs(mine)).to_numpy()
        if name == "warnings":
            rows, bad = _once(rows, bad)
        finding = _judge(rng, bad, lambda at, r=rows: _event_view(r, at))
        if finding is not None:
            out["event " + name] = finding
    for kind, (texts, bad, extra) in _subjects(tables).items():
        finding = _judge(rng, bad, lambda at, t=texts, e=extra: _subject_view(t, e, at))
        if finding is not None:
            out["subject " + kind] = finding
    return out


def _refs(rows: pa.Table) -> Any:
    return pc.binary_join_element_wise(rows["source"].cast(pa.string()), rows["event_id"].cast(pa.string()), "/")


def _once(rows: pa.Table, bad: Any) -> tuple[pa.Table, Any]:
    _, first = np.unique(np.asarray(_refs(rows).to_pylist(), object).astype(str), return_index=True)
    first.sort()
    return rows.take(pa.array(first)), bad[first]


def _judge(rng: Any, bad: Any, view: Any) -> Finding | None:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold

    yes, no = np.flatnonzero(bad), np.flatnonzero(~bad)
    if len(yes) < 30 or len(no) < 30:
        return None
    yes = rng.choice(yes, min(len(yes), _MOST), replace=False)
    no = rng.choice(no, min(len(no), len(yes) * _NEGATIVES, _MOST * 2), replace=False)
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
    return numbers, [" ".join([t, *(str(c[k]) for c in beside)]) for k, t in enumerate(own)]


# -------------------------------------------------------------------- whose is it


def _subjects(tables: dict[str, pa.Table]) -> dict[str, tuple[list[str], Any, list[list[Any]]]]:
    """By kind: bare values, which are scams' (for persons: victims), and registered columns beside them."""
    labels = tables["labels"]
    scam = labels.filter(pc.is_valid(labels["scam_id"]))
    relations = tables["relations"]
    users = relations.filter(pc.equal(relations["role"], "user"))
    user = dict(zip(users["subject"].to_pylist(), users["other"].to_pylist(), strict=True))
    out: dict[str, tuple[list[str], Any, list[list[Any]]]] = {}

    bad_lines: set[str] = set()
    seen: set[str] = set()
    for name, a, b in (("calls", "caller", "callee"), ("messages", "sender", "recipient")):
        rows = _joined(tables[name], scam, name, "lure")
        for x, y, person in zip(rows[a].to_pylist(), rows[b].to_pylist(), rows["victim"].to_pylist(), strict=True):
            bad_lines.add(y if user.get("line:" + x) == f"person:{person}" and person else x)
        for column in (a, b):
            seen.update(pc.unique(tables[name][column].cast(pa.string())).to_pylist())
    register = _by(tables["lines"], "line", ("operator", "plan", "status", "place"))
    lines = sorted(seen)
    out["lines"] = (lines, np.array([x in bad_lines for x in lines]), _beside(lines, register, 4))

    moved = _joined(tables["transfers"], scam, "transfers", "move")
    left = _joined(tables["transfers"], scam, "transfers", "exit")
    bad = {x for c in (moved["payer"], moved["payee"], left["payer"]) for x in c.to_pylist() if x}
    acc = tables["accounts"]
    texts = acc["account"].cast(pa.string()).to_pylist()
    holders = dict(
        (s.removeprefix("account:"), o.removeprefix("person:"))
        for s, o, r in zip(
            relations["subject"].to_pylist(), relations["other"].to_pylist(), relations["role"].to_pylist(), strict=True
        )
        if r == "holder"
    )
    persons = tables["persons"]
    place = dict(
        zip(
            persons["person"].cast(pa.string()).to_pylist(), persons["place"].cast(pa.string()).to_pylist(), strict=True
        )
    )
    names = dict(zip(persons["person"].cast(pa.string()).to_pylist(), persons["name"].to_pylist(), strict=True))
    out["accounts"] = (texts, np.array([t in bad for t in texts]), [
        acc["kind"].cast(pa.string()).to_pylist(), acc["bank"].cast(pa.string()).to_pylist(),
        acc["outlet"].cast(pa.string()).to_pylist(), [place.get(holders.get(t, "")) for t in texts],
        [names.get(holders.get(t, "")) for t in texts],
    ])  # fmt: skip

    bad = set(_joined(tables["visits"], scam, "visits", "lure")["host"].to_pylist())
    hosts = sorted(pc.unique(tables["visits"]["host"].cast(pa.string())).to_pylist())
    out["domains"] = (hosts, np.array([h in bad for h in hosts]), [])

    touched = _joined(tables["app_events"], scam, "app_events", "device")["package"].to_pylist()
    counts = {
        x["values"]: x["counts"] for x in pc.value_counts(tables["app_events"]["package"].cast(pa.string())).to_pylist()
    }
    often: dict[str, int] = {}
    for p in touched:
        often[p] = often.get(p, 0) + 1
    # Apps that everybody uses (meetings, banks) are used in scams too; they are no scam's own.
    bad = {p for p, k in often.items() if k * 2 >= counts[p]}
    apps = (
        tables["app_events"]
        .select(["package", "app", "signature"])
        .group_by(["package", "app", "signature"])
        .aggregate([])
    )
    packages = apps["package"].cast(pa.string()).to_pylist()
    out["apps"] = (packages, np.array([p in bad for p in packages]), [
        apps["app"].cast(pa.string()).to_pylist(), apps["signature"].cast(pa.string()).to_pylist(),
    ])  # fmt: skip

    victims = set(scam.filter(pc.equal(scam["step"], "loss"))["person"].to_pylist())
    texts = persons["person"].cast(pa.string()).to_pylist()
    here = np.array([p is not None and p.startswith("3502") for p in persons["place"].cast(pa.string()).to_pylist()])
    locals_ = np.flatnonzero(here).tolist()
    number = persons["id"].to_pylist()
    out["persons"] = ([texts[i] for i in locals_], np.array([texts[i] in victims for i in locals_]), [
        [persons["place"][i].as_py() for i in locals_], [names[texts[i]] for i in locals_],
        [number[i][:6] for i in locals_], [number[i][-1] for i in locals_],
    ])  # fmt: skip
    return out


def _joined(rows: pa.Table, scam: pa.Table, table: str, step: str) -> pa.Table:
    """Rows that labels of a table and step speak of, with the labels' person as ``victim``."""
    mine = scam.filter(pc.and_(pc.equal(scam["table"], table), pc.equal(scam["step"], step)))
    person = dict(zip(_refs(mine).to_pylist(), mine["person"].to_pylist(), strict=True))
    refs = _refs(rows)
    found = pc.is_in(refs, value_set=pa.array(list(person), pa.string()))
    some = rows.filter(found)
    return some.append_column("victim", pa.array([person[r] for r in refs.filter(found).to_pylist()], pa.string()))


def _by(rows: pa.Table, key: str, columns: tuple[str, ...]) -> dict[str, tuple[Any, ...]]:
    values = zip(*(rows[c].cast(pa.string()).to_pylist() for c in columns), strict=True)
    return dict(zip(rows[key].cast(pa.string()).to_pylist(), values, strict=True))


def _beside(texts: list[str], register: dict[str, tuple[Any, ...]], n: int) -> list[list[Any]]:
    blank = (None,) * n
    return [[register.get(t, blank)[k] for t in texts] for k in range(n)]
