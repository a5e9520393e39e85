"""Between zones: whatever happens to the files, what takes effect is the sender's sequence, or a hole that is named."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wuzha.store import Connection, Database, envelope, exchange, zone_keys

NOW = datetime(2026, 5, 1, 8, tzinfo=UTC)
LATER = timedelta(minutes=1)


@dataclass
class Side:
    """One zone: its database, keys and what its handler has seen."""

    conn: Connection
    db: Database
    home: Path
    seen: list[str] = field(default_factory=list)
    now: datetime = NOW

    @property
    def zone(self) -> zone_keys.Zone:
        found = zone_keys.load(self.home)
        assert found is not None
        return found

    def take(self, conn: object, message: exchange.Message) -> None:
        if message.body.get("bad"):
            raise ValueError(f"unusable: {message.body['n']}")
        if message.body.get("unfit"):
            raise exchange.Unfit("no such order")
        if message.body.get("twice"):
            for _ in range(2):
                self.conn.execute(
                    "INSERT INTO public_codes (code_ref, proof, unit, officer, at, until)"
                    " VALUES (%s, 'x', 'u', 'o', now(), now())",
                    (message.body["twice"],),
                )
        if message.body.get("number"):
            self.conn.execute("SELECT %s::bigint", (message.body["number"],))
        self.seen.append(message.key)

    def round(self, wait: timedelta = LATER) -> exchange.Round:
        self.now += wait
        return exchange.carry(self.conn, self.zone, {"code": self.take}, now=self.now)[0]

    def tell(self, key: str, peer: str, **body: object) -> None:
        with self.conn.transaction():
            exchange.queue(self.conn, peer, kind="code", key=key, body={"n": key, **body}, now=self.now)

    def tamper(self, *statements: str) -> None:
        """What a restored backup does, and no role may."""
        with self.db.connect("super") as conn:
            for statement in statements:
                conn.execute(statement)  # type: ignore[arg-type]

    def standing(self) -> exchange.Standing:
        return exchange.status(self.conn, self.zone)[0]


@dataclass
class Link:
    """Two zones and the two folders between them."""

    centre: Side
    public: Side
    there: Path
    back: Path

    def both(self, times: int = 1) -> None:
        for _ in range(times):
            self.centre.round()
            self.public.round()

    def letters(self) -> list[Path]:
        return sorted(p for p in self.there.iterdir() if p.name.endswith(".wzx") and p.name != "beat.wzx")


def connect(folder: Path, a: tuple[Connection, Database], b: tuple[Connection, Database]) -> Link:
    there, back = folder / "there", folder / "back"
    homes = {name: folder / name for name in ("centre", "public")}
    for path in (there, back):
        path.mkdir(parents=True)
    for name, home in homes.items():
        card = zone_keys.make(home, name).card
        (folder / f"{name}.card").write_text(card.text())
    zone_keys.trust(homes["centre"], folder / "public.card", inbox=back, outbox=there)
    zone_keys.trust(homes["public"], folder / "centre.card", inbox=there, outbox=back)
    return Link(centre=Side(*a, homes["centre"]), public=Side(*b, homes["public"]), there=there, back=back)


@pytest.fixture
def link(make_db: Callable[[], Database], tmp_path: Path) -> Iterator[Link]:
    here, there = make_db(), make_db()
    with here.connect("web") as a, there.connect("web") as b:
        yield connect(tmp_path, (a, here), (b, there))


def test_messages_cross_in_order_each_once_and_are_receipted(link: Link) -> None:
    for n in range(5):
        link.centre.tell(f"k{n}", "public")
    link.centre.tell("k0", "public")  # told again: nothing
    link.both(3)
    assert link.public.seen == ["k0", "k1", "k2", "k3", "k4"]
    there, here = link.centre.standing(), link.public.standing()
    assert there.waiting == 0 and here.applied == 5 and here.sound and there.sound
    assert here.current_until is not None and here.current_until > NOW
    assert link.letters() == []


def test_nobody_can_read_a_letter_on_its_way(link: Link) -> None:
    link.centre.tell("secret-key", "public", words="王敏")
    link.centre.round()
    (letter,) = link.letters()
    data = letter.read_bytes()
    assert b"secret-key" not in data and "王敏".encode() not in data
    assert (os.stat(link.centre.home / "exchange" / "zone.json").st_mode & 0o077) == 0


def test_a_lost_letter_is_a_hole_that_both_sides_name_until_it_is_sent_again(link: Link) -> None:
    for n in range(4):
        link.centre.tell(f"k{n}", "public")
    link.centre.round()
    link.letters()[1].unlink()
    link.public.round(timedelta(seconds=1))
    assert link.public.seen == ["k0"]
    here = link.public.standing()
    assert here.missing == (2,) and not here.sound and here.current_until is None
    link.centre.round(timedelta(seconds=2))
    assert link.centre.standing().waiting == 1
    link.both(3)
    assert link.public.seen == ["k0", "k1", "k2", "k3"] and link.public.standing().sound


def test_tampered_foreign_and_large_files_are_set_aside_with_a_reason(link: Link, tmp_path: Path) -> None:
    link.centre.tell("k0", "public")
    link.centre.round()
    (letter,) = link.letters()
    good = letter.read_bytes()
    stranger = zone_keys.make(tmp_path / "stranger", "centre")  # the name, not the keys
    body = {"kind": "code", "key": "x", "body": {}, "created_at": NOW.isoformat()}
    seal = {"form": "message", "stream": "s", "number": 1, "body": body}
    other = zone_keys.make(tmp_path / "other", "other").card
    files = {
        "flipped": good[:200] + bytes([good[200] ^ 1]) + good[201:],
        "cut": good[:-1],
        "empty": b"",
        "text": b"hello, this is no letter at all" * 10,
        "stranger": envelope.sealed(stranger, link.public.zone.card, **seal),  # type: ignore[arg-type]
        "elsewhere": envelope.sealed(link.centre.zone, other, **seal),  # type: ignore[arg-type]
        "large": bytes(envelope.FILE_LIMIT + 1),
    }
    for name, data in files.items():
        (link.there / f"{name}.wzx").write_bytes(data)
    (link.there / "pointer.wzx").symlink_to("/etc/passwd")
    (link.there / ".half.wzx.tmp").write_bytes(good[:50])
    done = link.public.round()
    assert dict(done.aside) == {
        "flipped.wzx": "bad_signature", "cut.wzx": "bad_signature", "empty.wzx": "malformed", "text.wzx": "malformed",
        "stranger.wzx": "bad_signature", "elsewhere.wzx": "not_for_us", "large.wzx": "too_large",
        "pointer.wzx": "no_file",
    }  # fmt: skip
    assert link.public.seen == ["k0"]
    assert [p.name for p in link.there.iterdir() if p.name.endswith(".wzx")] == ["beat.wzx"]
    assert link.public.standing().aside == 8
    assert len(list((link.public.home / "exchange" / "aside" / "centre").iterdir())) >= 5
    link.both(2)
    assert link.public.seen == ["k0"] and link.centre.standing().waiting == 0


def test_an_old_beat_laid_there_again_changes_nothing(link: Link) -> None:
    link.both()
    old = (link.there / "beat.wzx").read_bytes()
    link.both(2)
    before = link.public.standing()
    shutil.copy(link.there / "beat.wzx", link.there / "keep")
    (link.there / "beat.wzx").write_bytes(old)
    link.public.round()
    after = link.public.standing()
    assert after.current_until == before.current_until


def test_a_number_means_one_message_for_ever(link: Link) -> None:
    link.centre.tell("k0", "public")
    link.both(2)
    zone = link.centre.zone
    row = link.centre.conn.execute("SELECT stream FROM exchange_peers").fetchone()
    assert row is not None
    body = {"kind": "code", "key": "forged", "body": {}, "created_at": NOW.isoformat()}
    other = envelope.sealed(zone, link.public.zone.card, form="message", stream=row[0], number=1, body=body)
    (link.there / "again.wzx").write_bytes(other)
    assert link.public.round().aside == [("again.wzx", "number_reused")]
    assert link.public.seen == ["k0"]


def test_what_cannot_take_effect_is_kept_with_its_reason_and_stops_nothing(link: Link) -> None:
    link.centre.tell("k0", "public", bad=True)
    link.centre.tell("k1", "public")
    link.both(2)
    assert link.public.seen == ["k1"]
    assert link.public.standing().refused == 1
    row = link.public.conn.execute("SELECT refused, body FROM exchange_inbox WHERE number = 1").fetchone()
    assert row == ("ValueError in take", {"n": "k0", "bad": True})


def test_the_reason_that_is_kept_holds_nothing_of_the_message(link: Link) -> None:
    secret = "张小兰13812341234"
    link.centre.tell(secret, "public", bad=True)
    link.centre.tell("k1", "public", twice=secret)
    link.centre.tell("k2", "public", number=secret)
    link.centre.tell("k3", "public", unfit=True)
    link.both(2)
    reasons = [r[0] for r in link.public.conn.execute("SELECT refused FROM exchange_inbox ORDER BY number")]
    assert reasons == [
        "ValueError in take", "UniqueViolation 23505 public_codes public_codes_pkey",
        "InvalidTextRepresentation 22P02", "Unfit: no such order",
    ]  # fmt: skip


@pytest.mark.parametrize("how", ["away", "read_only_file"])
def test_a_folder_that_is_away_loses_nothing(link: Link, how: str) -> None:
    link.centre.tell("k0", "public")
    link.both(2)
    aside = link.there.with_name("aside")
    link.there.rename(aside)
    if how == "read_only_file":
        link.there.write_text("a file where the folder was")
    for n in range(1, 4):
        link.centre.tell(f"k{n}", "public")
        done = link.centre.round()
        assert done.trouble and done.written == 0
        assert link.public.round().trouble
    assert link.public.seen == ["k0"] and link.centre.standing().waiting == 3
    assert link.centre.standing().trouble and not link.centre.standing().sound
    if how == "read_only_file":
        link.there.unlink()
    aside.rename(link.there)
    link.both(3)
    assert link.public.seen == ["k0", "k1", "k2", "k3"] and link.public.standing().sound


@pytest.mark.parametrize("first", ["hear", "send"])
def test_a_sender_that_came_back_from_a_backup_begins_new_numbers_and_nothing_happens_twice(
    link: Link, first: str
) -> None:
    link.centre.tell("k0", "public")
    link.centre.tell("k1", "public")
    link.both(3)
    # The backup was made before k1 was queued: the database forgets it, and gives its number to another message.
    link.centre.tamper("DELETE FROM wuzha.outbox WHERE key = 'k1'")
    link.centre.tell("k2", "public")
    if first == "send":  # the number is used again before the peer's receipt says what it meant
        link.back.rename(link.back.with_name("away"))
        link.centre.round()
        link.public.round()
        link.back.with_name("away").rename(link.back)
    link.both(6)
    assert link.public.seen == ["k0", "k1", "k2"]
    assert link.centre.standing().waiting == 0 and not link.public.standing().missing


def test_a_receiver_that_came_back_from_a_backup_is_sent_what_it_forgot(link: Link) -> None:
    for n in range(3):
        link.centre.tell(f"k{n}", "public")
    link.both(3)
    link.public.tamper(
        "UPDATE wuzha.exchange_peers SET applied = 1, their_serial = 0, their_upto = 0",
        "DELETE FROM wuzha.exchange_inbox WHERE number > 1",
    )
    link.public.seen[:] = ["k0"]
    link.both(4)
    assert link.public.seen == ["k0", "k1", "k2"]


def test_too_large_a_message_is_refused_when_it_is_queued(link: Link) -> None:
    with pytest.raises(ValueError, match="bytes"):
        link.centre.tell("k", "public", words="x" * (1 << 20))
    assert link.centre.standing().waiting == 0


def test_keys_are_made_once_and_private(tmp_path: Path) -> None:
    zone = zone_keys.make(tmp_path, "centre")
    with pytest.raises(zone_keys.KeysError, match="already"):
        zone_keys.make(tmp_path, "centre")
    with pytest.raises(zone_keys.KeysError, match="no zone's name"):
        zone_keys.make(tmp_path / "b", "../b")
    where = tmp_path / "exchange" / "zone.json"
    where.chmod(0o644)
    with pytest.raises(zone_keys.KeysError, match="chmod 600"):
        zone_keys.load(tmp_path)
    assert repr(zone).count("signing") == 0
    assert len(zone.card.fingerprint.replace(" ", "")) == 40


def test_a_shared_secret_is_the_same_on_both_sides_and_for_one_purpose(link: Link) -> None:
    one, two = link.centre.zone.shared("public", "a"), link.public.zone.shared("centre", "a")
    assert one == two != link.centre.zone.shared("public", "b")


def test_a_page_sees_no_letters(link: Link) -> None:
    link.centre.tell("k0", "public")
    link.both()
    with link.public.conn.transaction():
        link.public.conn.execute("SELECT set_config('wuzha.user', '1', true)")
        for table in ("exchange_peers", "exchange_inbox", "exchange_aside", "public_codes"):
            assert link.public.conn.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)  # type: ignore[arg-type]


#: What may happen to a file between two rounds.
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("tell"), st.integers(1, 4)),
        st.tuples(st.just("send"), st.just(0)),
        st.tuples(st.just("receive"), st.just(0)),
        st.tuples(st.just("lose"), st.integers(0, 9)),
        st.tuples(st.just("hold"), st.integers(0, 9)),
        st.tuples(st.just("release"), st.integers(0, 9)),
        st.tuples(st.just("double"), st.integers(0, 9)),
        st.tuples(st.just("damage"), st.integers(0, 9)),
        st.tuples(st.just("lose_back"), st.just(0)),
    ),
    min_size=3, max_size=25,
)  # fmt: skip


@given(steps=STEPS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_loss_delay_and_doubling_ends_in_the_senders_sequence(
    steps: list[tuple[str, int]], module_db: Database, make_second: Database, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with module_db.connect("web") as a, make_second.connect("web") as b:
        for db in (module_db, make_second):
            with db.connect("super") as conn:
                conn.execute("TRUNCATE wuzha.outbox, wuzha.exchange_peers, wuzha.exchange_inbox, wuzha.exchange_aside")
        link = connect(tmp_path_factory.mktemp("link"), (a, module_db), (b, make_second))
        told: list[str] = []
        held: list[tuple[str, bytes]] = []
        for step, n in steps:
            files = link.letters()
            one = files[n % len(files)] if files else None
            if step == "tell":
                for _ in range(n):
                    told.append(f"k{len(told)}")
                    link.centre.tell(told[-1], "public")
            elif step == "send":
                link.centre.round()
            elif step == "receive":
                link.public.round()
            elif step == "lose_back":
                (link.back / "beat.wzx").unlink(missing_ok=True)
            elif step == "release" and held:
                name, data = held.pop(n % len(held))
                (link.there / f"late-{name}").write_bytes(data)
            elif one is None:
                continue
            elif step == "lose":
                one.unlink()
            elif step == "hold":
                held.append((one.name, one.read_bytes()))
                one.unlink()
            elif step == "double":
                held.append((one.name, one.read_bytes()))
            elif step == "damage":
                one.write_bytes(one.read_bytes()[:-3] + b"abc")
            # At every moment: a beginning of what was told, in order, each once.
            assert link.public.seen == told[: len(link.public.seen)]
        for name, data in held:
            (link.there / f"late-{name}").write_bytes(data)
        link.both(5)
        assert link.public.seen == told
        assert link.public.standing().missing == () and link.centre.standing().waiting == 0


@pytest.fixture(scope="module")
def make_second(server: object, template: None) -> Iterator[Database]:
    """A second database for the module."""
    from tests.conftest import _maker

    with _maker(server) as make:  # type: ignore[arg-type]
        yield make()


def test_a_folder_that_may_only_be_read_is_not_read_for_ever_and_hides_nothing(
    link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A one-way carrier lays copies that the receiver cannot remove."""
    may = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK and may(path, mode))
    monkeypatch.setattr(exchange, "BATCH", 3)
    monkeypatch.setattr(Path, "unlink", lambda path, missing_ok=False: (_ for _ in ()).throw(PermissionError("no")))
    for n in range(8):
        link.centre.tell(f"k{n}", "public")
    for _ in range(6):
        link.centre.round()
        link.public.round()
    assert link.public.seen == [f"k{n}" for n in range(8)]
    assert len(link.letters()) == 8


def test_old_messages_without_a_receipt_hold_up_no_new_ones(link: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "BATCH", 3)
    for n in range(9):
        link.centre.tell(f"k{n}", "public")
    for _ in range(3):
        link.centre.round()  # a minute each: what was written first is due to be looked at again
    assert len(link.letters()) == 9
    link.both(4)
    assert len(link.public.seen) == 9
