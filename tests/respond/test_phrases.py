"""What to say: every combination has words, states of mind and types change the right ones, no word carries a link."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wuzha.events import STAGES
from wuzha.events.scam_types import scam_types
from wuzha.respond import phrases
from wuzha.respond.links import link_in
from wuzha.respond.phrases import MINDS, Text

EVERY = list(itertools.product(scam_types(), STAGES, MINDS, ("zh", "en")))


def talk(*key: str, **more: object) -> phrases.Phrases:
    return phrases.phrases(*key, unit="示例区反诈中心", number="3482 9106", **more)  # type: ignore[arg-type]


def test_every_type_stage_and_state_of_mind_has_all_its_words() -> None:
    assert len(EVERY) == len(scam_types()) * 4 * 5 * 2
    for key in EVERY:
        t = talk(*key)
        said = (t.opening, t.opening_kin, t.approach, t.turn, *t.questions, t.next_line, t.answer, t.closing, t.ending)
        assert len(t.questions) == 3 and all(said) and t.fanshi and len(t.said) == 9, key
        for words in said:
            assert link_in(words) is None and "{" not in words and "验证码" not in words, (key, words)
        for opening in (t.opening, t.opening_kin):  # the first proof: that one calls back oneself, with the number
            assert "96110" in opening and "3482 9106" in opening, key


def test_the_state_of_mind_changes_how_one_begins_goes_about_it_and_ends() -> None:
    for scam_type, stage in itertools.product(scam_types(), STAGES):
        each = [talk(scam_type, stage, mind) for mind in MINDS]
        for part in ("opening", "approach", "closing", "turn"):
            assert len({getattr(t, part) for t in each}) == 5, (scam_type, stage, part)
        assert len({t.questions for t in each}) == len({t.next_line for t in each}) == 1


def test_the_type_and_its_stage_change_the_next_line_and_the_answer() -> None:
    for part in ("next_line", "answer"):
        for parent in (t.code for t in scam_types().values() if t.parent is None and t.code not in ("none", "other")):
            assert len({getattr(talk(parent, stage), part) for stage in STAGES}) == 4, (parent, part)
        for stage in STAGES:
            own = {getattr(talk(code, stage), part) for code, t in scam_types().items() if t.parent is None}
            assert len(own) == 13, (stage, part)


def test_a_sub_type_says_its_own_words_and_borrows_the_rest() -> None:
    own, above = talk("customer_service.flight", "act"), talk("customer_service", "act")
    assert "NFC" in own.next_line and own.next_line != above.next_line
    assert own.turn == above.turn
    assert dict(own.said)["customer_service:turn.unaware"] == 0


@pytest.mark.parametrize("scam_type", ["net_black", "net_black.sextortion", "romance", "investment.pig_butchering"])
def test_kin_hear_nothing_of_what_it_is_about_where_it_could_hurt(scam_type: str) -> None:
    for stage, mind, language in itertools.product(STAGES, MINDS, ("zh", "en")):
        words = talk(scam_type, stage, mind, language).opening_kin
        for telling in ("骗", "诈骗", "转账", "感情", "裸", "视频", "威胁", "fraud", "pay", "deceiv", "scam", "money"):
            assert telling not in words, (telling, words)


def test_a_flag_hides_the_matter_from_kin_whatever_the_type() -> None:
    assert "骗" in talk("loan", "pay").opening_kin
    assert "骗" not in talk("loan", "pay", discreet=True).opening_kin


def test_the_words_to_an_extorted_person_name_nothing() -> None:
    for stage, mind in itertools.product(STAGES, MINDS):
        t = talk("net_black.sextortion", stage, mind)
        for words in (t.opening, t.turn, *t.questions, t.closing):
            for naming in ("裸", "色", "不雅", "照片"):
                assert naming not in words, words


def test_the_deployments_own_text_is_said_with_its_version() -> None:
    own = {"loan:next.pay": Text(zh="再交一笔就放款。", en="One more and it is paid out.", version=3)}
    t = talk("loan", "pay", own=own)
    assert t.next_line == "再交一笔就放款。" and ("loan:next.pay", 3) in t.said


def test_unknown_types_stages_and_minds_have_words_all_the_same() -> None:
    assert talk("new_type", "new_stage", "new_mind").next_line == talk("other", "approach", "unaware").next_line


def files(**changed: str) -> dict[str, str]:
    from importlib.resources import files as resources

    folder = resources("wuzha.respond") / "words"
    whole = {f.name: f.read_text("utf-8") for f in folder.iterdir() if f.name.endswith(".toml")}
    return whole | {f"{name}.toml": text for name, text in changed.items()}


def changed(name: str, old: str, new: str) -> dict[str, str]:
    text = files()[f"{name}.toml"]
    assert old in text
    return files(**{name: text.replace(old, new, 1)})


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        ("loan", "放款前收任何费用的", "详见 www.gov.cn", r"loan\.toml:\d+: .*answer\.trust in zh carries a link"),
        ("loan", 'zh = "额度批了五万', 'zh = "额度批了{五万', r"loan\.toml:\d+: loan:next\.trust in zh .*no slot"),
        ("loan", '"对公合同上的公司，您查过吗？"', '"对公合同上的公司，您查过吗？", "四"', r"three questions"),
        ("loan", "sunk_cost = {", "sunk = {", r"loan\.toml:\d+: turn\.sunk is not known"),
        ("loan", ', en = "No security, money', ', fr = "No security, money', r"loan\.toml:\d+: .* wants zh and en"),
        ("loan", "fanshi = [3, 5]", "fanshi = [3, 9]", r"loan\.toml:2: the unknown 凡是 9"),
        ("loan", "[next]", "[nxt]", r"loan\.toml:\d+: nxt\.approach is not known"),
        ("loan", "[next]", "[next", r"loan\.toml: .*line"),
        ("common", "报编号{number}就能找到我", "就能找到我", r"common\.toml:\d+: .*opening\.early in zh openings name"),
        ("common", '[ending]\nzh = "', '[ending]\nzh = "   ', ""),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused_with_its_line(name: str, old: str, new: str, words: str) -> None:
    sources = changed(name, old, new)
    if not words:
        assert phrases.read(sources)
        return
    with pytest.raises(phrases.PhrasesError, match=words) as told:
        phrases.read(sources)
    if found := [n for n, line in enumerate(sources[f"{name}.toml"].splitlines(), 1) if new[:12] and new[:12] in line]:
        number = str(told.value).split(":")[1]
        assert not number.isdigit() or abs(int(number) - found[0]) <= 6


def test_a_type_that_lacks_words_or_is_unknown_is_refused() -> None:
    text = files()["loan.toml"]
    with pytest.raises(phrases.PhrasesError, match=r"loan\.toml:1: lacks .*turn\.ashamed"):
        phrases.read(files(loan=text[: text.index("ashamed")]))
    with pytest.raises(phrases.PhrasesError, match="no scam type"):
        phrases.read(files(lottery=text))
    with pytest.raises(phrases.PhrasesError, match="missing"):
        phrases.read({})


LINKS = [
    "点 http://a.cn 核实", "www.gov.cn", "t.cn/abc", "看gov-ga.top吧", "gov。cn", "ｗｗｗ．ａ．ｃｏｍ", "打开 1.2.3.4", "hxxps://x",
    "公安局.中国", "gov-ga . top", "a dot com", "ab\u200bc.com", "查 xn--fiq228c.xn--fiqs8s", "96110.com",
]  # fmt: skip


@pytest.mark.parametrize("text", LINKS)
def test_a_link_is_seen_however_it_is_dressed_up(text: str) -> None:
    assert link_in(text)


@pytest.mark.parametrize(
    "text",
    [
        "拨96110，报编号3482 9106。自己拨",
        "Wait ten minutes. Then call 96110.",
        "3.5万元",
        "20%个人所得税",
        "是。不是",
        "5.20元、6.18日",
    ],
)
def test_plain_words_are_no_link(text: str) -> None:
    assert link_in(text) is None


@given(st.text("，。、 请您自己拨打核实转账停手0123456789", max_size=60), st.sampled_from(LINKS))
def test_no_words_around_it_hide_a_link(words: str, link: str) -> None:
    assert link_in(f"{words} {link} {words}")
