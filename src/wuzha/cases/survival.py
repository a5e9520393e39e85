"""The chance that stolen money is still in an account: a curve by kind of account, fitted to what banks have answered.

Kept true here: the chance never rises with time; what a bank has told to be there at a time is there at that time; the
curve in use is a file that people can read, in the data folder where it was fitted, else the shipped one.

Fitting: an observation is an amount that came into an account and how long it stayed – until it left, or until the
bank's answer ends (then only "at least so long" is known, which is censoring). The curve is a mixture of two
exponentials; its three numbers maximise the likelihood under censoring, found by expectation–maximisation
(Dempster, Laird, Rubin 1977): E: r = the chance that an observation belongs to the fast part, by density where it left
and by survival where it was censored; M: w = Σ r ⁄ n; each time constant = Σ r · time ⁄ Σ r over those that left. Each
observation counts once whatever its amount, so that one large transfer does not draw the curve. The curve before is
taken along as `PRIOR` observations, so that five answers do not overturn it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import structlog

from wuzha.events import datafile
from wuzha.events.datafile import DataFileError
from wuzha.store.settings import Settings

from .flow import Flow

log = structlog.get_logger(__name__)

KINDS = ("unknown", "personal", "company", "wallet", "merchant")
#: The former curve counts as so many observations.
PRIOR = 30
FILE = "survival.toml"


@dataclass(frozen=True, kw_only=True)
class Curve:
    """S(t) = w·exp(−t/fast_s) + (1−w)·exp(−t/slow_s); ``n``: observations behind it."""

    w: float
    fast_s: float
    slow_s: float
    n: int = 0

    def at(self, seconds: float) -> float:
        """The part still there after so long."""
        t = max(seconds, 0.0)
        return float(self.w * np.exp(-t / self.fast_s) + (1 - self.w) * np.exp(-t / self.slow_s))


@dataclass(frozen=True, kw_only=True)
class Stay:
    """An amount's stay in an account: so many seconds, after which it left, or (``left`` False) was still there."""

    kind: str
    seconds: float
    left: bool


def read(text: str, name: str = FILE) -> dict[str, Curve]:
    """Curves by kind. DataFileError names file, line and what is wrong."""
    file = datafile.parse(text, name)
    for key in file.data.keys() - {"kind", "fitted_at"}:
        raise file.error("", key, f"unknown entry {key!r}")
    kinds = file.data.get("kind", {})
    found = {}
    for kind, row in kinds.items():
        at = f"kind.{kind}"
        if kind not in KINDS:
            raise file.error(at, "", f"unknown kind {kind!r}; one of {', '.join(KINDS)}")
        for key in row.keys() - {"w", "fast_s", "slow_s", "n"}:
            raise file.error(at, key, f"unknown entry {key!r}")
        for key in ("w", "fast_s", "slow_s"):
            if type(row.get(key)) not in (int, float):
                raise file.error(at, key, f"{key} wants a number")
        if not 0 <= row["w"] <= 1:
            raise file.error(at, "w", "want a part between 0 and 1")
        if not 0 < row["fast_s"] <= row["slow_s"]:
            raise file.error(at, "fast_s", "want 0 < fast_s <= slow_s")
        found[kind] = Curve(w=row["w"], fast_s=row["fast_s"], slow_s=row["slow_s"], n=int(row.get("n", 0)))
    for kind in KINDS:
        if kind not in found:
            raise file.error("", "", f"lacks [kind.{kind}]")
    return found


def fitted_at() -> datetime | None:
    """When the deployment's own curves were fitted; None where it has none. DataFileError where its file is wrong."""
    own = Settings().home / FILE
    if not own.is_file():
        return None
    text = own.read_text("utf-8")
    read(text, str(own))  # a file with a mistake was fitted by nobody
    at = datafile.parse(text, str(own)).data.get("fitted_at")
    if isinstance(at, datetime):
        return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return datetime.fromtimestamp(own.stat().st_mtime, UTC)


@lru_cache(maxsize=4)
def _read_at(path: str, _changed: float) -> dict[str, Curve]:
    return read(Path(path).read_text("utf-8"), path)


def curves(*, strict: bool = False) -> dict[str, Curve]:
    """The curves in use: a file of the deployment's own that is wrong is told in the log, and the shipped ones hold;
    DataFileError and OSError instead where ``strict``."""
    own = Settings().home / FILE
    if own.is_file():
        try:
            return _read_at(str(own), own.stat().st_mtime)
        except (DataFileError, OSError, UnicodeDecodeError) as error:
            if strict:
                raise
            log.error("the fitted curves cannot be read; the shipped ones hold", error=str(error))
    return shipped()


@lru_cache(maxsize=1)
def shipped() -> dict[str, Curve]:
    """The shipped curves: what a fit begins with, so that fitting twice to the same answers gives the same."""
    return read((files(__package__) / FILE).read_text("utf-8"))


def chance(
    kind: str | None, arrived: datetime, now: datetime, known_until: datetime | None = None,
    table: Mapping[str, Curve] | None = None,
) -> float:  # fmt: skip
    """The chance that what came at ``arrived`` is still there at ``now``, where the bank has told of it up to
    ``known_until``."""
    curve = (table or curves()).get(kind or "unknown") or (table or curves())["unknown"]
    age = (now - arrived).total_seconds()
    known = (known_until - arrived).total_seconds() if known_until is not None else 0.0
    if known <= 0:
        return curve.at(age)
    if known >= age:
        return 1.0
    there = curve.at(known)
    return curve.at(age) / there if there > 0 else 0.0


#: A bank's answer is asked for anew once the chance that money still lies where it was is less than this.
STALE = 0.5
_LONG_S = 30 * 86400.0


def stale_at(
    kind: str | None, arrived: datetime, known_until: datetime, table: Mapping[str, Curve] | None = None
) -> datetime:
    """When an answer up to ``known_until`` is too old to rest on: the money has probably moved by then (`STALE`); half
    a minute after it at the earliest, thirty days at the latest."""
    curve = (table or curves()).get(kind or "unknown") or (table or curves())["unknown"]
    known = max((known_until - arrived).total_seconds(), 0.0)
    there = curve.at(known)
    low, high = 30.0, _LONG_S
    if there > 0:
        for _ in range(40):
            middle = (low + high) / 2
            low, high = (middle, high) if curve.at(known + middle) > STALE * there else (low, middle)
    return max(known_until, arrived) + timedelta(seconds=round(low, 3))


def stays(flow: Flow) -> list[Stay]:
    """What a case's answers say of how long money stays, first in, first out, of accounts whose banks have told."""
    found = []
    for node in flow.nodes:
        if node.known_until is None or node.role == "victim":
            continue
        came = sorted((r.at, r.tainted_fen) for r in flow.ribbons if r.payee == node.account and r.exit is None)
        went = sorted((r.at, r.tainted_fen) for r in flow.ribbons if r.payer == node.account)
        kind = node.kind or "unknown"
        parcels: list[tuple[datetime, int]] = list(came)
        for at, fen in went:
            while fen > 0 and parcels:
                begun, lies = parcels[0]
                took = min(fen, lies)
                found.append(Stay(kind=kind, seconds=max((at - begun).total_seconds(), 0.0), left=True))
                fen -= took
                if took == lies:
                    parcels.pop(0)
                else:
                    parcels[0] = (begun, lies - took)
        found += [
            Stay(kind=kind, seconds=(node.known_until - at).total_seconds(), left=False)
            for at, fen in parcels
            if fen > 0 and node.known_until > at
        ]
    return found


def fit(observed: Iterable[Stay], before: Curve, *, rounds: int = 200) -> Curve:
    """The curve that these observations and ``before`` say; ``before`` itself where there is none."""
    seen = list(observed)
    if not seen:
        return before
    # The former curve as observations: its quantiles, all of them departures.
    grid = _quantiles(before, PRIOR)
    t = np.array([max(s.seconds, 0.5) for s in seen] + grid)
    left = np.array([s.left for s in seen] + [True] * PRIOR)
    w, fast, slow = before.w, before.fast_s, before.slow_s
    for _ in range(rounds):
        a = w * np.exp(-t / fast) / np.where(left, fast, 1.0)
        b = (1 - w) * np.exp(-t / slow) / np.where(left, slow, 1.0)
        r = a / np.maximum(a + b, 1e-300)
        w = float(np.clip(r.mean(), 0.01, 0.99))
        fast = float(np.clip((r * t).sum() / max((r * left).sum(), 1e-9), 1.0, 1e7))
        slow = float(np.clip(((1 - r) * t).sum() / max(((1 - r) * left).sum(), 1e-9), 1.0, 1e8))
        if fast > slow:
            w, fast, slow = 1 - w, slow, fast
    return Curve(w=w, fast_s=fast, slow_s=slow, n=before.n + len(seen))


def _quantiles(curve: Curve, n: int) -> list[float]:
    """Times by which (i + ½)/n has left, by halving."""
    out = []
    for i in range(n):
        part = 1 - (i + 0.5) / n
        low, high = 0.0, 40 * curve.slow_s
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if curve.at(middle) > part else (low, middle)
        out.append(low)
    return out


def written(table: Mapping[str, Curve], at: datetime | None = None) -> str:
    """The file of these curves."""
    lines = [
        "# Fitted to what banks have answered (each night, or wuzha cases survival --fit). n: the stays that a curve\n"
        "# was fitted to; 0 where too few were seen and the shipped curve stands. The shipped file has the formula.\n"
    ]
    if at is not None:
        lines.append(f"fitted_at = {at.isoformat()}\n")
    for kind in KINDS:
        c = table[kind]
        lines.append(f"[kind.{kind}]\nw = {c.w:.4f}\nfast_s = {c.fast_s:.1f}\nslow_s = {c.slow_s:.1f}\nn = {c.n}\n")
    return "\n".join(lines)
