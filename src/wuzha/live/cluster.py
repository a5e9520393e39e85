"""A Dask cluster for history jobs: workers looked at before anything runs, work handed out, a killed one's done again.

Kept true here: nothing runs on a worker that has another edition of Wuzha, or that does not see a file as this process
sees it: that is said with the worker's address, also of a worker that joins later. What is handed out depends on its
arguments alone, so that doing it twice changes nothing.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from distributed import Client, Future

#: Without a single worker for so long the job is given up.
PATIENCE_S = 60.0
_CONNECT_S = 10.0
_TAIL = 1 << 16

#: A file as its size and a digest of its last 64 KiB, which in Parquet say what the rest is.
Mark = tuple[int, str]


class ClusterError(Exception):
    """The cluster cannot do the job; says why, and on which worker."""


@cache
def edition() -> str:
    """A digest of this package's own files: the same on two machines where they would do the same."""
    digest = hashlib.sha256()
    root = Path(str(files("wuzha")))
    for path in sorted(root.rglob("*")):
        if path.suffix in (".py", ".toml") and "__pycache__" not in path.parts:
            digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def mark(path: Path) -> Mark:
    """What tells one file from another of its name."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(size - _TAIL, 0))
        return size, hashlib.sha256(file.read()).hexdigest()


def unfit(edition_wanted: str, marks: dict[str, Mark]) -> str | None:
    """Why this process cannot do the work; None where it can."""
    if edition() != edition_wanted:
        return f"it has another edition of wuzha ({edition()}, not {edition_wanted})"
    for name, wanted in marks.items():
        try:
            found = mark(Path(name))
        except OSError as error:
            return f"it does not see {name} ({error.strerror})"
        if found != wanted:
            return f"{name} is another file there ({found[0]} bytes, not {wanted[0]})"
    return None


def done(work: Callable[..., Any], edition_wanted: str, marks: dict[str, Mark], *args: Any) -> Any:
    """On a worker: look first, then work."""
    why = unfit(edition_wanted, marks)
    if why is not None:
        from distributed import get_worker

        raise ClusterError(f"worker {get_worker().address}: {why}")
    return work(*args)


class Cluster:
    """A scheduler that answers, and workers that are fit for files (`see`)."""

    def __init__(self, client: Client, address: str) -> None:
        self._client, self._address = client, address
        self._marks: dict[str, Mark] = {}

    @property
    def size(self) -> int:
        """Workers at this moment, at least 1."""
        return max(len(self._client.scheduler_info(n_workers=-1)["workers"]), 1)

    def see(self, paths: Sequence[Path]) -> None:
        """All workers are to see these files as this process does. ClusterError names each that does not."""
        self._marks |= {str(p.absolute()): mark(p) for p in paths}
        begun = time.monotonic()
        while not self._client.scheduler_info(n_workers=-1)["workers"]:
            if time.monotonic() - begun > PATIENCE_S:
                raise ClusterError(f"{self._address} has no workers")
            time.sleep(0.2)
        wanted, marks = edition(), self._marks

        def look() -> str | None:
            # travels as it stands: a worker without this module has to be able to say so
            try:
                from wuzha.live.cluster import unfit
            except ImportError as error:
                return f"it has no wuzha that can do this ({error})"
            why: str | None = unfit(wanted, marks)
            return why

        said = self._client.run(look, on_error="return")
        wrong = {a: w if isinstance(w, str) else repr(w) for a, w in said.items() if w is not None}
        if wrong:
            raise ClusterError("; ".join(f"worker {address}: {why}" for address, why in sorted(wrong.items())))

    def hand_out(self, work: Callable[..., Any], *args: Any, reads: Sequence[Path] = ()) -> Future[Any]:
        """``work(*args)`` on some worker; results of other work may stand among ``args``. ``reads``: files it opens."""
        marks = {str(p.absolute()): self._marks[str(p.absolute())] for p in reads}
        return self._client.submit(done, work, edition(), marks, *args, pure=False, retries=2)

    def wait(self, futures: Sequence[Future[Any]]) -> list[Any]:
        """The results in order. As `finish`."""
        self.finish(futures)
        results: list[Any] = self._client.gather(list(futures))
        return results

    def finish(self, futures: Sequence[Future[Any]], step: Callable[[int], None] | None = None) -> None:
        """Wait until all is done; the results stay where they are. ``step`` is told the number of each that is. What
        the work raised is raised; ClusterError where there is nobody left to do it."""
        from distributed import wait

        todo = dict(zip(futures, range(len(futures)), strict=True))
        alone: float | None = None
        while todo:
            try:
                over = wait(list(todo), timeout=1, return_when="FIRST_COMPLETED").done
            except TimeoutError:
                over = set()
            for future in over:
                number = todo.pop(future)
                if future.status != "finished":
                    self._failed(future)
                if step is not None:
                    step(number)
            if self._client.status != "running":
                raise ClusterError(f"{self._address} has gone away")
            if over or self._client.scheduler_info(n_workers=-1)["workers"]:
                alone = None
                continue
            alone = alone or time.monotonic()
            if time.monotonic() - alone > PATIENCE_S:
                raise ClusterError(f"{self._address} has no worker left")

    @staticmethod
    def _failed(future: Future[Any]) -> None:
        from distributed import KilledWorker

        error = future.exception()
        if isinstance(error, KilledWorker):
            raise ClusterError(f"every worker that took it up has died, the last one {error.last_worker}") from error
        if isinstance(error, Exception):
            raise error
        raise ClusterError(f"the work was {future.status}")


@contextmanager
def connected(address: str) -> Iterator[Cluster]:
    """The cluster at ``tcp://host:port`` (or ``tls://``). ClusterError where it does not answer, or Dask is missing."""
    try:
        from distributed import Client
    except ImportError as error:
        raise ClusterError("Dask is not installed here; it comes with the extra wuzha[cluster]") from error
    if not address.startswith(("tcp://", "tls://")):
        raise ClusterError(f"{address!r} is no cluster; write tcp://host:port")
    try:
        client = Client(address, timeout=_CONNECT_S)
    except (OSError, ValueError, TimeoutError) as error:
        raise ClusterError(f"{address} does not answer") from error
    try:
        yield Cluster(client, address)
    finally:
        client.close()


__all__ = ["Cluster", "ClusterError", "connected", "edition"]
