"""Who sends what: every source of the city's rows, for registering it at a holder or a centre.

Kept true here: each value of ``source`` in a city stands in this list with each table in which it occurs.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from . import draw
from .feeds import FEEDS
from .tables import COURIERS, DESK, HOTELS, JEWELLERS, PLATFORM_APPS, PLATFORM_IM, REGISTRY, RIDES

_CARRIER_NAMES = ("中国移动", "中国联通", "中国电信", "中国广电")
_DAY = 86400


@dataclass(frozen=True, kw_only=True)
class Source:
    """A registered sender. ``role`` carrier, bank, platform, upstream or desk; ``seats`` holder, centre or both."""

    name: str
    title: str
    role: str
    seats: tuple[str, ...]
    #: tables that it may send to each seat
    tables: dict[str, tuple[str, ...]]
    basis: str
    purpose: str
    retention_days: int
    #: seconds that a row of a table may come late
    late_allowance: dict[str, int] = field(default_factory=dict)


def sources() -> list[Source]:
    """All sources, in a fixed order."""
    out = [
        _holder(name, title, "carrier", ("calls", "messages", "visits", "lines", "relations"), ("lines", "relations"))
        for name, title in zip(draw.CARRIERS, _CARRIER_NAMES, strict=True)
    ]
    out += [
        _holder(name, title, "bank", ("transfers", "cash", "accounts", "relations"), ("accounts", "relations"))
        for name, title in zip(draw.BANKS, draw.BANK_NAMES, strict=True)
    ]
    for name, title, own in (
        (PLATFORM_IM, "即时通信平台", ("messages",)), (PLATFORM_APPS, "终端应用平台", ("app_events",)),
        (JEWELLERS, "贵重物品商户", ("purchases",)), (COURIERS, "寄递平台", ("shipments",)),
        (RIDES, "网约车平台", ("shipments",)), (HOTELS, "旅馆业平台", ("lodging",)),
    ):  # fmt: skip
        out.append(_holder(name, title, "platform", own, ()))
    out.append(Source(
        name=REGISTRY, title="人口信息", role="upstream", seats=("holder", "centre"), basis="case_query",
        tables={"holder": ("persons", "relations"), "centre": ("persons", "relations")}, purpose="预警劝阻对象落地",
        retention_days=365,
    ))  # fmt: skip
    out += [
        Source(name=f.name, title=f.issued_by, role="upstream", seats=("centre",), tables={"centre": ("warnings",)},
               basis="warning", purpose="预警劝阻", retention_days=365, late_allowance={"warnings": 7 * _DAY})
        for f in FEEDS
    ]  # fmt: skip
    out.append(
        Source(
            name=DESK,
            title="110接警台",
            role="desk",
            seats=("centre",),
            tables={"centre": ("reports", "identifiers", "findings")},
            basis="own_report",
            purpose="接警处置",
            retention_days=3650,
        )
    )
    return out


def _holder(name: str, title: str, role: str, own: tuple[str, ...], shared: tuple[str, ...]) -> Source:
    tables = {"holder": own, "centre": shared} if shared else {"holder": own}
    return Source(
        name=name, title=title, role=role, seats=tuple(tables), tables=tables, basis="holder_own", purpose="风险监测",
        retention_days=180, late_allowance={t: 3 * _DAY for t in own if t not in ("lines", "accounts", "relations")},
    )  # fmt: skip
