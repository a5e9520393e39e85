"""One letter between two zones, as the bytes of a file: encrypted to its recipient, signed by its sender.

Kept true here: what `opened` returns was written by the named sender for us, under that number; anything else raises
`Foreign` with the reason. The header is bound to the text by the encryption and to the sender by the signature, so no
part of one letter fits another.

Layout: ``WZX1``, header's length (4 bytes, big endian), header (JSON), text (HPKE, RFC 9180: X25519, HKDF-SHA256,
ChaCha20-Poly1305, the header as its info), Ed25519 signature of all before it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Literal

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from .zone_keys import Card, Zone

Form = Literal["message", "beat"]

_MAGIC = b"WZX1"
_SIGNATURE = 64
_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
#: A file larger than this is no letter of ours, and is not read.
FILE_LIMIT = 1 << 20
#: What a letter's text may hold; a sender is told, before it is queued.
TEXT_LIMIT = FILE_LIMIT - 4096


class Foreign(Exception):
    """This file is no letter from that sender to us. ``reason``: malformed, unknown_sender, not_for_us, bad_signature,
    undecipherable."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, kw_only=True)
class Letter:
    """An opened letter. ``digest`` is of its text: the same letter written again has the same."""

    form: Form
    stream: str
    number: int
    body: dict[str, Any]
    digest: bytes


def sealed(zone: Zone, to: Card, *, form: Form, stream: str, number: int, body: dict[str, Any]) -> bytes:
    """The bytes of a letter. ValueError where its text is too large."""
    text = plain(body)
    if len(text) > TEXT_LIMIT:
        raise ValueError(f"a letter holds {TEXT_LIMIT} bytes, this one has {len(text)}")
    header = plain({"form": form, "from": zone.name, "to": to.name, "stream": stream, "number": number})
    closed = _SUITE.encrypt(text, to.box_key(), info=header)
    whole = _MAGIC + len(header).to_bytes(4, "big") + header + closed
    return whole + zone.signing_key.sign(whole)


def opened(zone: Zone, sender: Card, data: bytes) -> Letter:
    """The letter that ``data`` is, from ``sender`` to this zone. Foreign where it is none."""
    whole, signature = data[:-_SIGNATURE], data[-_SIGNATURE:]
    size = int.from_bytes(data[4:8], "big")
    if not data.startswith(_MAGIC) or size > 2048 or len(whole) < 8 + size:
        raise Foreign("malformed")
    header = whole[8 : 8 + size]
    try:
        told = json.loads(header)
        form, stream, number = told["form"], told["stream"], told["number"]
        if form not in ("message", "beat") or not isinstance(stream, str) or not 0 < number < 2**62:
            raise ValueError("header")
    except (ValueError, KeyError, TypeError) as error:
        raise Foreign("malformed") from error
    if told.get("from") != sender.name:
        raise Foreign("unknown_sender")
    if told.get("to") != zone.name:
        raise Foreign("not_for_us")
    try:
        sender.verify_key().verify(signature, whole)
    except InvalidSignature as error:
        raise Foreign("bad_signature") from error
    try:
        text = _SUITE.decrypt(whole[8 + size :], zone.box_key, info=header)
    except (InvalidTag, ValueError) as error:
        raise Foreign("undecipherable") from error
    try:
        body = json.loads(text)
        if not isinstance(body, dict):
            raise ValueError("no object")
    except ValueError as error:
        raise Foreign("malformed") from error
    return Letter(form=form, stream=stream, number=number, body=body, digest=hashlib.sha256(text).digest())


def plain(body: dict[str, Any]) -> bytes:
    """JSON without anything that could differ between two writings of one thing."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()
