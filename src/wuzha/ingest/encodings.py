"""Bytes of a text file to UTF-8: a mark if there is one, UTF-16, UTF-8, else GB18030.

Kept true here: no byte is dropped or guessed. A line that is in neither encoding comes out blank and is told with its
number and its bytes, so that its neighbours still read.
"""

from __future__ import annotations

import codecs
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache

import numba as nb
import numpy as np
import numpy.typing as npt

#: Stands for a NUL byte, so that the row that holds it can be refused by name.
NUL = "␀"

_LOOKED_AT = 1 << 16
#: Control characters that no line of text is laid out with; of noise they are a tenth.
_CONTROLS = bytes(c for c in (*range(1, 32), 127) if c not in b"\t\n\v\f\r\x1a\x1b")
_MOST_CONTROLS = 0.04


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """``text`` (UTF-8 bytes without a mark), the ``encoding``, and ``broken`` lines (number from 1, bytes shown)."""

    text: bytes
    encoding: str
    broken: list[tuple[int, str]] = field(default_factory=list)


@lru_cache(maxsize=1)
def _gbk() -> npt.NDArray[np.uint32]:
    """Code point of each two-byte character; 0 where there is none."""
    table = np.zeros(65536, np.uint32)
    for high in range(0x81, 0xFF):
        for low in range(0x40, 0xFF):
            try:
                text = bytes((high, low)).decode("gb18030")
            except UnicodeDecodeError:
                continue
            if len(text) == 1:
                table[high << 8 | low] = ord(text)
    return table


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _transcode(data, table, out):  # type: ignore[no-untyped-def]
    """Bytes written to ``out``, or -1 at the first character that is not one or two bytes long."""
    n = data.shape[0]
    i = 0
    o = 0
    while i < n:
        byte = data[i]
        if byte < 0x80:
            out[o] = byte
            o += 1
            i += 1
            continue
        if i + 1 >= n:
            return -1
        point = table[(np.int64(byte) << 8) | data[i + 1]]
        if point == 0:
            return -1
        if point < 0x800:
            out[o] = 0xC0 | (point >> 6)
            out[o + 1] = 0x80 | (point & 63)
            o += 2
        else:
            out[o] = 0xE0 | (point >> 12)
            out[o + 1] = 0x80 | ((point >> 6) & 63)
            out[o + 2] = 0x80 | (point & 63)
            o += 3
        i += 2
    return o


def from_gb18030(data: bytes) -> bytes:
    """UTF-8 of GB18030 bytes. UnicodeDecodeError where they are none."""
    if len(data) <= 65536:
        return data.decode("gb18030").encode()
    # Cut at line ends, which are no part of any character; the kernel lets other threads run.
    middle = data.find(b"\n", len(data) // 2) + 1
    with ThreadPoolExecutor(2) as threads:
        parts = list(threads.map(_piece, (memoryview(data)[:middle], memoryview(data)[middle:])))
    if any(part is None for part in parts):
        return data.decode("gb18030").encode()
    return b"".join(part for part in parts if part is not None)


def _piece(data: memoryview) -> memoryview | None:
    """UTF-8 of one piece; None where a character is not one or two bytes long, or none at all."""
    out = np.empty(len(data) * 3 // 2 + 16, np.uint8)
    try:
        size = _transcode(np.frombuffer(data, np.uint8), _gbk(), out)
    except OSError:
        return None  # the compiled kernel could not be kept on a full disk; the slow way needs no disk
    return memoryview(out[:size].data) if size >= 0 else None


def is_text(data: bytes, encoding: str) -> bool:
    """Whether ``data``, read as ``encoding``, may be text at all: bytes of pictures, keys and noise hold control
    characters all over. NUL bytes that pad cells are none of them, as long as they do not make up the file."""
    head = data[:_LOOKED_AT]
    if not head or encoding.startswith("utf-16"):
        return True
    odd = len(head) - len(head.translate(None, _CONTROLS))
    return odd <= _MOST_CONTROLS * len(head) and head.count(0) <= len(head) // 2


def is_utf8(data: bytes) -> bool:
    """Whether all of ``data`` is UTF-8, looked at in pieces."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    step = 1 << 24
    try:
        for begin in range(0, len(data), step):
            decoder.decode(data[begin : begin + step])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def to_utf8(data: bytes) -> Decoded:
    """UTF-8 text of a file's bytes."""
    if data.startswith(codecs.BOM_UTF8):
        return _clean(data[3:], "utf-8-sig") if is_utf8(data[3:]) else _by_line(data[3:])
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or _looks_utf16(data):
        little = data.startswith(codecs.BOM_UTF16_LE) or (
            not data.startswith(codecs.BOM_UTF16_BE) and data[1:200:2].count(0) >= data[0:200:2].count(0)
        )
        name = "utf-16-le" if little else "utf-16-be"
        whole = data[: len(data) // 2 * 2]
        text = whole.decode(name, "replace").removeprefix("\ufeff").encode()
        marked = [
            (i, line.decode()[:200])
            for i, line in enumerate(text.split(b"\n"), 1)
            if "\ufffd".encode() in line
        ] if b"\xef\xbf\xbd" in text else []  # fmt: skip
        if marked:
            bad = {i for i, _ in marked}
            text = b"\n".join(b"" if i in bad else line for i, line in enumerate(text.split(b"\n"), 1))
        return Decoded(text=_nul(text), encoding=name, broken=marked)
    if is_utf8(data):
        return _clean(data, "utf-8")
    try:
        return _clean(from_gb18030(data), "gb18030")
    except UnicodeDecodeError:
        return _by_line(data)


def _looks_utf16(data: bytes) -> bool:
    """Whether NUL bytes stand at one parity only, as every ASCII character of UTF-16 has them."""
    head = data[:8192]
    even, odd = head[0::2].count(0), head[1::2].count(0)
    most, least = max(even, odd), min(even, odd)
    return len(data) % 2 == 0 and most >= max(4, len(head) // 40) and least * 20 <= most


def _clean(text: bytes, encoding: str) -> Decoded:
    return Decoded(text=_nul(text), encoding=encoding)


def _nul(text: bytes) -> bytes:
    return text.replace(b"\x00", NUL.encode()) if b"\x00" in text else text


def _by_line(data: bytes) -> Decoded:
    """Mixed encodings: each line by itself, in the encoding that most lines with letters beyond ASCII are in."""
    lines = data.split(b"\n")
    utf8 = gb = 0
    for line in lines:
        if line.isascii():
            continue
        try:
            line.decode("utf-8")
            utf8 += 1
        except UnicodeDecodeError:
            gb += 1
    name = "utf-8" if utf8 >= gb else "gb18030"
    other = "gb18030" if name == "utf-8" else "utf-8"
    out: list[bytes] = []
    broken: list[tuple[int, str]] = []
    for number, line in enumerate(lines, 1):
        if line.isascii():
            out.append(line)
            continue
        try:
            if name == "gb18030" and _strictly_utf8(line):
                raise UnicodeDecodeError(name, line, 0, 1, other)
            out.append(line.decode(name).encode())
        except UnicodeDecodeError:
            out.append(b"")
            broken.append((number, line[:200].decode("ascii", "backslashreplace").rstrip("\r")))
    return Decoded(text=_nul(b"\n".join(out)), encoding=name, broken=broken)


def _strictly_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
