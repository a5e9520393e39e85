"""Three JetStream nodes on this machine, as a cluster that can lose one."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.served import free_port

from wuzha.store.jetstream import LogAway, Place, Stream

PROGRAM = Path(sys.executable).with_name("nats-server")


class Nodes:
    """Nodes ``node-0`` … in ``folder``; each is its own process, killed and started again at will."""

    def __init__(self, folder: Path, count: int = 3, *, sync: str = "always", largest: str = "1MB") -> None:
        self.folder = folder
        self._ports = [(free_port(), free_port(), free_port()) for _ in range(count)]
        self._processes: list[subprocess.Popen[bytes] | None] = [None] * count
        routes = ", ".join(f'"nats://127.0.0.1:{route}"' for _, route, _ in self._ports)
        for i, (client, route, monitor) in enumerate(self._ports):
            place = folder / f"node-{i}"
            place.mkdir(parents=True)
            cluster = f"cluster {{ name: wuzha, listen: 127.0.0.1:{route}, routes: [{routes}] }}" if count > 1 else ""
            (folder / f"node-{i}.conf").write_text(
                f"server_name: node-{i}\nlisten: 127.0.0.1:{client}\nhttp: 127.0.0.1:{monitor}\n"
                f'max_payload: {largest}\njetstream {{ store_dir: "{place}", sync_interval: {sync} }}\n{cluster}\n'
            )

    @property
    def url(self) -> str:
        return "nats://" + ",".join(f"127.0.0.1:{client}" for client, _, _ in self._ports)

    @property
    def monitors(self) -> str:
        return ",".join(f"http://127.0.0.1:{monitor}" for _, _, monitor in self._ports)

    def start(self, *which: int) -> None:
        for i in which or range(len(self._ports)):
            with (self.folder / f"node-{i}.log").open("ab") as out:
                self._processes[i] = subprocess.Popen(
                    [str(PROGRAM), "-c", str(self.folder / f"node-{i}.conf")],
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                )

    def kill(self, *which: int) -> None:
        for i in which or range(len(self._ports)):
            process = self._processes[i]
            if process is not None:
                process.kill()
                process.wait()

    def stream(self, name: str = "wuzha", replicas: int = 3) -> Stream:
        """The stream ``name``, made; waits for the nodes."""
        made = Stream(Place.read(f"{self.url}/{name}"))
        end = time.monotonic() + 60
        while True:
            try:
                made.make(replicas)
                return made
            except LogAway:
                assert time.monotonic() < end, (self.folder / "node-0.log").read_text()[-2000:]

    def leader(self, name: str = "wuzha") -> int:
        """The number of the node that leads the stream."""
        stream = Stream(Place.read(f"{self.url}/{name}"))
        try:
            end = time.monotonic() + 30
            while (leader := stream.state().leader) is None:
                assert time.monotonic() < end
            return int(leader.rpartition("-")[2])
        finally:
            stream.close()


@contextmanager
def nodes(folder: Path, count: int = 3, *, sync: str = "always", largest: str = "1MB") -> Iterator[Nodes]:
    """Running nodes; none is left at the end."""
    if not PROGRAM.exists():
        pytest.skip("nats-server is not installed (the extra `many`)")
    made = Nodes(folder / f"nodes-{free_port()}", count, sync=sync, largest=largest)
    made.start()
    try:
        yield made
    finally:
        made.kill()
        shutil.rmtree(made.folder, ignore_errors=True)
