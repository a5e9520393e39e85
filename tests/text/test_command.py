"""``wuzha text``: one object a line in input order, whatever the lines are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from wuzha.cli.main import load

runner = CliRunner()


def _lines(path: Path, *more: str) -> list[dict[str, object]]:
    result = runner.invoke(load(), ["text", str(path), "--json", *more])
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.split("\n") if line]


def test_every_line_has_its_object_in_order_and_empty_ones_too(tmp_path: Path) -> None:
    texts = ["请把资金转入安全账户", "", "你好", "  ", "一\u2028二", "a\x0bb", "请提供您的银行卡号和验证码"]
    path = tmp_path / "t.txt"
    path.write_text("\n".join(texts) + "\n", "utf-8")
    out = _lines(path)
    assert [o["text"] for o in out] == texts
    assert [bool(o["fanshi"]) for o in out] == [True, False, False, False, False, False, True]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_line_ends_and_a_mark_are_no_text(tmp_path: Path, end: str) -> None:
    path = tmp_path / "t.txt"
    path.write_bytes(("\ufeff甲" + end + "乙").encode())
    assert [o["text"] for o in _lines(path)] == ["甲", "乙"]


def test_a_very_long_line_is_read(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_text("好" * 400_000 + "请转入安全账户" + "1" * 100_000 + "\n再见\n", "utf-8")
    first, second = _lines(path)
    assert first["fanshi"] == [2] and second["text"] == "再见"


def test_gb18030_is_read_and_neither_is_said(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_bytes("请转入安全账户\n".encode("gb18030"))
    assert _lines(path)[0]["fanshi"] == [2]
    path.write_bytes(b"\xff\xff\xfe\x80\n\x81")
    result = runner.invoke(load(), ["text", str(path), "--json"])
    assert result.exit_code == 1 and result.stdout == ""


def test_standard_input_and_an_empty_file(tmp_path: Path) -> None:
    result = runner.invoke(load(), ["text", "-", "--json"], input="请转入安全账户\n")
    assert json.loads(result.stdout)["fanshi"] == [2]
    (tmp_path / "t.txt").write_bytes(b"")
    assert _lines(tmp_path / "t.txt") == []


def test_a_missing_file_and_wrong_patterns_leave_with_their_codes(tmp_path: Path) -> None:
    assert runner.invoke(load(), ["text", str(tmp_path / "nowhere")]).exit_code == 1
    own = tmp_path / "p.toml"
    own.write_text('[[fanshi]]\nnumber = 1\nany = ["(x"]\nzh = "a"\nen = "b"\n')
    result = runner.invoke(load(), ["text", "-", "--patterns", str(own)], input="x\n")
    assert result.exit_code == 2 and "p.toml:3:" in result.stderr
