"""Rows of an event table become numbers: Arrow strings in, hashes and integers out.

Kept true here: an encoded row holds all that the engine asks of it; subjects are the stored hash of their key, so that
the same subject is the same number in every batch, process and version; null is 0. Strings stay in the Arrow rows,
and are fetched once, when a subject is met for the first time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from wuzha.events.hashing import combine, hash_text, text_hash
from wuzha.events.scam_types import scam_types
from wuzha.events.subjects import persons_of_ids

from . import codes
from .codes import HINT, KIND, NEVER, TABLE
from .columns import (
    by_value,
    cities,
    disguised,
    hashes,
    index_of,
    ints,
    is_one_of,
    known,
    matches,
    named,
    plain,
    texts,
    times,
    truths,
)  # fmt: skip
from .glance import FOREIGN, SERVICE, identities_into

Ints = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]
#: Subjects that one row may name; a warning names more than others.
WIDTH, FEW = 8, 4
MAX_ROWS = 1 << 20
#: Column of persons that rows name only by an identity number, or not even by that.
NAMED = "person named"

_KIND_HASH = {name: np.uint64(text_hash("wuzha.detect " + name)) for name in KIND}
#: Mixed with a subject's hash it is the hash of that subject's provisional person.
PROVISIONAL = np.uint64(text_hash("wuzha.detect provisional"))


@dataclass(frozen=True, kw_only=True)
class Block:
    """n events. ``keys`` (n, FEW or WIDTH) uint64 subject hashes, 0 none; ``kinds`` alike their kinds; ``ts`` and
    ``due`` µs (due: when the row counts from); ``ref`` position << 20 | row; ``part``, ``row``: where its texts are."""

    table: npt.NDArray[np.uint8]
    ts: Ints
    due: Ints
    keys: U64
    kinds: npt.NDArray[np.uint8]
    value: Ints
    more: Ints
    extra: Ints
    flags: npt.NDArray[np.uint32]
    ref: Ints
    identity: U64
    source: npt.NDArray[np.uint32]
    part: npt.NDArray[np.int32]
    row: npt.NDArray[np.int32]
    parts: tuple[pa.Table, ...]
    columns: tuple[tuple[str | None, ...], ...] = field(default=())

    def __len__(self) -> int:
        return int(self.ts.shape[0])

    def slice(self, begin: int, end: int) -> Block:
        """Events begin … end−1, in the same order."""
        return self.pick(slice(begin, end))

    def pick(self, index: Any) -> Block:
        """The events of a slice, a mask or an array of row numbers."""
        arrays = {name: getattr(self, name)[index] for name in ARRAYS}
        return Block(**arrays, parts=self.parts, columns=self.columns)

    def subject_text(self, i: int, slot: int) -> str:
        """The subject key that row ``i`` names in ``slot``."""
        part = int(self.part[i])
        column = self.columns[part][slot]
        kind = codes.KINDS[self.kinds[i, slot]]
        if column is None:
            return ""
        text = self.parts[part].column(column)[int(self.row[i])].as_py()
        if column == "suspect_url":
            return "domain:" + host(text)
        return text if column in ("subject", "other") and ":" in text else f"{kind}:{text}"


ARRAYS = (
    "table", "ts", "due", "keys", "kinds", "value", "more", "extra", "flags", "ref", "identity", "source", "part",
    "row",
)  # fmt: skip


def host(url: str) -> str:
    """Host of an address as people write it, lower case, without port or ``www.``."""
    rest = url.split("://", 1)[-1].split("/", 1)[0].split("?", 1)[0].rsplit("@", 1)[-1].split(":", 1)[0].lower()
    return rest.removeprefix("www.")


def subject_hash(kind: str, values: pa.ChunkedArray | pa.Array) -> U64:
    """uint64 hash of each ``kind:value``; 0 where the value is null."""
    column = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if pa.types.is_dictionary(column.type):
        return by_value(column, lambda texts: _of_kind(kind, hash_text(texts)))
    return _of_kind(kind, hash_text(column))


def _of_kind(kind: str, values: U64) -> U64:
    mixed = combine(np.full(values.shape[0], _KIND_HASH[kind], np.uint64), values)
    return np.where(values == 0, np.uint64(0), mixed)


def key_hash(subject: str) -> int:
    """Hash of one subject key, as `encode` gives it; a provisional person's too."""
    kind, _, value = subject.partition(":")
    inner = value.partition(":")[0]
    if kind == "person" and inner in ("line", "account", "device"):
        return int(combine(np.array([PROVISIONAL]), np.array([key_hash(value)], np.uint64))[0])
    return int(subject_hash(kind, pa.array([value]))[0])


class Draft:
    """The arrays of one table's rows, filled by that table's function."""

    def __init__(self, rows: Any, width: int = WIDTH) -> None:
        n = rows.num_rows
        self.rows = rows
        self.keys = np.zeros((n, width), np.uint64)
        self.kinds = np.zeros((n, width), np.uint8)
        self.columns: list[str | None] = [None] * width
        self.value = np.zeros(n, np.int64)
        self.more = np.zeros(n, np.int64)
        self.extra = np.zeros(n, np.int64)
        self.flags = np.zeros(n, np.uint32)
        self.due: Ints | None = None

    def name(self, slot: int, kind: str, column: str) -> npt.NDArray[np.uint8]:
        """The column's texts are subjects of this kind, in this slot of their rows. What they look like (`glance`)."""
        self.columns[slot] = column
        return named(self.rows.column(column), int(_KIND_HASH[kind]), KIND[kind], slot, self.keys, self.kinds)

    def name_person(self, slot: int, values: list[str | None]) -> None:
        """Persons by bare values that stand in no column."""
        column = pa.chunked_array([pa.array(values, pa.string())])
        self.rows = self.rows.append_column(NAMED, column)
        self.name(slot, "person", NAMED)

    def name_key(self, slot: int, column: str) -> None:
        """A column of whole subject keys, ``kind:value``."""
        self.columns[slot] = column
        texts = plain(self.rows.column(column))
        at = pc.find_substring(texts, ":")
        if texts.null_count or (len(texts) and pc.min(at).as_py() is not None and pc.min(at).as_py() < 1):
            texts = pc.if_else(pc.greater(at, 0), texts, None)
        taken = pc.extract_regex(texts, r"^(?P<kind>[a-z]+):(?P<value>.+)$")
        taken = taken.combine_chunks() if isinstance(taken, pa.ChunkedArray) else taken
        kinds, values = pc.struct_field(taken, "kind"), pc.struct_field(taken, "value")
        hashed = hash_text(values)
        for kind in ("person", "line", "account", "device", "domain", "app"):
            here = is_one_of(kinds, kind).astype(bool)
            self.keys[here, slot] = _of_kind(kind, hashed[here])
            self.kinds[here, slot] = KIND[kind]
        nested = truths(pc.match_substring_regex(texts, r"^person:(line|account|device):")).astype(bool)
        for i in np.flatnonzero(nested):
            self.keys[i, slot] = key_hash(texts[int(i)].as_py())


def _calls(d: Draft) -> None:
    c = d.rows.column
    a = d.name(0, "line", "caller")
    b = d.name(1, "line", "callee")
    d.name(2, "device", "imei")
    d.name(3, "line", "forwarded_to")
    d.value = ints(c("duration_s"))
    d.more = cities(c("place"))
    voip = is_one_of(c("line_type"), "voip", "international", "iot")
    d.flags = (
        (a & FOREIGN) | (b & FOREIGN) << 1 | disguised(c("caller_raw"), a) << 2 | voip << 3
        | (a & SERVICE) << 3 | (b & SERVICE) << 4 | truths(c("roaming")) << 6
    )  # fmt: skip


def _hints(column: pa.ChunkedArray) -> Ints:
    if column.null_count == len(column):
        return np.zeros(len(column), np.int64)
    parents = {code: HINT.get(t.parent or code, 0) for code, t in scam_types().items()}
    table = np.array([*parents.values(), 0], np.int64)
    return table[index_of(column, tuple(parents), len(parents))]


def _messages(d: Draft) -> None:
    c = d.rows.column
    a = d.name(0, "line", "sender")
    d.name(1, "line", "recipient")
    hits = np.zeros(d.rows.num_rows, np.uint32)
    if c("fanshi").null_count < len(hits):
        hits |= truths(pc.greater(pc.list_value_length(c("fanshi")), 0))
    if c("text_p_scam").null_count < len(hits):
        hits |= truths(pc.greater_equal(c("text_p_scam"), 0.8))
    d.flags = (
        (a & FOREIGN) | disguised(c("sender_raw"), a) << 2 | hits << 3 | (a & SERVICE) << 3
        | is_one_of(c("channel"), "im") << 5 | (_hints(c("text_type")).astype(np.uint32) << 8)
    )  # fmt: skip


def _visits(d: Draft) -> None:
    d.name(0, "line", "line")
    d.name(1, "domain", "host")
    d.value = ints(d.rows.column("bytes"))


#: Packages of banks' own apps, in which people see and move their money.
BANK_APPS = r"(?i)(^|[.])(mobile|e)?bank|bank([.]|$)|bankabc|icbc|chinamworld|^cmb[.]|unionpay|spdb|psbc|cmbc|ecitic"
ACTIONS = ("install", "open", "screen_share", "remote_control", "meeting_join", "nfc_relay")


def _app_events(d: Draft) -> None:
    d.name(0, "line", "line")
    d.name(1, "app", "package")
    d.name(2, "device", "device")
    d.name(3, "app", "app")
    c = d.rows.column
    bank = matches(c("package"), BANK_APPS)
    d.flags = index_of(c("action"), ACTIONS, 15).astype(np.uint32) | bank << 4


def _transfers(d: Draft) -> None:
    c = d.rows.column
    d.name(0, "account", "payer")
    d.name(1, "account", "payee")
    d.name(2, "device", "device")
    amount = d.value = ints(c("amount_fen"))
    balance = ints(c("payer_balance_fen"), -1)
    d.more = ints(c("payee_balance_fen"), -1)
    merchant = is_one_of(c("channel"), "pos", "qr") | known(c("merchant_id"))
    drains = ((balance >= 0) & (balance * 20 <= amount) & (amount >= 100_000)).astype(np.uint32)
    undone = known(c("reverses"))
    side = index_of(c("side"), ("", "payer", "payee", "both"), 0).astype(np.uint32)
    d.flags = (
        truths(c("ok"), True) | undone << 1 | truths(c("cash")) << 2 | merchant << 3
        | is_one_of(c("channel"), "crypto", "third_party") << 4 | drains << 5 | (amount <= 1_000).astype(np.uint32) << 6
        | (amount >= 1_000_000).astype(np.uint32) << 7 | side << 8
    )  # fmt: skip


def _cash(d: Draft) -> None:
    d.name(0, "account", "account")
    d.name(1, "line", "line")
    d.name(2, "person", "person")
    d.value = ints(d.rows.column("amount_fen"))
    d.flags = is_one_of(d.rows.column("kind"), "withdrawal") | (d.value >= 5_000_000).astype(np.uint32) << 1


def _purchases(d: Draft) -> None:
    d.name(0, "account", "account")
    d.name(1, "line", "line")
    d.name(2, "person", "person")
    d.value = ints(d.rows.column("amount_fen"))
    gold = matches(d.rows.column("goods"), r"(?i)gold|金条|黄金|金饰|gift.?card|购物卡|礼品卡")
    d.flags = gold | (d.value >= 2_000_000).astype(np.uint32) << 1


def _shipments(d: Draft) -> None:
    c = d.rows.column
    d.name(0, "line", "sender")
    d.name(1, "line", "recipient")
    from_city, to_city = (pc.utf8_slice_codeunits(plain(c(name)), 0, 4) for name in ("place", "to_place"))
    far = truths(pc.not_equal(from_city, to_city))
    d.flags = is_one_of(c("kind"), "ride") | far << 1


def _lodging(d: Draft) -> None:
    d.name(1, "line", "line")
    d.name(2, "person", "person")
    d.value = ints(d.rows.column("nights"))
    d.more = cities(d.rows.column("place"))


PLANS = ("", "mobile", "fixed", "hotel", "iot", "child_watch", "voip", "service")
ACCOUNT_KINDS = ("", "personal", "corporate", "merchant", "payment", "wallet", "loan")


def _lines(d: Draft) -> None:
    c = d.rows.column
    d.name(0, "line", "line")
    d.value, d.more = times(c("opened"), NEVER), np.full(d.rows.num_rows, NEVER)
    d.flags = index_of(c("plan"), PLANS).astype(np.uint32)
    d.extra = cities(c("place"))


def _accounts(d: Draft) -> None:
    c = d.rows.column
    d.name(0, "account", "account")
    d.value, d.more = times(c("opened"), NEVER), times(c("last_active"), NEVER)
    d.flags = index_of(c("kind"), ACCOUNT_KINDS).astype(np.uint32)


def _persons(d: Draft) -> None:
    d.name(0, "person", "person")
    d.name_person(1, persons_of_ids(d.rows.column("id").to_pylist()))
    d.extra = cities(d.rows.column("place"))


RANKS = {"user": 4, "holder": 3, "registrant": 2}


def _relations(d: Draft) -> None:
    c = d.rows.column
    d.name_key(0, "subject")
    d.name_key(1, "other")
    rank = np.zeros(d.rows.num_rows, np.int64)
    for role, r in RANKS.items():
        rank += r * is_one_of(c("role"), role)
    rank += 8 * is_one_of(c("role"), "same_person") + 9 * is_one_of(c("role"), "not_same_person")
    sure = np.asarray(pc.fill_null(c("confidence"), 1.0).to_numpy())
    d.value, d.more = times(c("valid_from"), NEVER), times(c("valid_to"), codes.EVER)
    d.flags = rank.astype(np.uint32) | (np.clip(np.rint(sure * 1000), 0, 1000).astype(np.uint32) << 8)


def _reports(d: Draft) -> None:
    c = d.rows.column
    d.name(0, "report", "report")
    d.columns[0] = None
    d.name(1, "person", "person")
    d.value = ints(c("loss_fen"))
    d.extra = _hints(c("scam_type"))
    d.due = times(c("reported_at"), NEVER)


_ROLES = ("victim", "suspect", "payee", "contact")


def _identifiers(d: Draft) -> None:
    c = d.rows.column
    d.name(0, "report", "report")
    d.columns[0] = None
    hashed = hash_text(c("value"))
    kinds = c("kind")
    d.columns[1] = "value"
    for kind in ("person", "line", "account", "device", "domain", "app"):
        here = is_one_of(kinds, kind).astype(bool)
        d.keys[here, 1] = _of_kind(kind, hashed[here])
        d.kinds[here, 1] = KIND[kind]
    d.flags = (index_of(c("role"), _ROLES, -1) + 1).astype(np.uint32)


FINDINGS = ("alert_closed", "suspect_confirmed", "suspect_cleared", "warning_answered")


def _findings(d: Draft) -> None:
    c = d.rows.column
    d.name_key(0, "subject")
    d.flags = index_of(c("kind"), FINDINGS, 15).astype(np.uint32)
    d.value = ints(c("episode"))
    d.due = times(c("known_at"), NEVER)


_LEVELS = ("low", "medium", "high", "urgent")


def _warnings(d: Draft) -> None:
    c = d.rows.column
    d.name(0, "line", "victim_line")
    d.name(1, "account", "victim_account")
    d.name(2, "device", "victim_device")
    numbers = persons_of_ids(c("victim_id").to_pylist())
    nobody = (d.keys[:, :3] == 0).all(axis=1) & np.array([n is None for n in numbers], bool)
    sources, events = c("source"), c("event_id")
    for i in np.flatnonzero(nobody & truths(pc.is_valid(c("victim_name"))).astype(bool)).tolist():
        numbers[i] = f"warning-{text_hash(sources[i].as_py() + '/' + events[i].as_py()):016x}"
    d.name_person(3, numbers)
    d.name(4, "line", "suspect_line")
    d.name(5, "account", "suspect_account")
    urls = c("suspect_url")
    hosts = pa.array([None if u is None else host(u) or None for u in urls.to_pylist()], pa.string())
    d.keys[:, 6] = subject_hash("domain", hosts)
    d.kinds[:, 6] = codes.K_DOMAIN
    d.columns[6] = "suspect_url"
    d.name(7, "app", "suspect_app")
    d.value = ints(c("amount_fen"))
    d.more = cities(c("place"))
    level = index_of(c("level_upstream"), _LEVELS, 0).astype(np.uint32)
    paying = is_one_of(c("stage"), "act", "pay")
    d.flags = level | _hints(c("scam_type")).astype(np.uint32) << 2 | paying << 6


FILL: dict[str, Callable[[Draft], None]] = {
    "accounts": _accounts, "app_events": _app_events, "calls": _calls, "cash": _cash, "findings": _findings,
    "identifiers": _identifiers, "lines": _lines, "lodging": _lodging, "messages": _messages, "persons": _persons,
    "purchases": _purchases, "relations": _relations, "reports": _reports, "shipments": _shipments,
    "transfers": _transfers, "visits": _visits, "warnings": _warnings,
}  # fmt: skip


def encode(table: str, rows: pa.Table, position: int) -> Block:
    """The rows of ``table`` (as `events.batch.conform` leaves them) as a Block, in their order.

    ``position`` is the batch's place in the log. ValueError: unknown table, ``labels``, more than 1,048,576 rows.
    """
    if table not in FILL:
        raise ValueError(f"detect does not read {table!r}; it reads {', '.join(FILL)}")
    n = rows.num_rows
    if n > MAX_ROWS:
        raise ValueError(f"{n} rows in one batch; a batch holds at most {MAX_ROWS}")
    rows = rows.unify_dictionaries().combine_chunks()
    draft = Draft(rows, WIDTH if table == "warnings" else FEW)
    FILL[table](draft)
    ts = times(rows.column("ts"), NEVER)
    sources = hashes(rows.column("source"))
    identity = np.empty(n, np.uint64)
    identities_into(*texts(rows.column("event_id")), sources, np.uint64(TABLE[table] + 1), identity)
    return Block(
        table=np.full(n, TABLE[table], np.uint8),
        ts=ts,
        due=ts if draft.due is None else np.maximum(draft.due, ts) if table == "identifiers" else draft.due,
        keys=draft.keys,
        kinds=draft.kinds,
        value=draft.value,
        more=draft.more,
        extra=draft.extra,
        flags=draft.flags.astype(np.uint32),
        ref=(np.int64(position) << np.int64(20)) | np.arange(n, dtype=np.int64),
        identity=identity,
        source=(sources & np.uint64(0xFFFFFFFF)).astype(np.uint32),
        part=np.zeros(n, np.int32),
        row=np.arange(n, dtype=np.int32),
        parts=(draft.rows,),
        columns=(tuple(draft.columns),),
    )
