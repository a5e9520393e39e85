"""Those who have long been quiet leave memory, and come back as they were."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.detect import chronicle
from tests.detect.test_figures import book, differences, read, stream
from tests.eventlog import rows

from wuzha import detect
from wuzha.detect import cooling, layout
from wuzha.detect.files import Collected

QUICK = settings(
    max_examples=6, deadline=None, derandomize=True, phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)  # fmt: skip
CUTS = st.lists(st.tuples(st.integers(1, 250), st.floats(0, 1)), max_size=4, unique_by=lambda c: c[0])


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Arenas of a page already are worth a file."""
    monkeypatch.setattr(layout, "RESERVED", 4096)
    yield


def cooled(log: Any, cuts: list[tuple[int, float]], rules: Any, folder: Path) -> tuple[detect.Engine, Collected, int]:
    """An engine that at each cut lets those go who have been quiet for some share of the log."""
    engine, found, gone = detect.Engine(rules), Collected(rules), 0
    edges = [(0, 0.0), *sorted(c for c in cuts if c[0] < len(log)), (len(log), 0.0)]
    for (begin, share), (end, _) in itertools.pairwise(edges):
        if begin:
            before = int(np.quantile(log.ts[:begin], share)) + 1
            gone += cooling.cool(engine, before, folder)
        found.add(engine.feed(log.slice(begin, end)))
    return engine, found, gone


@pytest.mark.usefixtures("small")
@QUICK
@given(seed=st.integers(0, 10**6), cuts=CUTS)
def test_figures_do_not_know_who_was_away(seed: int, cuts: list[tuple[int, float]], tmp_path: Path) -> None:
    log, records = stream(seed)
    engine, _, _ = cooled(log, cuts, book(), tmp_path)
    assert differences(engine, read(records)) == []
    again = detect.Engine.restore(engine.snapshot(), book())
    assert differences(again, read(records)) == []


@pytest.mark.usefixtures("small")
@QUICK
@given(seed=st.integers(0, 10**6), cuts=CUTS)
def test_alerts_do_not_know_who_was_away(seed: int, cuts: list[tuple[int, float]], tmp_path: Path) -> None:
    log = chronicle.chronicle(seed)
    _, found, _ = cooled(log, cuts, chronicle.book(), tmp_path)
    _, wanted, _ = cooled(log, [], chronicle.book(), tmp_path)
    for name in ("alerts", "evidence", "warnings", "suspects"):
        assert getattr(found, name) == getattr(wanted, name)


@pytest.mark.usefixtures("small")
def test_some_are_away_in_these_streams(tmp_path: Path) -> None:
    log, _ = stream(1)
    assert cooled(log, [(150, 1.0), (200, 1.0)], book(), tmp_path)[2] > 0
    assert list(tmp_path.iterdir()) == [], "the file has no name"


def resident(array: Any) -> int:
    """Bytes of the array that are in this process's memory, by the system's own word."""
    begin, end, inside, total = array.ctypes.data, array.ctypes.data + array.nbytes, False, 0
    with Path("/proc/self/smaps").open() as lines:
        for line in lines:
            first, _, rest = line.partition(" ")
            if "-" in first and not first.endswith(":"):
                low, high = (int(x, 16) for x in first.split("-"))
                inside = low < end and high > begin
            elif inside and first == "Rss:":
                total += int(rest.split()[0]) * 1024
    return total


def test_what_the_quiet_have_is_not_in_memory_until_they_come_back(tmp_path: Path) -> None:
    n = 80_000
    calls = [
        {"at": i / 1000, "caller": f"+86138{i:08d}", "callee": f"+86139{i:08d}", "duration_s": 60} for i in range(n)
    ]
    engine = detect.Engine()
    engine.feed(detect.encode("calls", rows("calls", calls), 1))
    before = resident(engine._state.cells)
    who = f"line:+86138{n // 2:08d}"
    figures = engine.figures(who)
    quiet = cooling.quiet(engine, cooling.newest(engine) + 1)
    assert before > quiet // 2 > 4 << 20
    gone = cooling.cool(engine, cooling.newest(engine) + 1, tmp_path)
    # two windows a call; the counterparts are too few to matter, and stay
    assert quiet > gone >= 2 * n * engine._state.cells.itemsize
    assert resident(engine._state.cells) < before // 4, "a large page or two at the arena's end, and no more"
    assert engine.figures(who) == figures
    later = {"at": 40 * 1440, "event_id": "later", "caller": who[5:], "callee": "+8613900000001", "duration_s": 60}
    for i, at in enumerate((200.0, 40 * 1440.0)):
        engine.feed(detect.encode("calls", rows("calls", [later | {"at": at, "event_id": f"later{i}"}]), 2 + i))
    alone = detect.Engine()
    mine = [calls[n // 2], *(later | {"at": at, "event_id": f"later{i}"} for i, at in enumerate((200.0, 40 * 1440.0)))]
    alone.feed(detect.encode("calls", rows("calls", mine), 1))
    assert engine.figures(who) == alone.figures(who)
    assert resident(engine._state.cells) < before // 2


@pytest.mark.usefixtures("small")
def test_a_disk_that_takes_nothing_leaves_all_as_it_was(tmp_path: Path) -> None:
    log, records = stream(2)
    engine = detect.Engine(book())
    engine.feed(log)
    with pytest.raises(OSError, match="No such file"):
        cooling.cool(engine, cooling.newest(engine) + 1, tmp_path / "nowhere")
    assert differences(engine, read(records)) == []
    assert os.listdir(tmp_path) == []
