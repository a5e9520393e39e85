"""After the close: who is asked again and when, what each answer leads to, and who may be told meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from tests.desks import Centre

from wuzha.command.public import Actor, Refused
from wuzha.events import clock
from wuzha.events.datafile import DataFileError
from wuzha.respond import contact, dispatch, file, followups, outcome, queue, safety, sign, undo
from wuzha.respond.next_step import next_step

H = timedelta(hours=1)


class Work:
    """One officer's steps on one alert, at the work's own time."""

    def __init__(self, house: Centre, actor: Actor, alert: int) -> None:
        self.house, self.actor, self.alert = house, actor, alert
        self.now, self.n = clock.now(), 0

    def column(self, name: str) -> Any:
        row = self.house.engine.execute(f"SELECT {name} FROM alerts WHERE alert_id = %s", (self.alert,)).fetchone()  # type: ignore[arg-type]
        assert row is not None
        return row[0]

    def do(self, verb: Callable[..., Any], *args: Any, by: Actor | None = None, **values: Any) -> Any:
        actor = by or self.actor
        self.n += 1
        values.setdefault("key", f"work-{self.alert}-{self.n:05d}")
        if verb in (sign.sign, contact.contact, outcome.outcome, outcome.close):
            values.setdefault("version", self.column("version"))
        with self.house.scope(actor, now=self.now) as conn:
            return verb(conn, actor, *(args or (self.alert,)), now=self.now, **values)

    def refused(self, verb: Callable[..., Any], *args: Any, **values: Any) -> str:
        with pytest.raises(Refused) as caught:
            self.do(verb, *args, **values)
        return caught.value.reason

    def close(self, code: str = "dissuaded", *, reach: bool = True) -> None:
        self.do(sign.sign)
        if reach:
            self.do(contact.contact, channel="call", result="self")
        self.do(outcome.outcome, code=code, amount_fen=500_000)
        self.do(outcome.close)

    def waiting(self, at: Any = None) -> list[dict[str, Any]]:
        with self.house.scope(self.actor) as conn:
            return followups.due(conn, self.actor, now=at or self.now)

    def planned(self) -> list[dict[str, Any]]:
        with self.house.scope(self.actor) as conn:
            return followups.of_alert(conn, self.alert)


@pytest.fixture
def work(house: Centre, wang: Actor) -> Work:
    return Work(house, wang, house.alert(level="urgent", amount_fen=500_000))


def test_four_follow_ups_are_planned_with_the_close_and_each_is_due_at_its_hour(work: Work) -> None:
    work.close()
    closed = work.now
    assert [f["due_at"] - closed for f in work.planned()] == [24 * H, 72 * H, 168 * H, 720 * H]
    moment = timedelta(microseconds=1)
    for n, hours in enumerate((24, 72, 168, 720)):
        assert len(work.waiting(closed + hours * H - moment)) == n
        assert len(work.waiting(closed + hours * H)) == n + 1
    with work.house.scope(work.actor) as conn:
        assert followups.counts(conn, work.actor, now=closed + H) == {"due": 0, "tomorrow": 1}


@pytest.mark.parametrize(
    ("code", "reach", "n"),
    [("false_alarm", True, 0), ("not_reached", False, 0), ("deceived", True, 4), ("deceived", False, 0)],
)
def test_only_people_who_were_reached_are_asked_again(work: Work, code: str, reach: bool, n: int) -> None:
    work.close(code, reach=reach)
    assert len(work.planned()) == n


def test_a_close_that_falls_takes_its_follow_ups_with_it(work: Work) -> None:
    work.do(sign.sign)
    work.do(contact.contact, channel="call", result="self")
    work.do(outcome.outcome, code="dissuaded")
    with pytest.raises(RuntimeError), work.house.scope(work.actor) as conn:
        outcome.close(conn, work.actor, work.alert, version=work.column("version"), key="close-and-fail")
        raise RuntimeError
    assert work.planned() == []


def test_one_press_settles_a_follow_up_once(work: Work, zhao: Actor) -> None:
    work.close()
    work.now += 24 * H
    [first] = work.waiting()
    work.do(followups.answer, first["followup_id"], code="fine", by=zhao)
    assert work.waiting() == []
    assert work.refused(followups.answer, first["followup_id"], code="fine") == "followup_done"
    assert work.refused(followups.answer, work.planned()[1]["followup_id"], code="fine") == "followup_early"
    assert work.refused(followups.answer, 999_999, code="fine") == "not_found"
    assert work.refused(followups.answer, first["followup_id"], code="sold") == "unknown_code"


def test_not_reached_stays_due_until_the_tries_are_used_up(work: Work) -> None:
    work.close()
    work.now += 24 * H
    number = work.waiting()[0]["followup_id"]
    for tries in (1, 2):
        work.do(followups.answer, number, code="not_reached")
        assert [f["tries"] for f in work.waiting()] == [tries]
    work.do(followups.answer, number, code="not_reached")
    assert work.waiting() == []
    assert work.planned()[0]["code"] == "not_reached"


def test_one_who_wavers_is_asked_once_more_the_next_day(work: Work) -> None:
    work.close()
    work.now += 24 * H
    work.do(followups.answer, work.waiting()[0]["followup_id"], code="wavering", words="说平台又返了钱")
    assert work.waiting(work.now + 24 * H - timedelta(seconds=1)) == []
    [again] = work.waiting(work.now + 24 * H)
    assert again["step"].startswith("again")


def test_one_who_paid_again_has_the_file_back_in_the_queue_with_fresh_clocks(work: Work) -> None:
    work.close()
    work.now += 72 * H
    work.do(followups.answer, work.waiting()[0]["followup_id"], code="paid_again", words="又转了两万")
    assert work.column("state") == "new"
    assert (work.column("outcome"), work.column("signed_by"), work.column("avoided_fen")) == (None, None, None)
    assert work.waiting(work.now + 999 * H) == [], "an open file has no follow-ups waiting"
    with work.house.scope(work.actor, now=work.now) as conn:
        row = queue.one(conn, work.actor, work.alert, now=work.now)
        found = file.read(conn, work.actor, work.alert, now=work.now)
        assert undo.undoable(conn, work.actor, work.alert, now=work.now) is None
    assert row is not None and row["due"] > work.now, "its clock runs from the reopening"
    assert [c["kind"] for c in found.contacts][-2:] == ["followup_paid_again", "reopen"]
    work.close()
    assert len([f for f in work.planned() if f["dropped_at"] is None and f["done_at"] is None]) == 4


def test_pages_of_what_is_due_neither_skip_nor_repeat(
    house: Centre, wang: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(followups, "PAGE", 2)
    now = clock.now()
    for _ in range(5):
        one = Work(house, wang, house.alert())
        one.now = now
        one.close()
    seen: list[int] = []
    after = None
    with house.scope(wang) as conn:
        while page := followups.due(conn, wang, after=after, now=now + 24 * H):
            seen += [f["followup_id"] for f in page[:2]]
            after = (page[:2][-1]["due_at"], page[:2][-1]["followup_id"])
    assert len(seen) == len(set(seen)) == 5


def test_another_units_follow_ups_are_not_in_sight(work: Work) -> None:
    work.close()
    li = work.house.officer("li", "李", "dissuader", unit="east")
    with work.house.scope(li) as conn:
        assert followups.due(conn, li, now=work.now + 999 * H) == []


def test_a_wrong_table_is_named_with_its_line() -> None:
    good = followups.words()
    assert good["followup_result.fine"]["zh"]
    from importlib.resources import files

    text = (files("wuzha.respond") / "after.toml").read_text("utf-8")
    for old, new, words in (
        ('"dissuaded", "deceived"', '"happy"', "unknown outcome"), ("hours = 72", "hours = 12", "grow"),
        ("tries = 3", "", "tries"), ("fine = {", "well = {", "the results are"),
    ):  # fmt: skip
        with pytest.raises(DataFileError, match=words):
            followups.read(text.replace(old, new, 1))


# ---------------------------------------------------------------- kin


@pytest.fixture
def kin(work: Work) -> int | None:
    person, line = work.house.person("张丽", line="+8613966216621")
    work.house.relate(work.column("person_id"), person, "child")
    return line


def proposed(work: Work) -> str | None:
    with work.house.scope(work.actor) as conn:
        return next_step(file.read(conn, work.actor, work.alert), work.actor).channel


def test_kin_are_told_without_consent_only_where_the_person_cannot_be_reached_or_is_in_danger(
    house: Centre, wang: Actor
) -> None:
    work = Work(house, wang, house.alert(level="medium", stage="trust"))
    work.do(sign.sign)
    told = {"channel": "kin", "result": "told_other", "words": "请去找到本人，先别转账"}
    assert work.refused(contact.contact, **told) == "kin_reason"
    assert work.refused(contact.contact, **told, reason="cannot_reach") == "kin_reason", "nobody has tried yet"
    assert work.refused(contact.contact, **told, reason="danger") == "kin_reason", "nothing says so"
    work.do(contact.contact, channel="call", result="no_answer")
    assert work.refused(contact.contact, **{**told, "words": " "}, reason="cannot_reach") == "kin_words"
    work.do(contact.contact, channel="kin", result="no_answer", reason="cannot_reach")
    work.do(contact.contact, **told, reason="cannot_reach")
    row = house.engine.execute("SELECT reason, words FROM contacts ORDER BY contact_id DESC LIMIT 1").fetchone()
    assert row == ("cannot_reach", "请去找到本人，先别转账")
    work.do(contact.contact, channel="call", result="self")
    assert work.refused(contact.contact, **told, reason="cannot_reach") == "kin_reason", "they were reached"
    work.do(contact.contact, **told, reason="consent")


@pytest.mark.parametrize("scam_type", ["net_black.sextortion", "net_black", "romance"])
def test_kin_are_never_told_of_pictures_or_romance(house: Centre, wang: Actor, scam_type: str) -> None:
    work = Work(house, wang, house.alert(level="urgent", stage="pay", scam_type=scam_type))
    person, _ = house.person("张丽", line="+8613966216622")
    house.relate(work.column("person_id"), person, "child")
    work.do(sign.sign)
    work.do(contact.contact, channel="call", result="busy")
    for reason in (*safety.KIN_REASONS, None, "nonsense"):
        for result in ("told_other", "no_answer"):
            assert (
                work.refused(contact.contact, channel="kin", result=result, reason=reason, words="x") == "kin_forbidden"
            )
    assert proposed(work) == "visit"


def test_whoever_opens_the_door_is_told_on_a_ground_only_where_kin_may_not_be(house: Centre, wang: Actor) -> None:
    work = Work(house, wang, house.alert(level="urgent", scam_type="net_black.sextortion"))
    work.do(sign.sign)
    work.do(dispatch.send, unit_id=house.units["east"], version=work.column("version"))
    with house.scope(wang) as conn:
        (order,) = dispatch.of_file(conn, work.alert)
    number = order["dispatch_id"]
    assert work.refused(dispatch.finish, number, result="told_other", words="告诉了父亲") == "other_reason"
    assert work.refused(dispatch.finish, number, result="told_other", reason="neutral") == "other_words"
    work.do(dispatch.finish, number, result="told_other", reason="neutral", words="只请其转告回拨96110")
    with house.scope(wang) as conn:
        assert conn.execute("SELECT reason FROM contacts WHERE code = 'told_other'").fetchone() == ("neutral",)


def test_a_joined_warning_that_names_it_forbids_kin_too(work: Work, kin: int) -> None:
    work.do(sign.sign)
    work.do(contact.contact, channel="call", result="busy")
    assert proposed(work) == "kin"
    work.house.warning(work.alert, issued_by="部")
    work.house.engine.execute("UPDATE alert_warnings SET scam_type = 'net_black.sextortion'")
    assert proposed(work) == "visit"
    assert (
        work.refused(contact.contact, channel="kin", result="told_other", reason="danger", words="x") == "kin_forbidden"
    )


def test_a_flag_of_family_violence_forbids_kin_on_every_file_of_the_person(work: Work, kin: int, zhao: Actor) -> None:
    work.do(sign.sign)
    work.do(contact.contact, channel="call", result="no_answer")
    assert proposed(work) == "kin"
    person = work.house.engine.execute(
        "SELECT person_id, line_id FROM alerts WHERE alert_id = %s", (work.alert,)
    ).fetchone()
    elsewhere = Work(work.house, zhao, work.house.alert(unit="east", person=person, episode=2))
    elsewhere.do(safety.flag, code="family_violence", words="曾报警被打")
    assert proposed(work) == "visit"
    assert work.refused(contact.contact, channel="kin", result="no_answer", reason="danger") == "kin_forbidden"
    south = work.house.officer("sun", "孙", "dissuader", unit="south")
    with work.house.scope(south) as conn:
        assert conn.execute("SELECT * FROM safety_flags").fetchall() == []
    with work.house.scope(work.actor) as conn:
        [flag] = safety.standing(conn, {"alert_id": work.alert, "person_id": work.column("person_id")})
    assert work.refused(safety.clear, work.alert, flag_id=flag["flag_id"], why=" ") == "no_words"
    work.do(safety.clear, work.alert, flag_id=flag["flag_id"], why="核实系同名")
    assert proposed(work) == "kin"


def test_a_flag_of_danger_lets_kin_be_told(house: Centre, wang: Actor) -> None:
    work = Work(house, wang, house.alert(level="low", stage="trust"))
    work.do(sign.sign)
    assert work.refused(contact.contact, channel="kin", result="told_other", reason="danger", words="x") == "kin_reason"
    work.do(safety.flag, code="dementia")
    work.do(safety.flag, code="dementia")
    work.do(contact.contact, channel="kin", result="told_other", reason="danger", words="请老伴到银行门口等")
    assert work.refused(safety.flag, code="gullible") == "unknown_code"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('never = ["net_black", "romance"]', 'never = ["romance"]', "always among them"),
        ('never = ["net_black", "romance"]', 'never = ["net_black", "romance", "x"]', "unknown scam type"),
        ("forbids_kin = true", "forbids_kin = false", "always forbids kin"),
        ("danger = true", "dangerous = true", "dangerous"),
    ],
)
def test_what_hurts_cannot_be_edited_away(old: str, new: str, words: str) -> None:
    from importlib.resources import files

    text = (files("wuzha.respond") / "safety.toml").read_text("utf-8")
    with pytest.raises(DataFileError, match=words):
        safety.read(text.replace(old, new, 1))
