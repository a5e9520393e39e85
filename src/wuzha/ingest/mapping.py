"""Mapping files: which column of a layout means what, as TOML that people edit.

Kept true here: a mapping that loads can be used as it stands; one that does not says in which line and why.
The format is told in docs/import.md.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from wuzha.events import TABLES, Table
from wuzha.events.table import TIME

from .answering import Feedback, read_feedback

SHAPES = ("rows", "one_sided", "call_record")
#: Money columns end so; a target without the ending takes yuan.
_FEN = "_fen"

_SIDE = ("account", "name", "id", "bank", "balance")
#: Targets of a one-sided statement beside the transfers' own columns.
ONE_SIDED = (
    *(f"own_{name}" for name in _SIDE), *(f"other_{name}" for name in _SIDE),
    "direction", "amount", "amount_in", "amount_out", "fee", "kind", "ts_date", "ts_time",
)  # fmt: skip
#: Targets of a call record beside the calls' own columns.
CALL_RECORD = ("own_line", "other_line", "direction", "lac", "cid", "ts_date", "ts_time")
_TRANSFER_OWN = (
    "event_id", "ts", "ok", "currency", "channel", "cash", "place", "outlet", "terminal", "merchant", "merchant_id",
    "teller", "ip", "mac", "device", "memo", "bank_ref", "seq",
)  # fmt: skip
#: Values that direction words stand for, by shape.
DIRECTIONS = {"one_sided": ("in", "out"), "call_record": ("caller", "callee", "forwarded")}
#: A row without any of these is refused, by shape; each group is one need.
_NEEDED = {
    "one_sided": (("ts", "ts_date"), ("amount", "amount_in", "amount_out")),
    "call_record": (("ts", "ts_date"), ("direction", "caller", "callee")),
}


class MappingError(ValueError):
    """A mapping file that cannot be used: file, line and reason."""


@dataclass(frozen=True, kw_only=True)
class Joined:
    """Several columns of the file written together as one value."""

    join: tuple[str, ...]
    by: str = "-"


@dataclass(frozen=True, kw_only=True)
class Also:
    """Rows of another table that the same line gives: its columns as templates over the line's columns."""

    table: str
    columns: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Mapping:
    """One layout. ``columns``: target → the file's names for it, the first filled one counts."""

    name: str
    zh: str
    table: str
    shape: str
    header: tuple[tuple[str, ...], ...]
    columns: dict[str, tuple[str | Joined, ...]]
    values: dict[str, dict[str, str]] = field(default_factory=dict)
    patterns: dict[str, dict[str, str]] = field(default_factory=dict)
    title: dict[str, str] = field(default_factory=dict)
    constants: dict[str, str] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    step: tuple[str, str] | None = None
    also: tuple[Also, ...] = ()
    drop: tuple[str, ...] = ()
    feedback: Feedback | None = None
    path: str = ""

    @property
    def declared(self) -> Table:
        """The table that its rows become."""
        return TABLES[self.table]

    def names(self) -> set[str]:
        """Every header name that it knows, in its one form."""
        known = set(self.drop)
        for answers in self.feedback.columns.values() if self.feedback is not None else ():
            known.update(answers)
        for sources in self.columns.values():
            for source in sources:
                known.update(source.join if isinstance(source, Joined) else (source,))
        return {plain_header(name)[0] for name in known}


_UNIT = re.compile(r"\((?:单位[::]?)?(?:人民币)?(元|万元|亿元|分|秒|s)?\)$|\[(元|万元|亿元|分|秒)\]$|/(元|万元|分|秒)$")


@lru_cache(maxsize=4096)
def plain_header(text: str) -> tuple[str, str]:
    """A header's one form and the unit it names: ``交易金额（万元）`` → ``("交易金额", "万元")``."""
    import unicodedata

    plain = unicodedata.normalize("NFKC", text)
    plain = re.sub(r"[\s'’`\"\u200b\ufeff*:]+", "", plain).lower().strip("'\"")
    match = _UNIT.search(plain)
    if match:
        return plain[: match.start()], next((g for g in match.groups() if g), "")
    return plain, ""


def targets(table: str, shape: str) -> tuple[str, ...]:
    """Every target that a mapping of this table and shape may fill."""
    if shape == "one_sided":
        return (*ONE_SIDED, *_TRANSFER_OWN)
    own = [c.name for c in TABLES[table].all_columns if c.name != "source"]
    if shape == "call_record":
        return (*CALL_RECORD, *own)
    money = [name.removesuffix(_FEN) for name in own if name.endswith(_FEN)]
    halves = [f"{c.name}{half}" for c in TABLES[table].all_columns if c.type == TIME for half in ("_date", "_time")]
    return (*own, *money, *halves)


class _File:
    """A mapping file's text, to say in which line something stands."""

    def __init__(self, text: str, path: str) -> None:
        self.text, self.path = text, path

    def line(self, section: str, key: str = "") -> int:
        """Line of ``key`` in ``[section]`` (of the section where the key is not found; 1 where neither is)."""
        inside, found = section == "", 1
        for number, line in enumerate(self.text.splitlines(), 1):
            bare = line.strip()
            if bare.startswith("["):
                inside = re.sub(r"[\[\]\s\"']", "", bare.split("#")[0]) == section
                if inside:
                    found = number
            elif inside and key and re.match(rf"[\"']?{re.escape(key)}[\"']?\s*=", bare):
                return number
        return found

    def error(self, message: str, section: str = "", key: str = "") -> MappingError:
        return MappingError(f"{self.path}:{self.line(section, key)}: {message}")


_KEYS = {
    "name", "zh", "table", "shape", "header", "columns", "values", "patterns", "title", "constants", "units", "step",
    "also", "drop", "extends", "feedback",
}  # fmt: skip


def parse(text: str, path: str, base: dict[str, Mapping] | None = None) -> Mapping:
    """The mapping that a TOML text holds. MappingError names ``path``, the line and what is wrong."""
    file = _File(text, path)
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        raise MappingError(f"{path}:{line[1] if line else 1}: not TOML: {error}") from error
    for key in raw:
        if key not in _KEYS:
            raise file.error(f"unknown key {key!r}; known: {', '.join(sorted(_KEYS))}", "", key)
    if "extends" in raw:
        return _extend(raw, file, base or {})
    for key in ("name", "table", "columns"):
        if key not in raw:
            raise file.error(f"{key!r} is missing")
    table, shape = raw["table"], raw.get("shape", "rows")
    if table not in TABLES or table == "labels":
        raise file.error(
            f"unknown table {table!r}; one of {', '.join(t for t in TABLES if t != 'labels')}", "", "table"
        )
    if shape not in SHAPES:
        raise file.error(f"unknown shape {shape!r}; one of {', '.join(SHAPES)}", "", "shape")
    wanted = {"one_sided": "transfers", "call_record": "calls"}.get(shape, table)
    if table != wanted:
        raise file.error(f"shape {shape!r} gives {wanted}, not {table}", "", "shape")
    columns = _columns(raw["columns"], table, shape, file)
    mapping = Mapping(
        name=_text(raw, "name", file),
        zh=_text(raw, "zh", file, default=raw["name"]),
        table=table,
        shape=shape,
        header=_header(raw, columns, table, shape, file),
        columns=columns,
        values=_tables_of_text(raw, "values", file, _valued(table, shape, columns)),
        patterns=_tables_of_text(raw, "patterns", file, set(columns)),
        title=_texts(raw, "title", file, set(targets(table, shape))),
        constants=_texts(raw, "constants", file, set(targets(table, shape))),
        units=_texts(raw, "units", file, set(columns)),
        step=_step(raw, file),
        also=_also(raw, table, columns, file),
        drop=tuple(raw.get("drop", ())),
        feedback=read_feedback(raw.get("feedback"), table, file.error),
        path=path,
    )
    _check_values(mapping, file)
    filled = {*columns, *mapping.constants, *mapping.title}
    for group in needed(table, shape):
        if not filled.intersection(group):
            raise file.error(f"nothing fills {' or '.join(group)}, which every row needs", "columns")
    return mapping


def needed(table: str, shape: str) -> Iterable[tuple[str, ...]]:
    """Groups of targets; a mapping of this table and shape fills one of each."""
    if shape in _NEEDED:
        return _NEEDED[shape]
    groups = []
    for c in TABLES[table].all_columns:
        if c.required and c.name not in ("source", "event_id", "ts"):
            groups.append((c.name, c.name.removesuffix(_FEN), f"{c.name}_date"))
    return groups


def _text(raw: dict[str, Any], key: str, file: _File, default: Any = None) -> str:
    value = raw.get(key, default)
    if not isinstance(value, str) or not value.strip():
        raise file.error(f"{key!r} wants a text", "", key)
    return value


def _columns(raw: Any, table: str, shape: str, file: _File) -> dict[str, tuple[str | Joined, ...]]:
    allowed = targets(table, shape)
    columns: dict[str, tuple[str | Joined, ...]] = {}
    if not isinstance(raw, dict) or not raw:
        raise file.error("[columns] wants at least one target = [names]", "columns")
    for target, sources in raw.items():
        if target not in allowed and not target.startswith("x_"):
            raise file.error(f"unknown target {target!r}; one of {', '.join(allowed)}", "columns", target)
        listed = sources if isinstance(sources, list) else [sources]
        read: list[str | Joined] = []
        for source in listed:
            if isinstance(source, str) and source:
                read.append(source)
            elif isinstance(source, dict) and isinstance(source.get("join"), list) and set(source) <= {"join", "by"}:
                read.append(Joined(join=tuple(source["join"]), by=source.get("by", "-")))
            else:
                raise file.error(
                    f"{target}: want names of columns, or {{join = [names], by = text}}", "columns", target
                )
        columns[target] = tuple(read)
    return columns


def _header(
    raw: dict[str, Any], columns: dict[str, tuple[str | Joined, ...]], table: str, shape: str, file: _File
) -> tuple[tuple[str, ...], ...]:
    """Groups of names; a header has at least one of each. Without any given: what every row needs, else all."""
    given = raw.get("header")
    if given is not None:
        if not isinstance(given, list) or not given:
            raise file.error("header wants a list of names or of lists of names", "", "header")
        groups = [[group] if isinstance(group, str) else group for group in given]
        if any(not isinstance(g, list) or not g or not all(isinstance(n, str) for n in g) for g in groups):
            raise file.error("header wants a list of names or of lists of names", "", "header")
        return tuple(tuple(plain_header(name)[0] for name in group) for group in groups)
    every = {name for group in needed(table, shape) for name in group} or set(columns)
    groups = [
        [name for source in sources for name in (source.join if isinstance(source, Joined) else (source,))]
        for target, sources in columns.items()
        if target in every
    ]
    return tuple(tuple(plain_header(name)[0] for name in group) for group in groups)


def _valued(table: str, shape: str, columns: dict[str, Any]) -> set[str]:
    return {*targets(table, shape), *columns}


def _tables_of_text(raw: dict[str, Any], key: str, file: _File, allowed: set[str]) -> dict[str, dict[str, str]]:
    out: dict[str, dict[str, str]] = {}
    for target, pairs in (raw.get(key) or {}).items():
        if target not in allowed:
            raise file.error(f"unknown target {target!r}", f"{key}.{target}")
        if not isinstance(pairs, dict) or not all(isinstance(v, str) for v in pairs.values()):
            raise file.error(f"want lines of {'pattern' if key == 'patterns' else 'word'} = value", f"{key}.{target}")
        if key == "patterns":
            for pattern in pairs:
                try:
                    re.compile(pattern)
                except re.error as error:
                    raise file.error(f"{pattern!r} is no pattern: {error}", f"{key}.{target}", pattern) from error
        out[target] = dict(pairs)
    return out


def _texts(raw: dict[str, Any], key: str, file: _File, allowed: set[str]) -> dict[str, str]:
    out: dict[str, str] = {}
    for target, value in (raw.get(key) or {}).items():
        if target not in allowed:
            raise file.error(f"unknown target {target!r}", key, target)
        if not isinstance(value, str):
            raise file.error(f"{target} wants a text", key, target)
        if key == "units" and value not in ("元", "万元", "亿元", "分", "秒", "分钟"):
            raise file.error(f"unknown unit {value!r}; one of 元 万元 亿元 分 秒 分钟", key, target)
        if key == "title":
            try:
                if re.compile(value).groups != 1:
                    raise file.error(f"{target}: the pattern wants exactly one group", key, target)
            except re.error as error:
                raise file.error(f"{target}: no pattern: {error}", key, target) from error
        out[target] = value
    return out


def _step(raw: dict[str, Any], file: _File) -> tuple[str, str] | None:
    step = raw.get("step")
    if step is None:
        return None
    from .times import parse_time

    if (
        not isinstance(step, dict)
        or set(step) != {"from", "unit"}
        or step["unit"] not in ("second", "minute", "hour", "day")
    ):
        raise file.error('want from = "2026-01-01" and unit = "second", "minute", "hour" or "day"', "step")
    try:
        parse_time(str(step["from"]))
    except ValueError as error:
        raise file.error(f"from: {error}", "step", "from") from error
    return str(step["from"]), step["unit"]


def _also(raw: dict[str, Any], table: str, columns: dict[str, Any], file: _File) -> tuple[Also, ...]:
    out = []
    known = {c.name for c in TABLES[table].all_columns} | {name for name in columns if name.startswith("x_")}
    for entry in raw.get("also") or ():
        if not isinstance(entry, dict) or set(entry) != {"table", "columns"}:
            raise file.error("want table and columns", "also")
        if entry["table"] not in TABLES or entry["table"] == "labels":
            raise file.error(f"unknown table {entry['table']!r}", "also", "table")
        other = {c.name for c in TABLES[entry["table"]].all_columns}
        for name, template in entry["columns"].items():
            if name not in other:
                raise file.error(f"{entry['table']} has no column {name!r}", "also.columns", name)
            for used in re.findall(r"\{([^{}]*)\}", str(template)):
                if used not in known:
                    raise file.error(f"{used!r} is neither a column of {table} nor an x_ target", "also.columns", name)
        out.append(Also(table=entry["table"], columns={k: str(v) for k, v in entry["columns"].items()}))
    return tuple(out)


def _check_values(mapping: Mapping, file: _File) -> None:
    for kind in ("values", "patterns"):
        for target, pairs in getattr(mapping, kind).items():
            allowed: tuple[str, ...] = ()
            if target == "direction":
                allowed = DIRECTIONS.get(mapping.shape, ())
            else:
                allowed = next((c.values for c in mapping.declared.all_columns if c.name == target), ())
            for word, value in pairs.items():
                if allowed and value not in allowed:
                    section = f"{kind}.{target}"
                    raise file.error(f"{value!r} is no {target}; one of {', '.join(allowed)}", section, word)


def _extend(raw: dict[str, Any], file: _File, base: dict[str, Mapping]) -> Mapping:
    """A mapping with more values, patterns or column names than the one it extends."""
    known = base.get(raw["extends"])
    if known is None:
        raise file.error(f"extends the unknown mapping {raw['extends']!r}", "", "extends")
    for key in raw:
        if key not in ("extends", "values", "patterns", "columns", "constants", "units", "name", "header", "feedback"):
            raise file.error(f"a mapping that extends another may not set {key!r}", "", key)
    columns = dict(known.columns)
    if "columns" in raw:
        for target, sources in _columns(raw["columns"], known.table, known.shape, file).items():
            columns[target] = (*sources, *(s for s in columns.get(target, ()) if s not in sources))
    more = _tables_of_text(raw, "values", file, _valued(known.table, known.shape, columns))
    values = {target: dict(pairs) for target, pairs in known.values.items()}
    for target, pairs in more.items():
        values[target] = values.get(target, {}) | pairs
    patterns = known.patterns | _tables_of_text(raw, "patterns", file, set(columns))
    allowed = set(targets(known.table, known.shape))
    mapping = replace(
        known,
        name=raw.get("name", known.name),
        columns=columns,
        values=values,
        patterns=patterns,
        constants=known.constants | _texts(raw, "constants", file, allowed),
        units=known.units | _texts(raw, "units", file, set(columns)),
        header=_header(raw, columns, known.table, known.shape, file) if "header" in raw else known.header,
        feedback=read_feedback(raw.get("feedback"), known.table, file.error) or known.feedback,
        path=file.path,
    )
    _check_values(mapping, file)
    return mapping


def load(path: Path, base: dict[str, Mapping] | None = None) -> Mapping:
    """The mapping in a file. MappingError where it cannot be read or used."""
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise MappingError(f"{path}: cannot be read: {error}") from error
    return parse(text, str(path), base)


@lru_cache(maxsize=1)
def shipped() -> dict[str, Mapping]:
    """The mappings that come with the package, by name."""
    out: dict[str, Mapping] = {}
    folder = files(__package__) / "mappings"
    for entry in sorted((e for e in folder.iterdir() if e.name.endswith(".toml")), key=lambda e: e.name):
        mapping = parse(entry.read_text("utf-8"), f"mappings/{entry.name}", out)
        out[mapping.name] = mapping
    return out


def available(folder: Path | None = None, chosen: Path | None = None) -> list[Mapping]:
    """All mappings by precedence: the chosen file, those of the user's folder, the shipped ones."""
    known = dict(shipped())
    own: dict[str, Mapping] = {}
    if folder is not None and folder.is_dir():
        paths = sorted(p for p in folder.glob("*.toml"))
        # What extends another comes after it, whatever the files are called.
        for path in sorted(paths, key=lambda p: (p.name.endswith(".learned.toml"), p.name)):
            mapping = load(path, known | own)
            own[mapping.name] = mapping
    if chosen is not None:
        mapping = load(chosen, known | own)
        learned = own.get(mapping.name)
        if learned is not None and learned.path.endswith(".learned.toml"):
            values = {t: mapping.values.get(t, {}) | pairs for t, pairs in learned.values.items()}
            mapping = replace(mapping, values=mapping.values | values)
        own = {mapping.name: mapping} | {k: v for k, v in own.items() if k != mapping.name}
    return [*own.values(), *(m for name, m in known.items() if name not in own)]
