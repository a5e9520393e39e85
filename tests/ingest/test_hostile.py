# ruff: noqa: E501
"""Hostile input and failing disks: what cannot be read is a reject, what is written is whole."""

from __future__ import annotations

import gzip
import io
import os
import random
import resource
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import polars as pl
import pytest
from tests.importing import AS_OF, csv_file, run, statement, xlsx_file

from wuzha.ingest import ImportFailed, WrongUse, import_files

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples" / "mappings"

# ---- hostile input


def test_files_that_cannot_be_read_are_rejects_and_stop_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    csv_file(folder / "good.csv", statement({}))
    (folder / "empty.csv").write_bytes(b"")
    (folder / "broken.xlsx").write_bytes(b"PK\x03\x04" + b"\x00" * 100)
    (folder / "broken.zip").write_bytes(b"PK\x03\x04nothing")
    (folder / "broken.parquet").write_bytes(b"PAR1xxxxPAR1")
    (folder / "cut.csv.gz").write_bytes(gzip.compress(b"a,b\n1,2\n" * 99)[:-12])
    (folder / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0" + os.urandom(500))
    (folder / "noise.csv").write_bytes(bytes(range(256)) * 20)
    good = xlsx_file(tmp_path / "g.xlsx", {"s": statement({})}).read_bytes()
    (folder / "cut.xlsx").write_bytes(good[: len(good) // 2])
    (folder / "~$lock.xlsx").write_bytes(b"x")
    done = run("statements", folder, out=tmp_path / "out")
    assert done.summary.accepted == 1
    assert {r["file"].split("/")[-1] for r in done.rejects} == {p.name for p in folder.iterdir()} - {
        "good.csv",
        "~$lock.xlsx",
    }
    assert all(r["reason"] in ("empty_file", "corrupt_file", "unknown_format", "unknown_header") for r in done.rejects)


def test_nothing_readable_is_a_failure_and_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "empty.csv", tmp_path / "folder"):
        with pytest.raises(ImportFailed):
            import_files("statements", [path], tmp_path / "new" / "out", as_of=AS_OF)
    assert not (tmp_path / "new").exists()
    with pytest.raises(WrongUse, match=r"missing\.csv"):
        import_files("statements", [tmp_path / "missing.csv"], tmp_path / "out", as_of=AS_OF)
    for kind in ("labels", "nothing"):
        with pytest.raises(WrongUse, match=kind):
            import_files(kind, [tmp_path / "empty.csv"], tmp_path / "out", as_of=AS_OF)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"对手户名": "a\x00b"}, "nul_byte"),
        ({"对手户名": "好" * 4_000_000}, "cell_too_long"),
        ({"交易金额": "1" * 10_000_000}, "bad_amount"),
    ],
)
def test_poisoned_cells_are_rejects(tmp_path: Path, row: dict[str, str], reason: str) -> None:
    done = run("statements", csv_file(tmp_path / "a.csv", statement({}, row, {"交易金额": "2"})))
    assert done.reasons == [(3, reason)] and done.summary.accepted == 2
    assert len(done.rejects[0]["value"]) <= 200


def test_a_line_in_another_encoding_is_a_reject(tmp_path: Path) -> None:
    text = [",".join(row) for row in statement(*[{"对手户名": "李强", "交易金额": str(i)} for i in range(1, 9)])]
    lines = [line.encode("utf-8" if i == 4 else "gb18030") for i, line in enumerate(text)]
    lines[6] = lines[6].replace("李强".encode("gb18030"), b"\xff\xff\x81")
    (tmp_path / "a.csv").write_bytes(b"\n".join(lines))
    done = run("statements", tmp_path / "a.csv")
    assert (5, "encoding") in done.reasons and (7, "encoding") in done.reasons and done.summary.accepted == 6


def test_cells_beyond_the_header_and_open_quotes_are_rejects(tmp_path: Path) -> None:
    header, row = statement({})
    lines = [",".join(r) for r in (header, row, [*row, "", "extra"], row)]
    lines[3] = lines[3].replace("2023-01-15 09:30:11", "2023-01-15 09:30:12")
    lines.insert(2, '"' + lines[1].replace("09:30:11", "09:30:13"))
    (tmp_path / "a.csv").write_text("\n".join(lines), "gb18030")
    done = run("statements", tmp_path / "a.csv")
    assert done.reasons == [(3, "broken_quotes"), (4, "too_many_cells")]
    assert done.summary.accepted == 2


def test_zip_bombs_and_locked_archives_are_rejects(tmp_path: Path) -> None:
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("0.csv", b"0" * (80 << 20))
        archive.writestr("1.csv", b"0")
    (tmp_path / "bomb.zip").write_bytes(bomb.getvalue())
    nested = b"a,b\n1,2\n"
    for i in range(8):
        box = io.BytesIO()
        with zipfile.ZipFile(box, "w") as archive:
            archive.writestr(f"{i}.zip" if i else "a.csv", nested)
        nested = box.getvalue()
    (tmp_path / "deep.zip").write_bytes(nested)
    with zipfile.ZipFile(tmp_path / "good.zip", "w") as archive:
        archive.writestr("N" * 13, "\n".join(",".join(r) for r in statement({}, {"交易金额": "x"})).encode("gb18030"))
    raw = (tmp_path / "good.zip").read_bytes().replace(b"N" * 13, "流水/一月.csv".encode("gbk"))
    (tmp_path / "good.zip").write_bytes(raw)
    done = run("statements", *[tmp_path / f"{n}.zip" for n in ("bomb", "deep", "good")])
    assert [r["reason"] for r in done.rejects] == ["archive_too_large", "archive_too_deep", "bad_amount"]
    assert done.summary.accepted == 1
    assert {r["file"] for r in done.rejects if r["reason"] == "bad_amount"} == {"good.zip/流水/一月.csv"}


# ---- whole files or none


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_write_permission_is_a_clear_failure(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    with pytest.raises(ImportFailed, match="没有写下任何文件"):
        run("statements", csv_file(tmp_path / "a.csv", statement({})), out=closed / "out")


def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    out = tmp_path / "out"
    run("statements", csv_file(tmp_path / "a.csv", statement({})), out=out)
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    rows = [{"交易流水号": str(i), "对手户名": str(random.Random(i).random())} for i in range(3000)]
    path = csv_file(tmp_path / "b.csv", statement(*rows))
    code = (
        "import resource,sys,datetime as d;from pathlib import Path;import wuzha.ingest as w;"
        "go=lambda out: w.import_files('statements',[Path(sys.argv[1])],out,as_of=d.datetime(2026,1,1,tzinfo=d.UTC));"
        "go(Path(sys.argv[2]).parent/'warm');"  # compiled kernels are cached before the disk is full
        "resource.setrlimit(resource.RLIMIT_FSIZE,(20000,20000));"
        "\ntry: go(Path(sys.argv[2]))"
        "\nexcept w.ImportFailed as e: print(e); sys.exit(1)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path), str(out)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and "没有写下任何文件" in done.stdout, done.stderr
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 20000


def test_a_killed_import_leaves_only_whole_files(tmp_path: Path) -> None:
    rows = [{"交易流水号": str(i)} for i in range(4000)]
    path = csv_file(tmp_path / "b.csv", statement(*rows))
    out = tmp_path / "out"
    code = (
        "import sys,os,signal,datetime as d;from pathlib import Path;import wuzha.ingest as w;from wuzha.ingest import output\n"
        "real=output._sync\n"
        "def die(path):\n    real(path)\n    os.kill(os.getpid(),signal.SIGKILL)\n"
        "output._sync=die\n"
        "w.import_files('statements',[Path(sys.argv[1])],Path(sys.argv[2]),as_of=d.datetime(2026,1,1,tzinfo=d.UTC))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path), str(out)], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL
    assert not list(out.glob("*.parquet"))
    again = run("statements", path, out=out)
    assert again.summary.accepted == 4000


def test_a_new_import_without_rejects_leaves_no_old_ones(tmp_path: Path) -> None:
    out = tmp_path / "out"
    run("statements", csv_file(tmp_path / "a.csv", statement({"交易金额": "x"}, {})), out=out)
    assert not run("statements", csv_file(tmp_path / "b.csv", statement({})), out=out).rejects


def test_a_file_that_is_no_text_is_refused_and_leaves_what_stands(tmp_path: Path) -> None:
    good = csv_file(tmp_path / "good.csv", statement({}))
    out = tmp_path / "out"
    assert run("statements", good, out=out).summary.accepted == 1
    noise = [random.Random(seed).randbytes(300_000) for seed in range(12)]
    noise += [b"\xff\xfe" + noise[0], noise[1][:40], b"\x00\x00\x01" * 5000, b"\xff\xfe\xfd\n" * 900, b",,,\r\n" * 90]
    for i, data in enumerate(noise):
        path = tmp_path / f"{i}.csv"
        path.write_bytes(data)
        with pytest.raises(ImportFailed):
            import_files("statements", [path], out, as_of=AS_OF)
        done = run("statements", good, path, out=tmp_path / "both")
        assert (done.summary.accepted, len(done.rejects)) == (1, 1), i
        assert done.rejects[0]["reason"] == ("empty_file" if data[0:1] == b"," else "unknown_format"), i
    blank = xlsx_file(tmp_path / "blank.xlsx", {"Sheet1": [], "Sheet2": [[None, " "]]})
    with pytest.raises(ImportFailed, match="没有内容"):
        import_files("statements", [blank], out, as_of=AS_OF)
    assert len(pl.read_parquet(out / "transfers.parquet")) == 1


def test_what_stands_below_many_blank_lines_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("\n" * 80 + "\n".join(",".join(r) for r in statement({})), "utf-8")
    done = run("statements", csv_file(tmp_path / "good.csv", statement({})), tmp_path / "a.csv")
    assert done.reasons == [(81, "unknown_header"), (82, "unknown_header")]
