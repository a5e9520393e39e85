"""The demo's sender: posts the city to the doors, as fast as they take it up to the start, then by the clock.

Kept true here: it comes in by the public doors only; what it has sent is noted after the doors have answered for it, so
that a demo that was killed goes on from there, and what it then sends again counts nothing twice.
"""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa

from . import replay
from .demo_seed import write_secret
from .feeds import LISTED

#: Width of a slice while catching up, and of one by the clock.
_COARSE, _FINE = timedelta(minutes=30), timedelta(seconds=30)
_ROWS = 20_000


class Sender(threading.Thread):
    """Sends one seat's rows. ``sent`` counts rows that the doors accepted."""

    def __init__(
        self, city: Path, seat: str, url: str, keys: dict[str, str], note: Path, start: datetime, now: Any
    ) -> None:
        super().__init__(name=f"send-{seat}", daemon=True)
        self._city, self._seat, self._keys, self._note, self._start = city, seat, keys, note, start
        self._client = httpx.Client(base_url=url, timeout=60, trust_env=False)
        self._now = now
        self.stop_asked = threading.Event()
        self.caught_up = threading.Event()
        self.finished = threading.Event()
        self.sent = self.rejected = self.duplicates = 0
        self.reached: datetime | None = None
        self.failure: BaseException | None = None

    def run(self) -> None:
        """Send until the city ends or `stop_asked`."""
        try:
            self._run()
        except BaseException as error:  # told to the demo's main thread, which stops everything
            self.failure = error
        finally:
            self._client.close()

    def _run(self) -> None:
        done = self._noted()
        first, _ = replay.span(self._city)
        if done is None:
            for batch in replay.batches(self._city, first, seat=self._seat, before=True, end_at=first, most=_ROWS):
                if batch.source != LISTED and not self._post(batch):
                    return
            done = first
            self._write(done)
        if done < self._start:
            done = self._slices(done, self._start, _COARSE)
        if self.stop_asked.is_set():
            return
        self.caught_up.set()
        self._slices(done, None, _FINE)
        self.finished.set()

    def _slices(self, begin: datetime, end: datetime | None, width: timedelta) -> datetime:
        """Send what arrives from ``begin`` on, each slice when the clock has passed it, and note each whole slice."""
        boundary = begin + width
        for batch in self._batches(begin, end, width):
            if batch.source == LISTED:  # comes as workbooks: demo_lists
                continue
            while batch.at >= boundary:
                self._write(boundary)
                boundary += width
            while end is None and not self.stop_asked.is_set() and self._now() < batch.at:
                self.stop_asked.wait(0.1)
            if self.stop_asked.is_set() or not self._post(batch):
                return boundary - width
        if end is not None:
            self._write(end)
            return end
        return boundary

    def _batches(self, begin: datetime, end: datetime | None, width: timedelta) -> Iterator[replay.Batch]:
        return replay.batches(
            self._city, begin, seat=self._seat, every=width, end_at=end, registers=False, before=False, most=_ROWS
        )

    def _post(self, batch: replay.Batch) -> bool:
        sink = io.BytesIO()
        with pa.ipc.new_stream(sink, batch.rows.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as out:
            out.write_table(batch.rows)
        headers = {
            "Authorization": f"Bearer {self._keys[batch.source]}",
            "Content-Type": "application/vnd.apache.arrow.stream",
        }
        while not self.stop_asked.is_set():
            try:
                answer = self._client.post(f"/v1/events/{batch.table}", content=sink.getvalue(), headers=headers)
            except httpx.HTTPError:
                self.stop_asked.wait(0.5)  # the server is away for a moment: the same batch again
                continue
            if answer.status_code in (429, 503, 507):
                self.stop_asked.wait(float(answer.headers.get("retry-after", "1")))
                continue
            answer.raise_for_status()
            said = answer.json()
            self.sent += said["accepted"]
            self.duplicates += said["duplicates"]
            self.rejected += said["rejected"]
            self.reached = batch.at
            return True
        return False

    def _noted(self) -> datetime | None:
        try:
            return datetime.fromisoformat(json.loads(self._note.read_text("utf-8"))["until"]).astimezone(UTC)
        except FileNotFoundError:
            return None

    def _write(self, until: datetime) -> None:
        write_secret(self._note, json.dumps({"until": until.isoformat()}))
