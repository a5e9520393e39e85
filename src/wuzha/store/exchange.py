"""Between zones: numbered letters in folders, each taking effect once and in order.

Kept true here: a message is queued in the transaction of what it tells (`queue`), gets its number when it leaves, and
stays until the other zone's receipt covers it. Files may be lost, doubled, late or in any order, and a folder may be
away: what takes effect is the sender's sequence without a hole, or a hole that `status` names on both sides, and that
closes by itself once files pass again. A file that is not a letter of that peer to us is set aside with a reason.

Beside the numbered messages each zone lays one *beat*, replaced as it goes: its time, the number of its newest message,
and its receipt for what came the other way. By the beat the receiver knows until when it knows everything.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from wuzha.events import clock

from . import durable, envelope, outbox
from .queries import q
from .zone_keys import Peer, Zone

#: A letter without a receipt is written again after this long, where its file is gone or the peer misses it; and a zone
#: beats at least so often. Seconds of the wall: a replayed city passes faster, its letters do not.
RESEND_S, BEAT_S = 30.0, 5.0
#: Files written or read in one round, numbers of a hole told at once, files kept of those set aside.
BATCH, HOLES, ASIDE_FILES = 500, 200, 200


@dataclass(frozen=True, kw_only=True)
class Message:
    """One message from ``peer``, as its handler gets it."""

    peer: str
    number: int
    kind: str
    key: str
    body: dict[str, Any]
    created_at: datetime


class Unfit(ValueError):
    """A message that cannot take effect, and why, in words that hold nothing of the message's own."""


def why(error: BaseException) -> str:
    """What may be kept of an error that a message has met: no value of the message, no row of the database."""
    name = type(error).__name__
    if isinstance(error, Unfit):
        return f"{name}: {error}"[:500]
    if isinstance(error, psycopg.Error):
        told = error.diag
        parts = (name, told.sqlstate, told.table_name, told.column_name, told.constraint_name)
        return " ".join(part for part in parts if part)
    frames = traceback.extract_tb(error.__traceback__)
    return f"{name} in {frames[-1].name}" if frames else name


#: Makes a message take effect, in the transaction that notes it. Unfit, ValueError, KeyError, TypeError: it cannot.
Handler = Callable[[psycopg.Connection[Any], Message], None]


@dataclass(kw_only=True)
class Round:
    """What one round did with one peer. ``trouble``: why a folder could not be read or written; nothing is lost."""

    peer: str
    written: int = 0
    taken: int = 0
    applied: int = 0
    refused: int = 0
    aside: list[tuple[str, str]] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)


def recipient(peer: str) -> str:
    """How a zone is called in `outbox`."""
    return f"zone:{peer}"


def queue(
    conn: psycopg.Connection[Any], peer: str, *, kind: str, key: str, body: Mapping[str, Any],
    now: datetime | None = None,
) -> bool:  # fmt: skip
    """Queue a message to a zone in the caller's transaction; False where it was queued before. ValueError: too big."""
    if len(envelope.plain(dict(body))) > envelope.TEXT_LIMIT - 1024:
        raise ValueError(f"a message to another zone holds less than {envelope.TEXT_LIMIT - 1024} bytes")
    return outbox.enqueue(conn, recipient=recipient(peer), kind=kind, key=key, body=body, now=now) is not None


def carry(
    conn: psycopg.Connection[Any], zone: Zone, handlers: Mapping[str, Handler], *, now: datetime | None = None
) -> list[Round]:
    """One round with every peer: take in what came, lay out what leaves. Role wuzha_web, autocommit, one at a time."""
    done = []
    for peer in zone.peers.values():
        one = Round(peer=peer.name)
        at = now or clock.now()
        with conn.transaction():
            conn.execute(q("exchange.meet"), {"peer": peer.name, "stream": secrets.token_hex(8)})
        with _told(one):
            _take_in(conn, zone, peer, handlers, at, one)
        with _told(one):  # one way may be away while the other works
            _lay_out(conn, zone, peer, at, one)
        done.append(one)
    return done


@contextmanager
def _told(done: Round) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        done.trouble.append(f"{error.filename or done.peer}: {error.strerror or error}")


# ---------------------------------------------------------------- out


def _lay_out(conn: psycopg.Connection[Any], zone: Zone, peer: Peer, now: datetime, done: Round) -> None:
    whom = {"recipient": recipient(peer.name)}
    with conn.transaction():
        books = _books(conn, peer.name)
        conn.execute(q("exchange.number"), {**whom, "limit": BATCH})
    # The numbers stand before a file bears them. A folder that is not there is not made: a mount may be away.
    os.stat(peer.outbox)
    written: list[int] = []
    for number, kind, key, body, created_at, before in conn.execute(
        q("exchange.to_write"), {**whom, "before": now - clock.stretch(RESEND_S), "limit": BATCH}
    ).fetchall():
        file = peer.outbox / _file(books["stream"], number)
        if before is None or not file.exists():
            text = _text(kind, key, body, created_at)
            letter = envelope.sealed(
                zone, peer.card, form="message", stream=books["stream"], number=number, body=text
            )  # fmt: skip
            durable.write(file, letter)
            done.written += 1
        written.append(number)
    if written:
        conn.execute(q("exchange.written"), {**whom, "numbers": written, "at": now})
    beat = books["beat_at"]
    if done.written or done.taken or beat is None or not now - clock.stretch(BEAT_S) < beat <= now:
        _beat(conn, zone, peer, now)


def _beat(conn: psycopg.Connection[Any], zone: Zone, peer: Peer, now: datetime) -> None:
    with conn.transaction():
        books = _books(conn, peer.name)
        # Higher than any before it, also after the database came back from a backup.
        serial = max(books["serial"] + 1, int(now.timestamp() * 1e6))
        upto = _number(conn, q("exchange.upto"), recipient=recipient(peer.name))
        receipt = _receipt(conn, peer.name, books)
        conn.execute(q("exchange.beat"), {"peer": peer.name, "serial": serial, "at": now})
    body = {"at": now.isoformat(), "upto": upto, "receipt": receipt}
    letter = envelope.sealed(zone, peer.card, form="beat", stream=books["stream"], number=serial, body=body)
    durable.write(peer.outbox / "beat.wzx", letter)


def _text(kind: str, key: str, body: Mapping[str, Any], created_at: datetime) -> dict[str, Any]:
    """A message as its letter holds it: the same whenever it is written."""
    return {"kind": kind, "key": key, "body": dict(body), "created_at": created_at.astimezone(UTC).isoformat()}


def _receipt(conn: psycopg.Connection[Any], peer: str, books: Mapping[str, Any]) -> dict[str, Any]:
    """What came: the number up to which the receipt speaks, what is missing below it, and what that number means."""
    missing = missing_numbers(conn, peer)
    missing_top = missing[-1] if len(missing) >= HOLES else 2**62  # a long hole is told in parts
    row = conn.execute(
        q("exchange.newest"), {"peer": peer, "stream": books["their_stream"], "below": missing_top}
    ).fetchone()
    top, digest = (0, None) if row is None else (int(row[0]), bytes(row[1]).hex())
    return {"stream": books["their_stream"], "upto": top, "missing": missing, "digest": digest}


def missing_numbers(conn: psycopg.Connection[Any], peer: str) -> list[int]:
    """The first `HOLES` numbers of a peer's messages that should be here and are not."""
    return [int(r[0]) for r in conn.execute(q("exchange.missing"), {"peer": peer, "limit": 100_000})][:HOLES]


# ---------------------------------------------------------------- in


def _take_in(
    conn: psycopg.Connection[Any], zone: Zone, peer: Peer, handlers: Mapping[str, Handler], now: datetime, done: Round
) -> None:
    names = sorted(e.name for e in os.scandir(peer.inbox) if e.name.endswith(".wzx") and not e.name.startswith("."))
    messages = [n for n in names if n != "beat.wzx"]
    if not os.access(peer.inbox, os.W_OK):  # what we may not remove would be read for ever, and hide what is new
        messages = [n for n in messages if not _had(conn, peer.name, n)]
    messages = messages[:BATCH]
    for name in [*messages, *(["beat.wzx"] if "beat.wzx" in names else [])]:
        _read(conn, zone, peer, name, now, done)
    while _apply_next(conn, peer.name, handlers, now, done):
        pass
    with conn.transaction():
        conn.execute(q("exchange.current"), {"peer": peer.name})


def _read(conn: psycopg.Connection[Any], zone: Zone, peer: Peer, name: str, now: datetime, done: Round) -> None:
    path = peer.inbox / name
    try:
        data = _bytes(path)
        letter = envelope.opened(zone, peer.card, data)
        if letter.form == "beat":
            with conn.transaction():
                _hear(conn, peer, letter, now)
            return  # replaced by its sender
        kept = _keep(conn, peer.name, letter, now)
    except FileNotFoundError:
        return  # its sender has replaced or withdrawn it meanwhile
    except envelope.Foreign as error:
        data = b"" if error.reason in ("too_large", "no_file") else data
        _set_aside(conn, zone, peer, path, data, error.reason, now, done)
        return
    done.taken += kept
    with suppress(OSError):  # a folder that we may only read is fine too: what came twice is nothing
        path.unlink()


def _bytes(path: Path) -> bytes:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:  # a link, a socket
        if path.is_symlink():
            raise envelope.Foreign("no_file") from error
        raise
    with os.fdopen(handle, "rb") as file:
        told = os.fstat(handle)
        if not stat.S_ISREG(told.st_mode):
            raise envelope.Foreign("no_file")
        if told.st_size > envelope.FILE_LIMIT:
            raise envelope.Foreign("too_large")
        return file.read(envelope.FILE_LIMIT + 1)


def _keep(conn: psycopg.Connection[Any], peer: str, letter: envelope.Letter, now: datetime) -> int:
    """1 where the message is new, 0 where it was here. Foreign where its number means another message."""
    told = letter.body
    try:
        row = {
            "peer": peer, "stream": letter.stream, "number": letter.number, "digest": letter.digest,
            "kind": str(told["kind"]), "key": str(told["key"]), "body": Jsonb(dict(told["body"])),
            "created_at": datetime.fromisoformat(told["created_at"]), "received_at": now,
        }  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise envelope.Foreign("malformed") from error
    with conn.transaction():
        conn.execute(q("exchange.first_stream"), {"peer": peer, "stream": letter.stream})
        new = conn.execute(q("exchange.keep"), row).rowcount
        found = conn.execute(q("exchange.digest"), row).fetchone()
    if found is None or bytes(found[0]) != letter.digest:
        raise envelope.Foreign("number_reused")
    return new


def _hear(conn: psycopg.Connection[Any], peer: Peer, letter: envelope.Letter, now: datetime) -> None:
    books = _books(conn, peer.name)
    if letter.number <= books["their_serial"]:
        return  # an old one, laid there again
    try:
        at, upto = datetime.fromisoformat(letter.body["at"]), int(letter.body["upto"])
        receipt = letter.body["receipt"]
        covered, missing = int(receipt["upto"]), [int(n) for n in receipt["missing"]][:HOLES]
    except (KeyError, TypeError, ValueError) as error:
        raise envelope.Foreign("malformed") from error
    conn.execute(
        q("exchange.heard"),
        {
            "peer": peer.name, "stream": letter.stream, "serial": letter.number, "upto": upto, "their_at": at,
            "at": now,
        },
    )  # fmt: skip
    if receipt["stream"] != books["stream"]:
        return  # it has nothing of our present numbering yet
    whom = {"recipient": recipient(peer.name)}
    if covered and receipt.get("digest") != _digest(conn, whom["recipient"], covered):
        # It has more than we ever sent, or another message under that number: our database came back from a backup.
        # New numbers, so that none means two things.
        conn.execute(q("exchange.renumber"), whom)
        conn.execute(q("exchange.stream"), {"peer": peer.name, "stream": secrets.token_hex(8)})
        return
    told = {
        **whom, "upto": covered, "missing": missing, "at": now,
        "before": now - clock.stretch(RESEND_S), "receipt": str(letter.number),
    }  # fmt: skip
    gone = conn.execute(q("exchange.receipt"), told).fetchall()
    conn.execute(q("exchange.again"), told)
    for (number,) in gone:
        with suppress(OSError):
            (peer.outbox / _file(books["stream"], number)).unlink()


def _digest(conn: psycopg.Connection[Any], whom: str, number: int) -> str | None:
    row = conn.execute(q("exchange.sent"), {"recipient": whom, "number": number}).fetchone()
    return None if row is None else hashlib.sha256(envelope.plain(_text(*row))).hexdigest()


def _apply_next(
    conn: psycopg.Connection[Any], peer: str, handlers: Mapping[str, Handler], now: datetime, done: Round
) -> bool:
    """Make the next message take effect. False where it is not here."""
    refused: str | None = None
    with conn.transaction():
        _books(conn, peer)
        row = conn.execute(q("exchange.next"), {"peer": peer}).fetchone()
        if row is None:
            return False
        message = Message(peer=peer, number=row[0], kind=row[1], key=row[2], body=row[3], created_at=row[4])
        handler = handlers.get(message.kind)
        if conn.execute(q("exchange.before"), {"peer": peer, "kind": message.kind, "key": message.key}).fetchone():
            pass  # told again under a new number: its sender came back from a backup
        elif handler is None:
            refused = "unknown_kind"
        else:
            try:
                with conn.transaction():
                    handler(conn, message)
            except (ValueError, KeyError, TypeError, psycopg.DataError, psycopg.IntegrityError) as error:
                refused = why(error)
        conn.execute(
            q("exchange.applied"), {"peer": peer, "number": message.number, "at": now, "refused": refused}
        )  # fmt: skip
    done.applied += refused is None
    done.refused += refused is not None
    return True


def _set_aside(
    conn: psycopg.Connection[Any], zone: Zone, peer: Peer, path: Path, data: bytes, reason: str, now: datetime,
    done: Round,
) -> None:  # fmt: skip
    digest = hashlib.sha256(data).digest()
    with conn.transaction():
        size = path.lstat().st_size if path.exists() else len(data)
        row = {"digest": digest, "peer": peer.name, "name": path.name, "reason": reason, "size": size, "at": now}
        new = conn.execute(q("exchange.aside"), row).rowcount
    if new:
        done.aside.append((path.name, reason))
    folder = zone.folder / "aside" / peer.name
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if new and data and len(os.listdir(folder)) < ASIDE_FILES:
        durable.write(folder / f"{path.name}.{digest.hex()[:8]}.{reason}", data, mode=0o600)
    with suppress(OSError):
        path.unlink()


# ---------------------------------------------------------------- how it stands


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How the exchange with one peer stands. ``missing``: numbers of its messages that are not here."""

    peer: str
    waiting: int
    waiting_since: datetime | None
    applied: int
    missing: tuple[int, ...]
    refused: int
    aside: int
    aside_why: str | None
    heard_at: datetime | None
    current_until: datetime | None
    trouble: tuple[str, ...]

    @property
    def sound(self) -> bool:
        """Nothing is missing, refused or set aside, and both folders are there."""
        return not (self.missing or self.refused or self.aside or self.trouble)


def status(conn: psycopg.Connection[Any], zone: Zone) -> list[Standing]:
    """How every peer stands; reads only."""
    found = []
    for peer in zone.peers.values():
        row = (
            conn.cursor(row_factory=dict_row)
            .execute(q("exchange.status"), {"peer": peer.name, "recipient": recipient(peer.name)})
            .fetchone()
        ) or {}
        trouble = [
            f"{where}: {why}"
            for where, mode, why in (
                (peer.inbox, os.R_OK | os.X_OK, "cannot be read"), (peer.outbox, os.W_OK | os.X_OK, "cannot be written")
            )
            if not (where.is_dir() and os.access(where, mode))
        ]  # fmt: skip
        found.append(
            Standing(
                peer=peer.name, waiting=row.get("waiting", 0), waiting_since=row.get("waiting_since"),
                applied=row.get("applied", 0), missing=tuple(missing_numbers(conn, peer.name)),
                refused=row.get("refused", 0), aside=row.get("aside", 0), aside_why=row.get("aside_why"),
                heard_at=row.get("heard_at"), current_until=row.get("current_until"), trouble=tuple(trouble),
            )
        )  # fmt: skip
    return found


def _books(conn: psycopg.Connection[Any], peer: str) -> dict[str, Any]:
    row = conn.cursor(row_factory=dict_row).execute(q("exchange.peer"), {"peer": peer}).fetchone()
    assert row is not None
    return row


def _number(conn: psycopg.Connection[Any], sql: psycopg.sql.SQL, **values: Any) -> int:
    row = conn.execute(sql, values).fetchone()
    assert row is not None
    return int(row[0])


def _had(conn: psycopg.Connection[Any], peer: str, name: str) -> bool:
    """Whether the message that a file is named after has come."""
    stream, _, number = name.removesuffix(".wzx").rpartition("-")
    if not (number.isascii() and number.isdigit()):
        return False
    row = conn.execute(q("exchange.digest"), {"peer": peer, "stream": stream, "number": int(number[:18])}).fetchone()
    return row is not None


def _file(stream: str, number: int) -> str:
    return f"{stream}-{number:012d}.wzx"
