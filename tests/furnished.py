"""A busy morning at the small centre: what the pages are opened on when they are looked at as a whole."""

from __future__ import annotations

from datetime import date, timedelta

from tests.desks import Centre

from wuzha.command.public import Actor
from wuzha.events import clock
from wuzha.respond import contact, outcome, queue, sign

#: Long, short, foreign and hostile names; the last one is an attack.
NAMES = (
    "张小兰", "李强", "欧阳娜娜", "阿卜杜热西提·买买提艾力江", "陈英", "周敏", "王建国", "刘洋", "孙悦", "何静",
    "<script>alert(1)</script>", "马晓东",
)  # fmt: skip
TYPES = (
    "authority", "task_rebate", "investment", "customer_service", "loan", "boss_acquaintance", "credit_record",
    "romance",)  # fmt: skip


def furnish(house: Centre, wang: Actor, zhao: Actor, *, more: int = 0) -> dict[str, int]:
    """Alerts of all levels, types and states; returns the file that has everything as ``rich``."""
    now = clock.now()
    kin, _ = house.person("张丽", line="+8613966216621", gender="F", born=date(1990, 3, 2))
    rich = house.alert(
        "张小兰", level="urgent", line="+8613812341234", scam_type="authority", stage="act", amount_fen=18_200_000,
        ago=timedelta(seconds=19), vault={"id_no": "350203196205041234", "occupation": "退休"},
    )  # fmt: skip
    person, _line = house.engine.execute(
        "SELECT person_id, line_id FROM alerts WHERE alert_id = %s", (rich,)
    ).fetchone() or (0, 0)
    house.relate(person, kin, "child")
    house.relate(person, house.subject("account", "6222021234567890128"), "holder")
    m = timedelta(minutes=1)
    calls = [
        ("calls", now - 47 * m, {"caller": "+85212345678", "callee": "+8613812341234", "duration_s": 260}),
        ("calls", now - 38 * m, {"caller": "+85212345678", "callee": "+8613812341234", "duration_s": 580}),
        ("calls", now - 24 * m, {"caller": "+85212345678", "callee": "+8613812341234", "duration_s": 1260}),
    ]
    house.evidence(rich, "foreign_call", {"calls_in_foreign_6h": 3}, at=now - 24 * m, weight=32, events=calls)
    house.evidence(
        rich, "lookalike_site", {"first_seen_h": 2}, at=now - 27 * m, weight=21, stage="trust",
        events=[
            ("messages", now - 28 * m, {"sender": "cn-short:10690", "recipient": "+8613812341234", "channel": "sms",
                                        "text": "【案件文书】张小兰请点击链接查看 http://gov-ga.top 联系13812341234"}),
            ("visits", now - 27 * m, {"line": "+8613812341234", "host": "gov-ga.top", "url": "http://gov-ga.top/wz"}),
        ],
    )  # fmt: skip
    house.evidence(
        rich, "share_then_bank", {"bank_opens": 2}, at=now - 20 * m, weight=27, stage="act",
        events=[
            ("app_events", now - 21 * m, {"line": "+8613812341234", "app": "全民会议", "action": "screen_share"}),
            ("app_events", now - 18 * m, {"line": "+8613812341234", "app": "农商行", "action": "open"}),
        ],
    )  # fmt: skip
    house.evidence(
        rich, "deposit_to_current", {"amount_fen": 18_200_000}, at=now - 15 * m, weight=11, stage="act",
        events=[
            ("transfers", now - 15 * m, {"payer": "6222021234567890128", "payee": "6222021234567890136",
                                         "amount_fen": 18_200_000}),
            ("transfers", now - 9 * m, {"payer": "6222021234567890128", "payee": "6217001234567894321",
                                        "amount_fen": 2_000_000}),
        ],
    )  # fmt: skip
    house.warning(rich, issued_by="部", source_no="202611220031", level="high", sign_by=now + m,
                  feedback_by=now + 120 * m,
                  reasons=["境外来电冒充公安，对象13812341234通话41分钟"])  # fmt: skip
    house.warning(rich, issued_by="运营商", source_no="YD-88120", feedback_by=now + 1200 * m)
    house.warning(rich, issued_by="农商行", source_no="N-5521", level="urgent", feedback_by=now + 60 * m)
    made = [rich]
    levels = ("urgent", "high", "high", "medium", "medium", "low")
    for i, name in enumerate(NAMES[1:] * (1 + more // len(NAMES))):
        alert = house.alert(
            name, level=levels[i % len(levels)], scam_type=TYPES[i % len(TYPES)],
            unit=("centre", "east", "south")[i % 3],
            stage=("approach", "trust", "act", "pay")[i % 4], amount_fen=None if i % 3 == 0 else 123_456 * (i + 1) ** 2,
            ago=timedelta(seconds=40 + 97 * i),
        )  # fmt: skip
        house.evidence(alert, "foreign_call", {"calls_in_foreign_6h": i % 5 + 1}, at=now - i * m)
        if i % 2:
            house.warning(
                alert, issued_by=("部", "省厅反诈中心", "银行")[i % 3], source_no=f"P{i}", level=levels[i % 6]
            )
        made.append(alert)
        if i >= len(NAMES) and more:
            continue
    for actor, until in ((wang, 2), (zhao, 4), (wang, 6)):
        _work(house, actor, made[-until], until)
    return {"rich": rich, "closed": made[-6], "theirs": made[-4]}


def _work(house: Centre, actor: Actor, alert: int, steps: int) -> None:
    def version() -> int:
        row = house.engine.execute("SELECT version FROM alerts WHERE alert_id = %s", (alert,)).fetchone()
        assert row is not None
        return int(row[0])

    key = iter(f"furnish-{alert}-{n}" for n in range(99))
    with house.scope(actor) as conn:
        sign.sign(conn, actor, alert, version=version(), key=next(key))
    with house.scope(actor) as conn:
        contact.contact(conn, actor, alert, channel="call", result="busy", version=version(), key=next(key))
    if steps > 2:
        with house.scope(actor) as conn:
            contact.contact(
                conn, actor, alert, channel="call", result="self", version=version(), key=next(key), words="半信"
            )
    if steps > 4:
        with house.scope(actor) as conn:
            outcome.outcome(
                conn, actor, alert, code="dissuaded", amount_fen=3_500_000, version=version(), key=next(key)
            )
        with house.scope(actor) as conn:
            outcome.close(conn, actor, alert, version=version(), key=next(key))
    with house.scope(actor) as conn:
        queue.counts(conn, actor)
