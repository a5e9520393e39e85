"""A source's own system with an API for answers: a real HTTP server that keeps what it hears."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = tuple[int, dict[str, Any] | bytes]


@dataclass
class Source:
    """``heard``: (headers, body) of each post; ``reply`` says what to answer to one."""

    url: str = ""
    heard: list[tuple[dict[str, str], dict[str, Any]]] = field(default_factory=list)
    reply: Callable[[dict[str, Any]], Reply] = lambda body: (200, {"state": "accepted", "receipt": f"R-{body['key']}"})


@contextmanager
def answering() -> Iterator[Source]:
    """A source that listens until the end of the block."""
    source = Source()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            source.heard.append((dict(self.headers.items()), body))
            status, said = source.reply(body)
            data = said if isinstance(said, bytes) else json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    source.url = f"http://127.0.0.1:{server.server_address[1]}/feedback"
    yield source
    server.shutdown()
    server.server_close()
    thread.join(5)
