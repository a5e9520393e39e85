"""Looking back: every report is classed by what stood here before the loss, and a loss after a warning reopens."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.desks import Centre

from wuzha.command.public import Actor, Refused
from wuzha.events import clock
from wuzha.respond import contact, lookback_list, outcome, rounds, sign, undo

H = timedelta(hours=1)
D = timedelta(days=1)
_numbers = itertools.count(1)


class Story:
    """A person with an alert that stood here at ``start``; steps and reports at hours after it."""

    def __init__(self, house: Centre, wang: Actor, **columns: Any) -> None:
        self.house, self.wang = house, wang
        self.start = columns.pop("now", clock.now() - 10 * D)
        columns.setdefault("level", "high")
        self.line = columns.pop("line", f"+8613655{next(_numbers):06d}")
        self.alert = house.alert(ago=timedelta(0), now=self.start, line=self.line, **columns)
        row = house.engine.execute(
            "SELECT person_id, line_id, unit_id FROM alerts WHERE alert_id = %s", (self.alert,)
        ).fetchone()
        assert row is not None
        self.person, self.line_id, self.unit = row

    def column(self, name: str) -> Any:
        row = self.house.engine.execute(f"SELECT {name} FROM alerts WHERE alert_id = %s", (self.alert,)).fetchone()  # type: ignore[arg-type]
        assert row is not None
        return row[0]

    def do(self, verb: Callable[..., Any], hours: float, **values: Any) -> Any:
        at = self.start + hours * H
        if verb is not undo.undo:
            values.setdefault("version", self.column("version"))
        with self.house.scope(self.wang, now=at) as conn:
            return verb(conn, self.wang, self.alert, now=at, key=f"story-{next(_numbers):06d}", **values)

    def closed(self, hours: float, code: str = "dissuaded") -> None:
        self.do(sign.sign, hours)
        self.do(contact.contact, hours, channel="call", result="self")
        self.do(outcome.outcome, hours, code=code)
        self.do(outcome.close, hours)

    def report(self, hours: float, *, person: int | None = -1, fen: int | None = 2_000_000, **columns: Any) -> int:
        return report(
            self.house, self.start + hours * H, person=self.person if person == -1 else person, fen=fen,
            unit=self.unit, **columns,
        )  # fmt: skip


def report(
    house: Centre, at: datetime, *, person: int | None, fen: int | None, unit: int,
    names: list[tuple[str, int]] | None = None, reported: datetime | None = None, changed: datetime | None = None,
) -> int:  # fmt: skip
    n = next(_numbers)
    row = house.engine.execute(
        "INSERT INTO reports (source, event_id, report, ts, reported_at, person_id, unit_id, scam_type, loss_fen,"
        " changed_at) VALUES ('110', %s, %s, %s, %s, %s, %s, 'authority', %s, %s) RETURNING report_id",
        (f"e{n}", f"J{n}", at, reported or at + H, person, unit, fen, changed or at + H),
    ).fetchone()
    assert row is not None
    for role, subject in names or []:
        house.engine.execute(
            "INSERT INTO report_identifiers (source, event_id, report, subject_id, role)"
            " VALUES ('110', %s, %s, %s, %s)",
            (f"i{next(_numbers)}", f"J{n}", subject, role),
        )
    return int(row[0])


def looked(house: Centre, actor: Actor, number: int) -> dict[str, Any]:
    """What looking back found, after the rounds were made."""
    rounds.go_round(house.web)
    with house.scope(actor) as conn:
        return lookback_list.one(conn, actor, number)


@pytest.fixture
def story(house: Centre, wang: Actor) -> Story:
    return Story(house, wang)


def test_each_class_is_how_far_it_had_got_before_the_loss(house: Centre, wang: Actor) -> None:
    steps: list[tuple[str, list[tuple[Callable[..., Any], dict[str, Any]]]]] = [
        ("not_signed", []),
        ("not_reached", [(sign.sign, {})]),
        ("not_reached", [(sign.sign, {}), (contact.contact, {"channel": "call", "result": "busy"})]),
        ("not_met", [(sign.sign, {}), (contact.contact, {"channel": "call", "result": "self"})]),
        ("met", [(sign.sign, {}), (contact.contact, {"channel": "visit", "result": "met"})]),
    ]
    for expected, done in steps:
        one = Story(house, wang)
        for hours, (verb, values) in enumerate(done, 1):
            one.do(verb, hours, **values)
        found = looked(house, wang, one.report(5))
        assert found["class"] == expected
        clocks = [found[f"{n}_at"] for n in ("alert", "signed", "contacted", "reached", "met", "loss")]
        known = [c for c in clocks if c is not None]
        assert known == sorted(known)
        assert found["alert_id"] == one.alert
        assert found["unit_name"] == "示例区反诈中心"


def test_what_came_after_the_loss_does_not_count(story: Story) -> None:
    before = story.report(-1)
    number = story.report(0.5)
    story.do(sign.sign, 1)
    story.do(contact.contact, 2, channel="visit", result="met")
    assert looked(story.house, story.wang, number)["class"] == "not_signed"
    found = looked(story.house, story.wang, before)
    assert (found["class"], found["alert_id"]) == ("no_warning", None)
    assert [f["before"] for f in found["files"]] == [False]


def test_at_the_very_moment_of_the_loss_is_too_late(story: Story) -> None:
    story.do(sign.sign, 1)
    assert looked(story.house, story.wang, story.report(1))["class"] == "not_signed"
    second = looked(story.house, story.wang, story.report(1 + 1e-6))
    assert second["class"] == "not_reached"


def test_a_step_that_was_taken_back_does_not_count(story: Story) -> None:
    story.do(sign.sign, 1)
    done = story.do(contact.contact, 2, channel="visit", result="met")
    story.do(undo.undo, 2, contact_id=done.contact_id)
    assert looked(story.house, story.wang, story.report(3))["class"] == "not_reached"


def test_kin_who_were_told_are_not_the_person_reached(story: Story) -> None:
    story.do(sign.sign, 1)
    story.do(contact.contact, 2, channel="kin", result="told_other", reason="danger", words="请找到本人")
    assert looked(story.house, story.wang, story.report(3))["class"] == "not_reached"


def test_a_dissuaded_file_is_opened_again_by_a_later_loss_once(story: Story) -> None:
    story.closed(1)
    number = story.report(50, fen=3_000_000)
    found = looked(story.house, story.wang, number)
    assert found["class"] == "not_met"
    assert (story.column("state"), story.column("outcome")) == ("new", None)
    assert story.column("reopened_at") is not None
    rounds.go_round(story.house.web)
    kinds = [r[0] for r in story.house.engine.execute("SELECT kind FROM contacts ORDER BY contact_id")]
    assert kinds.count("reopen") == 1
    row = story.house.engine.execute("SELECT amount_fen, user_id FROM contacts WHERE kind = 'reopen'").fetchone()
    assert row == (3_000_000, None)
    with story.house.scope(story.wang) as conn:
        losses = lookback_list.of_alert(conn, story.alert)
    assert [(r["report_id"], r["class"]) for r in losses] == [(number, "not_met")]


@pytest.mark.parametrize(
    ("hours", "code", "fen", "state"),
    [
        (50, "deceived", 1, "new"),        # a further loss
        (0.9, "deceived", 1, "closed"),    # the loss that the close had told of
        (50, "false_alarm", 1, "new"),
        (50, "dissuaded", 0, "closed"),    # nearly, not quite
        (50, "dissuaded", None, "new"),    # a loss whose sum nobody knows yet
        (24 * 89, "dissuaded", 1, "new"),
        (24 * 92, "dissuaded", 1, "closed"),
    ],
)  # fmt: skip
def test_which_losses_open_a_file_again(
    house: Centre, wang: Actor, hours: float, code: str, fen: int | None, state: str
) -> None:
    story = Story(house, wang, now=clock.now() - timedelta(hours=hours + 2))
    story.closed(1, code)
    looked(house, wang, story.report(hours, fen=fen))
    assert story.column("state") == state
    noted = house.engine.execute("SELECT count(*) FROM contacts WHERE kind = 'loss_reported'").fetchone()
    assert noted == (1 if hours > 24 * 90 else 0,), "told all the same where it closed too long ago"


def test_an_open_file_is_told_and_stays_as_it_is(story: Story) -> None:
    story.do(sign.sign, 1)
    looked(story.house, story.wang, story.report(3))
    assert story.column("state") == "signed"
    rows = story.house.engine.execute(
        "SELECT kind FROM contacts WHERE kind IN ('sign', 'reopen', 'loss_reported') ORDER BY contact_id"
    ).fetchall()
    assert rows == [("sign",), ("loss_reported",)]


def test_of_two_files_the_open_one_is_told_and_the_furthest_one_classes(house: Centre, wang: Actor) -> None:
    first = Story(house, wang)
    first.do(sign.sign, 1)
    first.do(contact.contact, 1, channel="visit", result="met")
    first.do(outcome.outcome, 1, code="dissuaded")
    first.do(outcome.close, 1)
    second = Story(house, wang, person=(first.person, first.line_id), episode=2, now=first.start + 40 * H)
    found = looked(house, wang, first.report(50))
    assert (found["class"], found["alert_id"]) == ("met", first.alert)
    assert sorted(found["alert_ids"]) == [first.alert, second.alert]
    assert (first.column("state"), second.column("state")) == ("closed", "new")
    told = house.engine.execute("SELECT alert_id FROM contacts WHERE kind = 'loss_reported'").fetchone()
    assert told == (second.alert,)


def test_warnings_older_than_the_window_are_not_looked_at(house: Centre, wang: Actor) -> None:
    old = Story(house, wang, now=clock.now() - 200 * D)
    assert looked(house, wang, old.report(24 * 181))["class"] == "no_warning"
    assert looked(house, wang, old.report(24 * 179))["class"] == "not_signed"


def test_a_report_without_a_person_is_matched_by_the_victims_line_and_account(house: Centre, wang: Actor) -> None:
    by_line = Story(house, wang)
    number = by_line.report(3, person=None, names=[("victim", by_line.line_id)])
    assert looked(house, wang, number)["class"] == "not_signed"
    account = house.subject("account", "6222021234567890128")
    provisional = house.subject("person", "account:6222021234567890128")
    by_account = Story(house, wang, person=(provisional, None))
    number = by_account.report(3, person=None, names=[("victim", account)])
    assert looked(house, wang, number)["alert_id"] == by_account.alert
    stranger = house.subject("line", "+8613911112222")
    number = by_line.report(3, person=None, names=[("suspect", by_line.line_id), ("victim", stranger)])
    assert looked(house, wang, number)["class"] == "no_warning", "a suspect's line is not the victim's"


def test_an_identifier_that_comes_later_is_looked_at_again(house: Centre, wang: Actor) -> None:
    story = Story(house, wang)
    number = story.report(3, person=None)
    assert looked(house, wang, number)["class"] == "no_warning"
    report_no = house.engine.execute("SELECT report FROM reports WHERE report_id = %s", (number,)).fetchone()
    assert report_no is not None
    house.engine.execute(
        "INSERT INTO report_identifiers (source, event_id, report, subject_id, role)"
        " VALUES ('110', 'late', %s, %s, 'victim')",
        (report_no[0], story.line_id),
    )
    house.engine.execute("UPDATE reports SET changed_at = %s, fresh = true WHERE report_id = %s", (clock.now(), number))
    assert looked(house, wang, number)["class"] == "not_signed"


def test_the_loss_is_when_the_money_left_where_evidence_tells(story: Story) -> None:
    payee = story.house.subject("account", "6217001234567894321")
    left = story.start + H / 2
    story.house.evidence(
        story.alert, "deposit_to_current", {"amount_fen": 1}, at=left,
        events=[("transfers", left, {"payer": "1", "payee": "6217001234567894321", "amount_fen": 1})],
    )  # fmt: skip
    story.do(sign.sign, 1)
    found = looked(story.house, story.wang, story.report(3, names=[("payee", payee)]))
    assert (found["loss_at"], found["class"]) == (left, "not_signed")


def test_the_detail_says_which_feed_and_rule_would_have_caught_it(house: Centre, wang: Actor) -> None:
    story = Story(house, wang, level="low")
    house.warning(story.alert, issued_by="部", source_no="20261", ts=story.start - H)
    house.evidence(story.alert, "foreign_call", {"calls_in_foreign_6h": 3}, at=story.start)
    house.evidence(story.alert, "foreign_call", {"calls_in_foreign_6h": 9}, at=story.start + 8 * H)
    payee = house.subject("account", "6217009999999999999")
    house.engine.execute(
        "INSERT INTO suspects (subject_id, typology, score, first_at, last_at, args, log_position)"
        " VALUES (%s, 'mule', 5, %s, %s, '{}', 1)",
        (payee, story.start - D, story.start),
    )
    earlier = story.report(-48, person=None, names=[("payee", payee)])
    found = looked(house, wang, story.report(5, names=[("payee", payee)]))
    assert earlier
    assert [(w["issuer"], w["before"]) for w in found["warnings"]] == [("部", True)]
    assert [(e["rule"], e["before"], e["below"]) for e in found["evidence"]] == [
        ("foreign_call", True, True), ("foreign_call", False, True),
    ]  # fmt: skip
    assert [(s["typology"], s["before"], s["reports_before"]) for s in found["suspects"]] == [("mule", True, 1)]
    assert found["warned_at"] == story.start - H


def near(house: Centre, wang: Actor, report_id: int) -> list[tuple[str, float | None]]:
    found = looked(house, wang, report_id)["near"]
    return [(x.how, None if x.seconds is None else x.seconds / 60) for x in found]


def test_where_none_fired_the_nearest_miss_is_told_with_its_minutes(house: Centre, wang: Actor) -> None:
    story = Story(house, wang, level="high", now=clock.now() - 5 * D)
    stranger, line = house.person("刘洋", line="+8613900000001")
    assert near(house, wang, report(house, story.start, person=stranger, fen=1, unit=story.unit)) == []
    # A payee that earlier reports named; it became a suspect half an hour too late.
    payee = house.subject("account", "6217009999999999998")
    story.report(-48, person=None, names=[("payee", payee)])
    house.engine.execute(
        "INSERT INTO suspects (subject_id, typology, score, first_at, last_at, args, log_position)"
        " VALUES (%s, 'mule', 5, %s, %s, '{}', 1)",
        (payee, story.start + H / 2, story.start + H),
    )
    late = report(house, story.start, person=stranger, fen=1, unit=story.unit, names=[("payee", payee)])
    assert near(house, wang, late) == [("reports", None), ("late_suspect", 30.0)]
    # A rule on trial had seen the line, twenty minutes before; a feed warned an hour after.
    officer = wang.user_id
    with house.scope(wang) as conn:
        conn.execute(
            "INSERT INTO rule_versions (rule, version, body, zh, en, args, why, written_by, written_at)"
            " VALUES ('on_trial', 1, 'x > 1', '试', 'trial', '{}', 'x', %s, now())",
            (officer,),
        )
    house.engine.execute(
        "INSERT INTO rule_shadows (rule, version, subject_id, at, known_at, position)"
        " VALUES ('on_trial', 1, %s, %s, %s, 1)",
        (line, story.start - H, story.start - H / 3),
    )
    alert = house.alert(person=(stranger, line), now=story.start + H, ago=timedelta(0))
    house.warning(alert, issued_by="部", ts=story.start + H)
    assert near(house, wang, late) == [
        ("shadow", -20.0), ("reports", None), ("late_suspect", 30.0), ("late_feed", 60.0),
    ]  # fmt: skip
    # The engine's evidence is dated before the loss, the alert stood here after it.
    house.evidence(alert, "foreign_call", {"calls_in_foreign_6h": 3}, at=story.start - H / 4)
    first = looked(house, wang, late)["near"][0]
    assert (first.how, first.seconds, first.behind) == ("behind", -900.0, 3600.0)


def test_what_was_caught_stands_before_every_near_miss(house: Centre, wang: Actor) -> None:
    story = Story(house, wang, level="high")
    house.evidence(story.alert, "foreign_call", {"calls_in_foreign_6h": 3}, at=story.start)
    house.warning(story.alert, issued_by="部", ts=story.start - H)
    assert near(house, wang, story.report(2)) == [("feed", -180.0), ("rule", -120.0)]
    low = Story(house, wang, level="low")
    house.evidence(low.alert, "foreign_call", {"calls_in_foreign_6h": 1}, at=low.start)
    assert near(house, wang, low.report(1)) == [("below", -60.0)]


def test_figures_and_pages_count_the_same_and_pages_neither_skip_nor_repeat(
    house: Centre, wang: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookback_list, "PAGE", 2)
    now = clock.now()
    for i in range(5):
        story = Story(house, wang, unit=("east", "south")[i % 2], now=now - 3 * H)
        if i < 2:
            story.do(sign.sign, 0.5)
        story.report(1)
    report(house, now - H, person=None, fen=7, unit=house.units["centre"])
    rounds.go_round(house.web)
    seen: list[int] = []
    f = lookback_list.Filters()
    with house.scope(wang) as conn:
        while page := lookback_list.rows(conn, wang, f):
            seen += [r["report_id"] for r in page[:2]]
            f = lookback_list.Filters(after=lookback_list.cursor(page[:2][-1]))
        counts = lookback_list.counts(conn, wang, now - D, now + D)
        east = lookback_list.counts(conn, wang, now - D, now + D, unit=house.units["east"])
        signed = lookback_list.rows(conn, wang, lookback_list.Filters(klass="not_reached"))
    assert len(seen) == len(set(seen)) == 6 == counts["all"]
    assert counts["classes"] == {"no_warning": 1, "not_signed": 3, "not_reached": 2, "not_met": 0, "met": 0}
    assert (counts["warned"], counts["loss_fen"]) == (5, 5 * 2_000_000)
    assert sum(u["all"] for u in counts["units"]) == 6
    assert (east["all"], len(signed)) == (3, 2)


def test_a_report_is_seen_by_its_unit_and_those_above(house: Centre, wang: Actor) -> None:
    story = Story(house, wang, unit="east")
    number = story.report(2)
    looked(house, wang, number)
    south = house.officer("sun", "孙", "commander", unit="south")
    east = house.officer("li", "李", "commander", unit="east")
    with house.scope(south) as conn, pytest.raises(Refused):
        lookback_list.one(conn, south, number)
    with house.scope(east) as conn:
        assert lookback_list.one(conn, east, number)["report_id"] == number


def test_one_report_that_fails_leaves_the_others_looked_at(
    house: Centre, wang: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    from wuzha.respond import lookback_match

    bad, good = Story(house, wang), Story(house, wang)
    first, second = bad.report(2), good.report(2)
    real = lookback_match.files

    def broken(conn: Any, row: dict[str, Any], **values: Any) -> list[int]:
        if row["report_id"] == first:
            raise ValueError("no")
        return real(conn, row, **values)

    monkeypatch.setattr(lookback_match, "files", broken)
    assert looked(house, wang, second)["class"] == "not_signed"
    monkeypatch.undo()
    assert looked(house, wang, first)["class"] == "not_signed"
