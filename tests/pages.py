"""The addresses of the pages, as the application knows them: a new one is in every test that goes through them."""

from __future__ import annotations

import re

from wuzha.web.app import PAGES


def addresses(method: str) -> list[str]:
    """Every address of a page that takes ``method``, with 1 for every number and csv for a choice of kinds."""
    found = set()
    for page in PAGES:
        for route in page.router.routes:
            if method in getattr(route, "methods", ()):
                found.add(re.sub(r"\{\w+\}", "1", route.path.replace("{kind}", "csv").replace("{name}", "alerts")))
    return sorted(found - {"/login"})
