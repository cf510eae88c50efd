"""`sovereign-pbx keys`: who may use the REST API."""

import dataclasses
import json
import re
from datetime import UTC, datetime, timedelta

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sovereign_pbx.api.keys import SCOPES, Key, editing, new_key, read_keys, write_keys
from sovereign_pbx.cli import CouldNotRun, Invocation

_LONGEST_NAME = 100
_AGE = re.compile(r"(\d{1,5})([dhw])")
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


@click.group()
def keys() -> None:
    """Make, list and revoke the keys of the REST API.

    A running daemon knows of a change within a second. Keys are kept hashed: one that is lost is made anew.
    """


@keys.command()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(SCOPES),
    multiple=True,
    help="read: look at everything. calls: place and steer calls, run campaigns. admin: everything. May be given"
    " several times; without it admin.",
)
@click.option("--expires", metavar="AGE", help="How long it is good for: 12h, 90d, 52w. Without it: until revoked.")
@click.option("--quiet", "-q", is_flag=True, help="Print the key alone, for scripts.")
@click.pass_obj
def create(invocation: Invocation, name: str, scopes: tuple[str, ...], expires: str | None, quiet: bool) -> None:
    """Make a key called NAME and print it, this once."""
    if not name.strip() or not name.isprintable() or len(name) > _LONGEST_NAME:
        raise CouldNotRun(f"a key's name has 1 to {_LONGEST_NAME} printable characters")
    path, now = invocation.config().keys, datetime.now(UTC)
    token, key = new_key(name, scopes or ("admin",), now=now, expires_at=_expiry(expires, now))
    with editing(path) as present:
        if any(other.name == name and not other.revoked_at for other in present):
            raise CouldNotRun(f"there is a key {name!r} already; choose another name, or revoke it first")
        write_keys(path, [*present, key])
    click.echo(token)
    if not quiet:
        click.echo(f"This is the key {name!r} ({', '.join(key.scopes)}). It is not shown again.", err=True)


@keys.command("list")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def list_keys(invocation: Invocation, as_json: bool) -> None:
    """Every key, without what is secret."""
    now = datetime.now(UTC)
    present = read_keys(invocation.config().keys)
    if as_json:
        click.echo(json.dumps([_shown(key, now) for key in present], indent=2))
        return
    table = Table("name", "key", "scopes", "made", "state", box=None, pad_edge=False)
    for key in present:
        shown = _shown(key, now)
        until = f" until {key.expires_at}" if key.expires_at and not key.revoked_at else ""
        table.add_row(
            escape(key.name), f"…{key.hint}", ", ".join(key.scopes), key.created_at, f"{shown['state']}{until}"
        )
    Console().print(table if present else "There are no keys; make one with `sovereign-pbx keys create NAME`.")


@keys.command()
@click.argument("name")
@click.pass_obj
def revoke(invocation: Invocation, name: str) -> None:
    """Make the key called NAME worthless, within a second and for good."""
    path = invocation.config().keys
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    with editing(path) as present:
        if not any(key.name == name and not key.revoked_at for key in present):
            raise CouldNotRun(f"there is no key {name!r} that could be revoked; `sovereign-pbx keys list` shows them")
        write_keys(path, [_revoked(key, now) if key.name == name else key for key in present])
    click.echo(f"The key {name!r} is revoked.")


def _revoked(key: Key, now: str) -> Key:
    return key if key.revoked_at else dataclasses.replace(key, revoked_at=now)


def _expiry(age: str | None, now: datetime) -> datetime | None:
    if age is None:
        return None
    found = _AGE.fullmatch(age.strip())
    if not found or int(found[1]) == 0:
        raise CouldNotRun(f"--expires {age!r} is no age; write 12h, 90d or 52w")
    return now + int(found[1]) * _UNITS[found[2]]


def _shown(key: Key, now: datetime) -> dict[str, object]:
    shown = {name: getattr(key, name) for name in ("name", "scopes", "created_at", "expires_at", "revoked_at", "hint")}
    return {**shown, "scopes": list(key.scopes), "state": key.state(now)}
