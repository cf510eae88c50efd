"""`sovereign-pbx campaigns results`: what became of every lead, as CSV."""

import csv
import re
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

import click
import msgspec

from sovereign_pbx.cli import CouldNotRun, Invocation
from sovereign_pbx.commands.campaign_choice import the_one
from sovereign_pbx.commands.database import reading
from sovereign_pbx.commands.output import database_option
from sovereign_pbx.store import campaign_queries

COLUMNS: Final = campaign_queries.RESULT_COLUMNS
_FORMULA: Final = re.compile(r"[=@\t\r]|[+-](?![0-9 ().-]*\Z)")


@click.command()
@database_option
@click.option(
    "--csv", "file", required=True, metavar="FILE", type=click.Path(path_type=Path), help="- for standard output."
)
@click.option("--delimiter", default=",", show_default=True, metavar="SIGN", help="Between columns.")
@click.argument("campaign", metavar="ID")
@click.pass_obj
def results(invocation: Invocation, database: Path | None, file: Path, delimiter: str, campaign: str) -> None:
    """Write what became of every lead to a CSV file.

    A line for each lead: number, status, reason, attempts, times, call, and a column for each variable. What a
    spreadsheet would take for a formula gets an apostrophe in front.
    """
    if len(delimiter) != 1:
        raise CouldNotRun("--delimiter is one sign, such as ';'")
    with reading(invocation, database) as connection:
        campaign_id = the_one(connection, campaign)
        try:
            with _opened(file) as target:
                written = write_results(connection, campaign_id, target, delimiter)
        except OSError as exc:
            raise CouldNotRun(f"{file} can't be written: {exc.strerror}") from exc
    if str(file) != "-":
        click.echo(f"{written} leads written to {file}")


def write_results(connection: sqlite3.Connection, campaign_id: str, target: IO[str], delimiter: str = ",") -> int:
    """How many leads."""
    names = campaign_queries.variable_names(connection, campaign_id)
    writer = csv.writer(target, delimiter=delimiter)
    writer.writerow([*COLUMNS, *(_safe(name if name not in COLUMNS else f"variable_{name}") for name in names)])
    written = 0
    for row in campaign_queries.results(connection, campaign_id):
        writer.writerow(_line(row, names))
        written += 1
    return written


def _line(row: Sequence[Any], names: Sequence[str]) -> list[str]:
    *facts, variables = row
    held = msgspec.json.decode(variables)
    return [*("" if one is None else _safe(str(one)) for one in facts), *(_safe(held.get(name, "")) for name in names)]


def _safe(text: str) -> str:
    """A telephone number may begin with +; other text that begins so would be worked out by a spreadsheet."""
    return f"'{text}" if _FORMULA.match(text) else text


@contextmanager
def _opened(file: Path) -> Iterator[IO[str]]:
    if str(file) == "-":
        yield sys.stdout
        return
    with file.open("w", encoding="utf-8", newline="") as target:
        yield target
