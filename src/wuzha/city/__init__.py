"""A synthetic city with ground truth: people, their days, scams among them, and what watches over them.

Kept true here: the city knows nothing of detection, and nothing but behaviour tells its scams from its innocents.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .files import write
    from .generator import CityError, generate
    from .scripts import ScriptError

__all__ = ["CityError", "ScriptError", "generate", "write"]

#: Loaded when first asked for, since every ``wuzha`` command imports this package for the words of ``wuzha city``.
_HOMES = {"CityError": "generator", "ScriptError": "scripts", "generate": "generator", "write": "files"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
