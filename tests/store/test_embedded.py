"""The embedded server: unprivileged, private, durable, and at work again after any death."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from wuzha.store import migrate
from wuzha.store.embedded import Server, ServerError
from wuzha.store.unprivileged import postgres_in

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can start it as another user")


@pytest.fixture
def folder(enterable_tmp: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A data folder of the test's own; whatever runs there afterwards is stopped."""
    path = enterable_tmp / f"e{abs(hash(request.node.name)) % 10**8}"
    yield path
    cluster = path / "cluster"
    _kill(postgres_in(cluster))
    until = time.monotonic() + 60
    while postgres_in(cluster) and time.monotonic() < until:
        time.sleep(0.02)


def _kill(pids: set[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _row(server: Server, value: str) -> None:
    with server.database("d").connect("owner") as conn:
        conn.execute("CREATE SCHEMA IF NOT EXISTS kept; CREATE TABLE IF NOT EXISTS kept.t (v text)")
        conn.execute("INSERT INTO kept.t VALUES (%s)", (value,))


def _rows(server: Server) -> list[str]:
    with server.database("d").connect("owner") as conn:
        return [r[0] for r in conn.execute("SELECT v FROM kept.t ORDER BY v")]


def test_it_is_private_and_durable(server: Server) -> None:
    with server.database("postgres").connect("super") as conn:
        settings = {r[0]: r[1] for r in conn.execute("SELECT name, setting FROM pg_settings")}
        rules = conn.execute("SELECT type, database, user_name, auth_method FROM pg_hba_file_rules").fetchall()
        kept = conn.execute("SELECT rolname, rolpassword FROM pg_authid WHERE rolcanlogin").fetchall()
    assert settings["listen_addresses"] == ""
    assert {settings[n] for n in ("fsync", "synchronous_commit", "full_page_writes")} == {"on"}
    assert settings["data_checksums"] == "on"
    assert rules == [("local", ["all"], ["all"], "scram-sha-256")]
    assert all(password.startswith("SCRAM-SHA-256$") for _, password in kept)
    pid = server.pid()
    listening = subprocess.run(["ss", "-ltnp"], capture_output=True, text=True).stdout if _has("ss") else ""
    assert f"pid={pid}," not in listening


def _has(program: str) -> bool:
    return any((Path(p) / program).exists() for p in os.environ["PATH"].split(":"))


def test_alter_system_cannot_make_it_forgetful(server: Server) -> None:
    with server.database("postgres").connect("super") as conn:
        conn.execute("ALTER SYSTEM SET fsync = off")
        conn.execute("SELECT pg_reload_conf()")
        time.sleep(0.2)
        try:
            assert conn.execute("SHOW fsync").fetchone() == ("on",)
        finally:
            conn.execute("ALTER SYSTEM RESET fsync")


def test_its_files_and_passwords_are_its_own(server: Server) -> None:
    words = server.data_dir / "passwords.json"
    assert stat.S_IMODE(words.stat().st_mode) == 0o600
    assert len(set(json.loads(words.read_text()).values())) == 5
    for name in ("cluster", "socket", "log"):
        assert stat.S_IMODE((server.data_dir / name).stat().st_mode) == 0o700


@as_root
def test_as_root_it_runs_under_a_uid_without_account_and_rights(server: Server) -> None:
    status = Path(f"/proc/{server.pid()}/status").read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    uids = set(map(int, fields["Uid"].split()))
    assert uids == {(server.data_dir / "cluster").stat().st_uid} and 0 not in uids
    assert fields["Groups"].split() == [] or 0 not in map(int, fields["Groups"].split())
    assert int(fields["CapEff"], 16) == 0 and int(fields["CapPrm"], 16) == 0
    assert str(uids.pop()) not in {line.split(":")[2] for line in Path("/etc/passwd").read_text().splitlines()}


def test_no_password_no_entry(server: Server) -> None:
    params = {**server.database("postgres").params, "user": "wuzha_web"}
    for password in ("", "wrong"):
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(**params, password=password).close()


def test_what_was_committed_outlives_a_killed_server(folder: Path) -> None:
    server = Server(folder)
    server.start()
    _row(server, "first")
    pid = server.pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    _kill(postgres_in(folder / "cluster"))
    again = Server(folder)
    again.start()
    assert _rows(again) == ["first"]
    assert again.pid() not in (None, pid)
    assert server.stop() is False, "the first one is still among those who share it"
    assert again.stop()


def test_a_killed_postmaster_whose_children_linger_is_waited_for(folder: Path) -> None:
    server = Server(folder)
    server.start()
    _row(server, "first")
    held = server.database("d").connect("owner")
    held.execute("SELECT pg_advisory_lock(1)")
    pid = server.pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    again = Server(folder)
    again.start()
    held.close()
    assert _rows(again) == ["first"]
    server.stop()
    assert again.stop()


def test_one_killed_while_it_comes_up_is_started_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(folder)
    waits, died = Server._wait_ready, []

    def killed(self: Server, deadline: float) -> None:
        if not died:
            pid = self.pid()
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            died.append(pid)
        waits(self, deadline)

    monkeypatch.setattr(Server, "_wait_ready", killed)
    server.start()
    _row(server, "first")
    assert died and server.pid() not in (None, died[0]) and _rows(server) == ["first"]
    assert server.stop()


def _own_and_die(folder: Path) -> None:
    """A process starts the server and is killed."""
    code = f"import os, sys, signal\nfrom wuzha.store.embedded import Server\nServer({str(folder)!r}).start()\n"
    subprocess.run([sys.executable, "-c", code + "os.kill(os.getpid(), signal.SIGKILL)"], check=False)


def test_a_server_whose_owner_was_killed_is_adopted(folder: Path) -> None:
    _own_and_die(folder)
    server = Server(folder)
    orphan = server.pid()
    assert orphan is not None, "it runs on without its owner"
    server.start()
    assert server.pid() == orphan
    _row(server, "x")
    assert server.stop() and server.pid() is None


def test_a_stale_pid_file_and_socket_are_cleared(folder: Path) -> None:
    with Server(folder) as server:
        _row(server, "kept")
        sockets = server.socket_folder
    stale = folder / "cluster" / "postmaster.pid"
    for pid in (os.getpid(), 1, 2**22 - 3):  # ours, somebody's, nobody's
        stale.write_text(f"{pid}\n{folder / 'cluster'}\n0\n5432\n{sockets}\n\n0 0\nready\n")
        os.chown(stale, *_ids(folder))
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(sockets / ".s.PGSQL.5432"))
        (sockets / ".s.PGSQL.5432.lock").write_text(f"{pid}\n")
        with Server(folder) as again:
            assert _rows(again) == ["kept"]


def _ids(folder: Path) -> tuple[int, int]:
    owner = (folder / "cluster").stat()
    return owner.st_uid, owner.st_gid


def test_two_on_one_folder_are_one_server_and_the_last_stops_it(folder: Path) -> None:
    first, second = Server(folder), Server(folder)
    first.start()
    second.start()
    assert first.pid() == second.pid()
    assert first.stop() is False
    _row(second, "still there")
    assert second.stop() is True
    assert second.pid() is None


def _start_and_say(path: str, out: Any, go: Any) -> None:
    server = Server(path)
    server.start()
    out.put(server.pid())
    go.wait(60)
    server.stop()


def test_starts_at_the_same_moment_make_one_server(folder: Path) -> None:
    context = multiprocessing.get_context("fork")
    out, go = context.Queue(), context.Event()
    processes = [context.Process(target=_start_and_say, args=(str(folder), out, go)) for _ in range(3)]
    for process in processes:
        process.start()
    pids = {out.get(timeout=60) for _ in processes}
    go.set()
    for process in processes:
        process.join(30)
    assert len(pids) == 1 and None not in pids
    assert [p.exitcode for p in processes] == [0, 0, 0]
    assert postgres_in(folder / "cluster") == set()


def test_a_half_made_cluster_is_made_anew(folder: Path) -> None:
    (folder / "making" / "cluster" / "base").mkdir(parents=True)
    folder.chmod(0o711)
    with Server(folder) as server:
        _row(server, "x")
    assert not (folder / "making").exists()


def test_a_lost_cluster_is_not_replaced_by_an_empty_one(folder: Path) -> None:
    with Server(folder):
        pass
    (folder / "cluster").rename(folder / "elsewhere")
    with pytest.raises(ServerError, match=r"gone .* restore it from a backup"):
        Server(folder).start()
    assert not (folder / "cluster").exists()
    (folder / "elsewhere").rename(folder / "cluster")
    with Server(folder):
        pass


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda p: p.chmod(0o644), "read by others .* chmod 600"),
        (lambda p: p.unlink(), "gone but the cluster is there"),
        (lambda p: p.write_text("{"), "damaged"),
        (lambda p: p.write_text("{}"), "lacks the passwords of postgres, wuzha_owner"),
        (lambda p: p.write_text(json.dumps({**json.loads(p.read_text()), "postgres": "wrong"})), "not the cluster's"),
    ],
)
def test_a_spoilt_password_file_is_told_and_mended_by_putting_it_back(folder: Path, spoil: Any, words: str) -> None:
    with Server(folder):
        pass
    path = folder / "passwords.json"
    kept = path.read_text()
    spoil(path)
    with pytest.raises(ServerError, match=words):
        Server(folder).start()
    path.unlink(missing_ok=True)
    path.write_text(kept)
    path.chmod(0o600)
    with Server(folder) as server:
        assert server.pid()


@as_root
def test_a_cluster_of_root_is_refused(folder: Path) -> None:
    with Server(folder):
        pass
    os.chown(folder / "cluster", 0, 0)
    with pytest.raises(ServerError, match="belongs to root"):
        Server(folder).start()


@as_root
def test_another_users_folder_is_refused(folder: Path) -> None:
    with Server(folder):
        pass
    # a child that gives up root, with the libraries loaded before
    pid = os.fork()
    if pid == 0:
        try:
            os.setgid(65534)
            os.setuid(65534)
            Server(folder).start()
        except ServerError as error:
            os._exit(7 if "another user" in str(error) else 8)
        except BaseException:
            os._exit(9)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7


@as_root
def test_an_ordinary_user_runs_it_as_himself(enterable_tmp: Path) -> None:
    home = enterable_tmp / "ordinary"
    home.mkdir()
    home.chmod(0o700)
    os.chown(home, 65534, 65534)
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            os.environ["WUZHA_CACHE"] = str(home / "cache")
            with Server(home / "data") as server:
                _row(server, "mine")
                mine = (home / "data" / "cluster").stat().st_uid == 65534
            os._exit(0 if mine and server.pid() is None else 8)
        except BaseException:
            os._exit(9)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@as_root
def test_a_folder_that_nobody_else_may_enter_stays_closed(enterable_tmp: Path) -> None:
    """As below /root: the cluster stands elsewhere, and no folder's rights are widened."""
    closed = enterable_tmp / "closed"
    closed.mkdir(mode=0o700)
    server = Server(closed / "data")
    try:
        with server:
            _row(server, "x")
            place = Path((closed / "data" / "place").read_text().strip())
            assert place.is_relative_to("/var/lib/wuzha") and (place / "cluster" / "PG_VERSION").exists()
        assert stat.S_IMODE(closed.stat().st_mode) == 0o700
        with Server(closed / "data") as again:
            assert _rows(again) == ["x"]
    finally:
        if (closed / "data" / "place").exists():
            shutil.rmtree((closed / "data" / "place").read_text().strip())


def test_a_deep_folder_has_a_short_socket(folder: Path) -> None:
    deep = folder / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    for step in (folder, deep.parent, deep):
        step.chmod(0o711)
    with Server(deep) as server:
        _row(server, "x")
        assert len(str(server.socket_folder)) < 100
        assert stat.S_IMODE(server.socket_folder.stat().st_mode) == 0o700
        short = server.socket_folder
    short.rmdir()


def test_migrating_twice_at_once_is_once(server: Server) -> None:
    db = server.database("migrated_twice")
    context = multiprocessing.get_context("fork")
    out = context.Queue()
    processes = [context.Process(target=lambda: out.put(migrate.upgrade(db))) for _ in range(2)]
    for process in processes:
        process.start()
    ran = sorted((out.get(timeout=60) for _ in processes), key=len)
    for process in processes:
        process.join(30)
    assert ran == [[], [f.stem for f in migrate.files()]]
    assert migrate.current(db) == migrate.head()
