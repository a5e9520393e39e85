"""Lists for automatic calls out, results in: in any order, twice, overlapping, broken."""

from __future__ import annotations

import csv
import io
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.desks import Centre, centre

from wuzha.command.public import Actor, Refused
from wuzha.events import clock
from wuzha.ingest.grids import workbook_grids
from wuzha.ingest.sources import Item
from wuzha.respond import robot, robot_results, robot_words
from wuzha.store import Database

AT = "2026-03-02 10:{:02d}:00"


def listed(house: Centre, *alerts: int) -> None:
    """As the overflow puts them on the list."""
    now = clock.now()
    for alert in alerts:
        house.engine.execute("SELECT 1")
        with house.db.connect("super") as conn:
            conn.execute("UPDATE wuzha.alerts SET robot_at = %s WHERE alert_id = %s", (now, alert))
            conn.execute(
                "INSERT INTO wuzha.robot_calls (alert_id, listed_at, state_at) VALUES (%s, %s, %s)", (alert, now, now)
            )


def made(house: Centre, wang: Actor, key: str = "make-a-list") -> list[list[str]]:
    """A list's file, without its headings."""
    with house.scope(wang) as conn:
        number = robot.make(conn, wang, purpose="dissuade", key=key)
        text = robot.file(conn, wang, number, "csv").decode("utf-8-sig")
    return list(csv.reader(io.StringIO(text)))[1:]


def answers(*rows: tuple[str, ...]) -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out).writerows([("编号", "外呼结果", "外呼时间", "录音"), *rows])
    return out.getvalue().encode()


def take(house: Centre, wang: Actor, content: bytes, name: str = "结果.csv") -> robot_results.Taken:
    return robot_results.take(lambda: house.scope(wang), wang, name, content)


def test_a_list_names_nobody_and_everybody_once(house: Centre, wang: Actor) -> None:
    one = house.alert("张小兰", level="low", line="+8613812341234")
    two = house.alert("李强", level="medium", line="+862166668888", scam_type="authority")
    gone = house.alert("王五", level="low")
    listed(house, one, two, gone)
    house.web.execute("SELECT 1")
    with house.db.connect("super") as conn:
        conn.execute("UPDATE wuzha.alerts SET state = 'closed' WHERE alert_id = %s", (gone,))
    rows = made(house, wang)
    assert [r[1:4] for r in rows] == [["李*", "02166668888", "authority"], ["张*兰", "13812341234", "authority"]]
    assert all("http" not in r[4] for r in rows)
    with house.scope(wang) as conn:
        assert robot.waiting(conn, wang) == 0
        with pytest.raises(Refused, match="robot_none"):
            robot.make(conn, wang, purpose="dissuade", key="another-list")
    said = house.engine.execute("SELECT action, detail->>'purpose' FROM audit WHERE action LIKE 'robot.%'").fetchall()
    assert said == [("robot.made", "dissuade"), ("robot.taken", "dissuade")]


def test_a_click_makes_one_list(house: Centre, wang: Actor) -> None:
    listed(house, house.alert(level="low"))
    assert made(house, wang, "the-same-click") == made(house, wang, "the-same-click")


def test_without_the_right_to_reveal_no_list_leaves(house: Centre) -> None:
    auditor = house.officer("audit", "审计", "auditor")
    with house.scope(auditor) as conn, pytest.raises(Refused, match="forbidden"):
        robot.make(conn, auditor, purpose="dissuade", key="auditors-list")


def test_a_workbook_has_the_same_rows(house: Centre, wang: Actor) -> None:
    listed(house, house.alert(level="low", line="+8613812341234"))
    rows = made(house, wang)
    with house.scope(wang) as conn:
        content = robot.file(conn, wang, 1, "xlsx")
    (grid,) = workbook_grids(Item(name="a.xlsx", data=content, changed=None))
    assert grid.head == [list(robot.HEADINGS), rows[0]]


def test_results_become_contacts_and_the_file_goes_where_it_should(house: Centre, wang: Actor) -> None:
    heard, silent, asks = (house.alert(level="low") for _ in range(3))
    listed(house, heard, silent, asks)
    refs = {r: row[0] for r, row in zip((heard, silent, asks), made(house, wang), strict=True)}
    told = take(house, wang, answers(
        (refs[heard], "已听完", AT.format(1), "rec-1"), (refs[silent], "无人接听", AT.format(2), ""),
        (refs[asks], "转人工", AT.format(3), "")))  # fmt: skip
    assert (told.rows, told.taken, told.repeated, told.rejects) == (3, 3, 0, [])
    found = house.engine.execute("SELECT alert_id, kind, code FROM contacts ORDER BY alert_id").fetchall()
    assert found == [(heard, "robot", "heard"), (silent, "robot", "no_answer"), (asks, "robot", "asks_officer")]
    state = dict(house.engine.execute("SELECT alert_id, robot_at IS NULL FROM alerts").fetchall())
    assert state == {heard: False, silent: False, asks: True}
    with house.scope(wang) as conn:
        waits = conn.execute("SELECT alert_id, why FROM call_backs").fetchall()
        assert waits == [(asks, "asks_officer")]
        assert robot.waiting(conn, wang) == 1  # the silent one is tried again
    again = made(house, wang, "second-list")
    take(house, wang, answers((again[0][0], "关机", AT.format(30), "")))
    row = house.engine.execute("SELECT robot_at, kept_at IS NOT NULL, tries FROM alerts WHERE alert_id = %s", (silent,))
    assert row.fetchone() == (None, True, 2)  # an officer's now


def test_rows_that_cannot_be_taken_are_told_with_their_place(house: Centre, wang: Actor) -> None:
    listed(house, house.alert(level="low"))
    ((ref, *_),) = made(house, wang)
    told = take(house, wang, answers(
        ("", "忙", "", ""), ("RNOBODYKNOWS", "忙", "", ""), (ref, "喝茶", "", ""), (ref, "", "", ""),
        (ref, "忙", "昨天", ""), (ref, "忙", "2999-01-01 00:00:00", ""),
        (ref.lower(), "忙", AT.format(1), "")))  # fmt: skip
    assert [(r.row, r.reason) for r in told.rejects] == [
        (2, "no_reference"), (3, "unknown_reference"), (4, "unknown_result"), (5, "no_result"), (6, "bad_time"),
        (7, "in_the_future"),
    ]  # fmt: skip
    assert (told.rows, told.taken) == (7, 1)


@pytest.mark.parametrize("content", [b"", b"\x00\x01\x02\x03" * 50, b"a,b\n1,2\n", b"PK\x03\x04broken"])
def test_a_file_that_is_none_is_refused_whole(house: Centre, wang: Actor, content: bytes) -> None:
    with pytest.raises(Refused, match="robot_file"):
        take(house, wang, content)


def test_another_centres_references_are_unknown(house: Centre, wang: Actor) -> None:
    listed(house, house.alert(level="low"))
    ((ref, *_),) = made(house, wang)
    house.unit("far", "外地反诈中心", "county")
    far = house.officer("far", "外", "dissuader", unit="far")
    assert [r.reason for r in take(house, far, answers((ref, "忙", "", ""))).rejects] == ["unknown_reference"]


WORDS = ["已听完", "无人接听", "转人工", "占线", "关机", "呼叫转移"]
RESULTS = st.tuples(st.integers(0, 1), st.sampled_from(WORDS), st.integers(0, 3))


@given(rows=st.lists(RESULTS, min_size=1, max_size=6), data=st.data())
@settings(
    max_examples=8, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.generate],  # each example is two databases: no time to shrink
)  # fmt: skip
def test_files_in_any_order_and_twice_leave_the_same(
    make_db: Any, rows: list[tuple[int, str, int]], data: st.DataObject
) -> None:
    whole = [rows]
    order = data.draw(st.permutations(rows))
    cut = data.draw(st.integers(0, len(rows)))
    twice = data.draw(st.lists(st.sampled_from(rows), max_size=3))
    assert _standing(make_db(), whole) == _standing(make_db(), [order[cut:], twice, order[:cut], order])


def _standing(db: Database, files: list[list[tuple[int, str, int]]]) -> Any:
    """Everything that the desk has of these results, after these files in this order."""
    with db.connect("engine") as engine, db.connect("web") as web:
        house = centre(db, engine, web)
        wang = house.officer("wang", "王敏", "dissuader")
        alerts = [house.alert(level="low"), house.alert(level="low")]
        listed(house, *alerts)
        refs = [row[0] for row in made(house, wang)]
        for rows in files:
            if rows:
                take(house, wang, answers(*((refs[i], word, AT.format(m), "") for i, word, m in rows)))
        first = alerts[0]
        with house.scope(wang) as conn:
            return (
                sorted((a - first, c, at) for a, c, at in conn.execute("SELECT alert_id, code, at FROM contacts")),
                sorted((a - first, r, at) for a, r, at in conn.execute(
                    "SELECT alert_id, result, result_at FROM robot_rows")),
                sorted((a - first, t, c, r, k) for a, t, c, r, k in conn.execute(
                    "SELECT alert_id, tries, contacted_at, robot_at IS NULL, kept_at IS NULL FROM alerts")),
                sorted((a - first,) for (a,) in conn.execute(
                    "SELECT alert_id FROM robot_calls WHERE state = 'listed'")),
                sorted((a - first, f, t) for a, f, t in conn.execute(
                    "SELECT alert_id, first_at, last_at FROM call_backs")),
            )  # fmt: skip


def test_the_newest_result_of_a_row_stands(house: Centre, wang: Actor) -> None:
    listed(house, house.alert(level="low"))
    ((ref, *_),) = made(house, wang)
    take(house, wang, answers((ref, "已听完", AT.format(20), "")))
    take(house, wang, answers((ref, "忙", AT.format(5), "")))
    with house.scope(wang) as conn:
        assert conn.execute("SELECT result FROM robot_rows").fetchone() == ("heard",)


@pytest.mark.parametrize(
    ("old", "new", "wrong"),
    [
        ("需要民警帮助请按1", "详见 www.a.com", "no text of ours carries a link"),
        ('heard = ["已听完"', 'hard = ["已听完"', "no result hard"),
        ('busy = ["占线"', 'busy = ["关机"', "means"),
        ("tries = 2", "tries = 0", "tries is no whole number"),
        ("[template.general]", "[template.generel]", "there is no"),
    ],
)
def test_a_wrong_file_of_words_is_refused_with_its_place(old: str, new: str, wrong: str) -> None:
    from importlib.resources import files as shipped

    text = (shipped("wuzha.respond") / "robot.toml").read_text("utf-8")
    with pytest.raises(ValueError, match=rf"robot.toml:\d+:\d+: .*{wrong}"):
        robot_words.read(text.replace(old, new))


def test_a_list_stays_open_for_its_time_and_may_then_be_made_again(house: Centre, wang: Actor) -> None:
    listed(house, house.alert(level="low"))
    made(house, wang)
    later: datetime = clock.now() + timedelta(seconds=robot_words.words().again_s + 60)
    with house.scope(wang, now=later) as conn:
        assert robot.waiting(conn, wang, now=later) == 1
