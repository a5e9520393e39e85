"""``wuzha exchange``: the keys of this zone, the zones that it knows, and how the letters between them stand.

Kept true here: a zone is known only after a person has given its card and said its fingerprint; a private key is never
printed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from .deployment import DATA_OPTION, exists, settings_of
from .output import FAILED, JSON_OPTION, CommandError, emit, finish, say

if TYPE_CHECKING:
    from wuzha.store.exchange import Standing


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="Letters between networks: keys, known zones, and how they stand.")
    app.add_typer(group, name="exchange")
    group.command()(keys)
    group.command()(trust)
    group.command()(status)


def keys(
    name: str = typer.Argument("centre", help="This zone's name: centre, public, phone …"),
    card: Path | None = typer.Option(None, help="Write the card for the other zones here."),
    data: Path | None = DATA_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """Make this zone's keys, or show the card of those that are there. The private keys stay in the data folder."""
    from wuzha.store import zone_keys
    from wuzha.store.embedded import ServerError
    from wuzha.store.settings import make_home

    home = settings_of(data).home
    try:
        make_home(home)
        zone = zone_keys.load(home)
        made = zone is None
        if zone is None:
            zone = zone_keys.make(home, name)
        elif zone.name != name:
            raise CommandError(f"this zone is called {zone.name} already, not {name}")
        if card is not None:
            card.write_text(zone.card.text(), "utf-8")
    except (zone_keys.KeysError, ServerError) as error:
        raise CommandError(str(error)) from error
    except OSError as error:
        raise CommandError(f"{error.filename}: {error.strerror}") from error
    result: dict[str, Any] = {"zone": zone.name, "made": made, "fingerprint": zone.card.fingerprint}
    emit(result | ({"card": str(card)} if card else {}), as_json=as_json)
    if made:
        say("wuzha exchange: keys made. Carry the card to the other zone and read the fingerprint over the phone;")
        say("wuzha exchange: a server that runs takes them up by itself within seconds.")


def trust(
    card: Path = typer.Argument(..., exists=True, dir_okay=False, help="The other zone's card."),
    fingerprint: str = typer.Option(..., help="Its fingerprint, as its people read it to you (at least 10 digits)."),
    inbox: Path = typer.Option(..., help="Folder where its letters arrive."),
    outbox: Path = typer.Option(..., help="Folder where ours to it are laid."),
    data: Path | None = DATA_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """Know another zone from now on. Both folders are made where they are missing."""
    from wuzha.store import zone_keys

    said = "".join(c for c in fingerprint if c.isdigit())
    try:
        theirs = zone_keys.read_card(card)
        if len(said) < 10 or not theirs.fingerprint.replace(" ", "").startswith(said):
            raise CommandError(f"the card's fingerprint is not what you were told; it reads {theirs.fingerprint}")
        for folder in (inbox, outbox):
            folder.mkdir(parents=True, exist_ok=True)
        peer = zone_keys.trust(settings_of(data).home, card, inbox=inbox, outbox=outbox)
    except zone_keys.KeysError as error:
        raise CommandError(str(error)) from error
    except OSError as error:
        raise CommandError(f"{error.filename}: {error.strerror}") from error
    emit({"peer": peer.name, "inbox": str(peer.inbox), "outbox": str(peer.outbox)}, as_json=as_json)


def status(data: Path | None = DATA_OPTION, as_json: bool = JSON_OPTION) -> None:
    """How the letters stand: waiting, missing, set aside, and until when we know everything. Exit 1: not in order."""
    from wuzha.store import exchange, opened, zone_keys
    from wuzha.store.embedded import ServerError

    settings = settings_of(data)
    try:
        zone = zone_keys.load(settings.home)
        if zone is None:
            raise CommandError(f"{settings.home} has no zone's keys: wuzha exchange keys")
        found: list[Standing] = []
        if exists(settings):
            with opened(settings, upgrade=False) as db, db.connect("web") as conn:
                found = exchange.status(conn, zone)
    except (zone_keys.KeysError, ServerError) as error:
        raise CommandError(str(error)) from error
    if as_json:
        emit({"zone": zone.name, "peers": [row_of(one) for one in found]}, as_json=True)
    else:
        for name, words in [("zone", zone.name), *((one.peer, words_of(one)) for one in found)]:
            typer.echo(f"{name:<12} {words}")
    if not all(one.sound for one in found):
        finish(FAILED)


def row_of(one: Standing) -> dict[str, Any]:
    """A peer for ``--json``."""
    return {
        "peer": one.peer, "sound": one.sound, "waiting": one.waiting,
        "waiting_since": one.waiting_since.isoformat() if one.waiting_since else None, "applied": one.applied,
        "missing": list(one.missing), "refused": one.refused, "aside": one.aside, "aside_why": one.aside_why,
        "current_until": one.current_until.isoformat() if one.current_until else None,
        "heard_at": one.heard_at.isoformat() if one.heard_at else None, "trouble": list(one.trouble),
    }  # fmt: skip


def words_of(one: Standing) -> str:
    """A peer in one line."""
    from wuzha.events import clock

    known = f"{one.current_until.astimezone(clock.zone()):%Y-%m-%d %H:%M:%S}" if one.current_until else "never"
    said = [f"{one.applied} taken in, {one.waiting} without a receipt, knows everything until {known}"]
    if one.missing:
        said.append(f"missing {', '.join(map(str, one.missing[:5]))}{' …' if len(one.missing) > 5 else ''}")
    if one.refused:
        said.append(f"{one.refused} could not take effect")
    if one.aside:
        said.append(f"{one.aside} set aside ({one.aside_why})")
    return "; ".join([*said, *one.trouble])
