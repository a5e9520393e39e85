"""The deployment's own words: a second person decides, versions are kept, what was said is counted."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from tests.desks import Centre

from wuzha.command.public import Actor, Refused
from wuzha.respond import contact, file, mind, outcome, phrase_book, phrases, sign, undo
from wuzha.respond.phrases import shipped

ENTRY = "loan:next.pay"
ZH, EN = "再转一笔验资，随贷款一起退给您。", "One more proof payment, and all comes back with the loan."


def propose(house: Centre, actor: Actor, entry: str = ENTRY, zh: str = ZH, en: str = EN, why: str = "") -> int:
    with house.scope(actor) as conn:
        return phrase_book.propose(conn, actor, entry, zh=zh, en=en, why=why)


def decide(house: Centre, actor: Actor, number: int, accept: bool = True, why: str = "") -> int | None:
    with house.scope(actor) as conn:
        return phrase_book.decide(conn, actor, number, accept=accept, why=why)


def own(house: Centre, actor: Actor) -> dict[str, phrases.Text]:
    with house.scope(actor) as conn:
        return phrase_book.own_texts(conn)


def test_a_text_is_used_once_another_has_accepted_it_and_versions_are_kept(
    house: Centre, wang: Actor, zhao: Actor
) -> None:
    first = propose(house, wang, why="更像他们的原话")
    assert own(house, wang) == {}
    assert decide(house, zhao, first) == 1
    assert own(house, wang)[ENTRY] == phrases.Text(zh=ZH, en=EN, version=1)
    base = shipped().texts[ENTRY]
    assert decide(house, wang, propose(house, zhao, zh=base.zh, en=base.en)) == 2  # back to the shipped words
    with house.scope(wang) as conn:
        past = phrase_book.history(conn, ENTRY)
    assert [(p["version"], p["proposer"], p["decider"]) for p in past] == [(2, "赵磊", "王敏"), (1, "王敏", "赵磊")]
    with house.scope(wang) as conn:
        acts = conn.execute("SELECT action FROM audit WHERE object = %s ORDER BY audit_id", (f"phrase:{ENTRY}",))
        assert [r[0] for r in acts] == ["phrase.propose", "phrase.accept"] * 2


def test_nobody_accepts_his_own_words_not_even_past_the_page(house: Centre, wang: Actor) -> None:
    number = propose(house, wang)
    with pytest.raises(Refused, match="phrase_own"):
        decide(house, wang, number)
    for statement in (
        "UPDATE phrases SET state = 'accepted', decided_by = proposed_by, decided_at = now(), version = 1",
        "UPDATE phrases SET state = 'accepted', decided_by = 999, decided_at = now(), version = 1",
        "INSERT INTO phrases (entry, zh, en, proposed_by, proposed_at, state, decided_by, decided_at, version)"
        " SELECT entry, zh, en, proposed_by, proposed_at, 'accepted', proposed_by, now(), 7 FROM phrases",
    ):
        with pytest.raises(psycopg.Error), house.scope(wang) as conn:
            conn.execute(statement)  # type: ignore[arg-type]
    assert own(house, wang) == {}


def test_of_two_who_decide_at_once_one_does(house: Centre, wang: Actor, zhao: Actor) -> None:
    number = propose(house, wang)
    decide(house, zhao, number, accept=False, why="太长")
    with pytest.raises(Refused, match="phrase_decided"):
        decide(house, zhao, number)
    again = propose(house, wang)
    with house.scope(wang) as conn:
        phrase_book.withdraw(conn, wang, again)
    assert own(house, wang) == {}
    with house.scope(wang) as conn:
        assert [p["state"] for p in phrase_book.history(conn, ENTRY)] == ["withdrawn", "refused"]


def test_a_new_wish_takes_the_place_of_ones_former_one(house: Centre, wang: Actor) -> None:
    propose(house, wang)
    propose(house, wang, zh=ZH + "今天就到。")
    with house.scope(wang) as conn:
        assert [p["zh"] for p in phrase_book.waiting(conn)] == [ZH + "今天就到。"]


@pytest.mark.parametrize(
    ("entry", "zh", "en", "reason"),
    [
        ("loan:nothing", ZH, EN, "unknown_phrase"),
        (ENTRY, "", EN, "phrase_empty"),
        (ENTRY, ZH, " \n ", "phrase_empty"),
        (ENTRY, "请看 www.gov.cn", EN, "phrase_link"),
        (ENTRY, ZH, "see police-check.top", "phrase_link"),
        (ENTRY, "长" * 401, EN, "phrase_long"),
        (ENTRY, ZH + "{unit}", EN, "phrase_slots"),
        ("common:mind.ashamed.opening.late", "您好，我是民警", "Hello {unit} {number}", "phrase_slots"),
        ("loan:questions.late", "一？\n二？", "1?\n2?\n3?", "phrase_three"),
        (ENTRY, shipped().texts[ENTRY].zh, shipped().texts[ENTRY].en, "phrase_same"),
    ],
)
def test_wrong_words_are_refused_before_anybody_reads_them(
    house: Centre, wang: Actor, entry: str, zh: str, en: str, reason: str
) -> None:
    with pytest.raises(Refused, match=reason):
        propose(house, wang, entry, zh, en)
    with house.scope(wang) as conn:
        assert phrase_book.waiting(conn) == []


def test_who_may_propose_and_who_may_decide(house: Centre, wang: Actor) -> None:
    station = house.officer("sun", "孙丽", "station", unit="east")
    analyst = house.officer("qian", "钱文", "analyst")
    number = propose(house, station)
    for actor in (station, analyst):
        with pytest.raises(Refused, match="forbidden"):
            decide(house, actor, number)
    with pytest.raises(Refused, match="forbidden"):
        propose(house, analyst)
    assert decide(house, wang, number) == 1


def talked(house: Centre, actor: Actor, turned: bool, **said: Any) -> int:
    """A call with the person, the words on the screen, and how it ended."""
    alert = house.alert(scam_type="loan", stage="pay")
    with house.scope(actor) as conn:
        sign.sign(conn, actor, alert, version=1, key=f"sign-{alert}-x")
        found = file.read(conn, actor, alert)
        words = phrases.phrases("loan", "pay", mind.mind_of(found.alert), own=phrase_book.own_texts(conn))
        contact.contact(
            conn, actor, alert, channel="call", result=said.get("result", "self"), version=2, key=f"call-{alert}-x",
            said=said.get("said") or phrase_book.packed(words.said),
        )  # fmt: skip
        if turned:
            outcome.outcome(conn, actor, alert, code="dissuaded", version=3, key=f"out-{alert}-xx")
    return alert


def test_what_was_said_is_counted_by_version_with_whom_it_turned(house: Centre, wang: Actor, zhao: Actor) -> None:
    talked(house, wang, True)
    talked(house, wang, False)
    talked(house, wang, False, result="busy")  # nobody was spoken to
    decide(house, zhao, propose(house, wang))
    talked(house, wang, True)
    with house.scope(wang) as conn:
        counts = phrase_book.counts(conn)
    assert counts[ENTRY, 0] == (2, 1) and counts[ENTRY, 1] == (1, 1)
    assert counts["common:mind.unaware.closing", 0] == (3, 2)


def test_a_step_that_was_taken_back_counts_nothing_and_strange_words_are_left_out(house: Centre, wang: Actor) -> None:
    alert = talked(house, wang, False, said="loan:next.pay@0 no:such@1 loan:next.pay@-1 loan:answer.pay@999999999 x")
    with house.scope(wang) as conn:
        assert list(phrase_book.counts(conn)) == [(ENTRY, 0)]
        last = undo.undoable(conn, wang, alert)
        assert last is not None
        undo.undo(conn, wang, alert, contact_id=last["contact_id"], key="undo-call-1")
        assert phrase_book.counts(conn) == {}


def test_the_state_of_mind_is_the_officers_word_and_a_rules_until_then(house: Centre, wang: Actor, zhao: Actor) -> None:
    alert = house.alert()
    with house.scope(wang) as conn:
        sign.sign(conn, wang, alert, version=1, key="sign-mind-1")
        found = file.read(conn, wang, alert)
        assert mind.mind_of(found.alert, found.contacts) == "unaware"
        contact.contact(conn, wang, alert, channel="call_back", result="told_other", version=2, key="call-back-1")
        found = file.read(conn, wang, alert)
        assert mind.mind_of(found.alert, found.contacts) == "doubting"
        mind.set_mind(conn, wang, alert, mind="ashamed", version=3, key="mind-click-1")
        found = file.read(conn, wang, alert)
        assert mind.mind_of(found.alert, found.contacts) == "ashamed"
        assert found.alert["last_kind"] == "call_back"  # it is no try to reach the person
        with pytest.raises(Refused, match="unknown_code"):
            mind.set_mind(conn, wang, alert, mind="gullible", version=4, key="mind-click-2")
        last = undo.undoable(conn, wang, alert)
        assert last is not None and last["kind"] == "mind"
        undo.undo(conn, wang, alert, contact_id=last["contact_id"], key="undo-mind-1")
        assert file.read(conn, wang, alert).alert["mind"] is None
    with pytest.raises(Refused, match="taken"), house.scope(zhao) as conn:
        mind.set_mind(conn, zhao, alert, mind="ashamed", version=5, key="mind-click-3")


def test_a_message_with_a_link_is_not_recorded_as_ours(house: Centre, wang: Actor) -> None:
    alert = house.alert()
    with house.scope(wang) as conn:
        sign.sign(conn, wang, alert, version=1, key="sign-sms-1x")
    with pytest.raises(Refused, match="link_in_text"), house.scope(wang) as conn:
        contact.contact(
            conn, wang, alert, channel="sms", result="delivered", version=2, key="sms-click-1", words="请看 police.top"
        )


def test_the_desk_finds_a_file_by_its_number(house: Centre, wang: Actor) -> None:
    from wuzha.respond import queue
    from wuzha.respond.file_number import file_number

    alert, _ = house.alert("张小兰"), house.alert("李强")
    south = house.alert("周敏", unit="south")
    east = house.officer("sun", "孙丽", "dissuader", unit="east")
    with house.scope(wang) as conn:
        for text in (file_number(alert), file_number(alert).replace(" ", ""), file_number(alert).replace(" ", "-")):
            rows, _ = queue.rows(conn, wang, queue.Filters(search=text))
            assert [r["alert_id"] for r in rows] == [alert]
    with house.scope(east) as conn:
        assert queue.rows(conn, east, queue.Filters(search=file_number(south)))[0] == []
