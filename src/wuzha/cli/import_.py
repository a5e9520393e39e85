"""``wuzha import``: files that people really get, to event tables."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from .output import JSON_OPTION, WITH_REJECTS, WRONG_USE, CommandError, asking, emit, finish, progress, say

if TYPE_CHECKING:
    from wuzha.ingest.grids import Grid
    from wuzha.ingest.mapping import Mapping

#: Where mappings that were learned are kept.
MAPPING_DIR = Path("~/.config/wuzha/mappings")

#: Directions as people say them.
_DIRECTION_WORDS = {
    "in": ("收入", "进"), "out": ("支出", "出"), "caller": ("主叫",), "callee": ("被叫",), "forwarded": ("呼转",),
}  # fmt: skip


class _Terminal:
    """The person at the terminal, asked once about what no mapping knows."""

    def direction(self, mapping: Mapping, word: str, samples: list[str]) -> str | None:
        from wuzha.ingest.cells import words
        from wuzha.ingest.mapping import DIRECTIONS

        meanings = DIRECTIONS[mapping.shape]
        shared = words()["direction" if mapping.shape == "one_sided" else "call_direction"]
        with asking():
            say(f"\n{mapping.zh}：不认识的方向 {word!r}。例：")
            for sample in samples:
                say(f"  {sample[:160]}")
            for number, meaning in enumerate(meanings, 1):
                say(f"  {number}. {_shown(meaning)}")
            say("  0. 不导入这些行")
            while True:
                answer = typer.prompt("它表示", err=True)
                chosen = _direction_of(answer, meanings, shared)
                if chosen == "":
                    return None
                if chosen is not None:
                    return chosen
                say(f"  没有 {answer.strip()!r}；请回答 0–{len(meanings)} 的编号或上面的词")

    def header(self, grid: Grid, row: int, proposal: str) -> str | None:
        from wuzha.ingest.guiding import draft, missing, propose, values_below
        from wuzha.ingest.mapping import MappingError, parse, targets

        tables, shape = _table_of(proposal)
        cells = [cell for cell in grid.head[row] if cell.strip()]
        values = {cell: values_below(grid, row, grid.head[row].index(cell)) for cell in cells}
        proposed = {cell: target for cell, (target, _) in propose(cells, tables, values).items()}
        allowed = targets(tables[0], shape)
        with asking():
            say(f"\n{grid.file} {grid.sheet}：表头没有登记过。逐列说明：回车接受建议，- 不用，? 列出名称。")
            chosen = _columns_told(cells, values, proposed, allowed)
            while wanted := missing(tables, chosen.values()):
                say(f"还缺：{'；'.join(' 或 '.join(group) for group in wanted)}。再问其余的列；都答 - 则不导入这张表")
                left = [cell for cell in cells if cell not in chosen] or cells
                told = _columns_told(left, values, {}, allowed)
                if not told:
                    return None
                chosen |= told
        text = draft(grid, row, tables, chosen)
        try:
            parse(text, "mapping")
        except MappingError as error:
            say(f"这样还不能用：{error}")
            return None
        return text


def _columns_told(
    cells: list[str], values: dict[str, list[str]], proposed: dict[str, str], allowed: tuple[str, ...]
) -> dict[str, str]:
    """The target of each header cell that the person gives one."""
    chosen: dict[str, str] = {}
    for cell in cells:
        say(f"  {cell}    例：{'、'.join(values[cell])[:100]}")
        while True:
            answer = typer.prompt("    是", default=proposed.get(cell, "-"), err=True).strip()
            if answer == "?":
                say("    " + ", ".join(allowed))
            elif answer == "-" or answer in allowed:
                break
            else:
                say(f"    没有 {answer!r}；? 列出可用的名称")
        if answer != "-":
            chosen[cell] = answer
    return chosen


def _shown(meaning: str) -> str:
    first, *more = _DIRECTION_WORDS[meaning]
    return f"{first}（{'、'.join(more)}）" if more else first


def _direction_of(answer: str, meanings: tuple[str, ...], shared: dict[str, str]) -> str | None:
    """What an answer says: one of ``meanings``, "" for leaving the rows out, None where it is no answer."""
    from wuzha.ingest.cells import bare_word

    known = {bare_word(word): meaning for word, meaning in shared.items() if meaning in meanings}
    for number, meaning in enumerate(meanings, 1):
        said = (str(number), f"{number}.", meaning, _shown(meaning), *_DIRECTION_WORDS[meaning])
        known |= {bare_word(word): meaning for word in said}
    known |= {"0": "", "0.": "", bare_word("不导入"): "", bare_word("不导入这些行"): ""}
    return known.get(bare_word(answer))


def _table_of(proposal: str) -> tuple[tuple[str, ...], str]:
    import tomllib

    raw = tomllib.loads(proposal)
    shape = raw.get("shape", "rows")
    return ((raw["table"], "persons") if shape == "one_sided" else (raw["table"],)), shape


def register(app: typer.Typer) -> None:
    """Add ``import`` to the root command."""

    @app.command("import")
    def import_(
        kind: str = typer.Argument(
            ..., metavar="statements|TABLE", help="Bank statements, or the table that the rows are."
        ),
        files: list[Path] = typer.Argument(..., metavar="FILE…", help="Files, folders, zip or gz archives."),
        out: Path = typer.Option(..., "--out", help="Folder for TABLE.parquet, rejects.parquet and rejects.xlsx."),
        mapping: Path | None = typer.Option(None, "--mapping", help="A mapping file for layouts of your own."),
        mapping_dir: Path = typer.Option(
            MAPPING_DIR, "--mapping-dir", help="Folder of your mappings, where answers are kept."
        ),
        source: str | None = typer.Option(None, "--source", help="The sender's name, for rows that name none."),
        own_account: str | None = typer.Option(
            None, "--own-account", help="Whose statement it is, where the file does not say."
        ),
        as_of: str | None = typer.Option(
            None, "--as-of", help="The day that undated register rows are of (else when their file was last changed)."
        ),
        basis: str | None = typer.Option(
            None, "--basis", help="The ground: warning, case_query, consent, own_report, open_data or holder_own."
        ),
        basis_ref: str | None = typer.Option(None, "--basis-ref", help="The basis's document number."),
        basis_until: str | None = typer.Option(None, "--basis-until", help="The day on which the basis ends."),
        places: bool = typer.Option(False, "--places", help="Also write places.parquet: file, sheet and row of each."),
        as_json: bool = JSON_OPTION,
    ) -> None:
        """Read files into event tables; what cannot be read goes to rejects, with its place and reason."""
        from wuzha.ingest import ImportFailed, MappingError, WrongUse, import_files, total_bytes
        from wuzha.ingest.times import parse_time

        try:
            when = parse_time(as_of)[0] if as_of else None
        except ValueError as error:
            say(f"wuzha: --as-of {as_of!r} 不是日期")
            raise typer.Exit(WRONG_USE) from error
        can_ask = not as_json and sys.stdin.isatty() and sys.stderr.isatty()
        try:
            present = [f for f in files if f.exists()]
            with progress("导入", total=total_bytes(present) or None) as advance:

                def begun(name: str, size: int) -> None:
                    if size > 50_000_000:
                        say(f"读 {name}（{size / 1e6:.0f} MB）")
                    advance(size)

                summary = import_files(
                    kind, files, out, source=source, as_of=when, mapping=mapping,
                    mapping_dir=mapping_dir.expanduser(), own_account=own_account, basis=basis, basis_ref=basis_ref,
                    basis_until=basis_until, places=places, guide=_Terminal() if can_ask else None, progress=begun,
                )  # fmt: skip
        except WrongUse as error:
            say(f"wuzha: {error}")
            finish(WRONG_USE)
        except MappingError as error:
            say(f"wuzha: 映射文件有误：{error}")
            finish(WRONG_USE)
        except ImportFailed as error:
            raise CommandError(str(error)) from error
        for note in summary.notes:
            say(note)
        emit(summary.as_json(), as_json=as_json)
        if summary.beside:
            say(f"{summary.beside} 行附带的他表记录未写，原因见 {out / 'rejects.xlsx'}")
        if summary.rejected:
            say(f"{summary.rejected} 行未导入，原因见 {out / 'rejects.xlsx'}")
        if summary.rejected or summary.beside:
            finish(WITH_REJECTS)
