"""History jobs on a Dask cluster give what they give on one machine, with a worker killed in the middle too."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tests.detect.chronicle import _ACCOUNTS
from tests.eventlog import city, rows
from tests.live.rows import calls
from typer.testing import CliRunner

from wuzha import detect, text
from wuzha.cli.main import load
from wuzha.detect import drafts
from wuzha.detect.backtest import Truth, backtest
from wuzha.detect.files import CHUNK, citing, detect_block, figures_table, read_folder, replayed
from wuzha.live import cluster, cluster_jobs, history
from wuzha.live.cluster import ClusterError, connected
from wuzha.live.past import Past

pytest.importorskip("distributed", reason="the extra wuzha[cluster] is not installed")

RULE = """[busy]
subject = "line"
stage = "approach"
when = "line_calls_2h >= 1"
zh = "忙"
en = "busy"
cooldown = "10min"

[weights]
scam_line = 3
"""


class Machines:
    """A scheduler and workers, each a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = f"tcp://127.0.0.1:{_free()}"
        self.processes = [self._start("scheduler", "--port", self.address.rsplit(":", 1)[1], "--no-dashboard")]
        self.workers: list[subprocess.Popen[bytes]] = []

    def _start(self, what: str, *options: str, cwd: Path | None = None, path: Path | None = None) -> Any:
        environment = dict(os.environ) | ({"PYTHONPATH": str(path)} if path else {})
        code = f"import sys; from distributed.cli.dask_{what} import main; sys.exit(main())"
        with (self.folder / f"{what}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-c", code, "--host", "127.0.0.1", *options], stdout=log, stderr=log,
                cwd=cwd or self.folder, env=environment,
            )  # fmt: skip

    def worker(self, *, cwd: Path | None = None, path: Path | None = None) -> subprocess.Popen[bytes]:
        """One more worker, with one thread and nobody who starts it again."""
        options = ("--nthreads", "1", "--no-nanny", "--no-dashboard", "--local-directory", str(self.folder))
        started: subprocess.Popen[bytes] = self._start("worker", self.address, *options, cwd=cwd, path=path)
        self.workers.append(started)
        return started

    def stop(self) -> None:
        for process in [*self.workers, *self.processes]:
            process.kill()
            process.wait()


def _free() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    started = Machines(tmp_path)
    try:
        yield started
    finally:
        started.stop()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A little log of all tables, in several row groups."""
    out = tmp_path / "city"
    out.mkdir()
    tables = city(11, 500)
    tables["findings"] = [
        {"at": 900, "event_id": "f", "subject": _ACCOUNTS[1], "kind": "suspect_confirmed", "known_at": None}
    ]
    tables["findings"][0].pop("known_at")
    for name, events in tables.items():
        if events:
            pq.write_table(rows(name, events), out / f"{name}.parquet", row_group_size=60)
    return out


def joined(at: cluster.Cluster, n: int) -> None:
    """Wait until ``n`` workers are there."""
    until = time.monotonic() + 60
    while len(at._client.scheduler_info(n_workers=-1)["workers"]) < n:
        assert time.monotonic() < until
        time.sleep(0.1)


def annotated(name: str, table: Any) -> Any:
    return text.annotate(table) if name == "messages" else table


def test_jobs_give_what_they_give_alone_though_a_worker_is_killed(
    machines: Machines, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_jobs, "ROWS", 37)
    book = detect.shipped()
    after = drafts.laid(book, [drafts.read(RULE.replace("line_calls_2h", _line_feature()), book)])
    block, refused = read_folder(folder, annotated)
    found, counts = detect_block(block, book)
    until = int(block.due[len(block) // 2])
    figures = figures_table(replayed(block, until))
    slices = [block.slice(at, at + CHUNK) for at in range(0, len(block), CHUNK)]
    trial = backtest(slices, book, after, "busy", Truth(), days=30.0)
    assert found.alerts and trial["firings"], "there is something to compare"

    machines.worker()
    killed = machines.worker()
    read: list[int] = []

    def step(n: int) -> None:
        read.append(n)
        if len(read) == 12:  # some pieces are its own by now, and are gone with it
            killed.send_signal(signal.SIGKILL)

    with connected(machines.address) as at:
        joined(at, 2)
        alerts, suspects, said, bad, counted = cluster_jobs.detect_folder(at, folder, book, "en", step)
        assert killed.wait(10) == -signal.SIGKILL
        assert sum(read) == cluster_jobs.rows_of(folder) and len(read) >= 20
        assert alerts.equals(found.alerts_table(citing(block), "en"))
        assert suspects.equals(found.suspects_table("en"))
        assert (bad, counted) == (refused, counts) and said["alerts"] == len(found.alerts)
        machines.worker()
        joined(at, 2)
        table, bad = cluster_jobs.features_table(at, folder, until)
        assert table.equals(figures) and bad == refused
        subject = figures["subject"][3].as_py()
        values, _ = cluster_jobs.features_of(at, folder, until, subject)
        assert values == replayed(block, until).figures(subject)
        assert cluster_jobs.features_of(at, folder, until, "line:nobody")[0] is None
        told, _ = cluster_jobs.backtest_folder(at, folder, book, after, "busy", Truth(), days=30.0)
        assert told == trial
        # a deployment's history, in segments
        kept = tmp_path / "history"
        for i in range(3):
            one = history.LogBatch(
                position=i + 1, table="calls", source="carrier", rows=calls(40, first=40 * i), basis="holder_own",
                until=None,
            )  # fmt: skip
            history.seal(kept, [one], i + 1)
        past, again = Past(kept), Past(kept)
        alone = backtest(past.blocks(), book, after, "busy", past.truth)
        assert alone["events"] == 120
        assert cluster_jobs.backtest_past(at, again, book, after, "busy") == alone
    # and through the command
    for options in ([], ["--dask", machines.address]):
        out = tmp_path / f"alerts{len(options)}.parquet"
        ran = CliRunner().invoke(load(), ["detect", str(folder), "--out", str(out), "--json", *options])
        assert ran.exit_code in (0, 3), ran.output
    assert pq.read_table(tmp_path / "alerts0.parquet").equals(pq.read_table(tmp_path / "alerts2.parquet"))


def _line_feature() -> str:
    return next(f.name for f in detect.shipped().features.values() if f.subject == "line" and f.op == "count")


def test_a_worker_that_cannot_do_the_work_is_named_before_any_is_done(
    machines: Machines, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "PATIENCE_S", 1.0)
    with connected(machines.address) as at, pytest.raises(ClusterError, match="has no workers"):
        cluster_jobs.detect_folder(at, folder, detect.shipped(), "en")
    # a path that means another folder in each process, as a disk that is mounted on one machine alone
    monkeypatch.chdir(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    machines.worker(cwd=elsewhere)
    with connected(machines.address) as at:
        joined(at, 1)
        with pytest.raises(ClusterError, match=r"worker tcp://.*: it does not see /proc/self/cwd/city/\w+\.parquet"):
            cluster_jobs.detect_folder(at, Path("/proc/self/cwd/city"), detect.shipped(), "en")
        shutil.copytree(folder, elsewhere / "city")
        pq.write_table(rows("calls", []), elsewhere / "city" / "calls.parquet")
        with pytest.raises(ClusterError, match=r"calls\.parquet is another file there"):
            cluster_jobs.detect_folder(at, Path("/proc/self/cwd/city"), detect.shipped(), "en")
        # another edition of the software
        other = tmp_path / "other"
        shutil.copytree(Path(detect.__file__).parents[1], other / "wuzha", ignore=shutil.ignore_patterns("static"))
        with (other / "wuzha" / "detect" / "features.toml").open("a") as changed:
            changed.write("# another\n")
        machines.worker(path=other)
        joined(at, 2)
        with pytest.raises(ClusterError, match=r"another edition of wuzha"):
            cluster_jobs.detect_folder(at, folder, detect.shipped(), "en")


def test_a_cluster_that_does_not_answer_is_said(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "_CONNECT_S", 0.5)
    address = f"tcp://127.0.0.1:{_free()}"
    for wrong, what in ((address, "does not answer"), ("127.0.0.1:8786", "tcp://host:port")):
        ran = CliRunner().invoke(load(), ["detect", str(folder), "--out", str(tmp_path / "a.parquet"), "--dask", wrong])
        assert ran.exit_code == 1 and what in str(ran.exception)
    assert not (tmp_path / "a.parquet").exists()
