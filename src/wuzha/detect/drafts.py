"""One rule written by itself, with its weights: what a deployment drafts, and how it comes to stand in a book.

Kept true here: a draft is a whole rule or it is a mistake with its line and column; a book that drafts are laid over
keeps its features and typologies in their order, and what a rule that went out has given as evidence stays and weighs.

Text of a draft: one table named like the rule (``subject``, ``stage``, ``when``, ``zh``, ``en``; ``cooldown``,
``opens``, ``cap`` where wanted) and a table ``weights`` (typology = points). Number and version are given, not written.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from wuzha.events.datafile import parse

from .predicate import compile_text
from .rulebook import _NAME, _RULE_MAY, _RULE_NEEDS, Rule, RuleBook, Snooze, _check_keys, _rule, _weight

#: Evidence keeps a rule's number in 12 bits; a deployment's own begin where the shipped ones end.
FIRST_NUMBER, LAST_NUMBER = 1024, 4095
MOST_CHARACTERS = 8000
_NEVER = compile_text("1 = 0", (), predicate=True)


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A rule and what it weighs in each typology."""

    rule: Rule
    weights: dict[str, float]


def read(text: str, book: RuleBook, *, number: int = FIRST_NUMBER, version: int = 1, file: str = "rule") -> Draft:
    """The draft of ``text`` over the features and typologies of ``book``. DataFileError says where a mistake stands."""
    d = parse(text, file)
    names = [name for name in d.data if name != "weights"]
    if len(names) != 1 or not isinstance(d.data[names[0]], dict):
        second = names[1] if len(names) > 1 else names[0] if names else ""
        raise d.error(second, "", "write one rule: a table with its name, [name], and a table [weights]")
    name = names[0]
    if not _NAME.match(name) or len(name) > 60:
        raise d.error(name, "", f"{name!r} is no name: small letters, digits and _, at most 60")
    for key in ("number", "version"):
        if key in d.data[name]:
            raise d.error(name, key, f"{key} is given by the deployment, leave it out")
    rule = _rule(d, name, _check_keys(d, name, _RULE_NEEDS, _RULE_MAY), book.features, number, version)
    stood = book.rules.get(name)
    if stood is not None and stood.subject != rule.subject:
        raise d.error(name, "subject", f"{name} speaks of a {stood.subject}; another subject is another rule")
    weights = _weights(d, rule, book)
    if not rule.opens and not any(weights.values()):
        raise d.error("weights", "", "the rule weighs nothing: [weights] wants a typology with points, or opens = true")
    return Draft(rule=rule, weights=weights)


def _weights(d: Any, rule: Rule, book: RuleBook) -> dict[str, float]:
    said = d.data.get("weights", {})
    if not isinstance(said, dict):
        raise d.error("weights", "", "[weights] is a table: typology = points")
    fitting = [t.id for t in book.typologies.values() if t.subject == rule.subject]
    for typology in said:
        if typology not in fitting:
            raise d.error("weights", typology, f"no typology of a {rule.subject}: {typology!r}; {', '.join(fitting)}")
    return {typology: _weight(d, typology, points) for typology, points in said.items()}


def text_of(book: RuleBook, name: str) -> str:
    """A rule of the book as the text of a draft. KeyError where it is not there."""
    rule = book.rules[name]
    lines = [f"[{name}]", f'subject = "{rule.subject}"', f'stage = "{rule.stage}"', f'when = """{rule.when}"""']
    lines += [f'zh = "{_quoted(rule.zh)}"', f'en = "{_quoted(rule.en)}"']
    if rule.cooldown_min != 1440:
        lines.append(f'cooldown = "{rule.cooldown_min}min"')
    if rule.opens:
        lines.append("opens = true")
    if rule.cap:
        lines.append(f"cap = {rule.cap}")
    lines += ["", "[weights]"]
    weights = {t.id: t.weights[name] for t in book.typologies.values() if name in t.weights}
    return "\n".join([*lines, *(f"{t} = {points:g}" for t, points in weights.items())]) + "\n"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def laid(
    base: RuleBook,
    standing: Sequence[Draft],
    *,
    out: Collection[str] = (),
    former: Mapping[int, Rule] | None = None,
    snoozes: Sequence[Snooze] = (),
) -> RuleBook:
    """``base`` with ``standing`` in place of the rules of their names or added to them.

    Rules in ``out`` never fire any more, and keep what their evidence weighs. ``former``: earlier versions by number.
    """
    rules = dict(base.rules)
    typologies = {t.id: replace(t, weights=dict(t.weights)) for t in base.typologies.values()}
    kept = dict(former or {})
    for draft in standing:
        name = draft.rule.id
        if name in rules:
            kept[rules[name].number] = rules[name]
        rules[name] = draft.rule
        for typology in typologies.values():
            typology.weights.pop(name, None)
            if typology.id in draft.weights:
                typology.weights[name] = draft.weights[typology.id]
    for name in out:
        if name in rules:
            rules[name] = replace(rules[name], program=_NEVER)
    numbers = {r.number for r in rules.values()}
    return RuleBook(
        base.features, rules, typologies,
        {n: r for n, r in kept.items() if n not in numbers and r.id in rules},
        tuple(s for s in snoozes if s.rule in rules), base.kept,
    )  # fmt: skip


def never(rule: Rule) -> bool:
    """Whether the rule stands only for the evidence that it gave."""
    return rule.program == _NEVER


__all__ = ["FIRST_NUMBER", "LAST_NUMBER", "MOST_CHARACTERS", "Draft", "laid", "never", "read", "text_of"]
