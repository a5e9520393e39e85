"""An alert's file number: short, said on the phone, digits only, and right in itself.

Kept true here: a number means one alert and an alert has one number; a wrong digit or two neighbours changed about
never give another file's number (Damm's check digit); nothing about a person stands in it, and neighbours in time do
not look alike.
"""

from __future__ import annotations

import re
import unicodedata

from stdnum import damm

#: Digits without the check digit, and the odd factor and summand that scatter them: a bijection modulo 10**digits.
_SHORT, _LONG = (7, 6_180_339, 2_718_281), (9, 618_033_989, 271_828_183)


def file_number(alert_id: int) -> str:
    """``3482 9106`` of an alert. Eight digits for the first ten million files, then ten."""
    digits, factor, summand = _SHORT if alert_id < 10 ** _SHORT[0] else _LONG
    if not 0 < alert_id < 10**digits:
        raise ValueError(f"alert {alert_id} has no file number")
    body = f"{(alert_id * factor + summand) % 10**digits:0{digits}d}"
    whole = body + damm.calc_check_digit(body)
    return f"{whole[:4]} {whole[4:]}"


def digits_of(text: str) -> str:
    """The digits of what somebody typed, however they were parted; "" where it holds anything else."""
    plain = re.sub(r"[\s\-‐-―·.,，、/]+", "", unicodedata.normalize("NFKC", text))
    return plain if plain.isascii() and plain.isdigit() else ""


def alert_of(text: str) -> int | None:
    """The alert that a file number means; None where it is none, or was misheard."""
    whole = digits_of(text)
    for digits, factor, summand in (_SHORT, _LONG):
        if len(whole) == digits + 1 and damm.is_valid(whole):
            number = (int(whole[:-1]) - summand) * pow(factor, -1, 10**digits) % 10**digits
            long = digits == _LONG[0]
            return number if number and long == (number >= 10 ** _SHORT[0]) else None
    return None
