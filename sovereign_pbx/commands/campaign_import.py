"""`sovereign-pbx campaigns import`: leads of a CSV file, straight into the database, whether the daemon runs or not.

The file is read twice where nothing may be taken of one that has bad lines, and never held in memory. Leads are written
in transactions of a few milliseconds, so that a daemon which runs beside it can go on writing.
"""

import itertools
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn

from sovereign_pbx.calls.campaign_csv import BadLine, CsvRules, LeadReader, lines_of
from sovereign_pbx.calls.campaign_import import ImportReport, Sieve
from sovereign_pbx.calls.campaigns import FROZEN, utc_text
from sovereign_pbx.calls.do_not_call import Numbers, read_files
from sovereign_pbx.cli import CouldNotRun, Invocation
from sovereign_pbx.commands import output
from sovereign_pbx.commands.call_page import plain
from sovereign_pbx.commands.campaign_choice import the_one
from sovereign_pbx.commands.database import writing
from sovereign_pbx.commands.output import database_option, json_option, print_json
from sovereign_pbx.core.errors import BadInput
from sovereign_pbx.store import campaign_queries, do_not_call
from sovereign_pbx.store.campaign_rows import LeadRow
from sovereign_pbx.store.campaigns import INSERT_LEADS, as_given
from sovereign_pbx.store.rows import to_json

_CHUNK: Final = 500
_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class Import:
    """One import: where from, where to, by which rules."""

    connection: sqlite3.Connection
    campaign_id: str
    file: Path
    rules: CsvRules
    unwanted: Numbers

    def run(self, *, keep: bool, told: Callable[[int], None]) -> ImportReport:
        """Read all of it, and keep what can be called."""
        sieve = Sieve()
        found = self._found()
        while chunk := list(itertools.islice(found, _CHUNK)):
            rows = sieve.read(chunk)
            numbers = [row.phone_number for row in rows]
            there = campaign_queries.numbers_there(self.connection, self.campaign_id, to_json(numbers))
            listed = do_not_call.listed_of(self.connection, to_json(numbers))
            listed |= {number for number in numbers if number in self.unwanted}
            kept = sieve.sift(rows, there, listed)
            if keep and kept:
                self._write(kept)
            told(len(chunk))
        return sieve.report

    def _found(self) -> Iterator[LeadRow | BadLine]:
        reader = LeadReader(self.campaign_id, utc_text(datetime.now(UTC)), self.rules)
        return reader.read(lines_of(self.file))

    def _write(self, rows: list[LeadRow]) -> None:
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            found = campaign_queries.campaign(self.connection, self.campaign_id)
            if found is None or found[0].status in FROZEN:
                raise CouldNotRun(f"the campaign {'is ' + found[0].status if found else 'has been deleted'} meanwhile")
            self.connection.execute(INSERT_LEADS, (as_given(rows),))
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")


@click.command("import")
@database_option
@json_option
@click.option("--strict", is_flag=True, help="Take none where a line is bad.")
@click.option("--dry-run", is_flag=True, help="Take none, only tell what would be taken.")
@click.option(
    "--country", default="", metavar="NL", help="Of numbers without a country code; else [dialling] country_code."
)
@click.option("--phone-column", default="", metavar="NAME", help="The column of telephone numbers, if it is not found.")
@click.option("--delimiter", default="", metavar="SIGN", help="Between columns; else the one that is found.")
@click.argument("campaign", metavar="ID")
@click.argument("file", metavar="FILE.csv", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.pass_obj
def import_leads(
    invocation: Invocation,
    database: Path | None,
    as_json: bool,
    strict: bool,
    dry_run: bool,
    country: str,
    phone_column: str,
    delimiter: str,
    campaign: str,
    file: Path,
) -> None:
    """Add the leads of a CSV file to a campaign.

    The first line names the columns: phone_number (or phone, telefoon, …), timezone if you have it, and the variables
    of the prompt. Semicolons, commas and tabs are told apart by themselves, and so are encodings. Good lines are taken,
    bad ones told with their column; then the exit code is 1.
    """
    if delimiter and len(delimiter) != 1:
        raise CouldNotRun("--delimiter is one sign, such as ';'")
    country, by_number, unwanted = _configured(invocation, database, country)
    rules = CsvRules(phone_column=phone_column, country=country, delimiter=delimiter, zones_by_number=by_number)
    with writing(invocation, database) as connection:
        job = Import(connection, the_one(connection, campaign), file, rules, unwanted)
        report = _worked(job, strict=strict, dry_run=dry_run)
    kept = not dry_run and not (strict and report.bad)
    print_json(_as_dict(report, kept)) if as_json else _tell(output.console(), report, kept)
    click.get_current_context().exit(1 if report.bad else 0)


def _configured(invocation: Invocation, database: Path | None, country: str) -> tuple[str, bool, Numbers]:
    """The country, whether numbers tell time zones, and the numbers in files; without a configuration its defaults."""
    if database is not None:
        return country, True, Numbers(())
    config = invocation.config()
    section = config.dialling
    files = [config.path.parent / name for name in section.do_not_call]
    numbers = read_files(files, section.country_code)
    return country or section.country_code, config.campaigns.timezone_of_number, numbers


def _worked(job: Import, *, strict: bool, dry_run: bool) -> ImportReport:
    try:
        if dry_run or strict:
            with _progress("checked") as told:
                report = job.run(keep=False, told=told)
            if dry_run or report.bad:
                return report
        with _progress("read") as told:
            return job.run(keep=True, told=told)
    except (BadInput, OSError) as exc:
        raise CouldNotRun(f"{job.file}: {exc}") from exc
    except sqlite3.Error as exc:
        raise CouldNotRun(f"the call database can't be written: {exc}") from exc


class _progress:
    """A line that counts, where standard error is a terminal."""

    def __init__(self, what: str) -> None:
        console = Console(stderr=True)
        columns = (TextColumn(f"{what} {{task.completed}} lines"), TimeElapsedColumn())
        self._bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)

    def __enter__(self) -> Callable[[int], None]:
        task = self._bar.add_task("", total=None)
        self._bar.start()
        return lambda lines: self._bar.advance(task, lines)

    def __exit__(self, *args: object) -> None:
        self._bar.stop()


def _as_dict(report: ImportReport, kept: bool) -> dict[str, Any]:
    return {
        "lines": report.lines,
        "taken": report.taken if kept else 0,
        "would_be_taken": report.taken,
        "bad": report.bad,
        "duplicates": report.duplicates,
        "do_not_call": report.do_not_call,
        "bad_lines": [{"line": one.line, "column": one.column, "reason": one.reason} for one in report.bad_lines],
        "duplicate_numbers": report.duplicate_numbers,
        "do_not_call_numbers": report.unwanted_numbers,
    }


def _tell(console: Console, report: ImportReport, kept: bool) -> None:
    for one in report.bad_lines[:_SHOWN]:
        console.print(plain(str(one)), soft_wrap=True)
    if report.bad > _SHOWN:
        console.print(
            f"… and {report.bad - min(_SHOWN, len(report.bad_lines))} more bad lines (--json tells a thousand)"
        )
    took = f"{report.taken} leads taken" if kept else f"nothing taken; {report.taken} leads could be"
    console.print(
        f"{report.lines} lines: {took}, {report.duplicates} duplicates, {report.do_not_call} on a do-not-call list,"
        f" {report.bad} bad",
        soft_wrap=True,
    )
