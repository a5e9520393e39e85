"""Money is whole fen. Nothing here or elsewhere passes through binary floating point."""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal

_UNITS = {"": 1, "元": 1, "圆": 1, "万": 10_000, "万元": 10_000, "亿": 100_000_000, "亿元": 100_000_000}
_AMOUNT = re.compile(r"([+-]?)(?:¥|￥|RMB|CNY)?([+-]?)([\d,，]*\.?\d*)\s*(元|圆|万元|万|亿元|亿)?\Z")
#: Amounts beyond this are typing errors or attacks, not transfers: a hundred trillion yuan.
LIMIT_FEN = 10**16


def parse_yuan(text: str) -> int:
    """Fen of an amount as people write it: ``1,234.50``, ``￥３.８４万元``, ``-20``. ValueError says what is wrong.

    More than two decimals are refused unless they are zeros: a statement with tenths of a fen is no statement.
    """
    plain = unicodedata.normalize("NFKC", text).strip().strip("'’`\t ")
    match = _AMOUNT.match(plain)
    if not match or len(plain) > 60 or not any(ch.isdigit() for ch in match[3]):
        raise ValueError(f"{text[:60]!r} is no amount")
    if match[1] and match[2]:
        raise ValueError(f"{text!r} has two signs")
    value = Decimal(match[3].replace(",", "").replace("，", "")) * _UNITS[match[4] or ""] * 100
    if value != value.to_integral_value():
        raise ValueError(f"{text!r} is finer than one fen")
    fen = int(value)
    if fen > LIMIT_FEN:
        raise ValueError(f"{text!r} is beyond any account")
    return -fen if "-" in (match[1], match[2]) else fen


def yuan(fen: int) -> str:
    """Exact yuan with two decimals and thousands, for exports and hovers: ``38,412.05``."""
    sign, fen = ("-", -fen) if fen < 0 else ("", fen)
    return f"{sign}{fen // 100:,}.{fen % 100:02d}"


def yuan_short(fen: int | None) -> str:
    """For a glance: ``3.84万元``, ``1.20亿元``, ``560元``; ``—`` where unknown."""
    if fen is None:
        return "—"
    sign, fen = ("-", -fen) if fen < 0 else ("", fen)
    if fen >= 10**10:
        return f"{sign}{Decimal(fen) / 10**10:.2f}亿元"
    if fen >= 10**6:
        return f"{sign}{Decimal(fen) / 10**6:.2f}万元"
    return f"{sign}{fen // 100}元" if fen % 100 == 0 else f"{sign}{fen // 100}.{fen % 100:02d}元"
