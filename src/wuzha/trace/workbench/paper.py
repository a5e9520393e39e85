"""The report on money, as a Word file: what was read, each account's card, fast in and out, what is shared, the flow.

Kept true here: every statement has a number and names the file, sheet and rows that it rests on; what was not read is
in it; the report says of its grades where they come from, and that they prove nothing by themselves.
"""

from __future__ import annotations

import io
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from importlib.resources import files
from typing import Any

from wuzha.events.money import yuan
from wuzha.trace.follow import Result

from .books import Books
from .card import Card, Measure, card
from .passing import passings
from .shared import shared
from .thresholds import Thresholds

FONT = "宋体"
#: Accounts with a card in the report; the table of accounts names all.
MOST_CARDS = 30
_KINDS = {"ip": "IP 地址", "mac": "MAC 地址", "device": "设备"}
_STATES = {"active": "正常", "dormant": "久悬", "limited": "限额", "suspended": "已止付", "closed": "已销户"}
_EXITS = {
    "cash": "取现", "merchant": "商户消费", "third_party": "第三方支付", "crypto": "虚拟货币", "fee": "手续费",
    "hub": "大户（停止追踪）", "unknown": "去向不明",
}  # fmt: skip


@lru_cache(maxsize=1)
def words() -> dict[str, Any]:
    """Names and sentences of the figures."""
    return tomllib.loads((files(__package__) / "words.toml").read_text("utf-8"))


def says(measure: Measure, language: str = "zh") -> str:
    """A measure's sentence."""
    if measure.value is None:
        return str(words()["unknown"]["says"][language])
    told = dict(measure.told)
    if "names" in told:
        told["names"] = "、".join(told["names"])
    if "unit_fen" in told:
        told["unit"] = f"{told['unit_fen'] // 100:,}"
    return str(words()[measure.code]["says"][language].format(value=f"{measure.value:.1f}", **told))


def duration(seconds: float) -> str:
    """``6分41秒``, ``2小时05分``."""
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}分{whole % 60:02d}秒"
    return f"{whole // 3600}小时{whole % 3600 // 60:02d}分"


@dataclass(frozen=True, kw_only=True)
class Read:
    """What was read of one file: rows, those taken, those refused."""

    file: str
    rows: int
    taken: int
    refused: int
    why: str = ""


@dataclass(kw_only=True)
class _Paper:
    books: Books
    statements: list[tuple[int, Sequence[int]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        import docx as word
        from docx.oxml.ns import qn
        from docx.shared import Cm, Pt

        self.file = word.Document()
        for section in self.file.sections:
            section.page_width, section.page_height = Cm(21), Cm(29.7)
            section.left_margin = section.right_margin = Cm(2.2)
            section.top_margin = section.bottom_margin = Cm(2.2)
        for name in ("Normal", "Heading 1", "Heading 2"):
            style = self.file.styles[name]
            style.font.name = FONT
            style.element.get_or_add_rPr().get_or_add_rFonts().set(qn("w:eastAsia"), FONT)
        self.file.styles["Normal"].font.size = Pt(10.5)

    def title(self, text: str) -> None:
        from docx.enum.text import WD_ALIGN_PARAGRAPH
        from docx.shared import Pt

        paragraph = self.file.add_paragraph()
        paragraph.alignment = WD_ALIGN_PARAGRAPH.CENTER
        run = paragraph.add_run(_plain(text))
        run.bold, run.font.size = True, Pt(18)

    def head(self, text: str, level: int = 1) -> None:
        self.file.add_heading(_plain(text), level)

    def words(self, text: str) -> None:
        self.file.add_paragraph(_plain(text))

    def state(self, text: str, rows: Iterable[int]) -> int:
        """A statement with its number; its rows stand in the last part."""
        cited = sorted(set(rows))
        number = len(self.statements) + 1
        self.statements.append((number, cited))
        self.file.add_paragraph(_plain(f"{text}〔{number}〕"))
        return number

    def cite(self, rows: Iterable[int]) -> str:
        """The number of rows that a table's line rests on."""
        number = len(self.statements) + 1
        self.statements.append((number, sorted(set(rows))))
        return f"〔{number}〕"

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[float] = ()) -> None:
        from docx.shared import Cm, Pt

        made = self.file.add_table(rows=1, cols=len(head))
        made.style = "Table Grid"
        lines = [list(head), *rows]
        for line in lines[1:]:
            assert len(line) == len(head)
            made.add_row()
        for r, line in enumerate(lines):
            for c, cell in enumerate(made.rows[r].cells):
                cell.text = ""
                run = cell.paragraphs[0].add_run(_plain(line[c]))
                run.font.size, run.bold = Pt(9), r == 0
                if widths:
                    cell.width = Cm(widths[c])
        self.file.add_paragraph()

    def bytes(self) -> bytes:
        out = io.BytesIO()
        self.file.save(out)
        return out.getvalue()


def _plain(text: str) -> str:
    """Text that a Word file may hold."""
    return "".join(ch if ch >= " " or ch in "\t\n" else "␀" for ch in text)


def _at(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def report(
    books: Books, thresholds: Thresholds, *, read: Sequence[Read] = (), title: str = "资金分析报告",
    why: str = "", made: datetime | None = None, traces: Sequence[Result] = (),
) -> bytes:  # fmt: skip
    """The report. ``read``: what was read of each file; ``why``: the case number or purpose; ``traces``: money followed
    from chosen transfers."""
    paper = _Paper(books=books)
    paper.title(title)
    told = [f"案件编号或用途：{why}" if why else "", f"生成时间：{_at(made)}" if made else ""]
    for line in filter(None, told):
        paper.words(line)
    paper.words(
        "本报告由程序依所附流水算出；每一条陈述后的〔序号〕指向末尾“依据”中的文件与行。"
        "分级按公开的参考阈值，只提示异常，不是结论，不能单独作为认定事实的依据。"
    )
    _files(paper, read)
    accounts = _accounts(paper)
    _fast(paper, thresholds)
    _shared(paper, thresholds)
    for account in accounts[:MOST_CARDS]:
        _card(paper, card(books, account, thresholds))
    if len(accounts) > MOST_CARDS:
        paper.words(f"另有 {len(accounts) - MOST_CARDS} 个账户只列在账户表中，没有单独成节。")
    for result in traces:
        _flow(paper, result)
    paper.head("依据")
    for number, rows in paper.statements:
        cites = "；".join(str(c) for c in books.cites.of(rows)) or "—"
        paper.words(f"〔{number}〕{cites}（{len(rows)} 笔）")
    return paper.bytes()


def _files(paper: _Paper, read: Sequence[Read]) -> None:
    paper.head("读入的文件")
    if read:
        paper.table(
            ("文件", "行", "读入", "未读入", "说明"),
            [(r.file, f"{r.rows:,}", f"{r.taken:,}", f"{r.refused:,}", r.why) for r in read], (6.6, 2, 2, 2, 4),
        )  # fmt: skip
    why = {"failed": "交易未成功", "currency": "外币", "itself": "转给自己", "nothing": "两边账户都没有",
           "joined": "与另一份文件的同一笔合并", "reversed": "冲正与被冲的一对"}  # fmt: skip
    left = "、".join(f"{why.get(name, name)} {n} 笔" for name, n in sorted(paper.books.left_out.items()))
    paper.words(f"读入转账 {paper.books.transfers.height:,} 笔" + (f"；不计入的：{left}。" if left else "。"))


def _accounts(paper: _Paper) -> list[str]:
    books = paper.books
    paper.head("账户")
    rows = []
    for a in books.accounts.iter_rows(named=True):
        cited = books.of(a["account"]).get_column("i").to_list()
        rows.append((a["account"], a["name"] or "—", f"{a['entries']:,}", yuan(a["in_fen"]), yuan(a["out_fen"]),
                     f"{a['first']:%Y-%m-%d} 至 {a['last']:%Y-%m-%d}", paper.cite(cited)))  # fmt: skip
    paper.table(("账户", "户名", "笔数", "收入（元）", "支出（元）", "起止", "依据"), rows,
                (4, 2.2, 1.4, 2.6, 2.6, 2.6, 1.4))  # fmt: skip
    return [r[0] for r in rows]


def _fast(paper: _Paper, thresholds: Thresholds) -> None:
    fast = thresholds["fast"]
    paper.head("快进快出")
    found = passings(paper.books, thresholds)
    if not found:
        paper.words(f"没有 {fast['minutes']:g} 分钟内进出 {fast['yuan']:,.0f} 元以上的。")
        return
    paper.words(f"{fast['minutes']:g} 分钟内进出 {fast['yuan']:,.0f} 元以上的，按金额排列：")
    paper.table(
        ("账户", "开始", "收", "收入（元）", "转出（元）", "历时", "去向", "依据"),
        [
            (p.account, _at(p.begin), f"{len(p.ins)}→{len(p.outs)} 笔", yuan(p.in_fen), yuan(p.out_fen),
             duration(p.seconds), "、".join(p.to[:3]) + (f" 等 {len(p.to)} 个" if len(p.to) > 3 else ""),
             paper.cite((*p.ins, *p.outs)))
            for p in found
        ],
        (3.2, 2.4, 1.5, 2.2, 2.2, 1.5, 2.6, 1.2),
    )  # fmt: skip


def _shared(paper: _Paper, thresholds: Thresholds) -> None:
    paper.head("共用 IP、MAC、设备的账户")
    groups = shared(paper.books, thresholds)
    if not groups:
        paper.words("没有。")
    for number, group in enumerate(groups, 1):
        paper.words(f"第 {number} 组，{len(group.accounts)} 个账户：{'、'.join(group.accounts)}")
        for link in group.links:
            paper.state(f"{_KINDS[link.kind]} {link.value} 被 {len(link.accounts)} 个账户用于付款", link.rows)


def _card(paper: _Paper, c: Card) -> None:
    holder = c.register["name"] or "户名不详"
    paper.head(f"账户 {c.account}（{holder}）", 1)
    state = _STATES.get(c.register["status"], c.register["status"])
    known = [f"开户行 {c.register['bank']}" if c.register["bank"] else "",
             f"开户 {c.register['opened']:%Y-%m-%d}" if c.register["opened"] else "",
             f"状态 {state}" if state else ""]  # fmt: skip
    if any(known):
        paper.words("，".join(k for k in known if k) + "。")
    paper.state(
        f"{_at(c.first)} 至 {_at(c.last)}，{c.days} 天有流水：收入 {c.n_in} 笔 {yuan(c.in_fen)} 元，"
        f"支出 {c.n_out} 笔 {yuan(c.out_fen)} 元"
        + (f"，末次余额 {yuan(c.balance_last)} 元。" if c.balance_last is not None else "。"),
        c.rows,
    )  # fmt: skip
    if c.opened_days is not None:
        paper.state(f"开户后 {c.opened_days} 天首次使用（开户日见 {c.register['where'] or '账户信息'}）。", c.rows[:1])
    if c.largest_in is not None:
        paper.state(
            f"最大一笔收入 {yuan(c.largest_in['fen'])} 元，{_at(c.largest_in['local'])}，来自 "
            f"{c.largest_in['other'] or c.largest_in['other_name'] or '现金'}。", [c.largest_in["i"]],
        )  # fmt: skip
    if c.passed_fen and c.median_s is not None:
        cited = [i for p in c.passings for i in (*p.ins, *p.outs)]
        cited = cited or [i for m in c.measures if m.code == "fast_days" for i in m.rows]
        paper.state(f"收入中有 {yuan(c.passed_fen)} 元很快转出，中位停留 {duration(c.median_s)}。", cited)
    busy = sorted((h for h in c.hours if h["in"] + h["out"]), key=lambda h: -(h["in"] + h["out"]))[:3]
    if busy:
        paper.state(
            "笔数最多的钟点：" + "、".join(f"{h['at']} 时 {h['in'] + h['out']} 笔" for h in busy) + "。", c.rows
        )
    paper.table(
        ("指标", "陈述", "分级", "依据"),
        [
            (words()[m.code]["zh"], says(m), words()[m.grade]["zh"] if m.grade else "—",
             paper.cite(m.rows) if m.rows and m.value is not None else "—")
            for m in c.measures
        ],
        (3, 9, 2.2, 1.8),
    )  # fmt: skip
    paper.table(
        ("主要对手", "户名", "笔数", "收自（元）", "付给（元）", "依据"),
        [
            (o["other"] or "—", o["name"] or "—", str(o["n"]), yuan(o["in_fen"]), yuan(o["out_fen"]),
             paper.cite(o["rows"]))
            for o in c.others[:10]
        ],
        (4.6, 3, 1.4, 3, 3, 1.6),
    )  # fmt: skip


def _flow(paper: _Paper, result: Result) -> None:
    theft = result.thefts[0]
    paper.head(f"资金去向：{theft['account'].removeprefix('account:')} {yuan(theft['amount_fen'])} 元")
    t = result.totals
    by_id = {
        (s, e): i for i, (s, e) in enumerate(paper.books.transfers.select("source", "event_id").iter_rows())
    }  # fmt: skip
    cited = [by_id[e["source"], e["event_id"]] for e in result.edges if (e["source"], e["event_id"]) in by_id]
    paper.state(
        f"自 {theft['at']} 起，按 {result.policy} 规则：被骗 {yuan(t['stolen_fen'])} 元 = "
        f"现存 {yuan(t['held_fen'])} 元 + 已离开 {yuan(t['exited_fen'])} 元 + 去向不明 {yuan(t['unknown_fen'])} 元。",
        cited,
    )  # fmt: skip
    for note in result.notes:
        paper.words(note)
    own: dict[str, list[int]] = {}
    for e in result.edges:
        i = by_id.get((e["source"], e["event_id"]))
        for account in (e["payer"], e["payee"]):
            if i is not None and account is not None:
                own.setdefault(account, []).append(i)
    paper.table(
        ("层级", "账户", "收到（元）", "转出（元）", "现存（元）", "最少至最多（元）", "依据"),
        [
            (str(a["level"]), a["account"].removeprefix("account:"), yuan(a["received_fen"]), yuan(a["sent_fen"]),
             yuan(a["held_fen"]), f"{yuan(a['held_low_fen'])} 至 {yuan(a['held_high_fen'])}",
             paper.cite(own.get(a["account"], [])))
            for a in result.accounts
        ],
        (1.2, 4.4, 2.4, 2.4, 2.4, 2.6, 1.4),
    )  # fmt: skip
    if result.exits:
        paper.table(
            ("出口", "账户", "金额（元）"),
            [(_EXITS[x["kind"]], x["account"].removeprefix("account:"), yuan(x["amount_fen"])) for x in result.exits],
        )
