"""What has crossed long ago goes; what has not been receipted, has not taken effect or could not, never does."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.store.test_exchange import Link, Side
from tests.store.test_exchange import link as link  # the fixture

from wuzha.events.datafile import DataFileError
from wuzha.store import Connection, forgetting, outbox

SENT, TAKEN = timedelta(days=120, hours=1), timedelta(days=240, hours=1)


def numbers(side: Side, table: str, column: str) -> list[int]:
    return [r[0] for r in side.conn.execute(f"SELECT {column} FROM {table} ORDER BY 1")]  # type: ignore[arg-type]


def test_what_both_sides_have_done_with_goes_after_its_days_and_letters_pass_on(link: Link) -> None:
    for n in range(4):
        link.centre.tell(f"k{n}", "public")
    link.both(3)
    now = link.centre.now
    assert forgetting.sent(link.centre.conn, now) == forgetting.taken(link.public.conn, now) == 0
    at = link.centre.now + SENT
    assert forgetting.sent(link.centre.conn, at) == 3, "the newest tells both which numbering it is"
    assert forgetting.taken(link.public.conn, at) == 0
    assert forgetting.taken(link.public.conn, link.centre.now + TAKEN) == 3
    assert numbers(link.centre, "outbox", "crossing") == numbers(link.public, "exchange_inbox", "number") == [4]
    link.centre.tell("k4", "public")
    link.both(3)
    assert link.public.seen == ["k0", "k1", "k2", "k3", "k4"]
    assert link.public.standing().sound and link.centre.standing().sound
    assert link.centre.standing().waiting == 0


def test_what_is_unsent_or_could_not_take_effect_stays_for_ever(link: Link) -> None:
    link.centre.tell("k0", "public", bad=True)
    link.centre.tell("k1", "public")
    link.both(3)
    link.centre.tell("k2", "public")
    link.centre.round()  # laid out, and never taken
    link.centre.tell("k3", "public")  # and one that has no number yet
    years = link.centre.now + timedelta(days=4000)
    assert forgetting.sent(link.centre.conn, years) == 1
    assert forgetting.taken(link.public.conn, years) == 0, "a refused one, and the newest"
    left = link.centre.conn.execute("SELECT key FROM outbox ORDER BY number").fetchall()
    assert left == [("k1",), ("k2",), ("k3",)]
    link.both(3)
    assert link.public.seen == ["k1", "k2", "k3"]


def test_a_number_in_the_middle_stays_while_one_below_it_does(link: Link) -> None:
    for n in range(5):
        link.centre.tell(f"k{n}", "public")
    link.both(3)
    link.centre.tamper("UPDATE wuzha.outbox SET receipted_at = NULL WHERE crossing = 2")
    assert forgetting.sent(link.centre.conn, link.centre.now + SENT) == 1
    assert numbers(link.centre, "outbox", "crossing") == [2, 3, 4, 5]


@pytest.mark.parametrize("which", ["outbox", "exchange_inbox"])
def test_the_database_itself_keeps_what_waits(link: Link, which: str) -> None:
    link.centre.tell("k0", "public", bad=True)
    link.both(1)
    side = link.centre if which == "outbox" else link.public
    if which == "outbox":
        side.conn.execute("UPDATE outbox SET receipted_at = NULL")
    assert side.conn.execute(f"DELETE FROM {which}").rowcount == 0  # type: ignore[arg-type]
    side.conn.execute("SELECT set_config('wuzha.user', '1', false)")
    assert side.conn.execute(f"DELETE FROM {which}").rowcount == 0, "and no officer removes any"  # type: ignore[arg-type]


def test_a_holders_warnings_go_once_the_centre_has_had_them(engine: Connection, link: Link) -> None:
    now = link.centre.now
    for n in range(3):
        outbox.enqueue(engine, recipient="centre", kind="warning", key=f"w{n}", body={}, now=now)
    engine.execute("UPDATE outbox SET receipted_at = %s WHERE key <> 'w2'", (now,))
    assert forgetting.sent(engine, now + timedelta(days=119)) == 0
    assert forgetting.sent(engine, now + SENT) == 2
    assert engine.execute("DELETE FROM outbox").rowcount == 0


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(st.none() | st.integers(0, 400), st.booleans()), min_size=1, max_size=12))
def test_what_stays_is_a_whole_end_of_the_numbering(link: Link, rows: list[tuple[int | None, bool]]) -> None:
    now = link.centre.now
    with link.centre.db.connect("super") as su:
        su.execute("SET search_path = wuzha")
        su.execute("DELETE FROM outbox")
        for n, (days, _) in enumerate(rows, 1):
            su.execute(
                "INSERT INTO outbox (recipient, kind, key, body, created_at, receipted_at, crossing)"
                " VALUES ('zone:public', 'code', %s, '{}', %s, %s, %s)",
                (f"p{n}", now, None if days is None else now - timedelta(days=days), n),
            )
    forgetting.sent(link.centre.conn, now)
    left = numbers(link.centre, "outbox", "crossing")
    old = [n for n, (days, _) in enumerate(rows, 1) if days is not None and days > 120]
    receipted = [n for n, (days, _) in enumerate(rows, 1) if days is not None]
    assert left == list(range(left[0], len(rows) + 1))
    assert set(range(1, left[0])) <= set(old)
    assert not receipted or receipted[-1] in left
    if left[0] in old:
        assert left[0] == receipted[-1], "nothing old stays without a reason"


@pytest.mark.parametrize(
    ("was", "becomes", "said"),
    [
        ("sent_days = 120 ", "sent_days = 0 ", ":8:13: sent_days wants"),
        ("sent_days = 120 ", "sent_days = 500 ", ":9:14: what came is kept at least as long"),
        ("from = 2020-01-01", "from = 'today'", ":7:9: from is a day"),
        ("taken_days = 240", "taken_hours = 240", ":6:1: [[kept]] wants"),
        ("[[kept]]", "[kept]", "wants [[kept]] tables"),
    ],
)
def test_mistakes_in_the_periods_name_their_line(was: str, becomes: str, said: str) -> None:
    from importlib.resources import files

    text = (files("wuzha.store") / "forgetting.toml").read_text("utf-8")
    assert was in text
    with pytest.raises(DataFileError) as caught:
        forgetting.read(text.replace(was, becomes))
    assert said in str(caught.value)
