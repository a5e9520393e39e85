"""ISO 20022 messages as XML: read safely, checked against the official schemas before anything of them is believed.

Kept true here: no message is read that is larger than `LARGEST`, is no UTF-8, has a document type (entities, outside
files) or does not fit the schema of its kind and version; what is wrong is told with its line; nothing leaves that its
own schema refuses.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from importlib.resources import files
from typing import Any

from lxml import etree

from wuzha.command.public import Refused
from wuzha.events import clock

#: The kinds and the one version of each that is spoken here.
KINDS = {"camt.056": "camt.056.001.12", "camt.029": "camt.029.001.14"}
#: Bytes of a message at most: one order's answer takes a few thousand.
LARGEST = 512 * 1024
_SPACE = "urn:iso:std:iso:20022:tech:xsd:"
CURRENCY = "CNY"


@dataclass(frozen=True)
class Message:
    """A message that fits its schema: ``body`` is the element within Document."""

    kind: str
    body: etree._Element

    def find(self, path: str, below: etree._Element | None = None) -> etree._Element | None:
        """The first element at a path of names, ``Assgnmt/Id``; None where it is not there."""
        at = self.body if below is None else below
        return at.find("/".join(f"{{{_SPACE}{KINDS[self.kind]}}}{name}" for name in path.split("/")))

    def every(self, path: str, below: etree._Element | None = None) -> list[etree._Element]:
        """All elements at a path."""
        at = self.body if below is None else below
        found: list[etree._Element] = at.findall(
            "/".join(f"{{{_SPACE}{KINDS[self.kind]}}}{name}" for name in path.split("/"))
        )
        return found

    def text(self, path: str, below: etree._Element | None = None) -> str:
        """The text at a path; "" where it is not there."""
        found = self.find(path, below)
        return "" if found is None else (found.text or "").strip()


@lru_cache(maxsize=4)
def _schema(version: str) -> etree.XMLSchema:
    return etree.XMLSchema(etree.fromstring((files(__package__) / "iso20022" / f"{version}.xsd").read_bytes()))


def read(data: bytes, kind: str) -> Message:
    """A message of this kind. Refused: camt_large, camt_xml (``why``, with the line), camt_kind (``what`` it is)."""
    if len(data) > LARGEST:
        raise Refused("camt_large", limit=LARGEST // 1024)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refused("camt_xml", why=f"byte {error.start}: not UTF-8") from error
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise Refused("camt_xml", why="a document type or entities: refused unread")
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True, remove_pis=True,
        encoding="utf-8",
    )  # fmt: skip
    try:
        root = etree.fromstring(text.encode(), parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise Refused("camt_xml", why=str(error)[:200] or "no XML") from error
    name = etree.QName(root)
    if name.localname != "Document" or name.namespace != _SPACE + KINDS[kind]:
        what = (name.namespace or name.localname).removeprefix(_SPACE)
        raise Refused("camt_kind", what=what[:60], want=KINDS[kind])
    schema = _schema(KINDS[kind])
    if not schema.validate(root):
        first = schema.error_log[0]
        words = str(first.message).replace(f"{{{_SPACE}{KINDS[kind]}}}", "")
        raise Refused("camt_xml", why=f"line {first.line}: {words}"[:300])
    return Message(kind, root[0])


def written(kind: str, tree: dict[str, Any]) -> bytes:
    """A message of this kind: ``tree`` maps names to texts, to further trees, or to lists of either; a name with
    ``@Ccy`` after it carries the currency. AssertionError where our own message does not fit the schema."""
    space = _SPACE + KINDS[kind]
    root = etree.Element(f"{{{space}}}Document", nsmap={None: space})
    _grow(root, tree, space)
    schema = _schema(KINDS[kind])
    assert schema.validate(root), schema.error_log
    return bytes(etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True))


def _grow(at: etree._Element, tree: dict[str, Any], space: str) -> None:
    for name, value in tree.items():
        for one in value if isinstance(value, list) else [value]:
            if one is None or one == "":
                continue
            bare, _, currency = name.partition("@")
            element = etree.SubElement(at, f"{{{space}}}{bare}")
            if currency:
                element.set(currency, CURRENCY)
            if isinstance(one, dict):
                _grow(element, one, space)
            else:
                element.text = clean(str(one))


def clean(text: str, most: int | None = None) -> str:
    """Text that XML can hold, of so many characters at most."""
    kept = "".join(
        c for c in text if c in "\t\n" or (c >= " " and not "\ud800" <= c <= "\udfff" and c not in "\ufffe\uffff")
    )
    return kept if most is None else kept[:most].strip()


def yuan(fen: int) -> str:
    """An amount as the messages write it."""
    return f"{Decimal(fen) / 100:.2f}"


def fen(element: etree._Element | None) -> int | None:
    """An amount's fen; None where there is none. Refused("camt_amount") in another currency or of parts of a fen."""
    if element is None:
        return None
    whole = Decimal(element.text or "0") * 100
    if element.get("Ccy") != CURRENCY or whole != int(whole):
        raise Refused("camt_amount")
    return int(whole)


def moment(text: str) -> datetime | None:
    """An ISODateTime; without an offset it is the deployment's time. None where there is none."""
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:  # a year 0 or 24:00, which the schema lets pass
        raise Refused("camt_xml", why=f"{text[:40]}: no time") from error
    return at if at.tzinfo is not None else at.replace(tzinfo=clock.zone())
