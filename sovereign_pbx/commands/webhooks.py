"""`sovereign-pbx webhooks`: what was to be told and to whom, and dead letters sent again, whether the daemon runs or
not."""

import sqlite3
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.table import Table
from rich.text import Text

from sovereign_pbx.assistants.model import EVENTS
from sovereign_pbx.cli import CouldNotRun, Invocation
from sovereign_pbx.commands import output
from sovereign_pbx.commands.call_page import local_time, plain
from sovereign_pbx.commands.choice import MOST, only
from sovereign_pbx.commands.database import reading, writing
from sovereign_pbx.commands.output import database_option, json_option, print_json
from sovereign_pbx.core.errors import SovereignError
from sovereign_pbx.store import outbox
from sovereign_pbx.store.outbox import Letter
from sovereign_pbx.webhooks import signing
from sovereign_pbx.webhooks.envelope import utc_now
from sovereign_pbx.webhooks.post import public_url

_MANY = 20
"""More than so many are put back only when that is confirmed."""

_STYLES = {"delivered": "green", "pending": "yellow", "dead": "red"}

_call = click.option(
    "--call", default="", metavar="ID", help="Only those of this call; the beginning of its id will do."
)
_event = click.option("--event", type=click.Choice(EVENTS[2:]), help="Only those that tell of this.")


@click.group()
def webhooks() -> None:
    """List webhooks, show one as it is sent, send dead ones again."""


@webhooks.command("list")
@database_option
@json_option
@_call
@_event
@click.option("--dead", "which", flag_value="dead", help="Only those given up.")
@click.option("--pending", "which", flag_value="pending", help="Only those that are still tried.")
@click.option("--all", "which", flag_value="all", help="Those delivered, too.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1_000_000), help="The newest so many.")
@click.pass_obj
def list_webhooks(
    invocation: Invocation,
    database: Path | None,
    as_json: bool,
    call: str,
    event: str | None,
    which: str | None,
    limit: int,
) -> None:
    """What has not been delivered: waiting, or given up."""
    states = {"dead": ["dead"], "pending": ["pending"], "all": list(_STYLES)}.get(which or "", ["pending", "dead"])
    with reading(invocation, database) as connection:
        found = outbox.letters(connection, states=states, call=call, event=event or "", limit=limit)
    if as_json:
        print_json([asdict(letter) for letter in found])
    else:
        output.console().print(_table(found) if found else "no webhooks")


@webhooks.command()
@database_option
@json_option
@click.argument("webhook_id", metavar="ID")
@click.pass_obj
def show(invocation: Invocation, database: Path | None, as_json: bool, webhook_id: str) -> None:
    """One webhook: the headers that it would be sent with now, its body, the last error.

    The beginning of the id is enough where no other webhook has it.
    """
    with reading(invocation, database) as connection:
        letter = _the_one(connection, webhook_id)
        body, secret = outbox.contents(connection, letter.webhook_id)
    headers = _headers(letter, body, secret, _user_agent(invocation, database))
    if as_json:
        print_json({**asdict(letter), "headers": headers, "body": _decoded(body)})
    else:
        _print_page(letter, headers, body)


@webhooks.command()
@database_option
@click.argument("webhook_ids", metavar="[ID]...", nargs=-1)
@click.option("--all-dead", is_flag=True, help="All that were given up.")
@click.option("--url-contains", default="", metavar="TEXT", help="Of these only those whose address holds this.")
@click.option("--yes", is_flag=True, help=f"Do not ask before more than {_MANY} are sent.")
@click.pass_obj
def retry(
    invocation: Invocation,
    database: Path | None,
    webhook_ids: tuple[str, ...],
    all_dead: bool,
    url_contains: str,
    yes: bool,
) -> None:
    """Send webhooks again that were given up, or at once what waits for its next attempt.

    Each keeps its id and its place: later webhooks of its call that have not gone yet wait for it. A running daemon
    takes them up within seconds, one that is stopped when it starts. They are tried as long as new ones are.
    """
    if bool(webhook_ids) == all_dead:
        raise click.UsageError("name webhooks, or say --all-dead")
    if url_contains and not all_dead:
        raise click.UsageError("--url-contains goes with --all-dead")
    with writing(invocation, database) as connection:
        chosen = _dead(connection, url_contains) if all_dead else _named(connection, webhook_ids)
        if len(chosen) > _MANY and not yes:
            click.confirm(f"Send {len(chosen)} webhooks again?", abort=True)
        count = outbox.put_back(connection, chosen, utc_now()) if chosen else 0
    click.echo(f"{count or 'no'} webhook{'' if count == 1 else 's'} put back")


def _dead(connection: sqlite3.Connection, url_contains: str) -> list[str]:
    return [one.webhook_id for one in outbox.letters(connection, states=["dead"]) if url_contains in one.url]


def _named(connection: sqlite3.Connection, prefixes: Sequence[str]) -> list[str]:
    found = [_the_one(connection, prefix) for prefix in prefixes]
    for letter in found:
        if letter.state == "delivered":
            raise CouldNotRun(f"webhook {letter.webhook_id} has been delivered, at {local_time(letter.done_at)}")
    return [letter.webhook_id for letter in found]


def _the_one(connection: sqlite3.Connection, prefix: str) -> Letter:
    found = outbox.letters_by_prefix(connection, prefix, MOST) if prefix else []
    return only(found, prefix, lambda letter: letter.webhook_id, what="webhook", listed_by="webhooks list --all")


def _headers(letter: Letter, body: bytes, secret: str, user_agent: str) -> dict[str, str]:
    if not _is_http(letter.url):  # a report by mail has none
        return {}
    return signing.headers(
        letter.event, body, secret, webhook_id=letter.webhook_id, unix_s=int(time.time()), user_agent=user_agent
    )


def _user_agent(invocation: Invocation, database: Path | None) -> str:
    try:
        return signing.USER_AGENT if database else invocation.config().webhook.user_agent
    except SovereignError:
        return signing.USER_AGENT


def _print_page(letter: Letter, headers: dict[str, str], body: bytes) -> None:
    console = output.console()
    facts = Table(box=None, pad_edge=False, show_header=False)
    facts.add_column(style="dim")
    facts.add_column(overflow="fold")
    shown = {
        "webhook": letter.webhook_id,
        "call": letter.call_id,
        "to": _address(letter.url),
        "state": letter.state,
        "tries": str(letter.attempts),
        "written": _moment(letter.created_at),
        "next": _next(letter),
        letter.state if letter.state != "pending" else "put back": _moment(letter.done_at),
        "last error": letter.last_error,
        **headers,
    }
    for name, value in shown.items():
        if value:
            facts.add_row(name, plain(value))
    console.print(facts)
    console.print()
    console.print(plain(_pretty(body)), soft_wrap=True)


def _table(found: Sequence[Letter]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("written", "id", "call", "event", "state", "tries", "next", "to", "last error"):
        table.add_column(name, no_wrap=name in ("written", "id", "call", "event"))
    for one in found:
        table.add_row(
            _moment(one.created_at),
            plain(one.webhook_id[:8]),
            plain(one.call_id[:8]),
            one.event,
            Text(one.state, style=_STYLES.get(one.state, "")),
            str(one.attempts),
            _next(one),
            plain(_address(one.url)),
            plain(one.last_error or ""),
        )
    return table


def _address(url: str) -> str:
    """Without what could be a credential; a mail address has none."""
    return public_url(url) if _is_http(url) else url


def _is_http(url: str) -> bool:
    return url.startswith(("http://", "https://"))


def _next(letter: Letter) -> str:
    if letter.state != "pending":
        return ""
    if letter.waits_for is not None:
        return f"after {letter.waits_for[:8]}"
    return _moment(letter.due_at) if letter.due_at > utc_now() else "now"


def _moment(at: str | None) -> str:
    return local_time(at, "%Y-%m-%d %H:%M:%S")


def _decoded(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError):
        return body.decode("utf-8", "replace")


def _pretty(body: bytes) -> str:
    try:
        return msgspec.json.format(body, indent=2).decode()
    except (msgspec.DecodeError, UnicodeError):
        return body.decode("utf-8", "replace")
