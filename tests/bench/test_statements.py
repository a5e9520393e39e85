"""The statement that benchmarks read: same seed, same bytes, and its oddities are there."""

from wuzha.bench.statements import HEADER, write_statement


def test_a_statement_is_its_seeds(tmp_path):
    write_statement(tmp_path / "a.csv", 3000, seed=1)
    write_statement(tmp_path / "b.csv", 3000, seed=1)
    write_statement(tmp_path / "c.csv", 3000, seed=2)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    assert (tmp_path / "a.csv").read_bytes() != (tmp_path / "c.csv").read_bytes()
    lines = (tmp_path / "a.csv").read_bytes().decode("gbk").splitlines()
    assert len(lines) == 3001
    assert lines[0].split(",") == HEADER
    assert any(line.startswith("'6222") for line in lines)
    assert any("失败" in line for line in lines)
