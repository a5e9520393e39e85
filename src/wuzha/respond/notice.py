"""The notice of a measure, as a Word file: law, reason, from and to, living amount, remedy, documents, release form.

Kept true here: no notice is written of what nobody has decided; each says how the person gets out of it.
"""

from __future__ import annotations

import io
from datetime import datetime
from typing import Any

from wuzha.command.public import Refused
from wuzha.events import clock, money

from .measure_law import Law, law_of

FONT = "宋体"


def number(measure: dict[str, Any]) -> str:
    """The notice's number: unit, year, running number."""
    year = measure["approved_at"].astimezone(clock.zone()).year
    return f"{measure['unit_code'] or ''}护〔{year}〕{measure['measure_id']}号"


def _time(at: datetime) -> str:
    local = at.astimezone(clock.zone())
    return f"{local.year}年{local.month}月{local.day}日{local.hour}时{local.minute:02d}分"


def living(measure: dict[str, Any]) -> str:
    """``每日 500.00 元``; empty where the measure touches no money."""
    if not measure["living_fen"]:
        return ""
    return f"{'每日' if measure['living_per'] == 'day' else '期间共'} {money.yuan(measure['living_fen'])} 元"


def facts(measure: dict[str, Any], law: Law) -> list[tuple[str, str]]:
    """What the notice states, as label and text; ``measure`` is a row of `measure_list.one`."""
    kind, basis = law.kind[measure["kind"]], law.basis[measure["basis"]]
    hours = (measure["ends_at"] - measure["approved_at"]).total_seconds() / 3600
    rows = [
        ("告知书编号", number(measure)),
        ("受告知人", measure["person_name"] or "本号码（账户）使用人"),
        ("措施", kind.zh),
        ("对象", measure["target"].removeprefix("+86")),
        ("依据", f"{basis.zh}。{basis.law_zh}"),
        ("理由", measure["reason"]),
        ("期限", f"{_time(measure['approved_at'])}起至{_time(measure['ends_at'])}止，共 {hours:g} 小时"),
    ]
    if measure["decisions"] > 1:
        rows.append(("累计", f"本次为第 {measure['decisions']} 次决定，此前已累计执行 {measure['days']:.1f} 天"))
    if kind.money:
        rows.append(("保留生活费", law.notice.living.format(living=living(measure))))
    if kind.reaches:
        rows.append(("保留通信", law.notice.reaches.format(numbers="、".join(kind.reaches))))
    rows += [
        ("决定人", measure["approver"] or "（以本人意愿或机构依法处置为依据，无须公安机关审批）"),
        ("经办人", measure["requester"] or ""),
    ]
    return rows


def docx(measure: dict[str, Any]) -> bytes:
    """The notice of a decided measure. Refused("measure_state") before the decision."""
    if measure["approved_at"] is None:
        raise Refused("measure_state")
    import docx as word
    from docx.enum.text import WD_ALIGN_PARAGRAPH
    from docx.oxml.ns import qn
    from docx.shared import Cm, Pt

    law = law_of(measure["law_from"])
    words = law.notice
    basis = law.basis[measure["basis"]]
    file = word.Document()
    for section in file.sections:
        section.page_width, section.page_height = Cm(21), Cm(29.7)
        section.left_margin = section.right_margin = Cm(2.6)
    style = file.styles["Normal"]
    style.font.name, style.font.size = FONT, Pt(12)
    style.element.rPr.rFonts.set(qn("w:eastAsia"), FONT)

    def title(text: str) -> None:
        paragraph = file.add_paragraph()
        paragraph.alignment = WD_ALIGN_PARAGRAPH.CENTER
        run = paragraph.add_run(text)
        run.bold, run.font.size = True, Pt(18)

    def table(rows: list[tuple[str, str]], height: float = 0.0) -> None:
        made = file.add_table(rows=0, cols=2)
        made.style = "Table Grid"
        for label, text in rows:
            row = made.add_row()
            if height:
                row.height = Cm(height)
            left, right = row.cells
            left.width, right.width = Cm(3.6), Cm(12.2)
            left.text, right.text = label, text
        file.add_paragraph()

    title(words.title)
    file.add_paragraph(words.opening)
    table(facts(measure, law))
    file.add_paragraph(words.term)
    if basis.revocable:
        file.add_paragraph(words.consent)
    file.add_paragraph(f"救济途径（{words.remedy_law}）：{words.remedy.format(unit=measure['unit_name'] or '')}")
    file.add_paragraph("申请解除所需材料：" + "；".join(words.documents) + "。")
    closing = file.add_paragraph(f"{measure['unit_name'] or ''}（盖章）\n{_time(measure['approved_at'])}")
    closing.alignment = WD_ALIGN_PARAGRAPH.RIGHT
    file.add_paragraph().paragraph_format.page_break_before = True
    title(words.form_title)
    table([(label, number(measure) if "编号" in label else "") for label in words.form_fields], 1.1)
    table([(label, "") for label in words.answer_fields], 1.1)
    title(words.receipt_title)
    table([(label, "") for label in words.receipt_fields], 1.1)
    out = io.BytesIO()
    file.save(out)
    return out.getvalue()
