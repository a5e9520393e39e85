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

from .supervise import die_with_parent

#: The killed siblings are gone by then, also on a busy machine.
_SIBLINGS_S = 5.0


def run(parent: int) -> None:
    """Share the database until asked to stop or ``parent`` (a process id) is gone; the last to leave shuts it down."""
    stop, orphaned = threading.Event(), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    def orphan(*_: object) -> None:
        orphaned.set()
        stop.set()

    # A signal of its own: while the parent's last threads die it still has the parent's number. Only asked for now, so
    # that a parent that dies while this process starts does not take it along.
    signal.signal(signal.SIGUSR1, orphan)
    die_with_parent(signal.SIGUSR1)
    if os.getppid() != parent:
        orphan()
    from wuzha.store import Settings, opened
    from wuzha.store.embedded import ServerError

    if not (Settings().home / "serve.lock").exists():  # the parent has made it; the folder was removed since
        sys.exit(f"{Settings().home} is gone")
    try:
        with opened(upgrade=False, make=True):  # the first of all that open it
            stop.wait()
            if orphaned.is_set():
                # The parent was killed, and the kernel is killing its other children, who share the database: only the
                # last to leave shuts it down.
                time.sleep(_SIBLINGS_S)
    except ServerError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    run(int(sys.argv[1]))
