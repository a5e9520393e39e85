"""The server process: one ASGI app composed of the installed faces, served by Granian.

A face is an entry point of the group ``wuzha.faces``: a function of ``app`` (this app), ``pool`` (connections as
wuzha_web) or neither. What it returns is included (a router) or mounted at the root after all others (an ASGI app).
``app.state.doors`` holds what they share (`wuzha.api.doors.Doors`).
"""

from __future__ import annotations

import gc
import inspect
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import entry_points

from fastapi import APIRouter, FastAPI
from starlette.routing import Mount

from wuzha import __version__
from wuzha.live import tracing
from wuzha.live.listening import stay
from wuzha.live.logs import configure
from wuzha.live.settings import settings
from wuzha.store import opened
from wuzha.store.embedded import ServerError

from . import decisions
from .doors import Doors

GROUP = "wuzha.faces"
#: A request waits for so long at most while a thread beside is reading a body in Python.
_SWITCH_S = 0.001
#: Kernels are loaded within so long, or while requests come.
_WARM_S = 30.0


def compose(shared: Doors) -> FastAPI:
    """The app with every installed face; ``shared`` is opened and closed by the caller."""
    app = FastAPI(
        title="Wuzha 无诈", version=__version__, openapi_url="/v1/openapi.json", docs_url=None, redoc_url=None,
        lifespan=_lifespan, summary="Events in, alerts out / 事件接入与预警查询",
    )  # fmt: skip
    app.state.doors = shared
    last = []
    for point in sorted(entry_points(group=GROUP), key=lambda p: p.name):
        face = point.load()
        if isinstance(face, APIRouter):
            app.include_router(face)
        elif inspect.isfunction(face):
            given = {"app": app, "pool": shared.pool}
            made = face(**{name: given[name] for name in inspect.signature(face).parameters})
            if isinstance(made, APIRouter):
                app.include_router(made)
            elif made is not None:
                last.append(made)
        else:
            last.append(face)
    app.state.mounted = last
    for made in last:
        app.router.routes.append(Mount("/", app=made))
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """A mounted app's own start and end run with ours: Starlette runs only the outermost."""
    async with AsyncExitStack() as stack:
        for made in app.state.mounted:
            context = getattr(getattr(made, "router", None), "lifespan_context", None)
            if context is not None:
                await stack.enter_async_context(context(made))
        yield


def run(host: str, port: int) -> None:
    """Serve until SIGTERM."""
    configure("doors")
    stop_tracing = tracing.start("doors")
    with opened(upgrade=False) as db:
        shared = Doors(db=db, settings=settings()).open()
        try:
            app = decisions.before(compose(shared))
            shared.appender.warm.wait(_WARM_S)
            gc.collect()
            gc.freeze()  # what stands now stays: collecting looks at what requests leave only
            sys.setswitchinterval(_SWITCH_S)
            stay(app, host, port)
        finally:
            shared.close()
            stop_tracing()


if __name__ == "__main__":
    try:
        run(sys.argv[1], int(sys.argv[2]))
    except ServerError as error:
        sys.exit(str(error))
