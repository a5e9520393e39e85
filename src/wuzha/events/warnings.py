"""Warnings (预警指令): pre-screened hints from above or from a holder. Anything but the identity may be missing."""

from .money import LIMIT_FEN
from .table import INT, TEXT, TEXTS, TIME, Column, Table

STAGES = ("approach", "trust", "act", "pay")
LEVELS = ("urgent", "high", "medium", "low")

WARNINGS = Table(
    name="warnings",
    zh="预警指令",
    en="Warnings",
    late_allowance_s=7 * 86400,
    columns=(
        Column(name="source_no", type=TEXT, zh="指令编号", en="number that the feed gives it"),
        Column(name="issued_by", type=TEXT, zh="下发单位", en="who issued it"),
        Column(name="level_upstream", type=TEXT, zh="上级等级", en="the feed's level, mapped", values=LEVELS),
        Column(name="type_code", type=TEXT, zh="上级类型码", en="the feed's own type code"),
        Column(name="scam_type", type=TEXT, zh="诈骗类型", en="scam type, mapped"),
        Column(name="stage", type=TEXT, zh="阶段", en="stage", values=STAGES),
        Column(name="reasons", type=TEXTS, zh="理由", en="reasons given"),
        Column(name="victim_line", type=TEXT, zh="对象号码", en="line of the person at risk", subject="line"),
        Column(name="victim_account", type=TEXT, zh="对象账户", en="account of the person", subject="account"),
        Column(name="victim_device", type=TEXT, zh="对象设备", en="device of the person", subject="device"),
        Column(name="victim_name", type=TEXT, zh="对象姓名", en="name of the person", vault=True),
        Column(name="victim_id", type=TEXT, zh="对象证件号", en="identity number of the person", vault=True),
        Column(name="place", type=TEXT, zh="属地", en="GB/T 2260 code"),
        Column(name="suspect_line", type=TEXT, zh="嫌疑号码", en="suspect's line", subject="line"),
        Column(name="suspect_url", type=TEXT, zh="嫌疑网址", en="suspect's address"),
        Column(name="suspect_app", type=TEXT, zh="嫌疑应用", en="suspect's app"),
        Column(name="suspect_account", type=TEXT, zh="嫌疑账户", en="suspect's account", subject="account"),
        Column(name="amount_fen", type=INT, zh="涉险资金（分）", en="money at risk, fen", minimum=0, maximum=LIMIT_FEN),
        Column(name="sign_by", type=TIME, zh="签收时限", en="to be signed for by"),
        Column(name="feedback_by", type=TIME, zh="反馈时限", en="result owed by"),
    ),
)
