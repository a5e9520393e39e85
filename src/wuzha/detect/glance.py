"""Kernels of texts: what a column's bytes say, told in one pass over Arrow's buffers.

Kept true here: hashes are those of `events.hashing`, which are stored; nothing depends on how a column is cut.
"""

from __future__ import annotations

import numpy as np

from .compiling import entered, inlined
from .owners import combined

_OFFSET = np.uint64(14695981039346656037)
_PRIME = np.uint64(1099511628211)
_M1 = np.uint64(0xFF51AFD7ED558CCD)
_M2 = np.uint64(0xC4CEB9FE1A85EC53)
_33 = np.uint64(33)
#: What a number looks like: another country's; a short number, a name, a 400 or 800 number.
FOREIGN, SERVICE = 1, 2
_PLUS, _0, _9 = ord("+"), ord("0"), ord("9")
_CN_SHORT = np.frombuffer(b"cn-short:", np.uint8)
_ALPHA = np.frombuffer(b"alpha:", np.uint8)
_400 = np.frombuffer(b"+86400", np.uint8)
_800 = np.frombuffer(b"+86800", np.uint8)


@inlined
def _null(valid, i):
    """Whether text ``i`` is null; an empty ``valid`` knows none."""
    return valid.shape[0] > 0 and not (valid[i >> 3] >> np.uint8(i & 7)) & 1


@inlined
def _hashed(data, begin, end):
    h = _OFFSET
    for j in range(begin, end):
        h = (h ^ np.uint64(data[j])) * _PRIME
    h ^= h >> _33
    h *= _M1
    h ^= h >> _33
    h *= _M2
    h ^= h >> _33
    return h if h != np.uint64(0) else np.uint64(1)


@inlined
def _starts(data, begin, end, what):
    if end - begin < what.shape[0]:
        return False
    same = True
    for k in range(what.shape[0]):
        same = same and data[begin + k] == what[k]
    return same


@entered
def subjects_into(data, offsets, valid, at, n, kind_hash, kind, slot, keys, kinds, looks):
    """Texts at … at + n − 1 as subjects of a kind: their keys and kinds into ``slot`` of each row, and their looks."""
    for i in range(n):
        looks[i] = 0
        if _null(valid, at + i):
            keys[i, slot] = np.uint64(0)
            continue
        begin, end = np.int64(offsets[at + i]), np.int64(offsets[at + i + 1])
        keys[i, slot] = combined(kind_hash, _hashed(data, begin, end))
        kinds[i, slot] = kind
        if end == begin:
            continue
        if data[begin] == _PLUS:
            if not (end - begin >= 3 and data[begin + 1] == _0 + 8 and data[begin + 2] == _0 + 6):
                looks[i] = FOREIGN
            elif _starts(data, begin, end, _400) or _starts(data, begin, end, _800):
                looks[i] = SERVICE
        elif _starts(data, begin, end, _CN_SHORT) or _starts(data, begin, end, _ALPHA):
            looks[i] = SERVICE


@entered
def hashes_into(data, offsets, valid, at, n, out):
    """Hash of each text, 0 where null."""
    for i in range(n):
        if _null(valid, at + i):
            out[i] = np.uint64(0)
        else:
            out[i] = _hashed(data, np.int64(offsets[at + i]), np.int64(offsets[at + i + 1]))


@entered
def identities_into(data, offsets, valid, at, n, sources, table, out):
    """Identity of each event: its source's hash, its id's, its table's."""
    for i in range(n):
        h = np.uint64(0)
        if not _null(valid, at + i):
            h = _hashed(data, np.int64(offsets[at + i]), np.int64(offsets[at + i + 1]))
        out[i] = combined(combined(sources[i], h), table)


@inlined
def _digit(c):
    return c >= _0 and c <= _9


@inlined
def _digits(data, begin, end, many):
    """The number that the last ``many`` digits make; −1 where there are fewer characters."""
    if end - begin < many:
        return -1
    x = np.int64(0)
    for j in range(end - many, end):
        x = x * 10 + np.int64(data[j]) - _0
    return x


@entered
def disguises_into(data, offsets, valid, at, n, looks, out):
    """1 where digits as sent play an office or a bank: a long number that ends as theirs, a national one from abroad.

    ``looks``: of the numbers that they stand for.
    """
    for i in range(n):
        out[i] = 0
        if _null(valid, at + i):
            continue
        begin, end = np.int64(offsets[at + i]), np.int64(offsets[at + i + 1])
        if begin < end and data[begin] == _PLUS:
            begin += 1
        elif end - begin >= 2 and data[begin] == _0 and data[begin + 1] == _0:
            begin += 2
        else:
            out[i] = 1 if looks[i] & FOREIGN else 0
            continue
        plain = True
        for j in range(begin, end):
            if not _digit(data[j]):
                plain = False
                break
        if not plain:
            continue
        five, three = _digits(data, begin, end, 5), _digits(data, begin, end, 3)
        known = three == 110 or five == 96110 or five == 12381 or five == 12315
        out[i] = 1 if known or five // 100 == 955 or five // 100 == 100 else 0


@entered
def cities_into(data, offsets, valid, at, n, out):
    """City of each GB/T 2260 code, its first four digits; 0 where there are none."""
    for i in range(n):
        out[i] = 0
        if _null(valid, at + i):
            continue
        begin, end = np.int64(offsets[at + i]), np.int64(offsets[at + i + 1])
        if end - begin < 4:
            continue
        x = np.int64(0)
        for j in range(begin, begin + 4):
            if not _digit(data[j]):
                x = 0
                break
            x = x * 10 + np.int64(data[j]) - _0
        out[i] = x


@entered
def texts_into(data, offsets, at, prefix, places, begins, out):
    """Copy ``prefix`` and each text to where it belongs: text ``i`` begins at ``begins[places[i]]`` in ``out``."""
    for i in range(places.shape[0]):
        to = begins[places[i]]
        for k in range(prefix.shape[0]):
            out[to + k] = prefix[k]
        to += prefix.shape[0]
        begin = np.int64(offsets[at + i])
        for j in range(begin, np.int64(offsets[at + i + 1])):
            out[to + j - begin] = data[j]
