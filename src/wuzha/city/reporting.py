"""Victims go to the police, late or never, and name what they remember.

Kept true here: a report speaks only of what its person could know: the lines, sites, apps and first-level accounts that
they themselves met.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pyarrow as pa

from wuzha.events.money import yuan_short
from wuzha.events.scam_types import parent, scam_types

from . import draw
from .rows import id_texts, table, time_order, times
from .stage import Stage, lognormal
from .tables import DESK

_OPENING = ("接到自称{who}的电话或消息", "在网上认识对方后", "被拉入群聊后", "收到一条消息后与对方联系")


def report(stage: Stage) -> dict[str, pa.Table]:
    """``reports``, ``identifiers`` and an empty ``findings``."""
    w, rng = stage.world, stage.stream("reports")
    people = w.person_texts()
    made: list[dict[str, Any]] = []
    for file in stage.files:
        script = file.script
        if rng.random() >= script.report.share:
            continue
        last = max(t for t, _, _ in file.losses)
        sec = last + int(lognormal(rng, script.report.delay[0], script.report.delay[1], 1)[0] * 60)
        if sec >= stage.end:
            continue
        known = [x for x in file.losses if x[0] <= sec]
        fen = sum(x[1] for x in known)
        kind = script.scam_type
        if rng.random() < script.report.wrong_type:
            kind = parent(kind) if parent(kind) != kind else list(scam_types())[int(rng.integers(0, 8))]
        when = (stage.start_us // 1_000_000 + 8 * 3600 + known[0][0]) % 86400
        words = (
            f"报警人{str(w.persons['name'][file.person])[0]}某{_OPENING[int(rng.integers(0, 4))].format(who=script.title[2:])}，"  # noqa: E501
            f"按对方要求操作，{when // 3600}时{when % 3600 // 60}分起分{len(known)}笔转账，共损失{yuan_short(fen)}，发现被骗。"  # noqa: E501
        )
        values = [("line", str(w.lines["text"][file.person]), "victim")]
        for _, _, account in known:
            if account >= 0 and rng.random() < 0.92:
                values.append(("account", str(w.accounts["text"][account]), "payee"))
        if file.lines and rng.random() < 0.8:
            values.extend(("line", str(w.lines["text"][x]), "suspect") for x in file.lines[-2:])
        if file.sites and rng.random() < 0.6:
            values.append(("domain", str(w.sites["text"][file.sites[-1]]), "suspect"))
        if file.apps and rng.random() < 0.7:
            values.append(("app", str(w.apps["package"][file.apps[-1]]), "suspect"))
        made.append({
            "sec": sec, "person": people[file.person].as_py(), "words": words, "kind": kind, "fen": fen,
            "values": list(dict.fromkeys(values)),
        })  # fmt: skip
    sec = np.array([m["sec"] for m in made], np.int64)
    ids = draw.scrambled(len(made), stage.seed, zlib.crc32(b"reports"))
    order = time_order(sec, ids).tolist()
    made, sec, ids = [made[i] for i in order], sec[order], ids[order]
    numbers = [f"J{350200}{i:06d}" for i in range(1, len(made) + 1)]
    n = len(made)
    reports = table("reports", n, {
        "source": pa.array([DESK] * n, pa.string()), "event_id": id_texts(ids), "ts": times(sec, stage.start_us),
        "report": pa.array(numbers, pa.string()), "reported_at": times(sec, stage.start_us),
        "person": pa.array([m["person"] for m in made], pa.string()),
        "narrative": pa.array([m["words"] for m in made], pa.string()),
        "scam_type": pa.array([m["kind"] for m in made], pa.string()),
        "loss_fen": pa.array([m["fen"] for m in made], pa.int64()),
    })  # fmt: skip
    rows = [(i, *v) for i, m in enumerate(made) for v in m["values"]]
    k = len(rows)
    at = np.array([r[0] for r in rows], np.int64)
    identifiers = table(
        "identifiers",
        k,
        {
            "source": pa.array([DESK] * k, pa.string()),
            "event_id": id_texts(draw.scrambled(k, stage.seed, zlib.crc32(b"identifiers"))),
            "ts": times(sec[at] if k else np.empty(0, np.int64), stage.start_us),
            "report": pa.array([numbers[i] for i in at.tolist()], pa.string()),
            "kind": pa.array([r[1] for r in rows], pa.string()),
            "value": pa.array([r[2] for r in rows], pa.string()),
            "role": pa.array([r[3] for r in rows], pa.string()),
        },
    )
    return {"reports": reports, "identifiers": identifiers, "findings": table("findings", 0, {})}
