"""Reports of victims, the identifiers they name, and the results that officers and units record."""

from .money import LIMIT_FEN
from .table import INT, TEXT, TIME, Column, Table

REPORTS = Table(
    name="reports",
    zh="警情",
    en="Reports",
    late_allowance_s=3650 * 86400,
    columns=(
        Column(name="report", type=TEXT, zh="警情编号", en="report number", required=True),
        Column(name="reported_at", type=TIME, zh="报警时间", en="when it became known", required=True),
        Column(name="person", type=TEXT, zh="报警人", en="person who lost or nearly lost", subject="person"),
        Column(name="narrative", type=TEXT, zh="案情描述", en="what happened, in words"),
        Column(name="scam_type", type=TEXT, zh="诈骗类型", en="scam type"),
        Column(name="loss_fen", type=INT, zh="损失金额（分）", en="loss, fen", minimum=0, maximum=LIMIT_FEN),
    ),
)
IDENTIFIERS = Table(
    name="identifiers",
    zh="警情涉及标识",
    en="Identifiers named in reports",
    late_allowance_s=3650 * 86400,
    columns=(
        Column(name="report", type=TEXT, zh="警情编号", en="report number", required=True),
        Column(name="kind", type=TEXT, zh="种类", en="subject kind", required=True),
        Column(name="value", type=TEXT, zh="值", en="bare value", required=True),
        Column(name="role", type=TEXT, zh="作用", en="whose it is", values=("victim", "suspect", "payee", "contact")),
    ),
)
FINDINGS = Table(
    name="findings",
    zh="核查结果",
    en="Findings of officers and units",
    late_allowance_s=3650 * 86400,
    columns=(
        Column(name="subject", type=TEXT, zh="对象", en="subject key", subject="key", required=True),
        Column(
            name="kind",
            type=TEXT,
            zh="种类",
            en="what was settled",
            values=("alert_closed", "suspect_confirmed", "suspect_cleared", "warning_answered", "line_engaged"),
            required=True,
        ),
        Column(name="code", type=TEXT, zh="结果码", en="result code"),
        Column(name="known_at", type=TIME, zh="获知时间", en="when it became known", required=True),
        Column(name="episode", type=INT, zh="预警序次", en="which of the person's alerts, from 1", minimum=1),
        Column(
            name="amount_fen", type=INT, zh="金额（分）", en="money avoided or lost, fen", minimum=0, maximum=LIMIT_FEN
        ),
    ),
)
