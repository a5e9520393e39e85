"""The written notice of a sealed order, as a Word file, with the acknowledgement that the bank sends back.

Kept true here: no notice is written of what nobody has sealed; it names account, amount, term and scope, the law, who
approved and who sealed it, and how the holder objects.
"""

from __future__ import annotations

import io
from datetime import datetime
from typing import Any

from wuzha.command.public import Refused
from wuzha.events import clock, money

from .law import law_of

FONT = "宋体"
#: What the bank fills in and sends back.
RECEIPT = ("办理结果", "实际金额（元）", "办理时间", "账户余额（元）", "未办理的原因", "经办人（盖章）")


def number(order: dict[str, Any]) -> str:
    """The notice's number: unit, year, running number."""
    year = order["sealed_at"].astimezone(clock.zone()).year
    return f"{order['unit_code'] or ''}资〔{year}〕{order['order_id']}号"


def _time(at: datetime) -> str:
    local = at.astimezone(clock.zone())
    return f"{local.year}年{local.month}月{local.day}日{local.hour}时{local.minute:02d}分"


def facts(order: dict[str, Any]) -> list[tuple[str, str]]:
    """What the notice states, as label and text."""
    table = law_of(order["law_from"])
    kind = table.kind[order["kind"]]
    rows = [
        ("文书编号", number(order)), ("案件编号", order["case_no"]), ("措施", kind.zh), ("法律依据", kind.law_zh),
        ("户名", order["holder"] or "（以账号为准）"), ("账号", order["account"]), ("开户行", order["bank"] or ""),
    ]  # fmt: skip
    if order["transfer_at"] is not None:
        rows.append(("涉案交易", f"{_time(order['transfer_at'])}转入，{money.yuan(order['transfer_fen'] or 0)} 元"))
    if order["kind"] in ("stop", "freeze"):
        amount = order["amount_fen"]
        rows.append(("金额", f"限额 {money.yuan(amount)} 元" if amount is not None else f"全额：{order['whole_why']}"))
        rows.append(("范围", "只收不付；不影响限额以外资金" if amount is not None else "只收不付"))
        term = (
            f"{table.stop_hours} 小时，自执行之时起"
            if order["kind"] == "stop"
            else f"{order['months']} 个月，自执行之日起"
        )
        rows.append(("期限", f"{term}；期满未续的自动解除"))
        rows.append(("孳息", "限额内资金所生孳息一并计入"))
    rows.append(("理由", order["reason"]))
    if order["approver"]:
        rows.append(("批准人", order["approver"]))
    rows.append(("签发人", order["sealer"] or ""))
    return rows


def docx(order: dict[str, Any]) -> bytes:
    """The notice of a sealed order. Refused("order_not_now") of one that nobody has sealed."""
    if order["sealed_at"] is None:
        raise Refused("order_not_now")
    import docx as word
    from docx.enum.text import WD_ALIGN_PARAGRAPH
    from docx.oxml.ns import qn
    from docx.shared import Cm, Pt

    in_force = law_of(order["law_from"])
    kind = in_force.kind[order["kind"]]
    file = word.Document()
    for section in file.sections:
        section.page_width, section.page_height = Cm(21), Cm(29.7)
        section.left_margin = section.right_margin = Cm(2.6)
    style = file.styles["Normal"]
    style.font.name, style.font.size = FONT, Pt(12)
    style.element.rPr.rFonts.set(qn("w:eastAsia"), FONT)

    def title(text: str, *, page: bool = False) -> None:
        paragraph = file.add_paragraph()
        paragraph.paragraph_format.page_break_before = page
        paragraph.alignment = WD_ALIGN_PARAGRAPH.CENTER
        run = paragraph.add_run(text)
        run.bold, run.font.size = True, Pt(18)

    def table(rows: list[tuple[str, str]]) -> None:
        made = file.add_table(rows=0, cols=2)
        made.style = "Table Grid"
        for label, text in rows:
            left, right = made.add_row().cells
            left.width, right.width = Cm(3.6), Cm(12.2)
            left.text, right.text = label, text
        file.add_paragraph()

    title(kind.notice)
    file.add_paragraph(f"{order['bank'] or '有关银行、支付机构'}：")
    file.add_paragraph("请依法协助办理下列事项；户名、账号、汇款金额、交易时间有一项不符的，不得办理，并即时反馈。")
    table(facts(order))
    file.add_paragraph(f"账户持有人对措施有异议的，可向本机关申诉，本机关{in_force.complaint_days}日内书面答复。")
    sign = file.add_paragraph(f"{order['unit_name'] or ''}（盖章）\n{_time(order['sealed_at'])}")
    sign.alignment = WD_ALIGN_PARAGRAPH.RIGHT
    title("回执", page=True)
    table(
        [("文书编号", number(order))]
        + [
            (label, "")
            for label in ("办理结果", "实际金额（元）", "办理时间", "账户余额（元）", "未办理的原因", "经办人（盖章）")
        ]
    )
    out = io.BytesIO()
    file.save(out)
    return out.getvalue()
