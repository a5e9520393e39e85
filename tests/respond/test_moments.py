"""The moment of an alert's next rung, as the database keeps it, is what a plain reading of its clocks says."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.desks import Centre
from tests.respond.duty import NOW, column, make_round

from wuzha.command.public import Actor, machine
from wuzha.respond import escalate, tiers
from wuzha.store import transaction

STATES = ("new", "signed", "contacting", "reached", "closed")
_minutes = st.none() | st.integers(-90, 9000)
_step = st.tuples(
    st.sampled_from(["state", "level", "own", "level_at", "merge", "round"]),
    st.sampled_from(STATES), st.sampled_from(["urgent", "high", "medium", "low"]), _minutes, _minutes,
)  # fmt: skip


def plain(house: Centre, alert: int) -> Any:
    """By the table of clocks and the rungs on record, without what the database keeps."""
    row = house.engine.execute(
        "SELECT state, level, level_at, own_sign_by, own_feedback_by, merged_into FROM alerts WHERE alert_id = %s",
        (alert,),
    ).fetchone()
    assert row is not None
    state, level, level_at, own_sign, own_feedback, merged = row
    if merged is not None or state == "closed":
        return None
    with transaction(house.web, unit=house.units["centre"], user=None, now=NOW):
        told = dict(
            house.web.execute(
                "SELECT clock, max(rung) FROM escalations WHERE alert_id = %s AND level = %s GROUP BY clock",
                (alert, level),
            ).fetchall()
        )
    clock = {"new": "sign", "reached": "meet"}.get(state, "contact" if told.get("contact", 0) < 2 else "meet")
    table = tiers.tiers(NOW)
    allowed = timedelta(seconds=getattr(table.levels[level], f"{clock}_s"))
    own = own_sign if clock == "sign" else own_feedback
    if clock == "meet" and state != "reached":
        own = None  # the upstream's deadline was told of with the contact's
    due = level_at + allowed if own is None else min(level_at + allowed, own)
    return {0: due, 1: due + allowed * table.unit_after, 2: None}[told.get(clock, 0)]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(_step, min_size=1, max_size=8))
def test_the_next_moment_is_what_the_clocks_and_the_rungs_say(
    house: Centre, wang: Actor, steps: list[tuple[str, str, str, int | None, int | None]]
) -> None:
    alert = house.alert(unit="east", level="high", now=NOW, ago=timedelta(0))
    other = house.alert(now=NOW)
    late = NOW
    for what, state, level, one, two in steps:
        values = {
            "state": state, "level": level, "rank": ["low", "medium", "high", "urgent"].index(level), "id": alert,
            "one": None if one is None else NOW + timedelta(minutes=one),
            "two": None if two is None else NOW + timedelta(minutes=two), "other": other,
        }  # fmt: skip
        if what == "round":
            late = max(late, NOW + timedelta(minutes=abs(one or 0)))
            make_round(house, escalate.round, late, root="centre")
        else:
            statement = {
                "state": "UPDATE alerts SET state = %(state)s WHERE alert_id = %(id)s",
                "level": "UPDATE alerts SET level = %(level)s, level_rank = %(rank)s WHERE alert_id = %(id)s",
                "own": "UPDATE alerts SET own_sign_by = %(one)s, own_feedback_by = %(two)s WHERE alert_id = %(id)s",
                "level_at": "UPDATE alerts SET level_at = coalesce(%(one)s, level_at) WHERE alert_id = %(id)s",
                "merge": "UPDATE alerts SET merged_into = CASE WHEN merged_into IS NULL THEN %(other)s::bigint END"
                " WHERE alert_id = %(id)s",
            }[what]
            house.engine.execute(statement, values)  # type: ignore[arg-type]
        assert column(house, alert, "escalate_at") == plain(house, alert), what
    house.engine.execute("UPDATE alerts SET state = 'closed' WHERE alert_id = ANY(%s)", ([alert, other],))


def test_a_deployments_other_clocks_move_the_moment_of_what_is_open(house: Centre) -> None:
    alert = house.alert(level="urgent", now=NOW, ago=timedelta(0))
    assert column(house, alert, "escalate_at") == NOW + timedelta(seconds=60)
    with transaction(house.web, unit=house.units["centre"], user=None, now=NOW) as conn:
        conn.execute("UPDATE desk_tiers SET sign = interval '9 s', version = version + 1 WHERE level = 'urgent'")
        conn.execute("UPDATE alerts SET tries = tries")
    assert column(house, alert, "escalate_at") == NOW + timedelta(seconds=9)
    with transaction(house.web, unit=house.units["centre"], user=None, now=NOW) as conn:
        assert tiers.put_in_force(conn, machine(house.units["centre"], "clocks"), NOW) == 2
    assert column(house, alert, "escalate_at") == NOW + timedelta(seconds=60)


def test_a_round_reads_what_is_due_and_no_other_open_alert(house: Centre) -> None:
    for n in range(60):
        house.alert(level="urgent" if n < 20 else "low", now=NOW, ago=timedelta(0))
    at = NOW + timedelta(minutes=2)
    assert make_round(house, escalate.round, at, root="centre") == 40
    with house.db.connect("super") as su:
        assert su.execute("SELECT count(*) FROM wuzha.alerts WHERE escalate_at <= %s", (at,)).fetchone() == (0,)
        su.execute("SET enable_seqscan = off")
        plan = su.execute("EXPLAIN SELECT 1 FROM wuzha.alerts WHERE escalate_at <= now()").fetchall()
    assert "alerts_escalate" in str(plan)
