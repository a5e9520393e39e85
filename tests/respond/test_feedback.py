"""What a warning's sender is owed: one answer for all, taken back, corrected, sent, refused, late; and by an API."""

from __future__ import annotations

import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.answering import Source, answering
from tests.desks import Centre
from tests.lists import join, register
from tests.respond.test_books import dissuade

from wuzha.command.public import Actor, Refused, machine
from wuzha.events import clock
from wuzha.respond import answers, contact, feedback, outcome, queue, rounds, sender, sign, undo, ways


def states(house: Centre) -> list[tuple[Any, ...]]:
    return house.engine.execute(
        "SELECT feedback, answer, sent_answer FROM alert_warnings ORDER BY warning_id"
    ).fetchall()


def reach(house: Centre, actor: Actor, alert: int) -> None:
    with house.scope(actor) as conn:
        sign.sign(conn, actor, alert, version=1, key=f"sign-it-{alert}")
        contact.contact(conn, actor, alert, channel="call", result="self", version=2, key=f"call-it-{alert}")


def give(house: Centre, actor: Actor, alert: int, code: str, version: int) -> int:
    with house.scope(actor) as conn:
        return outcome.outcome(conn, actor, alert, code=code, version=version, key=f"give-{code}-{version}").contact_id


def way(house: Centre, source: str, text: str) -> None:
    boss = house.officer(f"boss-{source}", "管", "admin")
    with house.scope(boss) as conn:
        ways.save(conn, boss, source, text)


def test_one_dissuasion_answers_every_warning_and_those_that_join_after(house: Centre, wang: Actor) -> None:
    alert, other = house.alert(), house.alert()
    join(house, alert, "a", "1")
    join(house, alert, "b", "2")
    join(house, other, "a", "3")
    dissuade(house, wang, alert)
    assert [s[1] for s in states(house)] == ["dissuaded", "dissuaded", None]
    join(house, alert, "c", "4")
    rounds.go_round(house.web)
    assert [s[1] for s in states(house)] == ["dissuaded", "dissuaded", None, "dissuaded"]
    # A warning that the engine moves to another person's alert is answered with that one.
    house.engine.execute("UPDATE alert_warnings SET alert_id = %s WHERE event_id = '1'", (other,))
    rounds.go_round(house.web)
    assert [s[1] for s in states(house)] == [None, "dissuaded", None, "dissuaded"]


def test_an_outcome_taken_back_before_it_is_sent_was_never_there(house: Centre, wang: Actor) -> None:
    alert = house.alert()
    join(house, alert, "a", "1")
    reach(house, wang, alert)
    step = give(house, wang, alert, "dissuaded", 3)
    assert states(house) == [("owed", "dissuaded", None)]
    with house.scope(wang) as conn:
        assert sender.waiting(conn, ["a"]) == []  # it can still be taken back with a key
        undo.undo(conn, wang, alert, contact_id=step, key="undo-it-1")
    assert states(house) == [("owed", None, None)]
    give(house, wang, alert, "half_believing", 5)
    assert states(house) == [("owed", None, None)]  # not final: no answer
    kinds = house.engine.execute("SELECT count(*) FROM alert_warnings").fetchone()
    assert kinds == (1,)


def test_after_it_was_sent_another_outcome_is_a_correction(house: Centre, wang: Actor) -> None:
    alert = house.alert()
    (number,) = join(house, alert, "a", "1")
    reach(house, wang, alert)
    give(house, wang, alert, "dissuaded", 3)
    with house.scope(wang) as conn:
        assert feedback.sent(conn, wang, number, key="sent-by-hand-1")
        assert feedback.accept(conn, wang, number, key="accept-by-hand-1")
    give(house, wang, alert, "half_believing", 4)
    assert states(house) == [("accepted", None, "dissuaded")]
    give(house, wang, alert, "deceived", 5)
    assert states(house) == [("owed", "deceived", "dissuaded")]
    give(house, wang, alert, "dissuaded", 6)
    assert states(house) == [("sent", "dissuaded", "dissuaded")]


def test_a_state_moves_only_as_it_may_and_a_click_counts_once(house: Centre, wang: Actor) -> None:
    alert = house.alert()
    (number,) = join(house, alert, "a", "1")
    with house.scope(wang) as conn, pytest.raises(Refused, match="not_answered"):
        feedback.sent(conn, wang, number, key="sent-too-early")
    with house.scope(wang) as conn, pytest.raises(Refused, match="not_sent"):
        feedback.accept(conn, wang, number, key="accept-early")
    dissuade(house, wang, alert)
    with house.scope(wang) as conn:
        assert feedback.sent(conn, wang, number, key="sent-once-1")
        assert not feedback.sent(conn, wang, number, key="sent-once-1")
        assert feedback.accept(conn, wang, number, key="accept-once")
        assert feedback.send_back(conn, wang, number, key="late-return", why="照片缺失")  # long after it was accepted
        assert feedback.again(conn, wang, number, key="again-once")
        assert feedback.sent(conn, wang, number, key="sent-once-2")
    row = house.engine.execute("SELECT feedback, sent_n, returned_why FROM alert_warnings").fetchone()
    assert row == ("sent", 2, None)
    with house.scope(wang) as conn:
        kinds = [s["kind"] for s in feedback.history(conn, wang, number)]
    assert kinds == ["answered", "sent", "accepted", "returned", "again", "sent"]


def test_off_the_alert_its_clock_and_answer_go_and_come_back(house: Centre, wang: Actor) -> None:
    now = clock.now()
    alert = house.alert(level="low", ago=timedelta(seconds=1))
    strict, _loose = join(house, alert, "a", "1", hours=0.01), join(house, alert, "b", "2", hours=9)
    reach(house, wang, alert)

    def due() -> Any:
        with house.scope(wang) as conn:
            row = queue.one(conn, wang, alert, now=now)
        assert row is not None
        return row["due"], row["version"]

    before, version = due()
    with house.scope(wang) as conn:
        feedback.take_off(conn, wang, strict[0], version=version, key="off-it-1", why="机主已故")
    after, version = due()
    assert after > before
    give(house, wang, alert, "dissuaded", version)
    assert [s[1] for s in states(house)] == [None, "dissuaded"]
    with house.scope(wang) as conn, pytest.raises(Refused, match="no_reason"):
        feedback.take_off(conn, wang, strict[0], version=version + 1, key="off-it-2", why=" ")
    with house.scope(wang) as conn:
        feedback.put_back(conn, wang, strict[0], version=version + 1, key="back-on-1")
    assert [s[1] for s in states(house)] == ["dissuaded", "dissuaded"]
    assert due()[0] == before
    kinds = house.engine.execute("SELECT kind FROM contacts ORDER BY contact_id DESC LIMIT 3").fetchall()
    assert [k[0] for k in kinds] == ["warning_on", "outcome", "warning_off"]


def test_one_that_was_taken_off_is_answered_alone(house: Centre, wang: Actor) -> None:
    alert = house.alert()
    one, _two = join(house, alert, "a", "1", "2")
    reach(house, wang, alert)
    with house.scope(wang) as conn:
        feedback.take_off(conn, wang, one, version=3, key="off-it-1", why="空号")
        feedback.answer_alone(conn, wang, one, code="not_reached", key="alone-it-1", words="空号")
        assert [w["warning_id"] for w, _ in sender.waiting(conn, ["a"])] == [one]
    give(house, wang, alert, "dissuaded", 4)
    assert [s[1] for s in states(house)] == ["not_reached", "dissuaded"]
    with house.scope(wang) as conn, pytest.raises(Refused, match="unknown_code"):
        feedback.answer_alone(conn, wang, one, code="half_believing", key="alone-it-2")


def test_the_register_goes_by_deadline_and_pages_without_a_gap(house: Centre, wang: Actor) -> None:
    alert = house.alert()
    for n in range(7):
        join(house, alert, "a" if n % 2 else "b", f"{n}", hours=n - 2)
    house.engine.execute("UPDATE alert_warnings SET feedback_by = NULL WHERE event_id = '6'")
    seen, after = [], ""
    with house.scope(wang) as conn:
        while True:
            page, after = feedback.rows(conn, wang, feedback.Filters(after=after), limit=2)
            seen += [w["event_id"] for w in page]
            if not after:
                break
        overdue, _ = feedback.rows(conn, wang, feedback.Filters(state="overdue", source="a"))
        counts = feedback.counts(conn, wang)
        odd = feedback.Filters(after="x~9999999999999999999")
        assert len(feedback.rows(conn, wang, odd)[0]) == 7
    assert seen == ["0", "1", "2", "3", "4", "5", "6"]
    assert [w["event_id"] for w in overdue] == ["1"]
    assert (counts[""]["open"], counts["b"]["overdue"], counts[""]["sent"]) == (7, 2, 0)


def test_other_units_answers_are_not_seen(house: Centre, wang: Actor) -> None:
    (number,) = join(house, house.alert(), "a", "1")
    east = house.officer("east", "东", "dissuader", unit="east")
    with house.scope(east) as conn:
        assert feedback.rows(conn, east, feedback.Filters()) == ([], "")
        with pytest.raises(Refused, match="not_found"):
            feedback.sent(conn, east, number, key="not-of-mine")


# ---- by an API


def ready(house: Centre, wang: Actor, source: Source, *, more: str = "") -> int:
    register(house, "province", "省反诈中心")
    way(house, "province", f'way = "api"\nurl = "{source.url}"\n{more}\n[results]\ndissuaded = "01"\n')
    alert = house.alert()
    (number,) = join(house, alert, "province", "P1")
    dissuade(house, wang, alert)
    return number


def deliver(house: Centre, **said: Any) -> int:
    with sender.client() as asked:
        return sender.deliver(house.web, asked, **said)


def test_an_answer_is_posted_in_the_sources_code_with_its_key(house: Centre, wang: Actor, tmp_path: Path) -> None:
    (tmp_path / "province.key").write_text("s3cret\n")
    with answering() as source:
        number = ready(house, wang, source, more='key_file = "province.key"')
        assert deliver(house, keys=tmp_path) == 1
        assert deliver(house, keys=tmp_path) == 0
    ((headers, body),) = source.heard
    assert (body["number"], body["result"], body["outcome"], body["correction"]) == ("P1", "01", "dissuaded", False)
    assert headers["Idempotency-Key"] == body["key"] == f"{number}-1-dissuaded"
    assert headers["Authorization"] == "Bearer s3cret"
    assert "13" not in body["number"] and "张" not in str(body)
    row = house.engine.execute("SELECT feedback, sent_result, receipt FROM alert_warnings").fetchone()
    assert row == ("accepted", "01", f"R-{number}-1-dissuaded")


def test_a_source_that_is_away_is_tried_again_with_the_same_key(house: Centre, wang: Actor) -> None:
    with answering() as source:
        ready(house, wang, source)
        replies: list[Any] = [(503, b"busy"), (200, b"not json")]
        source.reply = lambda body: replies.pop(0)
        now = clock.now()
        assert deliver(house, now=now) == 0
        assert house.engine.execute("SELECT feedback, tries, last_error FROM alert_warnings").fetchone() == (
            "owed", 1, "HTTP 503",
        )  # fmt: skip
        assert deliver(house, now=now) == 0  # not yet
        assert len(source.heard) == 1
        assert deliver(house, now=now + clock.stretch(10)) == 1
    assert source.heard[0][1]["key"] == source.heard[1][1]["key"]
    assert states(house) == [("sent", "dissuaded", "dissuaded")]
    # Nobody listens there any more.
    house.engine.execute("UPDATE alert_warnings SET feedback = 'owed', answer = 'deceived'")
    assert deliver(house) == 0
    row = house.engine.execute("SELECT tries, last_error FROM alert_warnings").fetchone()
    assert row is not None and row[0] == 1 and row[1].startswith("Connect")


@pytest.mark.parametrize(
    "reply", [(422, {"reason": "缺民警警号"}), (200, {"state": "returned", "reason": "缺民警警号"})]
)
def test_an_answer_that_the_source_returns_is_told_with_its_reason(house: Centre, wang: Actor, reply: Any) -> None:
    with answering() as source:
        number = ready(house, wang, source)
        source.reply = lambda body: reply
        assert deliver(house) == 1
        row = house.engine.execute("SELECT feedback, returned_why FROM alert_warnings").fetchone()
        assert row == ("returned", "缺民警警号")
        assert deliver(house) == 0  # it waits for an officer
        with house.scope(wang) as conn:
            feedback.again(conn, wang, number, key="again-it-1")
        source.reply = lambda body: (200, {"state": "accepted"})
        assert deliver(house) == 1
    assert [h[1]["key"] for h in source.heard] == [f"{number}-1-dissuaded", f"{number}-2-dissuaded"]
    assert house.engine.execute("SELECT feedback FROM alert_warnings").fetchone() == ("accepted",)


def test_what_changes_while_it_is_sent_is_owed_as_a_correction(house: Centre, wang: Actor) -> None:
    with answering() as source:
        number = ready(house, wang, source)

        def meanwhile(body: dict[str, Any]) -> Any:
            with house.db.connect("web") as conn, house.scope(wang, conn) as tx:
                feedback.answer_alone(tx, wang, number, code="deceived", key=f"alone-{body['key']}")
            source.reply = lambda body: (200, {"state": "accepted"})
            return 200, {"state": "accepted"}

        source.reply = meanwhile
        assert deliver(house) == 1
        assert states(house) == [("owed", "deceived", "dissuaded")]
        assert deliver(house) == 1
    assert [(h[1]["outcome"], h[1]["correction"]) for h in source.heard] == [("dissuaded", False), ("deceived", True)]
    assert states(house) == [("accepted", "deceived", "deceived")]


def test_the_sender_beside_the_rounds_sends_by_itself(house: Centre, wang: Actor) -> None:
    with answering() as source:
        ready(house, wang, source)
        sending = sender.Sender(lambda: house.db.connect("web"))
        sending.start()
        end = time.monotonic() + 30
        while not source.heard and time.monotonic() < end:
            time.sleep(0.05)
        sending.stop()
        assert not sending.is_alive()
    assert len(source.heard) == 1
    assert states(house) == [("accepted", "dissuaded", "dissuaded")]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("way = 'api'", "x:1"),
        ("way = 'fax'", "x:1"),
        ("way = 'hand'\n\nspeed = 3", "x:3"),
        ("way = 'hand'\n[results]\nhalf_believing = '半信'", "x:3"),
        ("way = 'api'\nurl = 'file:///etc/passwd'", "x:2"),
        ("way = 'api'\nurl = 'http://a:b@c/d'", "x:2"),
        ("way = 'api'\nurl = 'http://c/d'\nkey_file = '../x'", "x:3"),
        ("way = ", "x:1"),
    ],
)
def test_a_way_that_cannot_be_used_is_refused_with_its_line(text: str, why: str) -> None:
    with pytest.raises(ways.WayError, match=why):
        ways.read(text, "x")


def test_the_shipped_words_are_of_outcomes_that_there_are() -> None:
    assert set(ways.defaults().results) == set(ways.final())


@pytest.mark.soak
def test_twenty_thousand_owed_among_many_more_are_paged_and_counted_whole(house: Centre, wang: Actor) -> None:
    house.alert()
    house.engine.execute(
        "INSERT INTO subjects (kind, value) SELECT 'person', 'many' || n FROM generate_series(1, 20000) n"
    )
    house.engine.execute(
        "INSERT INTO alerts (person_id, episode, unit_id, raised_at, last_evidence_at, committed_at, level_at, level,"
        " level_rank, scam_type, stage, score, typology, log_position) SELECT s.subject_id, 1, a.unit_id, a.raised_at,"
        " a.raised_at, a.raised_at, a.raised_at, 'high', 2, 'authority', 'act', 90, 'authority', 1"
        " FROM subjects s, alerts a WHERE s.value LIKE 'many%'"
    )
    house.engine.execute(
        "INSERT INTO alert_warnings (alert_id, source, event_id, ts, feedback_by, feedback, sent_at)"
        " SELECT a.alert_id, 's' || n % 6, a.alert_id || '-' || n, now() - k * interval '4 s',"
        " now() - k * interval '4 s' + interval '1 day', CASE WHEN n = 0 THEN 'owed' ELSE 'accepted' END,"
        " CASE WHEN n > 0 THEN now() - k * interval '4 s' END"
        " FROM (SELECT alert_id, row_number() OVER () AS k FROM alerts WHERE episode = 1 AND line_id IS NULL) a,"
        " generate_series(0, 5) n"
    )
    with house.db.connect("super") as conn:
        conn.execute("ANALYZE wuzha.alert_warnings, wuzha.alerts")
    seen: set[int] = set()
    after = ""
    taken: dict[str, list[float]] = {}
    while True:
        with house.scope(wang) as conn:
            begun = time.perf_counter()
            page, after = feedback.rows(conn, wang, feedback.Filters(after=after), limit=1000)
            taken.setdefault("a page of 1,000", []).append(time.perf_counter() - begun)
        seen.update(w["warning_id"] for w in page)
        if not after:
            break
    with house.scope(wang) as conn:
        begun = time.perf_counter()
        counts = feedback.counts(conn, wang)
        taken["counts"] = [time.perf_counter() - begun]
        begun = time.perf_counter()
        answers.round(conn, machine(house.units["centre"], "answers"), clock.now())
        taken["a round"] = [time.perf_counter() - begun]
    assert (len(seen), counts[""]["open"]) == (20_000, 20_000)
    sys.stderr.write("".join(f"{what}: {max(s):.3f} s\n" for what, s in taken.items()))
