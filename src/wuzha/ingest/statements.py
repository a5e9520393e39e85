"""One-sided statements and call records, turned round: whose books they are no longer matters, only who paid whom.

Kept true here: a row's money flows as its own bank says (direction, then sign); an unknown direction is never
guessed; a reversal is a row of its own that flows back.
"""

from __future__ import annotations

from collections import Counter

import polars as pl

from . import cells
from .cells import bare_word, words
from .reading import Reading

_PLAIN = ("place", "outlet", "terminal", "merchant", "merchant_id", "teller", "ip", "mac", "device", "memo", "event_id")


def unknown_directions(reading: Reading) -> list[str]:
    """Direction words of this sheet that no table knows, as they stand, sorted; "" is not among them."""
    if "direction" not in reading.sources:
        return []
    known = _direction_words(reading)
    return sorted(
        w for w in reading.text("direction", shown=True).drop_nulls().unique() if w and bare_word(w) not in known
    )


def _direction_words(reading: Reading) -> dict[str, str]:
    return reading.word_table("direction", "direction" if reading.mapping.shape == "one_sided" else "call_direction")


def directions(reading: Reading) -> pl.Series:
    """Direction of each row by its words; null where the cell is blank and nothing maps a blank. Unknown: refused."""
    texts = reading.text("direction", shown=True).fill_null("")
    known = _direction_words(reading)
    read = cells.mapped(texts, {"": ""} | known)
    message = f"方向词未登记，请在映射文件 {reading.mapping.name} 的 [values.direction] 中写明"
    reading.refuse(read.bad, reading.header("direction"), texts, "unknown_direction", message)
    return read.values


def one_sided(reading: Reading) -> pl.DataFrame:
    """Transfers of a statement, with ``_reversal``; refused rows are still in it and marked in ``reading.taken``."""
    ts, precision = reading.times("ts")
    amount, flow, reversal = _flow(reading)
    frame = pl.DataFrame(
        {"ts": ts, "ts_precision_s": precision, "amount_fen": amount, "_out": flow, "_reversal": reversal}
    )
    side: dict[str, pl.Series] = {}
    for who in ("own", "other"):
        for name in ("account", "name", "id", "bank"):
            target = f"{who}_{name}"
            texts = reading.text(target)
            if target == "own_account" and reading.settings.own_account:
                texts = texts.fill_null(reading.settings.own_account)
            if name in ("account", "id"):
                reading.refuse(
                    cells.lost_digits(texts),
                    reading.header(target),
                    texts,
                    "digits_lost",
                    "被表格软件改成科学计数，位数已丢失",
                )
            side[target] = texts
        target = f"{who}_balance"
        texts = reading.text(target)
        side[target] = reading.money(target, cells.fen(texts, reading.unit(target)), texts)
    own = side["own_account"]
    reading.refuse(
        own.is_null(), reading.header("own_account"), own, "missing", "本方账号缺失，请用 --own-account 给出"
    )
    frame = frame.with_columns(**side)
    out = pl.col("_out")
    columns: dict[str, pl.Expr] = {}
    for name in ("account", "name", "id", "bank"):
        ours, theirs = pl.col(f"own_{name}"), pl.col(f"other_{name}")
        suffix = "" if name == "account" else f"_{name}"
        columns[f"payer{suffix}"] = pl.when(out).then(ours).otherwise(theirs)
        columns[f"payee{suffix}"] = pl.when(out).then(theirs).otherwise(ours)
    ours, theirs = pl.col("own_balance"), pl.col("other_balance")
    columns["payer_balance_fen"] = pl.when(out).then(ours).otherwise(theirs)
    columns["payee_balance_fen"] = pl.when(out).then(theirs).otherwise(ours)
    columns["side"] = pl.when(out).then(pl.lit("payer")).otherwise(pl.lit("payee"))
    frame = frame.with_columns(**columns).drop([c for c in side if c not in ("own_account", "own_balance")])
    more = {name: reading.text(name) for name in _PLAIN if reading.has(name)}
    frame = frame.with_columns(**more, **_odd_columns(reading))
    frame = frame.rename({"own_account": "_own", "own_balance": "_balance"})
    return frame.with_columns(raw=_raw(reading), _row=reading.row)


def _flow(reading: Reading) -> tuple[pl.Series, pl.Series, pl.Series]:
    """Amount (fen, not negative), whether money left the own account, whether the row undoes another."""
    worded = directions(reading) if "direction" in reading.sources else None
    parts: dict[str, pl.Series] = {}
    for target in ("amount", "amount_in", "amount_out"):
        texts = reading.text(target)
        parts[target] = reading.money(target, cells.fen(texts, reading.unit(target)), texts)
    into, outof = parts["amount_in"], parts["amount_out"]
    both = (into.fill_null(0) != 0) & (outof.fill_null(0) != 0)
    reading.refuse(
        both, reading.header("amount_out"), reading.text("amount_out"), "two_amounts", "收入与支出同时有金额"
    )
    frame = pl.DataFrame(
        {
            **parts,
            "word": worded if worded is not None else pl.repeat(None, reading.height, dtype=pl.String, eager=True),
        }
    )
    is_out = (pl.col("amount_out").fill_null(0) != 0) | (
        pl.col("amount_in").is_null() & pl.col("amount_out").is_not_null()
    )
    is_in = (pl.col("amount_in").is_not_null()) & ~is_out
    two = pl.when(is_out).then(pl.col("amount_out")).when(is_in).then(pl.col("amount_in"))
    frame = frame.with_columns(
        value=pl.coalesce(two, pl.col("amount")),
        by_column=pl.when(is_out).then(pl.lit("out")).when(is_in).then(pl.lit("in")),
    )
    # Without any direction column the sign is the direction.
    by_sign = pl.lit(None, pl.String)
    if worded is None:
        by_sign = pl.when(pl.col("value") < 0).then(pl.lit("out")).when(pl.col("value") >= 0).then(pl.lit("in"))
    frame = frame.with_columns(
        signed=pl.col("word").is_null() & pl.col("by_column").is_null(),
        direction=pl.coalesce("word", "by_column", by_sign),
    )
    amount, direction = frame.get_column("value"), frame.get_column("direction")
    fed = next((t for t in parts if t in reading.sources), "amount")
    reading.refuse(amount.is_null(), reading.header(fed), reading.text("amount"), "missing", "金额缺失")
    reading.refuse(
        direction.is_null(), reading.header("direction"), direction, "blank_direction", "方向为空，不能判断收付"
    )
    frame = frame.with_columns(negative=(pl.col("value") < 0) & ~pl.col("signed"))
    # Banks that write every payment out with a minus mean no reversal by it.
    outs = frame.filter(pl.col("direction") == "out")
    if outs.height and outs.get_column("negative").sum() * 2 > outs.height:
        frame = frame.with_columns(negative=pl.col("negative") & (pl.col("direction") != "out"))
    undone = _says_reversal(reading)
    out = (pl.col("direction") == "out") ^ pl.col("negative").fill_null(False)
    result = frame.select(
        amount=pl.col("value").abs(),
        out=out.fill_null(False),
        reversal=pl.col("negative").fill_null(False) | pl.lit(undone),
    )
    return result.get_column("amount"), result.get_column("out"), result.get_column("reversal")


def _says_reversal(reading: Reading) -> pl.Series:
    undoing = words()["reversal"]["words"]
    said = pl.repeat(False, reading.height, dtype=pl.Boolean, eager=True)
    for target in ("memo", "kind"):
        if target in reading.sources:
            said = said | reading.text(target).str.contains_any(undoing).fill_null(False)
    return said


def _odd_columns(reading: Reading) -> dict[str, pl.Series]:
    """Columns whose words stand for values."""
    out: dict[str, pl.Series] = {}
    if reading.has("ok"):
        texts = reading.text("ok")
        message = f"交易状态未登记，请在映射文件 {reading.mapping.name} 的 [values.ok] 中写明 true 或 false"
        out["ok"] = reading.take(cells.flags(texts, reading.word_table("ok")), "ok", texts, "unknown_value", message)
    if reading.has("cash"):
        out["cash"] = cells.flags(reading.text("cash"), reading.word_table("cash")).values
    if reading.has("currency"):
        texts = reading.text("currency")
        out["currency"] = cells.mapped(texts, reading.word_table("currency")).values.fill_null(texts.str.to_uppercase())
    if reading.has("channel"):
        out["channel"] = channels(reading)
    if reading.has("fee"):
        texts = reading.text("fee")
        out["fee_fen"] = reading.money("fee", cells.fen(texts, reading.unit("fee")), texts).abs()
    if reading.has("seq"):
        texts = reading.text("seq")
        out["seq"] = reading.take(cells.integers(texts), "seq", texts, "not_a_number", "序号不是整数")
    if reading.has("bank_ref"):
        texts = reading.text("bank_ref")
        # A reference that lost digits would make different rows one: it stays in raw only.
        out["bank_ref"] = texts.set(cells.lost_digits(texts), None)
    return out


def channels(reading: Reading) -> pl.Series:
    """Channel by exact words, then by what is found inside the words; null where nothing says."""
    if "channel" in reading.mapping.constants and "channel" not in reading.sources:
        return reading.text("channel")
    patterns = reading.mapping.patterns.get("channel", {}) | words()["channel_patterns"]
    exact = reading.word_table("channel")
    found = pl.repeat(None, reading.height, dtype=pl.String, eager=True)
    for source in reading.sources.get("channel", ()):
        if isinstance(source, int):
            texts = reading.frame.get_column(str(source))
            found = found.fill_null(cells.mapped(texts, exact).values).fill_null(cells.matched(texts, patterns))
    return found


def _raw(reading: Reading) -> pl.Series:
    """What no column of the table holds, as JSON: unmapped columns, second names, words not understood."""
    used: set[int] = set()
    for target, sources in reading.sources.items():
        if target not in ("kind", "channel"):
            first = sources[0]
            used.update(first[0] if isinstance(first, tuple) else [first])
    doubtful = ("cash", "bank_ref", "amount", "amount_in", "amount_out")
    for target in doubtful[:2]:
        for source in reading.sources.get(target, ())[:1]:
            if isinstance(source, int) and _not_understood(reading, target):
                used.discard(source)
    drop = set(reading.mapping.drop)
    left: dict[str, str] = {}
    seen: Counter[str] = Counter()
    for i, name in enumerate(reading.names):
        if i in used or name in drop:
            continue
        key = name.strip() or f"第{i + 1}列"
        seen[key] += 1
        left[str(i)] = key if seen[key] == 1 else f"{key}({seen[key]})"
    return cells.raw_json(reading.frame, left) if left else pl.repeat(None, reading.height, dtype=pl.String, eager=True)


def _not_understood(reading: Reading, target: str) -> bool:
    texts = reading.text(target)
    if target == "cash":
        return bool(cells.flags(texts, reading.word_table("cash")).bad.any())
    return bool(cells.lost_digits(texts).any())


def call_records(reading: Reading) -> pl.DataFrame:
    """Calls of one line's records, with ``_side`` (0: the line called, 1: it was called)."""
    ts, _ = reading.times("ts")
    frame = pl.DataFrame({"ts": ts})
    own, other = reading.text("own_line"), reading.text("other_line")
    caller, callee = reading.text("caller"), reading.text("callee")
    for target, texts in (("own_line", own), ("other_line", other)):
        reading.refuse(texts.is_null(), reading.header(target), texts, "missing", "号码缺失")
    direction = directions(reading) if "direction" in reading.sources else None
    word = direction if direction is not None else pl.repeat(None, reading.height, dtype=pl.String, eager=True)
    undecided = word.is_null() & (caller.is_null() | callee.is_null())
    reading.refuse(undecided, reading.header("direction"), word, "blank_direction", "呼叫类型为空，不能判断主叫被叫")
    calls = pl.DataFrame({"own": own, "other": other, "caller": caller, "callee": callee, "word": word})
    made = pl.col("word") == "caller"
    calls = calls.select(
        caller=pl.coalesce(pl.when(made).then("own").when(pl.col("word").is_not_null()).then("other"), "caller"),
        callee=pl.coalesce(pl.when(made).then("other").when(pl.col("word").is_not_null()).then("own"), "callee"),
        _side=pl.when(made).then(0).when(pl.col("word").is_not_null()).then(1).otherwise(-1).cast(pl.Int8),
    )
    frame = pl.concat([frame, calls], how="horizontal").with_columns(caller_raw="caller", callee_raw="callee")
    more: dict[str, pl.Series] = {}
    for target in ("imsi", "imei", "cell", "place", "forwarded_to", "line_type", "event_id"):
        if reading.has(target):
            more[target] = reading.text(target)
    if reading.has("duration_s"):
        texts = reading.text("duration_s")
        read = cells.seconds(texts, reading.unit("duration_s"))
        more["duration_s"] = reading.take(read, "duration_s", texts, "bad_duration", "通话时长无法识别")
    if reading.has("roaming"):
        more["roaming"] = cells.flags(reading.text("roaming"), reading.word_table("roaming", "bool")).values
    return frame.with_columns(**more).with_columns(_row=reading.row)
