"""Words of ordinary messages, from ``texts.toml``: templates with ``{slots}`` that are filled from the city's own urns.

Kept true here: links and numbers in good and bad texts come from the same draws.
"""

from __future__ import annotations

import tomllib
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from . import draw

if TYPE_CHECKING:
    from .stage import Stage

#: Short codes that send each kind of service message; empty: ordinary lines of sales desks and strangers.
SENDERS: dict[str, tuple[str, ...]] = {
    "bank": draw.BANK_SHORT,
    "code": ("95188", "10086", "95118", "12306"),
    "courier": ("95338", "95546", "95311", "11185"),
    "carrier": ("10086", "10010", "10000"),
    "advert": (),
    "loan_advert": (),
    "shop": ("95118", "95188"),
    "police_publicity": ("96110", "12381", "110"),
    "school_work": (),
    "travel": ("12306",),
}


@lru_cache(maxsize=1)
def templates() -> dict[str, list[str]]:
    """Templates by kind."""
    return {
        k: list(v["texts"]) for k, v in tomllib.loads((files(__package__) / "texts.toml").read_text("utf-8")).items()
    }


def fill(stage: Stage, template: str, rng: Any, **known: str) -> str:
    """The template with its slots filled; ``known`` slots as given."""
    w = stage.world
    out = template
    for slot in slots(template):
        value = known.get(slot)
        if value is None:
            if slot == "code":
                value = f"{rng.integers(0, 10**6):06d}"
            elif slot == "tail":
                value = f"{rng.integers(0, 10**4):04d}"
            elif slot == "number":
                value = str(rng.integers(2, 30))
            elif slot == "yuan":
                value = str(int(np.exp(rng.normal(6, 1.5))) + 1)
            elif slot == "big":
                value = f"{rng.integers(1, 30)}万"
            elif slot == "name":
                value = draw.person_names(rng, 1)[0][0] + ("女士" if rng.random() < 0.5 else "先生")
            elif slot == "url":
                value = "http://" + w.sites["text"][rng.choice(w.rare_sites)] + "/" + f"{rng.integers(0, 36**4):x}"
            elif slot == "phone":
                value = str(w.lines["text"][rng.choice(w.outside_mobile)])[3:]
            elif slot == "qq":
                value = str(rng.integers(10**7, 4 * 10**9))
            elif slot == "app":
                value = str(w.apps["name"][rng.choice(w.rare_apps)])
            elif slot == "shop":
                value = str(w.accounts["name"][rng.choice(w.merchants)])
            elif slot == "order":
                value = str(rng.integers(10**11, 10**12))
            else:
                raise ValueError(f"the text {template!r} has the unknown slot {{{slot}}}")
        out = out.replace("{" + slot + "}", str(value), 1)
    return out


SLOTS = ("code", "tail", "number", "yuan", "big", "name", "url", "phone", "qq", "app", "shop", "order")


def slots(template: str) -> list[str]:
    """Names of the slots of a template, in order."""
    return [part.split("}", 1)[0] for part in template.split("{")[1:]]


def codes(stage: Stage, kind: str, rng: Any, each: int) -> Any:
    """Codes of about ``each`` fillings of every template of a kind."""
    out: list[str] = []
    for t in templates()[kind]:
        out.extend(fill(stage, t, rng) for _ in range(each if "{" in t else 1))
    return stage.texts.codes(out)


def paths(stage: Stage, rng: Any, n: int) -> Any:
    """Codes of paths of addresses."""
    some = stage.texts.codes(
        [f"/{a}/{rng.integers(0, 36**4):x}" for a in ("p", "item", "news", "s", "u", "app", "h5") for _ in range(30)]
    )
    return rng.choice(some, n)
