"""One small city for all tests of this folder that only look at it."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from wuzha import city

OTHER_SCRIPTS = Path(__file__).parent / "other_scripts"


@pytest.fixture(scope="session")
def small() -> dict[str, pa.Table]:
    """3,000 people for a week."""
    return city.generate(3000, 7, 11)


@pytest.fixture(scope="session")
def folder(small: dict[str, pa.Table], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same city on disk."""
    out = tmp_path_factory.mktemp("cities") / "small"
    city.write(small, out, {"people": 3000})
    return out
