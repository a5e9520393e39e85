"""A workbook with a password, as a compound file: only as much of one as tells that it is encrypted."""

from __future__ import annotations

import struct

_FREE, _END, _FAT = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD


def _entry(name: str, kind: int, left: int, right: int, child: int, start: int, size: int) -> bytes:
    raw = name.encode("utf-16-le") + b"\x00\x00"
    return (
        raw.ljust(64, b"\x00") + struct.pack("<HBBIII", len(raw), kind, 1, left, right, child) + b"\x00" * 36
        + struct.pack("<IQ", start, size)
    )  # fmt: skip


def locked_xlsx() -> bytes:
    """An OLE2 file with the streams ``EncryptionInfo`` and ``EncryptedPackage``."""
    size = 4096  # below it a stream would stand in the mini stream
    per = size // 512
    header = (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 16 + struct.pack("<HHHHH", 62, 3, 0xFFFE, 9, 6) + b"\x00" * 6
        + struct.pack("<IIIIIIIII", 0, 1, 1, 0, 4096, _END, 0, _END, 0) + struct.pack("<I", 0)
        + struct.pack("<I", _FREE) * 108
    )  # fmt: skip
    first, second = 2, 2 + per
    fat = [_FAT, _END]
    for start in (first, second):
        fat += [*range(start + 1, start + per), _END]
    fat += [_FREE] * (128 - len(fat))
    directory = (
        _entry("Root Entry", 5, _FREE, _FREE, 1, _END, 0)
        + _entry("EncryptionInfo", 2, _FREE, 2, _FREE, first, size)
        + _entry("EncryptedPackage", 2, _FREE, _FREE, _FREE, second, size)
        + b"\x00" * 128
    )
    return header + struct.pack("<128I", *fat) + directory + b"\x04\x00\x04\x00" + b"\x00" * (size * 2 - 4)
