"""The keys of a zone: its own, made once and never leaving it, and the cards of the zones that it knows.

Kept true here: a private key stands in one file that only its owner can read; a peer is one whose card a person has
carried here and whose fingerprint two people have read to each other; nothing else is believed.

Folder ``<home>/exchange``: ``zone.json`` (ours, 0600), ``peers/<name>.json`` (their card and where its letters lie).
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from .durable import write

NAME = re.compile(r"[a-z][a-z0-9-]{0,30}\Z")


class KeysError(Exception):
    """A key file is missing, readable by others or damaged; the message names it and says what to do."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a zone shows others: its name and its two public keys, raw."""

    name: str
    sign: bytes
    box: bytes

    @property
    def fingerprint(self) -> str:
        """40 digits in groups of five, to be read over the phone; of name and keys together."""
        digest = hashlib.sha256(b"wuzha zone 1\0" + self.name.encode() + b"\0" + self.sign + self.box).digest()
        digits = f"{int.from_bytes(digest[:17], 'big') % 10**40:040d}"
        return " ".join(digits[i : i + 5] for i in range(0, 40, 5))

    def verify_key(self) -> Ed25519PublicKey:
        """What its signatures are checked with."""
        return Ed25519PublicKey.from_public_bytes(self.sign)

    def box_key(self) -> X25519PublicKey:
        """What letters to it are closed with."""
        return X25519PublicKey.from_public_bytes(self.box)

    def text(self) -> str:
        """The card as a file."""
        return json.dumps({"wuzha_zone": 1, "name": self.name, "sign": _b64(self.sign), "box": _b64(self.box)}) + "\n"


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A zone that we know: its card, the folder where its letters arrive and the one where ours to it are laid."""

    card: Card
    inbox: Path
    outbox: Path

    @property
    def name(self) -> str:
        """The zone's name."""
        return self.card.name


@dataclass(frozen=True, kw_only=True)
class Zone:
    """This zone: its private keys and whom it knows."""

    name: str
    signing: bytes = field(repr=False)
    boxing: bytes = field(repr=False)
    peers: Mapping[str, Peer]
    folder: Path

    @cached_property
    def signing_key(self) -> Ed25519PrivateKey:
        """What we sign with."""
        return Ed25519PrivateKey.from_private_bytes(self.signing)

    @cached_property
    def box_key(self) -> X25519PrivateKey:
        """What opens letters to us."""
        return X25519PrivateKey.from_private_bytes(self.boxing)

    @property
    def card(self) -> Card:
        """What we show others."""
        return Card(
            name=self.name,
            sign=self.signing_key.public_key().public_bytes_raw(),
            box=self.box_key.public_key().public_bytes_raw(),
        )

    def shared(self, peer: str, purpose: str) -> bytes:
        """32 bytes that only we and ``peer`` can compute, for one purpose; never sent, never in a database."""
        common = self.box_key.exchange(self.peers[peer].card.box_key())
        return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=b"wuzha " + purpose.encode()).derive(common)


def folder(home: Path) -> Path:
    """Where a deployment keeps them."""
    return home / "exchange"


def present(home: Path) -> bool:
    """Whether this zone has keys, sound or not."""
    return (folder(home) / "zone.json").exists()


def make(home: Path, name: str) -> Zone:
    """This zone's keys, made now. KeysError where there are some already, or the name is not a short word."""
    if not NAME.match(name):
        raise KeysError(f"{name!r} is no zone's name: want small letters, digits and - (centre, public, phone)")
    where = folder(home) / "zone.json"
    if where.exists():
        raise KeysError(f"{where} is there already; its peers know this zone by it")
    where.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    signing = Ed25519PrivateKey.generate().private_bytes_raw()
    boxing = X25519PrivateKey.generate().private_bytes_raw()
    text = json.dumps({"wuzha_zone_keys": 1, "name": name, "sign": _b64(signing), "box": _b64(boxing)}) + "\n"
    write(where, text.encode(), mode=0o600)
    return Zone(name=name, signing=signing, boxing=boxing, peers={}, folder=where.parent)


def load(home: Path) -> Zone | None:
    """This zone with its peers; None where no keys were made. KeysError where a file is not as it must be."""
    where = folder(home) / "zone.json"
    try:
        if where.stat().st_mode & 0o077:
            raise KeysError(f"{where} can be read by others; chmod 600 {where}")
    except FileNotFoundError:
        return None
    raw = _read(where, "wuzha_zone_keys")
    peers = {}
    for file in sorted((where.parent / "peers").glob("*.json")):
        row = _read(file, "wuzha_zone")
        peer = Peer(card=_card(row, file), inbox=Path(str(row["inbox"])), outbox=Path(str(row["outbox"])))
        peers[peer.name] = peer
    signing, boxing = _key(raw, "sign", where), _key(raw, "box", where)
    return Zone(name=str(raw["name"]), signing=signing, boxing=boxing, peers=peers, folder=where.parent)


def read_card(path: Path) -> Card:
    """A zone's card from a file. KeysError where it is none."""
    return _card(_read(path, "wuzha_zone"), path)


def trust(home: Path, card: Path, *, inbox: Path, outbox: Path) -> Peer:
    """Know a zone from now on by its card; a newer card of the same name takes the older one's place."""
    mine = load(home)
    if mine is None:
        raise KeysError(f"{folder(home)} has no keys of this zone yet: wuzha exchange keys")
    their = read_card(card)
    if their.name == mine.name:
        raise KeysError(f"{card} is a card of {their.name}, which is this zone's own name")
    if inbox.absolute() == outbox.absolute():
        raise KeysError("what comes in and what goes out need folders of their own")
    (mine.folder / "peers").mkdir(mode=0o700, exist_ok=True)
    row = {
        **json.loads(their.text()), "inbox": str(inbox.absolute()), "outbox": str(outbox.absolute()),
    }  # fmt: skip
    write(mine.folder / "peers" / f"{their.name}.json", (json.dumps(row) + "\n").encode(), mode=0o600)
    return Peer(card=their, inbox=inbox.absolute(), outbox=outbox.absolute())


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _read(path: Path, mark: str) -> dict[str, Any]:
    try:
        if os.path.getsize(path) > 65536:
            raise ValueError("too large")
        raw = json.loads(path.read_text("utf-8"))
        if raw[mark] != 1:
            raise ValueError(f"{mark} {raw[mark]} is not known to this release")
        return dict(raw)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise KeysError(f"{path} is no such file: {error}") from error


def _key(row: Mapping[str, Any], name: str, path: Path) -> bytes:
    try:
        raw = base64.b64decode(str(row[name]), validate=True)
    except (KeyError, ValueError) as error:
        raise KeysError(f"{path}: {name} is missing or damaged") from error
    if len(raw) != 32:
        raise KeysError(f"{path}: {name} wants 32 bytes, has {len(raw)}")
    return raw


def _card(row: Mapping[str, Any], path: Path) -> Card:
    name = str(row.get("name", ""))
    if not NAME.match(name):
        raise KeysError(f"{path}: {name!r} is no zone's name")
    return Card(name=name, sign=_key(row, "sign", path), box=_key(row, "box", path))
