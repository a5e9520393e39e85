"""The eight 凡是 hit what they should and leave ordinary words alone; what is found stands in the text."""

from __future__ import annotations

import pyarrow as pa
import pytest

from wuzha import text
from wuzha.events import TABLES
from wuzha.events.batch import conform
from wuzha.events.datafile import DataFileError, parse
from wuzha.text.annotate import hits
from wuzha.text.extract import extract
from wuzha.text.patterns import read


@pytest.mark.parametrize(
    ("words", "number"),
    [
        ("我是市公安局民警，您涉嫌洗钱，请配合调查并转账到指定账户", 1),
        ("请把资金转入安全账户", 2),
        ("恭喜您中奖，请先缴纳手续费", 3),
        ("您儿子出车祸正在抢救，请马上汇医药费", 4),
        ("请提供您的银行卡号和验证码", 5),
        ("请登录网银接受检查，否则账户将被冻结", 6),
        ("我是你领导，明天来我办公室，先帮我转一笔款", 7),
        ("您的积分可兑换现金，点击 http://icbc-jf.top 登记银行卡", 8),
    ],
)
def test_each_of_the_eight(words: str, number: int) -> None:
    assert number in (hits([words])[0] or [])


@pytest.mark.parametrize(
    "words",
    [
        "【招商银行】您的验证码为482913，请勿告知他人。",
        "反诈中心提醒：凡是要求转账到安全账户的都是诈骗，请拨打96110",
        "您的快递已到驿站，取件码 8-2-1023",
        "尊敬的客户，您的话费余额不足10元，请及时充值。",
        "诚招兼职，日结179元，需到店面试",
    ],
)
def test_ordinary_words_hit_nothing(words: str) -> None:
    assert hits([words]) == [[]]


def test_null_stays_null_and_rows_keep_their_order() -> None:
    schema = TABLES["messages"].schema
    names = ("source", "event_id", "ts", "sender", "recipient", "text")
    ts = pa.scalar(0, pa.timestamp("us", tz="UTC")).as_py()
    events = [("s", str(i), ts, "a", "b", t) for i, t in enumerate(("请转入安全账户", None, "你好"))]
    rows = pa.Table.from_pylist(
        [dict(zip(names, e, strict=True)) for e in events], schema=pa.schema([schema.field(n) for n in names])
    )
    out = text.annotate(conform(TABLES["messages"], rows))
    assert out.column("fanshi").to_pylist() == [[2], None, []]
    assert out.column("event_id").to_pylist() == ["0", "1", "2"]


def test_what_a_text_names() -> None:
    found = text.extract("请下载“瞩目”APP，登录 https://a.top/x 或拨 13812345678，卡号6222020200112233445")
    assert found.links == ("https://a.top/x",)
    assert found.lines == ("+8613812345678",)
    assert found.accounts == ("6222020200112233445",)
    assert "瞩目" in found.apps


def test_a_mistake_in_the_patterns_is_said_at_its_line() -> None:
    with pytest.raises(DataFileError, match=r"mine.toml:3:\d+: pattern"):
        read(parse('[[fanshi]]\nnumber = 1\nany = ["(x"]\nzh = "a"\nen = "b"\n', "mine.toml"))


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        ("加我QQ 123456789", ()),
        ("加qq群：87654321 领红包", ()),
        ("加微信号13800138000", ("+8613800138000",)),
    ],
)
def test_a_chat_number_is_no_telephone(words: str, lines: tuple[str, ...]) -> None:
    assert extract(words).lines == lines
