"""A bank that asks about single transfers at a steady rate, in a process of its own.

Kept true here: open loop. A question is due at its own time whether the one before is answered or not, and its wait
counts from then. It costs the machine next to nothing, since the server that it measures runs beside it: requests are
made before the clock runs, and nothing of them is looked at but status, action and missing sides.
"""

from __future__ import annotations

import gc
import multiprocessing
import re
import select
import socket
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

#: Connections: enough that a question is never late for want of one. One question at a time on each.
_CONNECTIONS = 256
#: Between two looks at what is due and what has come; a wait is told longer by so much at most.
_LOOK_S = 0.0003
#: Without any answer for so long it gives up.
_SILENT_S = 60.0
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_ACTION = re.compile(rb'"action":"(\w+)"')


@dataclass
class Asked:
    """What came back. ``waits``: seconds from the moment a question was due to its whole answer, in order of answers;
    ``late``: the longest that one waited to be sent, for a free connection or for the asker itself; ``cpu_s``: what
    asking took."""

    waits: list[float] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    actions: Counter[str] = field(default_factory=Counter)
    missing: int = 0
    late: float = 0.0
    took: float = 0.0
    cpu_s: float = 0.0


@dataclass
class _Line:
    """One connection, and the answer that it waits for as far as it has come."""

    socket: socket.socket
    due: float = 0.0
    got: bytes = b""
    busy: bool = False


def ask(host: str, port: int, requests: Sequence[bytes], rate: float, *, connections: int = _CONNECTIONS) -> Asked:
    """Send each of ``requests`` (whole HTTP/1.1 requests) at its time, ``rate`` a second. RuntimeError where the
    server hangs up or falls silent."""
    fork = multiprocessing.get_context("fork")
    mine, theirs = fork.Pipe(duplex=False)
    process = fork.Process(target=_apart, args=(theirs, host, port, requests, rate, connections), daemon=True)
    process.start()
    theirs.close()
    try:
        told = mine.recv()
    except EOFError:
        raise RuntimeError("the bank's process died") from None
    finally:
        process.join(5)
    if isinstance(told, str):
        raise RuntimeError(told)
    assert isinstance(told, Asked)
    return told


def _apart(out: Connection, host: str, port: int, requests: Sequence[bytes], rate: float, connections: int) -> None:
    gc.disable()
    try:
        out.send(_ask(host, port, requests, rate, connections))
    except (OSError, RuntimeError) as error:
        out.send(f"{type(error).__name__}: {error}")


def _ask(host: str, port: int, requests: Sequence[bytes], rate: float, connections: int) -> Asked:
    poll = select.epoll()
    lines: dict[int, _Line] = {}

    def connect() -> _Line:
        made = socket.create_connection((host, port))
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.setblocking(False)
        poll.register(made.fileno(), select.EPOLLIN)
        return lines.setdefault(made.fileno(), _Line(made))

    idle = deque(connect() for _ in range(connections))
    queue, asked = deque[int](), Asked()
    count, number = len(requests), 0
    own = time.process_time()
    begun = heard = time.perf_counter() + 0.05
    while len(asked.waits) < count:
        now = time.perf_counter()
        while number < count and begun + number / rate <= now:
            queue.append(number)
            number += 1
        while queue and idle:
            line, next_one = idle.pop(), queue.popleft()
            line.due, line.got, line.busy = begun + next_one / rate, b"", True
            asked.late = max(asked.late, now - line.due)
            request = requests[next_one]
            if line.socket.send(request) != len(request):
                raise RuntimeError("the server takes no more")
        some = poll.poll(0)
        for at, _ in some:
            line = lines[at]
            came = line.socket.recv(65536)
            if not came and line.busy:
                raise RuntimeError(f"the server hung up after {line.got[:200]!r}")
            if not came:  # it keeps no connection that asks nothing
                idle.remove(line)
                poll.unregister(at)
                lines.pop(at).socket.close()
                idle.appendleft(connect())
                continue
            line.got += came
            if _whole(line.got):
                heard = time.perf_counter()
                asked.waits.append(heard - line.due)
                _count(asked, line.got)
                line.busy = False
                idle.append(line)
        if now - heard > _SILENT_S:
            raise RuntimeError(f"no answer for {_SILENT_S:g} s; {len(asked.waits):,} of {count:,} had come")
        if not some:
            time.sleep(_LOOK_S)
    asked.took, asked.cpu_s = time.perf_counter() - begun, time.process_time() - own
    for line in lines.values():
        line.socket.close()
    poll.close()
    return asked


def _whole(answer: bytes) -> bool:
    end = answer.find(b"\r\n\r\n")
    if end < 0:
        return False
    length = _LENGTH.search(answer, 0, end)
    if length is None:
        raise RuntimeError(f"an answer without a length: {answer[:200]!r}")
    return len(answer) >= end + 4 + int(length[1])


def _count(asked: Asked, answer: bytes) -> None:
    asked.statuses[answer[9:12].decode()] += 1
    action = _ACTION.search(answer)
    asked.actions[action[1].decode() if action else "none"] += 1
    asked.missing += b'"missing":[]' not in answer
