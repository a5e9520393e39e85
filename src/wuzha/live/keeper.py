"""The database's keeper: a small process that outlives a killed parent just long enough to stop the database.

Kept true here: whoever kills the server, no database process of its own is left behind; a server that has been started
again meanwhile keeps its database.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

from wuzha.store import opened
from wuzha.store.embedded import ServerError

#: The killed siblings are gone by then, also on a busy machine.
_SIBLINGS_S = 5.0


def run() -> None:
    """Share the database until asked to stop; the last one to leave shuts it down."""
    parent = os.getppid()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        with opened(upgrade=False):
            stop.wait()
            if os.getppid() != parent:
                # The parent was killed, and the kernel is killing its other children, who share the database: only the
                # last to leave shuts it down.
                time.sleep(_SIBLINGS_S)
    except ServerError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    run()
