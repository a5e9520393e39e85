"""The banks' own door: ``/v1/decisions`` on a port and in a process of its own.

Kept true here: it answers as the server's other door does, by the same app; neither a page nor a batch of events takes
time from a bank that waits.
"""

from __future__ import annotations

import gc
import sys

from fastapi import FastAPI

from wuzha import __version__
from wuzha.live import tracing
from wuzha.live.listening import answer
from wuzha.live.logs import configure
from wuzha.live.settings import settings
from wuzha.store import opened
from wuzha.store.embedded import ServerError

from . import decisions, health, problems
from .asgi import ASGI
from .doors import Doors

#: The loop and the thread that commits take turns so often: a commit wants its turn several times.
_SWITCH_S = 0.0002
#: Objects made between two collections.
_SELDOM = 20_000


def compose(shared: Doors) -> ASGI:
    """Decisions, and how this process fares; ``shared`` is opened and closed by the caller."""
    app = FastAPI(title="Wuzha 无诈", version=__version__, openapi_url=None, docs_url=None, redoc_url=None)
    app.state.doors = shared
    problems.install(app)
    app.include_router(health.router)
    decisions.install(app)
    return decisions.before(app)


def run(host: str, port: int) -> None:
    """Serve until SIGTERM."""
    configure("bank door")
    stop_tracing = tracing.start("bank door")
    with opened(upgrade=False) as db:
        shared = Doors(db=db, settings=settings(), process="bank door").open(taking=False)
        try:
            app = compose(shared)
            gc.collect()
            gc.freeze()  # what stands now stays: collecting looks at what requests leave only, and seldom
            gc.set_threshold(_SELDOM)
            sys.setswitchinterval(_SWITCH_S)
            answer(app, host, port)
        finally:
            shared.close()
            stop_tracing()


if __name__ == "__main__":
    try:
        run(sys.argv[1], int(sys.argv[2]))
    except ServerError as error:
        sys.exit(str(error))
