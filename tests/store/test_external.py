"""A PostgreSQL of one's own instead of the embedded one: settings, roles, and a release as old as 15."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from tests.store.house import NOW, build
from tests.store.rows import batch

from wuzha.store import Settings, audit, external, log, opened, search, soundness, transaction
from wuzha.store.embedded import ServerError
from wuzha.store.roles import LOGINS
from wuzha.store.unprivileged import some_account

_INSTALLED = sorted(Path("/usr/lib/postgresql").glob("*/bin")) if Path("/usr/lib/postgresql").is_dir() else []


@pytest.fixture(scope="module")
def own_server() -> Iterator[dict[str, str]]:
    """The machine's own PostgreSQL on a socket, with a superuser ``boss``."""
    if not _INSTALLED:
        pytest.skip("no PostgreSQL is installed on this machine")
    programs = _INSTALLED[0]
    folder = Path(tempfile.mkdtemp(prefix="wuzha-own-"))
    as_user = {}
    if os.geteuid() == 0:
        uid = some_account()
        os.chown(folder, uid, -1)
        as_user = {"user": uid, "extra_groups": []}
    word = secrets.token_hex(8)
    (folder / "word").write_text(word)
    command: list[str | Path] = [
        programs / "initdb", "-D", folder / "data", "-U", "boss", "-A", "scram-sha-256", f"--pwfile={folder / 'word'}",
        "--encoding=UTF8", "--locale=C", "--no-sync",
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, cwd="/", **as_user)  # type: ignore[call-overload]
    server = subprocess.Popen(
        [programs / "postgres", "-D", folder / "data", "-k", folder, "-c", "listen_addresses=", "-p", "5433"],
        cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **as_user,
    )  # type: ignore[call-overload]  # fmt: skip
    place = f"host={folder} port=5433"
    try:
        until = time.monotonic() + 30
        while True:
            try:
                psycopg.connect(f"{place} dbname=postgres user=boss password={word}").close()
                break
            except psycopg.OperationalError:
                assert time.monotonic() < until and server.poll() is None
                time.sleep(0.05)
        yield {"place": place, "admin": f"{place} dbname=postgres user=boss password={word}"}
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def settings(own_server: dict[str, str], tmp_path: Path, **changes: object) -> Settings:
    file = tmp_path / "passwords.json"
    if not file.exists():
        file.write_text(json.dumps({name: f"pw-{name}" for name in LOGINS}))
        file.chmod(0o600)
    return Settings(
        **{"home": tmp_path, "dsn": own_server["place"], "passwords": file, "admin_dsn": own_server["admin"], **changes}  # type: ignore[arg-type]
    )


def test_an_older_server_of_ones_own_does_the_same(own_server: dict[str, str], tmp_path: Path) -> None:
    """Roles, migrations, sight, search, log and audit on the installed release."""
    with opened(settings(own_server, tmp_path)) as db:
        house = build(db)
        with db.connect("web") as web, db.connect("engine") as engine:
            assert not soundness.too_old(web) and soundness.unsafe_settings(web) == {}
            assert soundness.strong_roles(web) == [] and soundness.unbound_tables(web) == []
            with transaction(web, unit=house.units["city-a"], now=NOW):
                assert web.execute("SELECT count(*) FROM alerts").fetchone() == (2,)
                assert search.alerts(web, "张station-a") == [house.alerts["station-a"]]
            assert log.append(web, [batch(["a", "b"]), batch(["b"], seconds=[1])])[1].duplicates == [0]
            assert log.trim(engine, 1) == 1
            assert log.append(web, batch(["a"]))[0].duplicates == [0]
            audit.append(web, actor="x", action="probe")
            assert audit.seal(engine, tmp_path / "heads") == 1
            assert audit.verify(engine, tmp_path / "heads").whole
    with opened(settings(own_server, tmp_path, admin_dsn=None)) as again, again.connect("web") as web:
        assert log.head(web) == 1, "the second time needs no admin"


@pytest.mark.parametrize(
    ("content", "mode", "words"),
    [
        (None, 0o600, "WUZHA_PASSWORDS"),
        ("{}", 0o600, "lacks the passwords of wuzha_owner"),
        ("[]", 0o600, "attribute"),
        ("{", 0o600, "Expecting"),
        ("{}", 0o644, "chmod 600"),
    ],
)
def test_a_spoilt_password_file_is_refused(tmp_path: Path, content: str | None, mode: int, words: str) -> None:
    file = tmp_path / "words.json"
    if content is not None:
        file.write_text(content)
        file.chmod(mode)
    with pytest.raises(ServerError, match=words):
        external(Settings(home=tmp_path, dsn="host=/nowhere", passwords=file if content is not None else None))


def test_the_place_names_nobody(tmp_path: Path) -> None:
    file = tmp_path / "words.json"
    file.write_text(json.dumps({name: "x" for name in LOGINS}))
    file.chmod(0o600)
    with pytest.raises(ServerError, match="the place only"):
        external(Settings(home=tmp_path, dsn="host=/nowhere user=postgres", passwords=file))
