"""Records of a group of decisions, packed together: each by itself would cost the database more than all of them do.

Kept true here: a pack is whole in itself; with the names of its features it is read without today's rules; a record
comes out of it as it would have stood alone.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

#: Features' names and the packed figures (`FIGURE`) that an owner told.
Told = tuple[tuple[str, ...], bytes]
#: Of the payer's owner and of the payee's; None where it is missing or the figures stand in the record itself.
Figures = tuple[Told | None, Told | None]
#: A record's JSON, and its figures.
Kept = tuple[bytes, Figures]

#: One figure of a question: ``at`` = side × features + feature.
FIGURE = np.dtype([("at", "<u2"), ("value", "<f8")])
_SIDES = ("payer", "payee", "payer_person", "payee_person")
_ZSTD = pa.Codec("zstd", compression_level=1)
_LENGTH = struct.Struct("<I")


class _One(msgspec.Struct, array_like=True):
    """``figures``: (place of the names in the pack, packed figures), of the payer's owner and the payee's."""

    record: bytes
    figures: list[tuple[int, bytes] | None]


class _Pack(msgspec.Struct, array_like=True):
    names: list[tuple[str, ...]]
    kept: dict[int, _One]


def packed(records: Mapping[int, Kept]) -> bytes:
    """A pack: the length of what it holds (u32, little endian), then that as msgpack under zstd."""
    names: dict[tuple[str, ...], int] = {}
    kept = {}
    for place, (record, figures) in records.items():
        told: list[tuple[int, bytes] | None] = [
            None if f is None else (names.setdefault(f[0], len(names)), f[1]) for f in figures
        ]
        if told[0] == told[1]:  # one owner of both sides
            told.pop()
        kept[place] = _One(record, told)
    said = msgspec.msgpack.encode(_Pack(list(names), kept))
    out: bytes = _LENGTH.pack(len(said)) + _ZSTD.compress(said, asbytes=True)
    return out


def figures(content: bytes, names: tuple[str, ...]) -> list[dict[str, float]]:
    """Four sides' figures by the features' names."""
    out: list[dict[str, float]] = [{}, {}, {}, {}]
    for at, value in np.frombuffer(content, FIGURE).tolist():
        side, feature = divmod(at, len(names))
        out[side][names[feature]] = value
    return out


def record(
    place: int | None, pack: bytes | None, whole: dict[str, Any] | None, rows: bytes | None
) -> tuple[dict[str, Any], bytes | None]:
    """A record as it was decided, and its rows where it is of many: out of its pack, or ``whole`` as it stands."""
    if place is None or pack is None:
        assert whole is not None  # a row has one of the two
        return whole, rows
    said = _ZSTD.decompress(pack[_LENGTH.size :], _LENGTH.unpack_from(pack)[0], asbytes=True)
    opened = msgspec.msgpack.decode(said, type=_Pack)
    one = opened.kept[place]
    found: dict[str, Any] = msgspec.json.decode(one.record)
    for which, told in enumerate(one.figures * 2 if len(one.figures) == 1 else one.figures):
        if told is None:
            continue
        names, content = told
        by_side = figures(content, opened.names[names])
        for c in (which, which + 2):
            if by_side[c] and _SIDES[c] in found["sides"]:
                found["sides"][_SIDES[c]]["figures"] = by_side[c]
    return found, None
