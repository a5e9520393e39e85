"""Subjects and their keys, ``kind:value``.

Kept true here: one thing has one key. A line's value is E.164 where it has one, else ``cn-short:96110`` or
``alpha:ICBC``; an account's is its digits; a domain's is lower-case IDNA. Columns hold bare values, everything that
speaks *of* a subject (evidence, results, commands) uses the key.
"""

from __future__ import annotations

import re
import unicodedata

import phonenumbers

KINDS = (
    "person",
    "line",
    "sim",
    "device",
    "account",
    "domain",
    "app",
    "wallet",
    "im",
    "ip",
    "address",
    "cert",
)

_MOBILE = re.compile(r"1[3-9]\d{9}\Z")
_SHORT = re.compile(r"\d{3,8}\Z")
_JUNK = re.compile(r"[\s\-()（）'’`\u200b\ufeff.]+")


def key(kind: str, value: str) -> str:
    """The key of a subject. ValueError where the kind is unknown or the value empty."""
    if kind not in KINDS:
        raise ValueError(f"unknown subject kind {kind!r}; one of {', '.join(KINDS)}")
    if not value:
        raise ValueError(f"a {kind} without a value has no key")
    return f"{kind}:{value}"


def split_key(subject: str) -> tuple[str, str]:
    """``("line", "+8613…")`` of ``"line:+8613…"``. ValueError where it is no subject key."""
    kind, sep, value = subject.partition(":")
    if not sep or kind not in KINDS or not value:
        raise ValueError(f"{subject!r} is no subject key (kind:value, kinds {', '.join(KINDS)})")
    return kind, value


def provisional_person(subject: str) -> str:
    """Bare value of the provisional person behind a line, account or device whose person is unknown.

    It is the subject's own key, so that it needs no counter and comes out the same on every run.
    """
    split_key(subject)
    return subject


def person_of_id(number: str) -> str:
    """Bare value of the person with an identity number: a fingerprint, so that the number itself is no key.

    It hides nothing from someone who may try all numbers; it only keeps the number out of keys, logs and addresses.
    """
    return str(persons_of_ids([number])[0])


def persons_of_ids(numbers: list[str | None]) -> list[str | None]:
    """`person_of_id` of many numbers at once; None stays None."""
    import pyarrow as pa

    from .hashing import hash_text

    plain = [n if n is None else "identity:" + _plain_number(n) for n in numbers]
    found = hash_text(pa.array(plain, pa.string())).tolist()
    return [None if n is None else f"id-{h:016x}" for n, h in zip(numbers, found, strict=True)]


def _plain_number(number: str) -> str:
    if number.isascii() and number.isalnum():
        return number.upper()
    return _JUNK.sub("", unicodedata.normalize("NFKC", number)).upper()


def line_value(raw: str, *, region: str = "CN") -> str | None:
    """Bare line value of digits as sent; None where they are no telephone line.

    >>> line_value("138 0013 8000"), line_value("0085221234567"), line_value("96110")
    ('+8613800138000', '+85221234567', 'cn-short:96110')
    """
    if raw.startswith(("cn-short:", "alpha:")):
        return raw if raw.partition(":")[2] else None
    text = _JUNK.sub("", unicodedata.normalize("NFKC", raw))
    if not text:
        return None
    if _MOBILE.match(text):
        return "+86" + text
    if text.startswith("00"):
        text = "+" + text[2:]
    elif text.startswith("86") and _MOBILE.match(text[2:]):
        return "+" + text
    if text.startswith("+"):
        digits = text[1:]
        return text if digits.isascii() and digits.isdigit() and 6 <= len(digits) <= 18 else None
    if text.isascii() and text.isdigit():
        if _SHORT.match(text) and not text.startswith("0"):
            return "cn-short:" + text
        if text.startswith("0") and 9 <= len(text) <= 12:
            return "+86" + text[1:]
        try:
            number = phonenumbers.parse(text, region)
        except phonenumbers.NumberParseException:
            number = None
        if number is not None and phonenumbers.is_valid_number(number):
            return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))
        return "cn-short:" + text if 6 <= len(text) <= 20 else None
    if re.fullmatch(r"[\w&+ ]{2,20}", text) and not text.isdigit():
        return "alpha:" + text
    return None


def mask_line(value: str) -> str:
    """``138****1234`` of ``+8613812341234``; short codes and letters stay as they are."""
    if value.startswith(("cn-short:", "alpha:")):
        return value.partition(":")[2]
    digits = value[3:] if value.startswith("+86") else value
    if len(digits) < 8:
        return digits[:2] + "****"
    return f"{digits[:3]}****{digits[-4:]}"


def mask_account(value: str) -> str:
    """``6222****0001``."""
    return f"{value[:4]}****{value[-4:]}" if len(value) > 8 else value[:2] + "****"


def mask_name(name: str) -> str:
    """``张*`` of two characters, ``张*兰`` of three or more; a firm keeps its last two characters."""
    if len(name) <= 1:
        return "*"
    if len(name) == 2:
        return name[0] + "*"
    return name[0] + "*" + (name[-1] if len(name) <= 4 else name[-2:])


def mask_id(number: str) -> str:
    """``3502**********123X``: place and check digits stay, birth and order go."""
    return f"{number[:4]}{'*' * max(len(number) - 8, 4)}{number[-4:]}" if len(number) > 8 else "****"


def mask(subject: str) -> str:
    """A subject key's value as officers see it before a reveal."""
    kind, value = split_key(subject)
    if kind == "person" and ":" in value:
        return mask(value)
    if kind == "line":
        return mask_line(value)
    if kind in ("account", "wallet"):
        return mask_account(value)
    if kind in ("device", "sim"):
        return f"{value[:4]}****{value[-2:]}"
    return value
