"""Money and people leaving the screen: cash, gold, parcels, rides, hotels. Four small tables of one kind."""

from .money import LIMIT_FEN
from .table import INT, TEXT, TIME, Column, Table

_ACCOUNT = Column(name="account", type=TEXT, zh="账户", en="account", subject="account")
_LINE = Column(name="line", type=TEXT, zh="号码", en="line", subject="line")
_PERSON = Column(name="person", type=TEXT, zh="人员", en="person", subject="person")
_AMOUNT = Column(name="amount_fen", type=INT, zh="金额（分）", en="fen", minimum=0, maximum=LIMIT_FEN)
_PLACE = Column(name="place", type=TEXT, zh="地点", en="GB/T 2260 code")

CASH = Table(
    name="cash",
    zh="现金预约与支取",
    en="Cash booked and withdrawn",
    columns=(
        _ACCOUNT,
        _PERSON,
        _LINE,
        _AMOUNT,
        Column(name="kind", type=TEXT, zh="种类", en="booked ahead or taken", values=("booking", "withdrawal")),
        Column(name="due_at", type=TIME, zh="预约时间", en="when the booked cash is to be fetched"),
        Column(name="outlet", type=TEXT, zh="网点", en="outlet"),
        _PLACE,
    ),
)
PURCHASES = Table(
    name="purchases",
    zh="贵重物品购买",
    en="Purchases of gold and the like",
    columns=(
        _ACCOUNT,
        _PERSON,
        _LINE,
        _AMOUNT,
        Column(name="goods", type=TEXT, zh="物品", en="gold, phone, gift card …"),
        Column(name="merchant", type=TEXT, zh="商户名称", en="merchant's name"),
        _PLACE,
    ),
)
SHIPMENTS = Table(
    name="shipments",
    zh="寄递与网约车",
    en="Parcels and rides",
    columns=(
        Column(name="sender", type=TEXT, zh="寄件号码", en="line that sends or rides", subject="line"),
        Column(name="recipient", type=TEXT, zh="收件号码", en="line that receives", subject="line"),
        Column(name="kind", type=TEXT, zh="种类", en="how it goes", values=("courier", "ride")),
        Column(name="goods", type=TEXT, zh="物品", en="what was declared"),
        _PLACE,
        Column(name="to_place", type=TEXT, zh="送达地", en="GB/T 2260 code it goes to"),
    ),
)
LODGING = Table(
    name="lodging",
    zh="住宿",
    en="Hotel nights",
    columns=(
        _PERSON,
        _LINE,
        Column(name="hotel", type=TEXT, zh="旅馆", en="hotel"),
        _PLACE,
        Column(name="nights", type=INT, zh="晚数", en="nights booked", minimum=0),
    ),
)
