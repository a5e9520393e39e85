"""A whole server: database, worker, doors, under one parent.

Kept true here: it says ready only when the doors answer and a worker holds the lease; it does not start on settings
under which an acknowledged event could be lost; one server a data folder; after any death it starts from what is there.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg

from wuzha.events.datafile import DataFileError
from wuzha.store import Database, opened, zone_keys
from wuzha.store.embedded import ServerError
from wuzha.store.settings import Settings as StoreSettings
from wuzha.store.settings import make_home

from . import decision_policy
from .settings import MORE, Settings
from .subjects import first_unit
from .supervise import Child, Supervisor

#: Settings of PostgreSQL under which an acknowledgement is durable, and the values that are not.
_UNSAFE = {"fsync": ("off",), "synchronous_commit": ("off", "local"), "full_page_writes": ("off",)}
_TELEPHONE, _TEXTS = ("telephone", "wuzha.respond.telephony", 8.0), ("texts", "wuzha.respond.texting", 8.0)
#: Processes that run only where what they speak to, or the port that they have, is named.
_NAMED = {"telephone": "WUZHA_SIP_SERVER", "texts": "WUZHA_SMPP_SERVER", "bank door": "WUZHA_BANK_PORT"}
_BANK_DOOR = ("bank door", "wuzha.api.bank_door", 8.0)
_DOORS, _EXCHANGE = ("doors", "wuzha.api.app", 8.0), ("exchange", "wuzha.respond.crossing", 8.0)
_ENGINE = ("engine", "wuzha.live.process", 25.0)
_KEEPING = ("keeping", "wuzha.live.keeping", 30.0)
_TRIALS = ("trials", "wuzha.live.trying", 8.0)
#: What a server must have to be ready. All others start once it is, and take no time from these until then.
_READY = ("engine", "doors", "bank door")
#: What nobody waits for. (Where the log is a stream, keeping writes its index, which is waited for.)
_BEHIND = ("keeping", "trials")
#: What runs under each role, in the order in which it starts: (name, module, seconds to stop in). A role outside the
#: police network has no engine and no desk: its own doors, and letters.
PROCESSES: dict[str, tuple[tuple[str, str, float], ...]] = {
    "holder": (_ENGINE, _DOORS, _BANK_DOOR, _KEEPING, _TRIALS),
    "centre": (
        _ENGINE,
        _DOORS,
        _BANK_DOOR,
        _KEEPING,
        _TRIALS,
        ("rounds", "wuzha.respond.rounds", 8.0),
        ("pursuit", "wuzha.cases.rounds", 8.0),
        _EXCHANGE,
        _TELEPHONE,
        _TEXTS,
    ),
    "public": (("doors", "wuzha.web.public", 8.0), _EXCHANGE),
    "phone": (("doors", "wuzha.web.door", 8.0), _EXCHANGE),
}
#: Roles with a log.
_LOGGING = ("holder", "centre")
#: What the first unit of a new deployment is called, where the role has units.
FIRST_UNIT = {"centre": "反诈中心", "holder": "数据持有单位"}
#: The very first start on a machine compiles the engine's kernels.
_READY_S = 900.0
_LONG_S = 15.0
#: A database that does not come up again is given this time before the next try.
_AGAIN_S = 2.0
#: Tries before a server that starts gives its database up.
_TRIES = 5


class CannotServe(Exception):
    """The server does not start; the message says why and what to do."""


def serve(
    settings: Settings, host: str, port: int, *, say: Callable[[str], None], stop: threading.Event | None = None
) -> None:
    """Run until SIGINT or SIGTERM (or ``stop``). CannotServe where it may not or cannot start."""
    stop = stop or threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    secure = _certified(settings)
    make_home(settings.home)
    try:
        decision_policy.check(settings.home)
    except DataFileError as error:
        raise CannotServe(f"the policy of decisions is wrong: {error}") from error
    with _alone(settings.home) as there, ExitStack() as databases:
        ports = {"doors": port}
        if settings.bank_port is not None and settings.role in _LOGGING:
            ports["bank door"] = settings.bank_port
        for one in ports.values():
            _free_port(host, one)
        supervisor = Supervisor(say)
        environment = environment_of(settings)
        try:
            say(f"Database: starting (data in {settings.home})")
            if not StoreSettings().dsn:  # before the database, which so has a keeper as long as it runs
                keeper = _python("wuzha.live.keeper", str(os.getpid()))
                supervisor.start(Child("database keeper", keeper, environment, death=0))
            db = _database(settings, databases, say)
            later: list[Child] = []
            beside: list[Child] = []
            for name, module, stop_s in PROCESSES[settings.role]:
                if name in _NAMED and not environment.get(_NAMED[name]):
                    continue
                place = (host, str(ports[name])) if name in ports else ()
                behind = name in _BEHIND and not (name == "keeping" and environment.get("WUZHA_LOG"))
                child = Child(name, _python(module, *place), environment, stop_s=stop_s, behind=behind)
                if name == "exchange" and settings.role == "centre" and not _has_zones(settings.home):
                    later.append(child)
                elif name in _READY:
                    say(f"{name.capitalize()}: starting")
                    supervisor.start(child)
                    if name == "engine":
                        for more in others(settings.workers - 1, environment):
                            supervisor.start(more)
                else:
                    beside.append(child)

            def look() -> None:
                """The folder must be there; letters are carried as soon as the zone has its keys."""
                if not there():
                    raise CannotServe(
                        f"{settings.home} was removed or moved while the server ran on it; it stops,"
                        " since nothing that it would acknowledge from here on could be kept"
                    )
                if later and zone_keys.present(settings.home):
                    say("Exchange: this zone has its keys now; starting")
                    supervisor.start(later.pop())

            near = f"http{'s' if secure else ''}://{'127.0.0.1' if host in ('0.0.0.0', '::') else host}"
            urls = [f"{near}:{one}/" for one in ports.values()]
            if _await_ready(urls, supervisor, stop, say, look):
                say(f"Ready: {urls[0]}  (role {settings.role}; Ctrl-C stops it)")
                for url in urls[1:]:
                    say(f"Banks ask at {url}v1/decisions/transfer")
                for late in beside:
                    say(f"{late.name.capitalize()}: starting")
                    supervisor.start(late)
                if settings.role in FIRST_UNIT:
                    _greet(db, settings.home, say)
                elif not _has_zones(settings.home):
                    say("It knows no zone yet and can confirm nothing: wuzha exchange keys makes its keys")
            _watch(db, databases, supervisor, stop, say, look)
        finally:
            say("Stopping")
            supervisor.stop()
    say("Stopped; everything acknowledged is kept")


def _database(settings: Settings, databases: ExitStack, say: Callable[[str], None]) -> Database:
    """The database, migrated, with settings under which it may be used; one that dies meanwhile is started again."""
    for left in reversed(range(_TRIES)):
        with ExitStack() as opening:
            try:
                db = opening.enter_context(opened())
                with db.connect("web") as conn:
                    refuse_unsafe(conn)
                if settings.role in _LOGGING:
                    say_log(db, say)
                with db.connect("web") as conn:
                    if settings.role in FIRST_UNIT:
                        first_unit(conn, FIRST_UNIT[settings.role])
                databases.push(opening.pop_all())
                return db
            except psycopg.OperationalError as error:
                if left == 0:
                    raise
                say(f"Database: {str(error).strip() or type(error).__name__}; trying again in {_AGAIN_S:g} s")
        time.sleep(_AGAIN_S)
    raise AssertionError("each try returns or raises")


def _certified(settings: Settings) -> bool:
    """Whether it speaks HTTPS. CannotServe where certificate and key are not as they must be."""
    certificate, key = settings.certificate, settings.certificate_key
    if certificate is None and key is None:
        return False
    if certificate is None or key is None:
        raise CannotServe("a certificate and its key belong together: --certificate and --key")
    try:
        if key.stat().st_mode & 0o077:
            raise CannotServe(f"{key} can be read by others; chmod 600 {key}")
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key, password="")
    except OSError as error:  # ssl.SSLError is one
        raise CannotServe(f"{certificate} and {key} are no certificate and its key: {error}") from error
    return True


def _has_zones(home: Path) -> bool:
    """Whether this deployment has keys of a zone. CannotServe where they are damaged or readable by others."""
    try:
        return zone_keys.load(home) is not None
    except zone_keys.KeysError as error:
        raise CannotServe(str(error)) from error


def _greet(db: Database, home: Path, say: Callable[[str], None]) -> None:
    """What a new deployment still needs before anybody can use it."""
    with db.connect("web") as conn:
        nobody = conn.execute("SELECT NOT EXISTS (SELECT 1 FROM wuzha.users)").fetchone()
    if nobody is not None and nobody[0]:
        say(f"Nobody can log in yet: wuzha admin init --data {home} makes the first administrator")


def _python(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", module, *arguments]


def others(count: int, environment: Mapping[str, str]) -> list[Child]:
    """More workers beside the first."""
    _, module, stop_s = _ENGINE
    return [Child(f"engine {n}", _python(module, MORE), environment, stop_s=stop_s) for n in range(2, count + 2)]


def environment_of(settings: Settings) -> Mapping[str, str]:
    """What a server's children are told."""
    said = {
        "WUZHA_HOME": str(settings.home),
        "WUZHA_ROLE": settings.role,
        "WUZHA_CENTRE_URL": settings.centre_url or "",
        "WUZHA_CENTRE_KEY_FILE": str(settings.centre_key_file or ""),
        "PYTHONUNBUFFERED": "1",
    }
    return {**os.environ, **{k: v for k, v in said.items() if v}}


def refuse_unsafe(conn: psycopg.Connection[Any]) -> None:
    """CannotServe where PostgreSQL would acknowledge what a crash can take away."""
    for name, unsafe in _UNSAFE.items():
        row = conn.execute("SELECT current_setting(%s)", [name]).fetchone()
        if row is not None and row[0] in unsafe:
            raise CannotServe(
                f"PostgreSQL runs with {name} = {row[0]}: an acknowledged event could be lost in a crash."
                f" Set {name} = on and start again; wuzha doctor says more."
            )


def say_log(db: Database, say: Callable[[str], None]) -> None:
    """See that the log can go on where it stands. CannotServe where it cannot, or where it could lose something."""
    if not os.environ.get("WUZHA_LOG"):
        with db.connect("engine") as conn:
            row = conn.execute("SELECT stream FROM wuzha.log_head").fetchone()
        if row is not None and row[0] is not None:
            raise CannotServe(f"this deployment's log stands in the stream {row[0]}; name its servers in WUZHA_LOG")
        return
    # Only here: a parent whose log stands in its database loads nothing of this.
    from wuzha.store import log as store_log
    from wuzha.store import log_index, log_nodes
    from wuzha.store.jetstream import LogAway, LogUnsound

    try:
        elsewhere = store_log.stream()
        with db.connect("engine") as conn:
            log_index.settle(conn)
    except (LogUnsound, LogAway, ValueError) as error:
        raise CannotServe(str(error)) from error
    except ModuleNotFoundError as error:
        raise CannotServe("WUZHA_LOG needs the extra `many`: pip install 'wuzha[many]'") from error
    assert elsewhere is not None
    say(f"Log: the stream {elsewhere.stream.place.name} on {elsewhere.stream.place.shown}")
    told = log_nodes.nodes()
    for node in told:
        if node.wrong is not None and node.version != "?":
            raise CannotServe(f"the log's node {node.name} ({node.address}): {node.wrong}")
        if node.wrong is not None:
            say(f"Log: {node.address}: {node.wrong}")
    if not told:
        say("Log: whether its nodes sync each write cannot be seen; name their monitoring pages in WUZHA_LOG_NODES")


@contextmanager
def _alone(home: Path) -> Iterator[Callable[[], bool]]:
    """One server a data folder. The kernel frees the lock of a killed one. Gives whether the folder is still there."""
    with (home / "serve.lock").open("ab") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotServe(f"a server runs on {home} already; stop it first or give --data another folder") from None

        def there() -> bool:
            try:
                return os.path.samestat(os.stat(home / "serve.lock"), os.fstat(handle.fileno()))
            except OSError:
                return False

        yield there


def _free_port(host: str, port: int) -> None:
    """The port, after a killed server's children are gone (they die a moment after it)."""
    until = time.monotonic() + 5
    while True:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
                return
            except OSError as error:
                if time.monotonic() > until:
                    raise CannotServe(
                        f"{host}:{port} cannot be used: {error.strerror}; choose another --port"
                    ) from error
        time.sleep(0.1)


def _await_ready(
    urls: Sequence[str], supervisor: Supervisor, stop: threading.Event, say: Callable[[str], None],
    look: Callable[[], None],
) -> bool:  # fmt: skip
    begun, told = time.monotonic(), False
    # Our own doors on this machine: whose certificate it is does not matter.
    with httpx.Client(trust_env=False, verify=False, timeout=2) as client:
        while not stop.is_set():
            look()
            supervisor.tend()
            try:
                if all(client.get(f"{url}v1/ready").status_code == 200 for url in urls):
                    return True
            except httpx.HTTPError:
                pass
            if not told and time.monotonic() - begun > _LONG_S:
                told = True
                say("Engine: still preparing")
            if time.monotonic() - begun > _READY_S:
                raise CannotServe(f"the server was not ready within {_READY_S:.0f} s; its log above says why")
            stop.wait(0.1)
    return False


def _watch(
    db: Database, databases: ExitStack, supervisor: Supervisor, stop: threading.Event, say: Callable[[str], None],
    look: Callable[[], None],
) -> None:  # fmt: skip
    """Tend the children; a database that died is started again. ``look`` is called every second."""
    looked = time.monotonic()
    while not stop.wait(0.2):
        supervisor.tend()
        if time.monotonic() - looked > 1.0:
            looked = time.monotonic()
            look()
            try:
                db.connect("web", connect_timeout=5).close()
            except psycopg.OperationalError:
                say("Database: it does not answer; starting it again")
                try:
                    databases.enter_context(opened(upgrade=False))
                except (ServerError, psycopg.OperationalError, OSError) as error:  # no room on the disk, say
                    say(f"Database: {error}; trying again in {_AGAIN_S:g} s")
                    stop.wait(_AGAIN_S)
