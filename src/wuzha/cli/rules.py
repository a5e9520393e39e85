"""``wuzha rules``: list, check, compare and backtest rules, of files or of a deployment; the acts on them stand in
`rules_acts`. A mistake is shown at file, line and column."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from .clusters import DASK_OPTION, cluster
from .deployment import DATA_OPTION, database, settings_of
from .output import FAILED, JSON_OPTION, WRONG_USE, CommandError, emit, finish, progress, say
from .rules_acts import acts
from .rules_features import register as features

if TYPE_CHECKING:
    from wuzha.detect import RuleBook
    from wuzha.detect.backtest import Truth
    from wuzha.detect.drafts import Draft

_BESIDE = typer.Option(None, "--rules", help="Folder of rules that it stands beside; default: the shipped.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    rules = typer.Typer(no_args_is_help=True, help="Rules: list, check, compare, backtest, promote, snooze, retire.")
    app.add_typer(rules, name="rules")
    rules.command("list")(list_)
    rules.command()(text)
    rules.command()(check)
    rules.command()(diff)
    rules.command()(backtest)
    acts(rules)
    features(rules)


def list_(
    folder: Path | None = typer.Argument(None, help="A folder of rules; default: the shipped, or --data's."),
    data: Path | None = DATA_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """Every rule with its version, subject, stage, condition and words; with --data, where each stands."""
    if data is None or folder is not None:
        book = _book(folder)
        rows = [_row(book, name) for name in book.rules]
        said: dict[str, Any] = {"rules": rows, "typologies": list(book.typologies)}
    else:
        said = _deployed(data)
        rows = said["rules"]
    if as_json:
        emit(said, as_json=True)
        return
    for row in rows:
        state = f"{row['state']:<9} " if "state" in row else ""
        typer.echo(f"{row['id']:<28} v{row['version']:<4} {state}{row['subject']:<8} {row['stage']:<9} {row['zh']}")
    for row in said.get("features", []):
        far = "" if row["share"] is None else f" {100 * row['share']:.0f}%"
        typer.echo(f"feature {row['name']:<20} v{row['version']:<4} {row['state']}{far}")


def _row(book: RuleBook, name: str) -> dict[str, Any]:
    r = book.rules[name]
    return {
        "id": r.id, "version": r.version, "subject": r.subject, "stage": r.stage, "when": r.when, "zh": r.zh,
        "en": r.en, "cap": r.cap or None,
    }  # fmt: skip


def _deployed(data: Path) -> dict[str, Any]:
    from wuzha.command import features, rules
    from wuzha.live import rulebooks

    with database(settings_of(data)) as db, db.connect("web") as conn, conn.transaction():
        stands = rules.standing(conn)
        book, wrong = rulebooks.book_of(conn, stands)
        own = features.progress(conn)
    snoozed = [{"rule": r, "subject": s, "until": u.isoformat()} for (r, s), u in sorted(stands.snoozed.items())]
    rows = []
    for name in book.rules:
        state = stands.out.get(name) or ("promoted" if name in stands.promoted else "shipped")
        rows.append(_row(book, name) | {"state": state, "shadow": stands.shadowed.get(name)})
    return {"rules": rows, "typologies": list(book.typologies), "shadows": stands.shadowed, "snoozes": snoozed,
            "left_out": wrong, "features": own}  # fmt: skip


def text(
    rule: str = typer.Argument(..., help="The rule's name."),
    version: int | None = typer.Argument(None, help="Which version of a deployment's rule; default: what stands."),
    beside: Path | None = _BESIDE,
    data: Path | None = DATA_OPTION,
) -> None:
    """Print a rule as the text that a draft begins from."""
    from wuzha.detect import drafts

    if data is not None:
        from wuzha.command import rules
        from wuzha.command.public import Refused

        with database(settings_of(data)) as db, db.connect("web") as conn, conn.transaction():
            try:
                typer.echo(rules.text_of(conn, rule, version), nl=False)
                return
            except Refused as refused:
                raise CommandError(f"there is no rule {rule!r} of that version here") from refused
    book = _book(beside)
    if rule not in book.rules:
        raise CommandError(f"there is no rule {rule!r}")
    typer.echo(drafts.text_of(book, rule), nl=False)


def check(
    path: Path | None = typer.Argument(None, help="A folder of rules, or a FILE.toml with one; default: the shipped."),
    beside: Path | None = _BESIDE,
    as_json: bool = JSON_OPTION,
) -> None:
    """Read a folder of features, rules and typologies, or one rule, and say whether they hold."""
    if path is not None and path.is_file():
        draft = _draft(path, _book(beside))
        emit(
            {"rule": draft.rule.id, "subject": draft.rule.subject, "features": list(draft.rule.program.features),
             "weights": draft.weights, "cap": draft.rule.cap or None},
            as_json=as_json,
        )  # fmt: skip
        return
    book = _book(path)
    emit(
        {"features": len(book.features), "rules": len(book.rules), "typologies": len(book.typologies)},
        as_json=as_json,
    )


def diff(
    what: str = typer.Argument(..., help="A FILE.toml with one rule, or the name of a deployment's rule."),
    versions: list[int] = typer.Argument(None, help="One version (beside what stands) or two (the older first)."),
    beside: Path | None = _BESIDE,
    data: Path | None = DATA_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """What differs between two texts of a rule, as a unified diff."""
    from wuzha.detect import drafts

    path = Path(what)
    if path.suffix == ".toml":
        book = _book(beside)
        name = _draft(path, book).rule.id
        old = drafts.text_of(book, name) if name in book.rules else ""
        sides = (f"{name} as it stands", old), (str(path), path.read_text("utf-8"))
    else:
        sides = _two(what, versions or [], data)
    (old_name, old), (new_name, new) = sides
    lines = list(difflib.unified_diff(old.splitlines(), new.splitlines(), old_name, new_name, lineterm=""))
    if as_json:
        emit({"from": old_name, "to": new_name, "same": not lines, "diff": lines}, as_json=True)
        return
    typer.echo("\n".join(lines) if lines else f"{old_name} and {new_name} say the same")


def _two(rule: str, versions: list[int], data: Path | None) -> tuple[tuple[str, str], tuple[str, str]]:
    from wuzha.command import rules
    from wuzha.command.public import Refused

    if len(versions) > 2:
        say("wuzha rules diff: give one version or two")
        finish(WRONG_USE)
    with database(settings_of(data)) as db, db.connect("web") as conn, conn.transaction():
        kept = rules.versions(conn, rule)
        if not versions and kept:
            versions = [kept[0]["version"]]
        first = versions[0] if len(versions) == 2 else None
        last = versions[-1] if versions else None
        try:
            old, new = (rules.text_of(conn, rule, v) for v in (first, last))
        except Refused:
            try:  # a rule that does not stand yet is all new
                old, new = "", rules.text_of(conn, rule, last)
            except Refused as refused:
                raise CommandError(f"there is no rule {rule!r} of that version here") from refused
    return (f"{rule} v{first}" if first else f"{rule} as it stands", old), (f"{rule} v{last}", new)


def backtest(
    rule: Path = typer.Argument(..., help="A FILE.toml with one rule."),
    folder: Path | None = typer.Argument(None, help="Folder of event tables; default: what --data keeps of its log."),
    days: float | None = typer.Option(None, "--days", help="Count only the last days; all before them warms up."),
    minutes: float = typer.Option(20.0, "--minutes", help="An officer's minutes on one alert."),
    beside: Path | None = _BESIDE,
    data: Path | None = DATA_OPTION,
    dask: str | None = DASK_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """What a rule would have done: on whom it would have fired, how right, at what cost, beside which rules."""
    from wuzha.detect.backtest import backtest as run
    from wuzha.detect.drafts import laid

    if folder is None and data is None:
        say("wuzha rules backtest: name a folder of event tables, or a deployment with --data")
        finish(WRONG_USE)
    if (days is not None and days <= 0) or minutes <= 0:
        say("wuzha rules backtest: --days and --minutes are above 0")
        finish(WRONG_USE)
    before = _book(beside) if folder is not None else None
    if folder is not None:
        assert before is not None
        draft = _draft(rule, before)
        if dask is not None:
            emit(_on_cluster(dask, folder, before, draft, days, minutes), as_json=as_json)
            return
        truth, blocks, n = _of_folder(folder)
        with progress("Events", total=n) as step:
            found = run(blocks, before, laid(before, [draft]), draft.rule.id, truth, days=days, minutes=minutes,
                        step=step)  # fmt: skip
    else:
        found = _of_deployment(rule, data, days, minutes, dask)
    emit(found, as_json=as_json)


def _on_cluster(
    address: str, folder: Path, before: RuleBook, draft: Draft, days: float | None, minutes: float
) -> dict[str, Any]:
    from wuzha.detect.drafts import laid
    from wuzha.live.cluster_jobs import backtest_folder, rows_of

    try:
        truth, total = _truth(folder), rows_of(folder)
        with cluster(address) as workers, progress("Rows read", total=total) as step:
            found, refused = backtest_folder(
                workers, folder, before, laid(before, [draft]), draft.rule.id, truth, days=days, minutes=minutes,
                step=step,
            )  # fmt: skip
    except (ValueError, FileNotFoundError) as error:
        say(f"wuzha rules backtest: {error}")
        finish(FAILED)
    if refused:
        say(f"{refused} rows were refused by their tables' rules and are left out")
    return found


def _truth(folder: Path) -> Truth:
    """What the folder's findings and reports say of subjects."""
    import pyarrow.parquet as pq

    from wuzha.detect.backtest import Truth
    from wuzha.events import TABLES
    from wuzha.events.batch import conform

    truth = Truth()
    for name in ("findings", "reports"):
        if (folder / f"{name}.parquet").is_file():
            truth.take({name: conform(TABLES[name], pq.read_table(folder / f"{name}.parquet"))})
    return truth


def _of_folder(folder: Path) -> tuple[Truth, Any, int]:
    from wuzha import text
    from wuzha.detect.files import CHUNK, read_folder

    try:
        block, refused = read_folder(folder, lambda name, rows: text.annotate(rows) if name == "messages" else rows)
        truth = _truth(folder)
    except (ValueError, FileNotFoundError) as error:
        say(f"wuzha rules backtest: {error}")
        finish(FAILED)
    if refused:
        say(f"{refused} rows were refused by their tables' rules and are left out")
    blocks = (block.slice(at, at + CHUNK) for at in range(0, len(block), CHUNK))
    return truth, blocks, len(block)


def _of_deployment(
    path: Path, data: Path | None, days: float | None, minutes: float, dask: str | None
) -> dict[str, Any]:
    from wuzha.command import rules
    from wuzha.detect.backtest import backtest as run
    from wuzha.detect.drafts import laid
    from wuzha.live.past import Past
    from wuzha.live.settings import Settings

    settings = settings_of(data)
    with database(settings) as db, db.connect("engine") as conn:
        before = rules.book(conn)
        draft = _draft(path, before)
        past = Past(Settings(home=settings.home).history, conn)
        if dask is not None:
            from wuzha.live.cluster_jobs import backtest_past

            after = laid(before, [draft])
            with cluster(dask) as workers, progress("Rows read", total=past.rows()) as step:
                return backtest_past(workers, past, before, after, draft.rule.id, days=days, minutes=minutes, step=step)
        with progress("Events", total=past.rows()) as step:
            return run(past.blocks(), before, laid(before, [draft]), draft.rule.id, past.truth, days=days,
                       minutes=minutes, step=step)  # fmt: skip


def _draft(path: Path, book: RuleBook) -> Draft:
    from wuzha.detect import drafts
    from wuzha.events.datafile import DataFileError

    try:
        return drafts.read(path.read_text("utf-8"), book, number=drafts.LAST_NUMBER, file=str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{path}: {error}") from error
    except DataFileError as error:
        say(str(error))
        finish(FAILED)


def _book(folder: Path | None) -> RuleBook:
    from wuzha.detect import load, shipped
    from wuzha.events.datafile import DataFileError

    try:
        return shipped() if folder is None else load(folder)
    except FileNotFoundError as error:
        say(f"wuzha rules: {error}")
        finish(WRONG_USE)
    except DataFileError as error:
        say(str(error))
        finish(FAILED)
