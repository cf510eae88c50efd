"""`sovereign-pbx do-not-call`: the kept list of whom nobody may call, whether the daemon runs or not."""

import itertools
import sqlite3
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click
from rich.table import Table

from sovereign_pbx.calls.campaign_csv import lines_of
from sovereign_pbx.calls.campaigns import utc_text
from sovereign_pbx.calls.do_not_call import in_full, read_files
from sovereign_pbx.cli import CouldNotRun, Invocation
from sovereign_pbx.commands import output
from sovereign_pbx.commands.call_page import local_time, plain
from sovereign_pbx.commands.database import reading, writing
from sovereign_pbx.commands.output import database_option, json_option, print_json
from sovereign_pbx.core.errors import BadInput
from sovereign_pbx.store import do_not_call as store
from sovereign_pbx.store.rows import to_json

_CHUNK: Final = 500
_PAGE: Final = 1000
_SHOWN: Final = 20

_country = click.option(
    "--country", default="", metavar="31", help="Code of the country whose numbers begin with a 0; else [dialling]."
)
_reason = click.option("--reason", default="", metavar="TEXT", help="Why, for people.")


@click.group("do-not-call")
def do_not_call() -> None:
    """Numbers that nobody may call: no campaign, and no other outbound call.

    Files that [dialling] do_not_call names count beside this list. Transfers are not held to it.
    """


@do_not_call.command()
@database_option
@_country
@_reason
@click.argument("numbers", nargs=-1, required=True, metavar="NUMBER...")
@click.pass_obj
def add(invocation: Invocation, database: Path | None, country: str, reason: str, numbers: Sequence[str]) -> None:
    """Put numbers on the list. It counts from the next call on."""
    forms = _forms(invocation, database, country, numbers)
    with writing(invocation, database) as connection:
        before = store.count(connection)
        _add(connection, forms, reason)
        click.echo(f"{store.count(connection) - before} added, {store.count(connection)} on the list")


@do_not_call.command()
@database_option
@_country
@click.argument("numbers", nargs=-1, required=True, metavar="NUMBER...")
@click.pass_obj
def remove(invocation: Invocation, database: Path | None, country: str, numbers: Sequence[str]) -> None:
    """Take numbers off the list. Exit code 1 where one was not on it."""
    forms = _forms(invocation, database, country, numbers)
    with writing(invocation, database) as connection:
        missing = [number for number in forms if not connection.execute(store.REMOVE, (number,)).rowcount]
    for number in missing:
        click.echo(f"{number} is not on the list", err=True)
    click.echo(f"{len(forms) - len(missing)} removed")
    click.get_current_context().exit(1 if missing else 0)


@do_not_call.command("list")
@database_option
@json_option
@click.pass_obj
def list_numbers(invocation: Invocation, database: Path | None, as_json: bool) -> None:
    """Every number of the list, and how many the files have."""
    with reading(invocation, database) as connection:
        found = list(_all(connection))
    if as_json:
        print_json([{"number": one.number, "reason": one.reason, "added_at": one.added_at} for one in found])
        return
    table = Table("number", "since", "why", box=None, pad_edge=False, header_style="dim")
    for one in found:
        table.add_row(plain(one.number), local_time(one.added_at, "%Y-%m-%d %H:%M"), plain(one.reason))
    output.console().print(table if found else "nobody is on the list")
    if database is None:
        _tell_files(invocation)


@do_not_call.command()
@database_option
@_country
@click.argument("number")
@click.pass_obj
def check(invocation: Invocation, database: Path | None, country: str, number: str) -> None:
    """Is this number on the list, or in a file? Exit code 1 where it is."""
    (form,) = _forms(invocation, database, country, [number])
    with reading(invocation, database) as connection:
        found = store.listed(connection, form)
    where = f"on the list since {found.added_at[:10]} {plain(found.reason).plain}".strip() if found else ""
    if not where and database is None and form in read_files(_files(invocation), _code(invocation, database, country)):
        where = "in a file of [dialling] do_not_call"
    click.echo(f"{form} is {where or 'not on it'}")
    click.get_current_context().exit(1 if where else 0)


@do_not_call.command("import")
@database_option
@_country
@_reason
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.pass_obj
def import_numbers(invocation: Invocation, database: Path | None, country: str, reason: str, file: Path) -> None:
    """Put the numbers of a file on the list: one in a line, or the first column of a CSV file.

    Good lines are taken, bad ones told; then the exit code is 1.
    """
    code, bad, count = _code(invocation, database, country), [], 0
    with writing(invocation, database) as connection:
        before = store.count(connection)
        try:
            lines = enumerate(lines_of(file), 1)
            while chunk := list(itertools.islice(lines, _CHUNK)):
                read = [(at, text, in_full(text, code)) for at, line in chunk if (text := _first(line))]
                bad += [(at, text) for at, text, form in read if not form and at > 1]
                forms = list(dict.fromkeys(form for _, _, form in read if form))
                count += len(forms)
                _add(connection, forms, reason)
        except (OSError, BadInput) as exc:
            raise CouldNotRun(f"{file}: {exc}") from exc
        added = store.count(connection) - before
    for at, text in bad[:_SHOWN]:
        click.echo(f"line {at}: {plain(text[:40]).plain!r} is no telephone number", err=True)
    click.echo(f"{count} numbers read, {added} new on the list, {len(bad)} bad lines")
    click.get_current_context().exit(1 if bad else 0)


def _first(line: str) -> str:
    return line.partition("#")[0].replace(";", ",").replace("\t", ",").partition(",")[0].strip().strip('"').strip()


def _add(connection: sqlite3.Connection, numbers: Sequence[str], reason: str) -> None:
    connection.execute(store.ADD, (reason, utc_text(datetime.now(UTC)), to_json(list(numbers))))


def _all(connection: sqlite3.Connection) -> Iterable[store.Listed]:
    after = ""
    while found := store.page(connection, after, _PAGE):
        yield from found
        after = found[-1].number


def _forms(invocation: Invocation, database: Path | None, country: str, numbers: Sequence[str]) -> list[str]:
    code = _code(invocation, database, country)
    forms = [in_full(number, code) for number in numbers]
    if "" in forms:
        raise CouldNotRun(f"{numbers[forms.index('')][:40]!r} is no telephone number; write it like +31612345678")
    return list(dict.fromkeys(forms))


def _code(invocation: Invocation, database: Path | None, country: str) -> str:
    """Digits of a country code."""
    code = country.lstrip("+") or (invocation.config().dialling.country_code if database is None else "")
    if code and not (code.isascii() and code.isdigit()):
        raise CouldNotRun(f"--country is a country's code, such as 31, not {country!r}")
    return code


def _files(invocation: Invocation) -> list[Path]:
    config = invocation.config()
    return [config.path.parent / name for name in config.dialling.do_not_call]


def _tell_files(invocation: Invocation) -> None:
    for file in _files(invocation):
        count = len(read_files([file], invocation.config().dialling.country_code))
        click.echo(f"{file}: {count} numbers")
