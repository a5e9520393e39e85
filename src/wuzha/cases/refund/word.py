"""A4 pages of an official paper in Word: title, paragraphs, tables of label and text, the signature.

Kept true here: every paper that is saved ends with the sentence that a refund costs nothing and where to ask.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from .words import free

FONT = "宋体"


class Sheet:
    """A paper that is being written."""

    def __init__(self, title: str) -> None:
        import docx
        from docx.oxml.ns import qn
        from docx.shared import Cm, Pt

        self.file: Any = docx.Document()
        for section in self.file.sections:
            section.page_width, section.page_height = Cm(21), Cm(29.7)
            section.left_margin = section.right_margin = Cm(2.4)
        style = self.file.styles["Normal"]
        style.font.name, style.font.size = FONT, Pt(12)
        style.element.rPr.rFonts.set(qn("w:eastAsia"), FONT)
        self.title(title)

    def title(self, text: str, *, page: bool = False) -> None:
        """A title in the middle, on a page of its own where asked."""
        from docx.enum.text import WD_ALIGN_PARAGRAPH
        from docx.shared import Pt

        paragraph = self.file.add_paragraph()
        paragraph.paragraph_format.page_break_before = page
        paragraph.alignment = WD_ALIGN_PARAGRAPH.CENTER
        run = paragraph.add_run(text)
        run.bold, run.font.size = True, Pt(18)

    def say(self, text: str, *, bold: bool = False) -> None:
        """A paragraph."""
        self.file.add_paragraph().add_run(text).bold = bold

    def facts(self, rows: Sequence[tuple[str, str]]) -> None:
        """A table of label and text."""
        from docx.shared import Cm

        made = self.file.add_table(rows=0, cols=2)
        made.style = "Table Grid"
        for label, text in rows:
            left, right = made.add_row().cells
            left.width, right.width = Cm(3.8), Cm(12.4)
            left.text, right.text = label, text
        self.file.add_paragraph()

    def table(self, heads: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> None:
        """A table with a head; columns ``right`` are figures."""
        from docx.enum.text import WD_ALIGN_PARAGRAPH
        from docx.shared import Pt

        made = self.file.add_table(rows=1, cols=len(heads))
        made.style = "Table Grid"
        for cell, head in zip(made.rows[0].cells, heads, strict=True):
            cell.text = ""
            cell.paragraphs[0].add_run(head).bold = True
        for row in rows:
            for i, (cell, text) in enumerate(zip(made.add_row().cells, row, strict=True)):
                cell.text = text
                if i in right:
                    cell.paragraphs[0].alignment = WD_ALIGN_PARAGRAPH.RIGHT
        for row_ in made.rows:
            for cell in row_.cells:
                for paragraph in cell.paragraphs:
                    for run in paragraph.runs:
                        run.font.size = Pt(10)
        self.file.add_paragraph()

    def sign(self, text: str) -> None:
        """Who signs, on the right."""
        from docx.enum.text import WD_ALIGN_PARAGRAPH

        paragraph = self.file.add_paragraph(text)
        paragraph.alignment = WD_ALIGN_PARAGRAPH.RIGHT

    def done(self) -> bytes:
        """The file."""
        self.say(free(), bold=True)
        out = io.BytesIO()
        self.file.save(out)
        return out.getvalue()
