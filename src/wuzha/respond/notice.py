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


class _Paper:
    """A Word file in the making: A4, one face, titles, paragraphs and tables of two columns."""

    def __init__(self) -> None:
        import docx as word
        from docx.oxml.ns import qn
        from docx.shared import Cm, Pt

        self.file = word.Document()
        for section in self.file.sections:
            section.page_width, section.page_height = Cm(21), Cm(29.7)
            section.left_margin = section.right_margin = Cm(2.6)
        style = self.file.styles["Normal"]
        style.font.name, style.font.size = FONT, Pt(12)
        style.element.rPr.rFonts.set(qn("w:eastAsia"), FONT)

    def title(self, text: str, *, page: bool = False) -> None:
        from docx.enum.text import WD_ALIGN_PARAGRAPH
        from docx.shared import Pt

        paragraph = self.file.add_paragraph()
        paragraph.paragraph_format.page_break_before = page
        paragraph.alignment = WD_ALIGN_PARAGRAPH.CENTER
        run = paragraph.add_run(text)
        run.bold, run.font.size = True, Pt(18)

    def words(self, text: str, *, right: bool = False) -> None:
        from docx.enum.text import WD_ALIGN_PARAGRAPH

        paragraph = self.file.add_paragraph(text)
        if right:
            paragraph.alignment = WD_ALIGN_PARAGRAPH.RIGHT

    def table(self, rows: list[tuple[str, str]], height: float = 0.0) -> None:
        from docx.shared import Cm

        made = self.file.add_table(rows=0, cols=2)
        made.style = "Table Grid"
        for label, text in rows:
            row = made.add_row()
            if height:
                row.height = Cm(height)
            left, right = row.cells
            left.width, right.width = Cm(3.6), Cm(12.2)
            left.text, right.text = label, text
        self.file.add_paragraph()

    def blanks(self, labels: tuple[str, ...], known: dict[str, str] | None = None) -> None:
        self.table([(label, (known or {}).get(label, "")) for label in labels], 1.1)

    def bytes(self) -> bytes:
        out = io.BytesIO()
        self.file.save(out)
        return out.getvalue()


def docx(measure: dict[str, Any]) -> bytes:
    """The notice of a decided measure, for the person. Refused("measure_state") before the decision."""
    if measure["approved_at"] is None:
        raise Refused("measure_state")
    law = law_of(measure["law_from"])
    words = law.notice
    unit = measure["unit_name"] or ""
    paper = _Paper()
    paper.title(words.title)
    paper.words(words.opening)
    paper.table(facts(measure, law))
    paper.words(words.term)
    if law.basis[measure["basis"]].revocable:
        paper.words(words.consent)
    paper.words(f"救济途径（{words.remedy_law}）：{words.remedy.format(unit=unit)}")
    paper.words("申请解除所需材料：" + "；".join(words.documents) + "。")
    paper.words(f"{unit}（盖章）\n{_time(measure['approved_at'])}", right=True)
    paper.title(words.form_title, page=True)
    paper.blanks(words.form_fields, {"告知书编号": number(measure)})
    paper.blanks(words.answer_fields)
    paper.title(words.receipt_title)
    paper.blanks(words.receipt_fields)
    return paper.bytes()


def order(measure: dict[str, Any]) -> bytes:
    """What a bank or carrier is asked to do, to be entered in the channel that exists: what, until when, and what must
    be left to the person. Refused("measure_state") before the decision, and of the person's own act."""
    if measure["approved_at"] is None or not law_of(measure["law_from"]).basis[measure["basis"]].sends:
        raise Refused("measure_state")
    law = law_of(measure["law_from"])
    kind, words = law.kind[measure["kind"]], law.order
    shown = ("告知书编号", "受告知人", "措施", "对象", "依据", "期限", "决定人", "经办人")
    rows = [
        (label.replace("受告知人", "户名（使用人）"), text) for label, text in facts(measure, law) if label in shown
    ]
    if kind.money:
        rows.append(("必须保留", words.living.format(living=living(measure))))
    if kind.reaches:
        rows.append(("必须可拨", words.reaches.format(numbers="、".join(kind.reaches))))
    paper = _Paper()
    paper.title(words.title)
    paper.words(f"{words.to_bank if kind.to == 'bank' else words.to_carrier}：")
    paper.words(words.opening)
    paper.table(rows)
    paper.words(words.term)
    paper.words(f"{measure['unit_name'] or ''}（盖章）\n{_time(measure['approved_at'])}", right=True)
    paper.title(words.receipt_title)
    paper.blanks(words.receipt_fields)
    return paper.bytes()
