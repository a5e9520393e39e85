"""The files that experts edit: tiers, codes. A wrong one is refused with its place."""

from __future__ import annotations

import pytest

from wuzha.respond import codes, tiers


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
    with pytest.raises(ValueError, match=r"no \[\[tier"):
        tiers.read("")
    with pytest.raises(ValueError, match=r"tiers\.toml:1: undo_s"):
        tiers.read("[[tier]]\nfrom = 2020-01-01\n")
    row = "\n".join(f"[tier.{n}]\nsign_s = 9\ncontact_s = 3\nmeet_s = 9" for n in ("urgent", "high", "medium", "low"))
    with pytest.raises(ValueError, match=r"urgent.*want"):
        head = "[[tier]]\nfrom = 2020-01-01\nundo_s = 1\nreveal_s = 60\ncode_s = 60\n"
        tiers.read(f"{head}calls_per_hour = 9\nunit_after = 1\n{row}")


def test_result_codes_of_the_field_are_all_there() -> None:
    words = {code.zh for code in codes.codes()["result"].values()}
    assert {"本人", "非本人已转告", "空号", "停机", "关机", "持续通话", "拒接", "不在本辖区", "查无此人"} <= words
