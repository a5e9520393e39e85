"""Words that tell of right and wrong stand out from the white they stand on (WCAG 2.1: 4.5)."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest


@pytest.mark.parametrize("name", ["right", "wrong"])
def test_words_of_right_and_wrong_stand_out_from_white(name: str) -> None:
    css = (files("wuzha.web") / "static" / "wuzha.css").read_text("utf-8")
    found = re.search(rf"\.{name} \{{ color: ([^;]+);", css)
    assert found is not None
    colour = found[1]
    if variable := re.fullmatch(r"var\((--\w+)\)", colour):
        (colour,) = re.findall(rf"^:root \{{[^}}]*?{variable[1]}: (#\w{{6}})", css, re.M | re.S)
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (v / 12.92 if v <= 0.03928 else ((v + 0.055) / 1.055) ** 2.4 for v in parts)
    assert 1.05 / (0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05) >= 4.5
