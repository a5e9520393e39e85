"""``wuzha serve``: a holder's or a centre's server on this machine."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path

import typer

from .output import CommandError, say


class Role(StrEnum):
    """The seats that this command can take."""

    holder = "holder"
    centre = "centre"
    public = "public"
    phone = "phone"


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def serve(
        role: Role = typer.Option(
            ...,
            help="holder: raw events stay here, warnings leave; centre: the police desk; public: the pages /verify"
            " and /refund; phone: the pages at the door.",
        ),
        data: Path | None = typer.Option(None, help="Folder of the deployment's data. Default: WUZHA_HOME."),
        host: str = typer.Option("127.0.0.1", help="Address to listen on."),
        port: int = typer.Option(8000, min=1, max=65535, help="Port to listen on."),
        bank_port: int | None = typer.Option(
            None, min=1, max=65535, help="Port on which a process of its own answers banks about transfers."
        ),
        centre: str | None = typer.Option(None, help="Holder: address of the centre that warnings go to."),
        centre_key_file: Path | None = typer.Option(None, help="Holder: file with the key that the centre gave."),
        certificate: Path | None = typer.Option(
            None, help="PEM file: serve HTTPS with this certificate and its chain."
        ),
        key: Path | None = typer.Option(None, help="PEM file with the certificate's key, closed to others."),
    ) -> None:
        """Run a server: database, engine, API and pages. Ctrl-C stops it; nothing acknowledged is lost."""
        if (centre is None) != (centre_key_file is None):
            raise typer.BadParameter("--centre and --centre-key-file belong together")
        if centre is not None and role is not Role.holder:
            raise typer.BadParameter("only a holder sends warnings to a centre")
        if (certificate is None) != (key is None):
            raise typer.BadParameter("--certificate and --key belong together")
        if bank_port is not None and role not in (Role.holder, Role.centre):
            raise typer.BadParameter("only a holder or a centre answers banks")
        if data is not None:
            os.environ["WUZHA_HOME"] = str(data.absolute())
        os.environ["WUZHA_ROLE"] = role.value
        if bank_port is not None:
            os.environ["WUZHA_BANK_PORT"] = str(bank_port)
        if centre is not None:
            os.environ["WUZHA_CENTRE_URL"] = centre
            os.environ["WUZHA_CENTRE_KEY_FILE"] = str(centre_key_file)
        if certificate is not None:
            os.environ["WUZHA_CERTIFICATE"] = str(certificate.absolute())
            os.environ["WUZHA_CERTIFICATE_KEY"] = str(key.absolute()) if key else ""
        from wuzha.live import server
        from wuzha.live.settings import settings
        from wuzha.store.embedded import ServerError

        try:
            server.serve(settings(), host, port, say=lambda words: say(f"wuzha serve: {words}"))
        except (server.CannotServe, ServerError) as error:
            raise CommandError(str(error)) from error
