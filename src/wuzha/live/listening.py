"""An ASGI app on a port, until it is asked to stop."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

from granian.constants import Interfaces, SSLProtocols
from granian.log import LogLevels
from granian.server.embed import Server

from .settings import settings


async def listen(app: Any, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT; over HTTPS where the deployment has a certificate."""
    own = settings()
    server = Server(
        app, address=host, port=port, interface=Interfaces.ASGI, log_level=LogLevels.error, websockets=False,
        backlog=1024, ssl_cert=own.certificate, ssl_key=own.certificate_key, ssl_protocol_min=SSLProtocols.tls12,
    )  # fmt: skip
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    serving = asyncio.create_task(server.serve())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    server.stop()  # type: ignore[no-untyped-call]
    await asyncio.wait({serving}, timeout=5)
    stopping.cancel()
