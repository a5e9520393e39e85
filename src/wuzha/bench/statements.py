"""Bank statements as banks send them: the 34-column layout, in GBK, with the oddities of real files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

HEADER = [
    "交易卡号",
    "交易账号",
    "账户开户名称",
    "开户人证件号码",
    "交易时间",
    "交易金额",
    "交易余额",
    "收付标志",
    "交易对手账卡号",
    "现金标志",
    "对手户名",
    "对手身份证号",
    "对手开户银行",
    "摘要说明",
    "交易币种",
    "交易网点名称",
    "交易网点代码",
    "交易发生地",
    "交易是否成功",
    "传票号",
    "终端号",
    "IP地址",
    "MAC地址",
    "对手交易余额",
    "交易流水号",
    "日志号",
    "凭证种类",
    "凭证号",
    "交易柜员号",
    "商户名称",
    "商户号",
    "备注",
    "交易类型",
    "查询反馈结果原因",
]
_NAMES = ["张三", "李四", "王小明", "赵秀兰", "陈建国", "刘洋", "杨柳青", "示例商贸有限公司", "周杰", "吴敏"]
_MEMOS = ["转账", "消费", "网银转账", "工资", "跨行汇款", "手机银行", "还款", "货款", "", "扫码支付"]
_BANKS = ["工商银行", "农业银行", "建设银行", "招商银行", "农村商业银行"]


def write_statement(path: Path, rows: int, *, seed: int) -> None:
    """A GBK CSV of ``rows`` one-sided statement rows of some hundred accounts; same seed, same bytes.

    One row in 200 carries a tab or apostrophe round its numbers, one in 200 thousands separators, one in 1,000 a
    failed transfer.
    """
    rng = np.random.default_rng(seed)
    cards = np.array([f"6222{n:015d}" for n in rng.choice(10**9, max(rows // 4000, 4), replace=False)])
    others = np.array([f"6217{n:015d}" for n in rng.choice(10**9, 20_000, replace=False)])
    own = np.sort(rng.integers(0, len(cards), rows))
    other = rng.integers(0, len(others), rows)
    second = np.sort(rng.integers(0, 180 * 86400, rows))
    fen = np.exp(rng.normal(10, 2, rows)).astype(np.int64) + 1
    balance = rng.integers(0, 10**9, rows)
    name = np.array(_NAMES)[rng.integers(0, len(_NAMES), rows)]
    frame = pl.DataFrame(
        {
            "card": cards[own],
            "other": others[other],
            "at": (np.datetime64("2026-01-01T00:00:00") + second.astype("timedelta64[s]")).astype("datetime64[us]"),
            "fen": fen,
            "balance": balance,
            "name": name,
            "out": rng.random(rows) < 0.55,
            "memo": np.array(_MEMOS)[rng.integers(0, len(_MEMOS), rows)],
            "bank": np.array(_BANKS)[rng.integers(0, len(_BANKS), rows)],
            "odd": rng.integers(0, 1000, rows),
            "n": np.arange(rows),
        }
    )

    def money(column: str) -> pl.Expr:
        plain = pl.format("{}.{}", pl.col(column) // 100, (pl.col(column) % 100).cast(pl.String).str.zfill(2))
        grouped = plain.str.replace(r"^(\d{1,3})(\d{3})\.", "$1,$2.")
        return pl.when(pl.col("odd") < 5).then(pl.format('"{}"', grouped)).otherwise(plain)

    number = pl.when(pl.col("odd").is_between(5, 9)).then(pl.format("'{}\t", pl.col("card"))).otherwise(pl.col("card"))
    empty = pl.lit("")
    columns = {
        "交易卡号": number,
        "交易账号": pl.col("card").str.tail(12),
        "账户开户名称": pl.col("name"),
        "开户人证件号码": pl.lit("110101199001010015"),
        "交易时间": pl.col("at").dt.to_string("%Y-%m-%d %H:%M:%S"),
        "交易金额": money("fen"),
        "交易余额": money("balance"),
        "收付标志": pl.when(pl.col("out")).then(pl.lit("出")).otherwise(pl.lit("进")),
        "交易对手账卡号": pl.col("other"),
        "现金标志": pl.lit("转账"),
        "对手户名": pl.col("name"),
        "对手开户银行": pl.col("bank"),
        "摘要说明": pl.col("memo"),
        "交易币种": pl.lit("人民币"),
        "交易是否成功": pl.when(pl.col("odd") == 10).then(pl.lit("失败")).otherwise(pl.lit("成功")),
        "IP地址": pl.format("10.{}.{}.{}", pl.col("odd") % 250, pl.col("n") % 250, pl.col("n") % 7),
        "交易流水号": pl.format("LS{}", pl.col("n")),
    }
    line = pl.concat_str([columns.get(h, empty) for h in HEADER], separator=",")
    body = "\n".join([",".join(HEADER), *frame.select(line.alias("line"))["line"].to_list(), ""])
    path.write_bytes(body.encode("gbk"))
