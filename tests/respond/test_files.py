"""The files that experts edit: tiers, codes, phrases. A wrong one is refused with its place."""

from __future__ import annotations

import pytest

from wuzha.events import STAGES
from wuzha.events.scam_types import scam_types
from wuzha.respond import codes, phrases, tiers


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_scam_type_has_words_at_every_stage(language: str) -> None:
    for scam_type in scam_types():
        for stage in STAGES:
            talk = phrases.phrases(scam_type, stage, language, unit="示例区反诈中心", code="4719")
            assert "4719" in talk.opening and "96110" in talk.opening
            assert len(talk.questions) == 3 and talk.next_line and talk.answer and talk.fanshi


def test_the_scammers_line_goes_on_with_the_stage() -> None:
    lines = {phrases.phrases("authority", stage).next_line for stage in STAGES}
    assert len(lines) == 4


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[channel.call]\nkey = "1"\nzh = "a"\nen = "a"\nresults = ["nothing"]\n', "codes.toml:1: .*unknown result"),
        ('[result.a]\nzh = "a"\n', "lacks zh or en"),
        ('[result.a]\nzh = "a"\nen = "a"\ncolour = 1\n', "no column colour"),
        ('[colour.a]\nzh = "a"\nen = "a"\n', "unknown kind"),
        ('[outcome.a]\nzh = "a"\nen = "a"\nmoney = "tips"\n', "unknown column"),
        (
            '[channel.a]\nkey="1"\nzh="a"\nen="a"\nresults=[]\n[channel.b]\nkey="1"\nzh="b"\nen="b"\nresults=[]\n',
            "toml:6:.*key 1",
        ),
        ("[channel", "codes.toml"),
    ],
)  # fmt: skip
def test_wrong_codes_are_refused_with_their_place(text: str, words: str) -> None:
    with pytest.raises(codes.CodesError, match=words):
        codes.read(text)


def test_wrong_tiers_are_refused() -> None:
    with pytest.raises(ValueError, match="no \\[\\[tier"):
        tiers.read("")
    with pytest.raises(ValueError, match="tiers.toml:1: undo_s"):
        tiers.read("[[tier]]\nfrom = 2020-01-01\n")
    row = "\n".join(f"[tier.{n}]\nsign_s = 9\ncontact_s = 3\nmeet_s = 9" for n in ("urgent", "high", "medium", "low"))
    with pytest.raises(ValueError, match="urgent.*want"):
        tiers.read("[[tier]]\nfrom = 2020-01-01\nundo_s = 1\nreveal_s = 60\ncode_s = 60\ncalls_per_hour = 9\nunit_after = 1\n" + row)


def test_wrong_phrases_are_refused() -> None:
    with pytest.raises(ValueError, match=r"type\.other"):
        phrases.read("")


def test_result_codes_of_the_field_are_all_there() -> None:
    words = {code.zh for code in codes.codes()["result"].values()}
    assert {"本人", "非本人已转告", "空号", "停机", "关机", "持续通话", "拒接", "不在本辖区", "查无此人"} <= words
