"""The worker process. It ends when asked to, when its lease is another's, or when it cannot go on; the parent starts it
again, and it goes on from what is committed."""

from __future__ import annotations

import signal
import sys

import structlog

from wuzha.store import audit, opened
from wuzha.store.embedded import ServerError
from wuzha.store.settings import Settings as StoreSettings

from . import tracing
from .lease import LeaseLost
from .logs import configure
from .settings import MORE, settings
from .worker import Worker

#: The exit code of a worker that another has replaced.
REPLACED = 75


def run(*, seal: bool = True) -> int:
    """Work until SIGTERM. Returns the exit code."""
    configure("worker")
    sys.setswitchinterval(0.0002)  # who asks for a decision waits no longer for the thread that feeds
    log = structlog.get_logger(__name__)
    stop_tracing = tracing.start("engine")
    try:
        with opened(upgrade=False) as db:
            sealer = audit.Sealer(lambda: db.connect("engine"), StoreSettings().heads_file)
            if seal:
                sealer.start()
            worker = Worker(lambda: db.connect("engine"), settings())
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: worker.stop_asked.set())
            worker.run()
            if seal:
                sealer.stop()
    except LeaseLost as lost:
        log.warning("replaced", why=str(lost))
        return REPLACED
    except ServerError as error:
        log.error("no database", why=str(error))
        return 1
    except Exception:
        log.exception("worker failed")
        return 1
    finally:
        stop_tracing()
    return 0


if __name__ == "__main__":
    sys.exit(run(seal=MORE not in sys.argv[1:]))
