"""Telephone calls, one row a call as one side's network saw it."""

from .table import BOOL, INT, TEXT, Column, Table

#: A call of more than a week is a counter that ran over or a typing error.
LONGEST_CALL_S = 7 * 86400
LINE_TYPES = ("mobile", "fixed", "iot", "voip", "service", "international")

CALLS = Table(
    name="calls",
    zh="通话",
    en="Telephone calls",
    natural_key=("caller", "callee"),
    columns=(
        Column(name="caller", type=TEXT, zh="主叫", en="calling line", subject="line", required=True),
        Column(name="callee", type=TEXT, zh="被叫", en="called line", subject="line", required=True),
        Column(name="caller_raw", type=TEXT, zh="主叫原始号码", en="caller's digits as sent"),
        Column(name="callee_raw", type=TEXT, zh="被叫原始号码", en="callee's digits as sent"),
        Column(
            name="duration_s",
            type=INT,
            zh="通话时长（秒）",
            en="seconds talked; 0 not answered",
            minimum=0,
            maximum=LONGEST_CALL_S,
        ),
        Column(name="imsi", type=TEXT, zh="IMSI", en="SIM of the reporting side", subject="sim"),
        Column(name="imei", type=TEXT, zh="IMEI", en="device of the reporting side", subject="device"),
        Column(name="cell", type=TEXT, zh="基站小区", en="cell of the reporting side"),
        Column(name="place", type=TEXT, zh="所在地", en="GB/T 2260 code of the cell"),
        Column(name="roaming", type=BOOL, zh="漫游", en="outside the home network"),
        Column(name="forwarded_to", type=TEXT, zh="呼转号码", en="line that the call was forwarded to", subject="line"),
        Column(name="line_type", type=TEXT, zh="主叫类型", en="kind of the calling line", values=LINE_TYPES),
    ),
)
