"""What is wrong with a rule's text, in the reader's language: the checker speaks English, patterns turn its sentences.

Kept true here: what no pattern knows is shown as it was said, never left out.
"""

from __future__ import annotations

import re

from . import catalogue

_PATTERNS: tuple[tuple[str, str], ...] = (
    (r"unknown feature '(?P<name>.+?)'; did you mean (?P<near>\w+)\?", "rules.wrong.near"),
    (r"unknown feature '(?P<name>.+?)'", "rules.wrong.feature"),
    (r"a rule's condition must be true or false.*", "rules.wrong.figure"),
    (r"want something true or false here|a comparison is no figure", "rules.wrong.truth"),
    (r"the condition is not complete.*", "rules.wrong.unfinished"),
    (r"the reason names '(?P<name>.+?)', which is no feature of a (?P<subject>\w+)", "rules.wrong.reason"),
    (r"a reason names at most (?P<n>\d+) features", "rules.wrong.reasons"),
    (r"(?P<what>.+) is not allowed in a rule \(\w+\)", "rules.wrong.not_allowed"),
    (r"text (?P<what>.+) is not allowed; features are figures", "rules.wrong.not_allowed"),
    (r"\[(?P<table>.+?)\] wants (?P<entry>\w+).*", "rules.wrong.wants"),
    (r"\[(?P<table>.+?)\] knows no '(?P<entry>.+?)'", "rules.wrong.knows"),
    (r"'(?P<what>.*?)' is none of (?P<of>.+)", "rules.wrong.none_of"),
    (r"no typology of a (?P<subject>\w+): '(?P<what>.+?)'; (?P<of>.+)", "rules.wrong.typology"),
    (r"the rule weighs nothing.*", "rules.wrong.weightless"),
    (r"a weight is a number from -100 to 100.*", "rules.wrong.weight"),
    (r"write one rule: .*", "rules.wrong.one"),
    (r"(?P<entry>number|version) is given by the deployment.*", "rules.wrong.given"),
    (r"'(?P<what>.+?)' is no name.*", "rules.wrong.name"),
    (r".* is no duration.*", "rules.wrong.duration"),
    (r"(?P<entry>\w+) is .+, of the wrong kind", "rules.wrong.kind"),
    (r"(?P<name>\w+) speaks of a (?P<subject>\w+); another subject is another rule", "rules.wrong.subject"),
)


def told(what: str, language: str) -> str:
    """The checker's sentence in a language."""
    if language == "en":
        return what
    for pattern, key in _PATTERNS:
        if (found := re.fullmatch(pattern, what)) is not None:
            return catalogue.translate(key, language, **found.groupdict())
    return what
