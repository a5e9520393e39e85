"""What is registered: lines, accounts, persons. ``ts`` is when the holder says that it was so."""

from .table import DATE, TEXT, TIME, Column, Table

STATUSES = ("active", "dormant", "limited", "suspended", "closed")

LINES = Table(
    name="lines",
    zh="号码登记",
    en="Registered lines",
    late_allowance_s=3650 * 86400,
    columns=(
        Column(name="line", type=TEXT, zh="号码", en="line", subject="line", required=True),
        Column(name="operator", type=TEXT, zh="运营商", en="carrier"),
        Column(
            name="plan",
            type=TEXT,
            zh="套餐种类",
            en="kind of plan",
            values=("mobile", "fixed", "hotel", "iot", "child_watch", "voip", "service"),
        ),
        Column(name="opened", type=TIME, zh="开户时间", en="opened"),
        Column(name="status", type=TEXT, zh="状态", en="status", values=STATUSES),
        Column(name="place", type=TEXT, zh="归属地", en="GB/T 2260 code"),
    ),
)
ACCOUNTS = Table(
    name="accounts",
    zh="账户登记",
    en="Registered accounts",
    late_allowance_s=3650 * 86400,
    columns=(
        Column(name="account", type=TEXT, zh="账户", en="account", subject="account", required=True),
        Column(
            name="kind",
            type=TEXT,
            zh="账户性质",
            en="kind of account",
            values=("personal", "corporate", "merchant", "payment", "wallet", "loan"),
        ),
        Column(name="bank", type=TEXT, zh="开户行", en="bank"),
        Column(name="outlet", type=TEXT, zh="开户网点", en="outlet"),
        Column(name="opened", type=TIME, zh="开户时间", en="opened"),
        Column(name="last_active", type=TIME, zh="最后交易时间", en="last active"),
        Column(name="status", type=TEXT, zh="状态", en="status", values=STATUSES),
    ),
)
PERSONS = Table(
    name="persons",
    zh="人员登记",
    en="Registered persons",
    late_allowance_s=3650 * 86400,
    columns=(
        Column(name="person", type=TEXT, zh="人员", en="person", subject="person", required=True),
        Column(name="born", type=DATE, zh="出生日期", en="born"),
        Column(name="gender", type=TEXT, zh="性别", en="gender", values=("female", "male")),
        Column(name="place", type=TEXT, zh="住址", en="GB/T 2260 code of the home"),
        Column(name="occupation", type=TEXT, zh="职业", en="occupation"),
        Column(name="name", type=TEXT, zh="姓名", en="name", vault=True),
        Column(name="id", type=TEXT, zh="证件号", en="identity number", vault=True),
    ),
)
