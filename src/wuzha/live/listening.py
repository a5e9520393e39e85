"""An ASGI app on a port, until it is asked to stop: `stay` for pages and whatever else, `answer` for small requests
that are many.

Kept true here: a loop that has been woken is not woken again before it has looked.
"""

from __future__ import annotations

import asyncio
import signal
from typing import Any

from granian.constants import Interfaces, SSLProtocols
from granian.log import LogLevels
from granian.server.embed import Server

from .settings import settings

#: A bank's connection that asks nothing is kept for so long.
_KEEP_S = 75


class Loop(asyncio.SelectorEventLoop):
    """The server hands each request over from a thread of its own, which wakes the loop by a byte in a pipe: once is
    enough for all that is handed over until it looks. The calls to the kernel that are spared are a third of what a
    small request takes."""

    _woken = False

    def _write_to_self(self) -> None:
        if not self._woken:  # what is handed over stands in the queue before this is asked
            self._woken = True
            super()._write_to_self()  # type: ignore[misc]

    def _read_from_self(self) -> None:
        super()._read_from_self()  # type: ignore[misc]
        # After the pipe is empty, not before: a byte that came in between would be read, and nobody write another.
        # What was handed over meanwhile without a byte stands in the queue, and the loop does not sleep on that.
        self._woken = False


def stay(app: Any, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT, in a loop of its own."""
    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(listen(app, host, port))


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


def answer(app: Any, host: str, port: int) -> None:
    """Serve requests that are many and small until SIGTERM or SIGINT; over HTTPS where the deployment has a
    certificate. HTTP/1.1 alone, in one thread: a request costs a third of what it does where threads of the server's
    own hand it over."""
    import uvicorn

    own = settings()
    config = uvicorn.Config(
        app, host=host, port=port, loop="uvloop", http="httptools", ws="none", lifespan="off", log_config=None,
        access_log=False, server_header=False, proxy_headers=False, backlog=1024, timeout_keep_alive=_KEEP_S,
        timeout_graceful_shutdown=5, ssl_certfile=own.certificate, ssl_keyfile=own.certificate_key,
    )  # fmt: skip
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)  # it raises the signal once more when it has stopped
    uvicorn.Server(config).run()
