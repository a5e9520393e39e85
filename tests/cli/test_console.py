"""``wuzha admin``, ``audit`` and ``doctor`` on a real deployment."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from wuzha.cli import admin, audit, doctor
from wuzha.store import Database, Settings, embedded, keys, migrate, opened


@pytest.fixture(scope="module")
def deployment(enterable_tmp: Path) -> Iterator[Database]:
    """A deployment in a folder of its own, kept running by this process, so that each command joins it."""
    home = enterable_tmp / "console"
    patch = pytest.MonkeyPatch()
    patch.setenv("WUZHA_HOME", str(home))
    patch.setenv("WUZHA_DATABASE", "wuzha")
    patch.delenv("WUZHA_DSN", raising=False)
    patch.delenv("WUZHA_CLOCK", raising=False)
    with opened(Settings()) as db:
        yield db
    patch.undo()


def run(*words: str, stdin: str | None = None) -> Result:
    app = typer.Typer()
    for module in (admin, audit, doctor):
        module.register(app)
    return CliRunner().invoke(app, list(words), input=stdin)


@pytest.fixture
def wuzha(acted: dict[str, Any]) -> Any:
    return run


SENDER = ("--title", "甲运营商", "--role", "carrier", "--purpose", "反诈", "--retention-days", "30", "--table", "calls")


@pytest.fixture(scope="module")
def acted(deployment: Database) -> dict[str, Any]:
    """What each command answered on the way to an administrator, a source, two keys of which one has ended."""
    said = {"init": out(run("admin", "init", "--unit-name", "测试反诈中心", "--json"))}
    with deployment.connect("web") as conn:
        said["user"] = {"row": conn.execute("SELECT password_hash, must_change FROM users").fetchone()}
        conn.execute("UPDATE users SET failed = 0, locked_until = now() + interval '1 hour'")
        conn.execute("INSERT INTO sessions SELECT '\\x01', user_id, 'c', now(), now(), now() FROM users LIMIT 1")
    said["reset"] = out(
        run("admin", "reset-password", "admin", "--password-stdin", "--json", stdin="korrekt-9-pferd\n")
    )
    said["source"] = out(
        run("admin", "source", "carrier-a", *SENDER, "--basis", "holder_own", "--late", "calls=60", "--json")
    )
    said["key"] = out(run("admin", "key", "carrier-a", "--json"))
    said["revoke"] = out(run("admin", "revoke", said["key"]["prefix"], "--json"))
    return said


def out(result: Result, code: int = 0) -> dict[str, Any]:
    assert result.exit_code == code, (result.output, result.exception)
    parsed = json.loads(result.stdout)
    assert isinstance(parsed, dict)
    return parsed


def test_the_first_administrator_is_made_once(wuzha: Any, acted: dict[str, Any], deployment: Database) -> None:
    made = acted["init"]
    assert made["login"] == "admin" and len(made["password"]) >= 16
    again = wuzha("admin", "init", "--json")
    assert again.exit_code == 1 and "already (admin)" in str(again.exception)
    hashed, must_change = acted["user"]["row"]
    assert hashed.startswith("$argon2id$") and made["password"] not in hashed and must_change is True


def test_a_password_is_reset_and_sessions_end(wuzha: Any, acted: dict[str, Any], deployment: Database) -> None:
    assert acted["reset"] == {"login": "admin"}, "a password that was given is not said again"
    with deployment.connect("web") as conn:
        assert conn.execute("SELECT locked_until, must_change FROM users").fetchone() == (None, False)
        assert conn.execute("SELECT count(*) FROM sessions").fetchone() == (0,)
    refusals = (("nobody", "korrekt-9-pferd\n", "no user"), ("admin", "short\n", "weak"), ("admin", "", "no password"))
    for login, stdin, words in refusals:
        refused = wuzha("admin", "reset-password", login, "--password-stdin", stdin=stdin)
        assert refused.exit_code == 1 and words in str(refused.exception)


def test_a_sources_key_is_shown_once_and_can_be_ended(wuzha: Any, acted: dict[str, Any], deployment: Database) -> None:
    first, second = acted["source"]["key"], acted["key"]
    with deployment.connect("web") as conn:
        source = keys.check(conn, first)
        assert source is not None and source.name == "carrier-a" and source.late_allowance == {"calls": 60}
        assert keys.check(conn, second["key"]) is None
    listed = wuzha("admin", "list", "--json").stdout
    assert first not in listed and second["prefix"] in listed
    assert acted["revoke"] == {"prefix": second["prefix"], "revoked": True}
    assert wuzha("admin", "revoke", second["prefix"]).exit_code == 1
    assert "wz_" in wuzha("admin", "list").stdout


@pytest.mark.parametrize(
    ("name", "extra", "words"),
    [
        ("Carrier", ("--basis", "holder_own"), "name"),
        ("carrier-a", ("--basis", "holder_own"), "already"),
        ("x1", ("--basis", "because"), "basis"),
        ("x1", ("--basis", "holder_own", "--table", "labels"), "labels"),
        ("x1", ("--basis", "holder_own", "--late", "calls"), "table=seconds"),
        ("x1", ("--basis", "holder_own", "--late", "visits=5"), "late"),
    ],
)
def test_a_wrong_source_is_refused_whole(wuzha: Any, name: str, extra: tuple[str, ...], words: str) -> None:
    before = out(wuzha("admin", "list", "--json"))
    refused = wuzha("admin", "source", name, *SENDER, *extra)
    assert refused.exit_code == 1 and words in str(refused.exception)
    assert out(wuzha("admin", "list", "--json")) == before


def test_what_the_console_does_is_in_the_audit_and_sealed(wuzha: Any) -> None:
    rows = out(wuzha("audit", "list", "--json"))["rows"]
    assert {"user.added", "user.password_reset", "source.added", "key.issued", "key.revoked"} <= {
        r["action"] for r in rows
    }
    assert all(r["actor"].startswith("console:") and r["sealed"] for r in rows)
    assert {r["action"] for r in out(wuzha("audit", "list", "--action", "key", "--json"))["rows"]} == {
        "key.issued",
        "key.revoked",
    }
    assert out(wuzha("audit", "list", "--since", "2100-01-01", "--json"))["rows"] == []
    assert "key.issued" in wuzha("audit", "list", "--limit", "5").stdout
    verdict = out(wuzha("audit", "verify", "--json"))
    assert verdict["whole"] and verdict["rows"] == len(rows) and verdict["waiting"] == 0


def test_doctor_finds_a_sound_deployment_sound(wuzha: Any) -> None:
    said = out(wuzha("doctor", "--json"))
    assert said["sound"] is True
    by_name = {f["name"]: f for f in said["findings"]}
    assert {
        "python",
        "clock",
        "binaries",
        "folder",
        "space",
        "database",
        "durable",
        "roles",
        "migrations",
        "audit",
    } <= set(by_name)
    assert by_name["migrations"]["words"] == migrate.head()
    assert "→" not in wuzha("doctor").stdout.split("sources")[0]


def flaw(wuzha: Any, name: str) -> dict[str, Any]:
    said = out(wuzha("doctor", "--json"), 1)
    assert said["sound"] is False
    return next(f for f in said["findings"] if f["name"] == name and f["state"] == "fail")


@pytest.mark.parametrize("value", ["off", "local"])
def test_doctor_refuses_settings_that_forget(wuzha: Any, deployment: Database, value: str) -> None:
    with deployment.connect("super") as su:
        su.execute(f"ALTER ROLE wuzha_web SET synchronous_commit = {value}".encode())
        try:
            found = flaw(wuzha, "durable")
        finally:
            su.execute("ALTER ROLE wuzha_web RESET synchronous_commit")
    assert f"synchronous_commit = {value}" in found["words"] and "synchronous_commit = on" in found["mend"]


@pytest.mark.parametrize("name", ["fsync", "full_page_writes"])
def test_doctor_refuses_a_server_that_forgets(
    name: str, wuzha: Any, enterable_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WUZHA_HOME", str(enterable_tmp / f"forgets-{name}"))
    monkeypatch.setitem(embedded._SETTINGS, name, "off")
    with opened(Settings()):
        assert f"{name} = off" in flaw(wuzha, "durable")["words"]


def test_doctor_finds_roles_that_may_too_much(wuzha: Any, deployment: Database) -> None:
    with deployment.connect("super") as su:
        su.execute("ALTER ROLE wuzha_web BYPASSRLS")
        try:
            found = flaw(wuzha, "database")
        finally:
            su.execute("ALTER ROLE wuzha_web NOBYPASSRLS")
    assert "wuzha_web" in found["words"]


def test_doctor_finds_policies_switched_off(wuzha: Any, deployment: Database) -> None:
    with deployment.connect("owner") as owner:
        owner.execute("ALTER TABLE wuzha.evidence NO FORCE ROW LEVEL SECURITY")
        try:
            assert "evidence" in flaw(wuzha, "policies")["words"]
        finally:
            owner.execute("ALTER TABLE wuzha.evidence FORCE ROW LEVEL SECURITY")


def test_doctor_and_verify_find_a_broken_chain(wuzha: Any, deployment: Database) -> None:
    with deployment.connect("super") as su:
        su.execute("UPDATE wuzha.audit SET actor = actor || '!' WHERE audit_id = 2")
        try:
            found = flaw(wuzha, "audit")
            verified = wuzha("audit", "verify", "--json")
        finally:
            su.execute("UPDATE wuzha.audit SET actor = rtrim(actor, '!') WHERE audit_id = 2")
    assert "row 2" in found["words"]
    assert verified.exit_code == 1
    said = json.loads(verified.stdout)
    assert (said["whole"], said["why"], said["audit_id"]) == (False, "row_altered", 2)


def test_doctor_tells_what_is_wrong_with_sources(wuzha: Any, deployment: Database) -> None:
    made = out(wuzha("admin", "source", "query-1", *SENDER, "--basis", "case_query", "--json"))
    said = out(wuzha("doctor", "--json"), 1)
    words = [f["words"] for f in said["findings"] if f["name"] == "sources"]
    assert any("without an end" in w for w in words) and any("document's number" in w for w in words)
    with deployment.connect("web") as conn:
        conn.execute("UPDATE sources SET active = false WHERE source_id = %s", (made["source_id"],))
    assert out(wuzha("doctor", "--json"))["sound"] is True


def test_doctor_makes_nothing(wuzha: Any, enterable_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = enterable_tmp / "nothing"
    monkeypatch.setenv("WUZHA_HOME", str(home))
    said = out(wuzha("doctor", "--json"))
    assert said["sound"] is True and not home.exists()
    refused = wuzha("admin", "list")
    assert refused.exit_code == 1 and "wuzha admin init" in str(refused.exception) and not home.exists()


def test_doctor_finds_a_password_file_that_others_read(wuzha: Any, deployment: Database) -> None:
    path = Settings().home / "postgres" / "passwords.json"
    path.chmod(0o640)
    try:
        assert "chmod 600" in flaw(wuzha, "folder")["mend"]
    finally:
        path.chmod(0o600)


def test_doctor_finds_a_wrong_clock(wuzha: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from wuzha.events import clock

    monkeypatch.setenv("WUZHA_CLOCK", "yesterday")
    clock.clock.cache_clear()
    try:
        assert "WUZHA_CLOCK" in flaw(wuzha, "clock")["words"]
    finally:
        monkeypatch.delenv("WUZHA_CLOCK")
        clock.clock.cache_clear()
