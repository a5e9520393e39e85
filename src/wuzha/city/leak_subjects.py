"""The leak measure's questions: who had a part in a scam, and what registers say of them that is no behaviour.

Kept true here: a subject counts as a scam's by the labels alone; what is given beside its value would be the same had
it never done anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

#: bare values, which of them are scams', and columns beside them (texts are also read as n-grams, numbers are not)
Asked = tuple[list[str], Any, list[list[Any]]]


def refs(rows: pa.Table) -> Any:
    """``source/event_id`` of every row."""
    return pc.binary_join_element_wise(rows["source"].cast(pa.string()), rows["event_id"].cast(pa.string()), "/")


def _texts(column: Any) -> list[Any]:
    return list(column.cast(pa.string()).to_pylist())


def _scams(tables: dict[str, pa.Table]) -> pa.Table:
    return tables["labels"].filter(pc.is_valid(tables["labels"]["scam_id"]))


def _joined(rows: pa.Table, scam: pa.Table, table: str, step: str) -> pa.Table:
    """Rows that labels of a table and step speak of, with the labels' person as ``victim``."""
    mine = scam.filter(pc.and_(pc.equal(scam["table"], table), pc.equal(scam["step"], step)))
    person = dict(zip(refs(mine).to_pylist(), mine["person"].to_pylist(), strict=True))
    names = refs(rows)
    found = pc.is_in(names, value_set=pa.array(list(person), pa.string()))
    some = rows.filter(found)
    return some.append_column("victim", pa.array([person[r] for r in names.filter(found).to_pylist()], pa.string()))


def _related(tables: dict[str, pa.Table], role: str) -> dict[str, str]:
    rows = tables["relations"].filter(pc.equal(tables["relations"]["role"], role))
    return dict(zip(_texts(rows["subject"]), _texts(rows["other"]), strict=True))


def _registered(rows: pa.Table, key: str, words: tuple[str, ...], times: tuple[str, ...]) -> dict[str, tuple[Any, ...]]:
    """By key: words, first and last letter of the row's id, its place in the file, and of times second and twins."""
    columns: list[list[Any]] = [_texts(rows[c]) for c in words]
    ids = _texts(rows["event_id"])
    columns += [[t[0] for t in ids], [t[-1] for t in ids], list(range(rows.num_rows))]
    for c in times:
        moments = [None if t is None else t // 1_000_000 for t in rows[c].cast(pa.int64()).to_pylist()]
        twins = Counter(moments)
        columns.append([-1 if t is None else t % 86400 for t in moments])
        columns.append([twins[t] for t in moments])
    return dict(zip(_texts(rows[key]), zip(*columns, strict=True), strict=True))


def _beside(texts: list[str], register: dict[str, tuple[Any, ...]]) -> list[list[Any]]:
    """The register's columns; for what is not in it None as a word, -1 as a number."""
    sample = next(iter(register.values()))
    blank = tuple(-1 if isinstance(x, int) else None for x in sample)
    return [[register.get(t, blank)[k] for t in texts] for k in range(len(sample))]


def _lines(tables: dict[str, pa.Table]) -> Asked:
    scam, user, registrant = _scams(tables), _related(tables, "user"), _related(tables, "registrant")
    bad: set[str] = set()
    seen: set[str] = set()
    for name, a, b in (("calls", "caller", "callee"), ("messages", "sender", "recipient")):
        rows = _joined(tables[name], scam, name, "lure")
        for x, y, person in zip(_texts(rows[a]), _texts(rows[b]), rows["victim"].to_pylist(), strict=True):
            bad.add(y if person and user.get("line:" + x) == f"person:{person}" else x)
        for column in (a, b):
            seen.update(_texts(pc.unique(tables[name][column])))
    texts = sorted(seen)
    register = _registered(tables["lines"], "line", ("operator", "plan", "status", "place"), ("opened",))
    return texts, np.array([t in bad for t in texts]), [
        *_beside(texts, register), [int("line:" + t in registrant) for t in texts],
        [int("line:" + t in user) for t in texts],
    ]  # fmt: skip


def _accounts(tables: dict[str, pa.Table]) -> Asked:
    scam, holder = _scams(tables), _related(tables, "holder")
    moved = _joined(tables["transfers"], scam, "transfers", "move")
    left = _joined(tables["transfers"], scam, "transfers", "exit")
    bad = {x for c in (moved["payer"], moved["payee"], left["payer"]) for x in _texts(c) if x}
    persons = tables["persons"]
    about = dict(zip(_texts(persons["person"]), zip(_texts(persons["place"]), _texts(persons["name"]), strict=True),
                     strict=True))  # fmt: skip
    texts = _texts(tables["accounts"]["account"])
    register = _registered(tables["accounts"], "account", ("kind", "bank", "outlet"), ("opened", "last_active"))
    held = [about.get(holder.get("account:" + t, "").removeprefix("person:"), (None, None)) for t in texts]
    return texts, np.array([t in bad for t in texts]), [
        *_beside(texts, register), [h[0] for h in held], [h[1] for h in held],
        [int("account:" + t in holder) for t in texts],
    ]  # fmt: skip


def _domains(tables: dict[str, pa.Table]) -> Asked:
    bad = set(_texts(_joined(tables["visits"], _scams(tables), "visits", "lure")["host"]))
    hosts = sorted(_texts(pc.unique(tables["visits"]["host"])))
    return hosts, np.array([h in bad for h in hosts]), []


def _apps(tables: dict[str, pa.Table]) -> Asked:
    rows = tables["app_events"]
    often = Counter(_texts(_joined(rows, _scams(tables), "app_events", "device")["package"]))
    all_of = Counter(_texts(rows["package"]))
    # Apps that everybody uses (meetings, banks) are used in scams too; they are no scam's own.
    bad = {p for p, k in often.items() if k * 2 >= all_of[p]}
    apps = rows.select(["package", "app", "signature"]).group_by(["package", "app", "signature"]).aggregate([])
    packages = _texts(apps["package"])
    return packages, np.array([p in bad for p in packages]), [_texts(apps["app"]), _texts(apps["signature"])]


def _devices(tables: dict[str, pa.Table]) -> Asked:
    """Devices, with address, from which money was moved."""
    rows = tables["transfers"]
    rows = rows.filter(pc.is_valid(rows["device"]))
    moved = _joined(rows, _scams(tables), "transfers", "move")
    left = _joined(rows, _scams(tables), "transfers", "exit")
    bad = set(_texts(moved["device"])) | set(_texts(left["device"]))
    known = dict(zip(_texts(rows["device"]), zip(_texts(rows["ip"]), _texts(rows["mac"]), strict=True), strict=True))
    texts = sorted(known)
    return texts, np.array([t in bad for t in texts]), [[known[t][k] for t in texts] for k in (0, 1)]


def _victims(tables: dict[str, pa.Table]) -> Asked:
    scam = _scams(tables)
    victims = set(scam.filter(pc.equal(scam["step"], "loss"))["person"].to_pylist())
    persons = tables["persons"]
    # Residents only: nobody elsewhere is ever a victim.
    persons = persons.filter(pc.starts_with(pc.fill_null(persons["place"].cast(pa.string()), ""), "3502"))
    texts, number = _texts(persons["person"]), _texts(persons["id"])
    register = _registered(persons, "person", ("place", "name"), ())
    return texts, np.array([t in victims for t in texts]), [
        *_beside(texts, register), [i[:6] for i in number], [i[-1] for i in number],
    ]  # fmt: skip


#: Questions by name; ``persons`` asks for victims.
SUBJECTS: dict[str, Callable[[dict[str, pa.Table]], Asked]] = {
    "lines": _lines, "accounts": _accounts, "domains": _domains, "apps": _apps, "devices": _devices,
    "persons": _victims,
}  # fmt: skip
