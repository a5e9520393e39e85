"""Data that the project did not make passes through import and detection whole."""

from __future__ import annotations

import json
import os
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from wuzha.cli.main import load

pytestmark = pytest.mark.soak

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples" / "mappings"
runner = CliRunner()


@pytest.fixture
def data() -> Path:
    folder = os.environ.get("WUZHA_DATA")
    if not folder:
        pytest.skip("WUZHA_DATA is not set: no simulated transfers or real texts to detect on")
    return Path(folder)


def _through(table: str, files: list[Path], mapping: str, out: Path) -> dict[str, int]:
    """Import with the example mapping, then detect; the summary of the latter."""
    command = ["import", table, *map(str, files), "--mapping", str(EXAMPLES / mapping), "--out", str(out), "--json"]
    done = runner.invoke(load(), command)
    assert done.exit_code == 0, done.output
    result = runner.invoke(load(), ["detect", str(out), "--out", str(out / "alerts.parquet"), "--json"])
    assert result.exit_code == 0, result.output
    found: dict[str, int] = json.loads(result.stdout)
    assert found["rejected"] == found["conflicts"] == 0
    assert found["events"] == json.loads(done.stdout)["accepted"]
    return found


def test_simulated_transfers_pass(data: Path, tmp_path: Path) -> None:
    files = sorted((data / "transfers").glob("*/transactions.csv.gz"))[:1]
    _through("transfers", files, "amlsim.toml", tmp_path)
    suspects = pl.read_parquet(tmp_path / "suspects.parquet")
    accounts = set(pl.read_csv(files[0].with_name("nodes.csv.gz"))["nodeid"].cast(pl.String))
    assert {s.partition(":")[2] for s in suspects["subject"]} <= accounts


def test_real_texts_pass(data: Path, tmp_path: Path) -> None:
    _through("messages", sorted((data / "sms").glob("*.csv")), "labelled_sms.toml", tmp_path)
