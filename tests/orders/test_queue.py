"""A freeze that waits its turn: it holds nothing, takes effect by itself with what says so, and lapses by itself."""

from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest
from tests.desks import Centre
from tests.money import FIRST, Chase
from tests.orders.test_orders import reasons

from wuzha.command.public import Actor, Refused
from wuzha.orders import radar, releasing, states, terms
from wuzha.orders.answering import Answer

DAY = timedelta(days=1)


def waiting(chase: Chase, sun: Actor, *, days: int = 30, fen: int = 3_000_000) -> dict[str, object]:
    """A filed case whose freeze the bank has put behind another organ's."""
    chase.report()
    chase.filed()
    freeze = chase.frozen(sun, FIRST)
    chase.answer(freeze, said=Answer(
        queued=True, behind="乙市公安局", behind_until=chase.now + days * DAY, done_fen=fen,
    ))  # fmt: skip
    return chase.order("freeze", FIRST)


def test_a_freeze_that_waits_holds_nothing_and_runs_no_term(chase: Chase, sun: Actor) -> None:
    queued = waiting(chase, sun)
    assert (queued["state"], queued["in_force"], queued["holds_fen"], queued["ends_at"]) == ("queued", False, 0, None)
    assert queued["word"] == "order_state.freeze.queued"
    with chase.house.scope(sun, now=chase.now) as conn:
        (on,) = radar.radar(conn, sun, which="queued", now=chase.now)
    assert on["order_id"] == queued["order_id"] and on["queued_behind"] == "乙市公安局"


def test_its_turn_comes_by_itself_with_the_basis_and_the_term_from_then(chase: Chase, sun: Actor) -> None:
    queued = waiting(chase, sun)
    until = queued["queued_until"]
    chase.round(29 * DAY)
    assert chase.order("freeze", FIRST)["state"] == "queued"
    assert chase.round(3 * DAY)["queue"] == 1 and chase.round()["queue"] == 0
    now = chase.order("freeze", FIRST)
    assert (now["state"], now["executed_at"], now["holds_fen"]) == ("done", until, 3_000_000)
    assert (now["effect_basis"], now["effect_presumed"]) == (f"word:{until.isoformat()}", True)  # type: ignore[attr-defined]
    assert now["ends_at"] == terms.months_after(until, 6)  # type: ignore[arg-type]
    assert states.state(now, now["ends_at"]) == "expired"  # lapses by itself
    with chase.house.scope(sun, now=chase.now) as conn:
        kinds = [r[0] for r in conn.execute("SELECT kind FROM case_steps ORDER BY step_id").fetchall()]
        assert [o["order_id"] for o in radar.radar(conn, sun, which="queued", now=chase.now)] == [now["order_id"]]
    assert "order_queued" in kinds and kinds.count("queue_in_force") == 1
    chase.answer(now, done_fen=2_500_000)  # its bank confirms, with what it really holds
    sure = chase.order("freeze", FIRST)
    assert (sure["effect_basis"], sure["effect_presumed"], sure["holds_fen"]) == ("bank", False, 2_500_000)


def test_the_banks_word_takes_a_presumed_turn_back(chase: Chase, sun: Actor) -> None:
    """The other organ has renewed in time: the freeze waits on, and its term has not begun."""
    waiting(chase, sun)
    chase.round(31 * DAY)
    longer = chase.now + 60 * DAY
    chase.answer(chase.order("freeze", FIRST), said=Answer(queued=True, behind="乙市公安局", behind_until=longer))
    back = chase.order("freeze", FIRST)
    assert (back["state"], back["executed_at"], back["queued_until"]) == ("queued", None, longer)
    chase.round(61 * DAY)
    assert chase.order("freeze", FIRST)["executed_at"] == longer


def test_a_freeze_waits_behind_another_units_of_this_house_until_that_is_let_go(
    house: Centre, chase: Chase, sun: Actor
) -> None:
    """Neither unit sees the other's case; the second knows the number it waits for, and nothing else of it."""
    chase.report()
    chase.filed()
    chase.answer(chase.frozen(sun, FIRST), done_fen=4_000_000)
    first = chase.order("freeze", FIRST)
    other = Chase(house, house.officer("li", "李", "dissuader", unit="east"))
    keeper = house.officer("seal2", "章", "sealer", unit="east")
    other.report(id_no="", line="13900000001")
    other.filed()
    other.answer(_east(other, house, keeper), said=Answer(queued=True))
    waits = other.order("freeze", FIRST)
    assert (waits["state"], waits["queued_of"], waits["queued_behind"]) == ("queued", first["order_id"], None)
    other.elapsed = chase.elapsed
    assert other.round(2 * DAY)["queue"] == 0
    chase.elapsed = other.elapsed
    with house.scope(sun, now=chase.now) as conn:
        releasing.release(conn, sun, first["order_id"], why="嫌疑排除", key=chase.key(), now=chase.now)
    chase.seal(sun, chase.order("release", FIRST)["order_id"])
    chase.answer(chase.order("release", FIRST))
    released = chase.now
    assert other.round(timedelta(minutes=1))["queue"] == 1
    now = other.order("freeze", FIRST)
    assert (now["executed_at"], now["effect_basis"]) == (released, f"released:{first['order_id']}")


def _east(other: Chase, house: Centre, keeper: Actor) -> dict[str, object]:
    from wuzha.orders import drafting, sealing

    chief = house.officer("chief-east", "所长", "commander", unit="east")
    subject = other.order("query", FIRST)["account_id"]
    wish = drafting.Draft(kind="freeze", account_id=subject, level=1, reason="另案", amount_fen=4_000_000, months=6)
    with house.scope(other.officer, now=other.now) as conn:
        drafting.draft(conn, other.officer, other.case_id, wish, key=other.key(), now=other.now)
    freeze = other.order("freeze", FIRST)["order_id"]
    with house.scope(chief, now=other.now) as conn:
        sealing.approve(conn, chief, freeze, key=other.key(), now=other.now)
    other.seal(keeper, freeze)
    return other.order("freeze", FIRST)


def test_of_two_that_wait_the_first_in_line_comes_first(house: Centre, chase: Chase, sun: Actor) -> None:
    waiting(chase, sun, days=5)
    other = Chase(house, house.officer("li", "李", "dissuader", unit="east"), at=chase.at)
    keeper = house.officer("seal2", "章", "sealer", unit="east")
    other.report(id_no="", line="13900000001")
    other.filed()
    other.elapsed += timedelta(minutes=1)
    other.answer(_east(other, house, keeper), said=Answer(
        queued=True, behind="乙市公安局", behind_until=other.now + 5 * DAY))  # fmt: skip
    chase.round(6 * DAY)
    chase.round()
    other.elapsed = chase.elapsed
    first, second = chase.order("freeze", FIRST), other.order("freeze", FIRST)
    assert (first["state"], second["state"]) == ("done", "queued")
    assert second["queued_of"] == first["order_id"]
    other.round(first["ends_at"] - other.now + timedelta(seconds=1))
    assert other.order("freeze", FIRST)["effect_basis"] == f"lapsed:{first['order_id']}"


def test_the_guard_counts_what_waits_as_asked_for_and_never_twice(chase: Chase, sun: Actor) -> None:
    waiting(chase, sun, fen=4_000_000)
    stop = chase.order("stop", FIRST)
    assert reasons(chase, stop) == []  # on the same account the larger of the two counts
    from wuzha.orders.drafting import Draft, draft

    with chase.house.scope(chase.officer, now=chase.now) as conn:
        draft(conn, chase.officer, chase.case_id, Draft(
            kind="freeze", account_id=stop["account_id"], level=1, reason="再冻一次", amount_fen=1, months=6),
            key=chase.key(), now=chase.now)  # fmt: skip
    assert "frozen" in reasons(chase, chase.order("freeze", FIRST))
    second = "6217001234560002"
    chase.seal(sun, chase.order("query", FIRST)["order_id"])
    chase.answer(chase.order("query", FIRST), [chase.moved(FIRST, second, 900_000, 3)])
    assert reasons(chase, chase.order("stop", second)) == []  # 4,000,000 in line and 900,000, of 5,000,000
    with chase.house.db.connect("super") as conn:
        conn.execute("UPDATE wuzha.case_losses SET amount_fen = 4800000")
    assert "over_case" in reasons(chase, chase.order("stop", second))


@pytest.mark.parametrize(
    "said",
    [Answer(queued=True), Answer(queued=True, behind="  "),
     Answer(queued=True, behind="乙市公安局", behind_until=Chase.__dataclass_fields__["at"].default_factory())],  # type: ignore[misc]
    ids=["nobody", "blank", "over"],
)  # fmt: skip
def test_a_line_behind_nobody_is_refused(chase: Chase, sun: Actor, said: Answer) -> None:
    chase.report()
    chase.filed()
    freeze = chase.frozen(sun, FIRST)
    with pytest.raises(Refused, match="order_queue"):
        chase.answer(freeze, said=said)
    chase.seal(sun, chase.order("stop", FIRST)["order_id"])
    with pytest.raises(Refused, match="order_queue"):
        chase.answer(chase.order("stop", FIRST), said=Answer(queued=True, behind="乙市公安局"))


def test_the_database_gives_no_turn_without_its_basis(chase: Chase, sun: Actor) -> None:
    queued = waiting(chase, sun)
    for change in (
        "executed_at = now(), done_fen = 1, ends_at = now() + interval '1 day'", "queued_behind = ' '",
        "kind = 'stop'", "effect_presumed = true, queued_at = NULL",
    ):  # fmt: skip
        with pytest.raises(psycopg.errors.Error), chase.house.scope(sun) as conn:
            conn.execute(f"UPDATE orders SET {change} WHERE order_id = %s", (queued["order_id"],))


def test_one_that_waits_is_released_before_its_turn(chase: Chase, sun: Actor) -> None:
    queued = waiting(chase, sun)
    with chase.house.scope(sun, now=chase.now) as conn:
        releasing.release(conn, sun, queued["order_id"], why="不再需要", key=chase.key(), now=chase.now)  # type: ignore[arg-type]
    chase.seal(sun, chase.order("release", FIRST)["order_id"])
    chase.answer(chase.order("release", FIRST))
    assert chase.order("freeze", FIRST)["state"] == "released"
    assert chase.round(31 * DAY)["queue"] == 0
