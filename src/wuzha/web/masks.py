"""What an officer may see of names and numbers on this page.

Kept true here: names, numbers, addresses for e-mail and identity numbers reach a template through `Sight` only;
closed, it never gives one in full, inside sentences and texts neither.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from wuzha.events import subjects

#: An address for e-mail, its at-sign in either width; a Chinese word may stand right before it. Its first sign stays.
_LETTER = r"[^\W\u3400-\u9fff]"
_MAIL = re.compile(
    rf"(?<![^\W\u3400-\u9fff])(?<![.+%-])({_LETTER})(?:{_LETTER}|[.+%-])*([@＠])((?:\w[\w-]*\.)+[^\W\d_]{{2,}})"
)
_DIGITS = re.compile(r"\+?\d(?:[ -]?\d){6,}[Xx]?")


def _shorten(match: re.Match[str]) -> str:
    digits = re.sub(r"[ -]", "", match[0])
    if len(digits) >= 15:
        return f"{digits[:4]}****{digits[-4:]}"
    bare = digits.removeprefix("+86") if digits.startswith("+86") else digits.removeprefix("+")
    return subjects.mask_line(bare)


def mask_text(text: str, names: Iterable[str] = ()) -> str:
    """``text`` with every run of seven or more digits and every e-mail address shortened and the given names
    masked."""
    for name in sorted({n for n in names if n and len(n) > 1}, key=len, reverse=True):
        text = text.replace(name, subjects.mask_name(name))
    return _DIGITS.sub(_shorten, _MAIL.sub(r"\1***\2\3", text))


@dataclass(frozen=True, kw_only=True)
class Sight:
    """``open``: revealed to this officer for this file. ``names``: those that its texts may contain."""

    open: bool = False
    names: tuple[str, ...] = ()

    def name(self, name: str | None) -> str:
        """A name, ``张*兰`` where masked; empty where unknown."""
        if not name:
            return ""
        return name if self.open else subjects.mask_name(name)

    def line(self, value: str | None) -> str:
        """A line's digits as people write them, ``138****1234`` where masked."""
        if not value:
            return ""
        if not self.open:
            return subjects.mask_line(value)
        return value.partition(":")[2] if value.startswith(("cn-short:", "alpha:")) else value.removeprefix("+86")

    def subject(self, kind: str, value: str | None) -> str:
        """A subject's value by its kind."""
        if not value:
            return ""
        if kind == "line":
            return self.line(value)
        if kind == "person" and ":" in value:
            return self.person(value)
        return value if self.open else subjects.mask(subjects.key(kind, value))

    def person(self, value: str | None) -> str:
        """A provisional person as the line or account that it is; empty for a register's key, which tells nobody
        anything."""
        inner, _, rest = (value or "").partition(":")
        if not rest:
            return ""
        return self.subject(inner, rest) if inner in subjects.KINDS else self.text(value)

    def id_no(self, number: str | None) -> str:
        """An identity number."""
        if not number:
            return ""
        return number if self.open else subjects.mask_id(number)

    def text(self, text: str | None, *names: str | None) -> str:
        """A sentence or text that may contain numbers or names, of these people also."""
        return (text or "") if self.open else mask_text(text or "", [*self.names, *(n for n in names if n)])


MASKED = Sight()
