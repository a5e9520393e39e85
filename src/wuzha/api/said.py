"""What bodies that tell of cases and answer orders keep to.

Kept true here: a field that is not known is refused, and so is a text that no database takes.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, field_validator


class Said(BaseModel):
    """A body whose texts are texts: no NUL, no half of a character."""

    model_config = ConfigDict(extra="forbid")

    @field_validator("*", mode="before")
    @classmethod
    def _plain(cls, value: object) -> object:
        if isinstance(value, str) and ("\x00" in value or value != value.encode("utf-8", "ignore").decode()):
            raise ValueError("holds a character that is no text")
        return value
