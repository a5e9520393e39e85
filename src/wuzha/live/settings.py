"""Settings of a running deployment, from ``WUZHA_*`` in the environment. A server's parent sets its children's.

Kept true here: every limit that the doors and the worker keep has a name, a unit and a default, in one place.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from wuzha.store.settings import default_home

MIB = 1024 * 1024
#: The argument of a worker beside a server's first one: it does not seal the audit, whose heads stand in one file.
MORE = "more"


class Settings(BaseSettings):
    """What a deployment is told. Sizes in bytes, times in seconds unless the name says otherwise."""

    model_config = SettingsConfigDict(env_prefix="WUZHA_", extra="ignore")

    #: The seat: a holder keeps its raw events; a centre takes warnings, reports, and raw rows with a basis; public is
    #: the page on the Internet, phone the pages at the door; both reach the centre only by letters in folders.
    role: Literal["holder", "centre", "public", "phone"] = "centre"
    #: Folder of everything that this deployment keeps: database, history, snapshots.
    home: Path = Field(default_factory=default_home)
    #: A holder's centre, and the file with the key that the centre gave it.
    centre_url: str | None = None
    centre_key_file: Path | None = None

    #: The lowest level of alert that leaves a holder as a warning: weak hints stay where the data are.
    leaving_level: Literal["urgent", "high", "medium", "low"] = "medium"

    #: Pieces of evidence in an hour above which a rule that names no cap of its own is taken out; 0: none.
    rule_cap: int = Field(default=0, ge=0)

    #: A request's body as sent, and after gunzip; more is answered with 413.
    body_limit: int = Field(default=32 * MIB, gt=0)
    inflated_limit: int = Field(default=256 * MIB, gt=0)
    #: Rows that wait for the appender; beyond it senders get 429.
    queue_rows: int = Field(default=400_000, gt=0)
    #: How long the oldest batch may wait for its results; beyond it senders get 429 and keep what they have.
    lag_s: float = Field(default=900.0, gt=0)
    #: A file with the word by which a collector on another machine may read ``/metrics``.
    metrics_key_file: Path | None = None
    #: Free space of the data folder's disk below which senders get 507.
    free_space: int = Field(default=512 * MIB, ge=0)
    #: Rows dated further ahead of the deployment's clock are typing errors, and would make every later row late.
    ahead_s: int = Field(default=86400, gt=0)

    #: A worker that has not renewed its lease for so long may be replaced.
    lease_s: float = Field(default=5.0, gt=0)
    #: Worker processes of this machine; beyond the partitions that are free they wait, ready to take one over.
    workers: int = Field(default=1, gt=0)
    #: A snapshot is due after so many events or so long after the last one, whichever is first.
    snapshot_events: int = Field(default=2_000_000, gt=0)
    snapshot_s: float = Field(default=120.0, gt=0)
    #: What has had no event for so many days leaves memory for a file that the system pages; 0: nothing does.
    quiet_days: float = Field(default=30.0, ge=0)
    #: The log is sealed into history by segments of this many rows, or when its oldest row is this old.
    seal_rows: int = Field(default=2_000_000, gt=0)
    seal_s: float = Field(default=3600.0, gt=0)
    #: A sealed log row is kept this long for cited events and replays; above the engine's 72 h look-back.
    log_keep_s: float = Field(default=4 * 86400.0, ge=0)
    #: Days for which an event that is sent again is known; 16 bytes an event stand for it. Longer than any source may
    #: be late: what comes again after that counts as late, in no live figure.
    duplicates_days: int = Field(default=400, ge=8)

    #: Public page: how old its knowledge may be and still confirm an officer's code.
    verify_fresh_s: float = Field(default=120.0, gt=0)
    #: Public page: how old its knowledge of a refund's progress may be before the page says so.
    progress_fresh_s: float = Field(default=3600.0, gt=0)
    #: Public page: questions that one address may ask in ten minutes, and wrong ones that all may in a minute.
    verify_tries: int = Field(default=10, gt=0)
    verify_wrong: int = Field(default=120, gt=0)
    #: Door pages: how long a phone's session lasts after its PIN.
    door_session_s: float = Field(default=43200.0, gt=0)
    #: Door pages: pairing codes and PINs that one address may try in ten minutes.
    door_tries: int = Field(default=20, gt=0)
    #: Public page and door pages: addresses of proxies whose X-Forwarded-For is believed, parted by commas.
    proxies: str | None = None
    #: A port on which a process of its own answers banks (`/v1/decisions`); without it the server's other one does.
    bank_port: int | None = Field(default=None, gt=0, lt=65536)
    #: The server's own certificate (with its chain) and its key, PEM; without them it speaks plain HTTP.
    certificate: Path | None = None
    certificate_key: Path | None = None

    @property
    def history(self) -> Path:
        """Folder of the Parquet history."""
        return self.home / "history"

    @property
    def snapshots(self) -> Path:
        """Folder of the engine's snapshots."""
        return self.home / "snapshots"


@lru_cache(maxsize=1)
def settings() -> Settings:
    """This process's settings."""
    return Settings()
