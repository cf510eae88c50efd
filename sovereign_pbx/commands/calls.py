"""`sovereign-pbx calls`: what the machine talked about, from its database, whether the daemon runs or not."""

import contextlib
import sqlite3
import time
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from sovereign_pbx.cli import Invocation
from sovereign_pbx.commands import output
from sovereign_pbx.commands.call_feed import CallFeed
from sovereign_pbx.commands.call_page import CallPage, local_time, parties, plain
from sovereign_pbx.commands.call_picture import draw_call
from sovereign_pbx.commands.choice import the_one
from sovereign_pbx.commands.database import reading
from sovereign_pbx.commands.output import database_option, json_option, print_json
from sovereign_pbx.store import CallRow
from sovereign_pbx.store import reading as stored


@click.group()
def calls() -> None:
    """List calls, show one with its transcript, follow them live."""


@calls.command("list")
@database_option
@json_option
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 100_000), help="At most so many.")
@click.option(
    "--status", type=click.Choice(["connecting", "in-progress", "ended", "failed"]), help="Only those in this state."
)
@click.pass_obj
def list_calls(invocation: Invocation, database: Path | None, as_json: bool, limit: int, status: str | None) -> None:
    """The newest calls."""
    with reading(invocation, database) as connection:
        found = stored.calls(connection, limit, 0, status)
    if as_json:
        print_json([asdict(call) for call in found])
    else:
        output.console().print(_table(found) if found else "no calls")


@calls.command()
@database_option
@json_option
@click.option(
    "--plot",
    is_flag=True,
    help="Draw it instead: both sides' sound where it was recorded, and the parts of every answer's wait.",
)
@click.option(
    "--out", metavar="FILE", type=click.Path(path_type=Path), help="Where to draw it.  [default: call-ID.png here]"
)
@click.argument("call_id", metavar="ID")
@click.pass_obj
def show(
    invocation: Invocation, database: Path | None, as_json: bool, plot: bool, out: Path | None, call_id: str
) -> None:
    """One call: facts, transcript, each turn's timing, events, webhooks.

    The beginning of the id is enough where no other call has it.
    """
    with reading(invocation, database) as connection:
        page = CallPage.read(connection, the_one(connection, call_id))
    if plot:
        click.echo(draw_call(page, out))
    elif as_json:
        print_json(page.as_dict())
    else:
        output.console().print(page.render())


@calls.command()
@database_option
@click.option(
    "--interval", default=0.5, show_default=True, type=click.FloatRange(0.05, 60), help="Seconds between looks."
)
@click.pass_obj
def tail(invocation: Invocation, database: Path | None, interval: float) -> None:
    """Follow calls as they happen, until interrupted."""
    console = output.console()
    with contextlib.suppress(KeyboardInterrupt), reading(invocation, database) as connection:
        feed = CallFeed(connection)
        _print_news(console, feed)
        click.echo("following; Ctrl-C ends", err=True)
        while True:
            time.sleep(interval)
            _print_news(console, feed)


@calls.command(
    epilog="""
\b
The key is made by `sovereign-pbx keys create NAME --scope read` and read from
$SOVEREIGN_PBX_KEY or from --key-file.

Exit codes: 0 they agree, 1 they differ, 2 could not be asked.
"""
)
@json_option
@click.option("--key-file", metavar="FILE", type=click.Path(path_type=Path), help="File with the API key.")
@click.pass_obj
def audit(invocation: Invocation, as_json: bool, key_file: Path | None) -> None:
    """What the PBX, the running daemon and the database think of the calls there are, and where they differ."""
    from sovereign_pbx.commands.call_audit import audited  # the other commands need no HTTP client

    page = audited(invocation.config(), key_file)
    if as_json:
        print_json(page.body)
    else:
        output.console().print(page.render())
    click.get_current_context().exit(page.exit_code)


def _print_news(console: Console, feed: CallFeed) -> None:
    try:
        for line in feed.news():
            console.print(line, soft_wrap=True)
    except sqlite3.OperationalError as exc:
        if exc.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):  # those pass by themselves
            raise


def _table(found: list[CallRow]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("began", "id", "direction", "from", "to", "assistant", "status", "end", "length"):
        table.add_column(name, no_wrap=name in ("began", "id"), justify="right" if name == "length" else "left")
    for call in found:
        table.add_row(
            local_time(call.created_at, "%Y-%m-%d %H:%M:%S"),
            plain(call.id[:8]),
            call.direction,
            *map(plain, parties(call)),
            plain(call.assistant_name or call.assistant_id or ""),
            call.status,
            plain(call.end_reason or ""),
            "" if call.duration_seconds is None else f"{call.duration_seconds} s",
        )
    return table
