"""Which call or webhook is meant: by its id, or the beginning of it."""

import sqlite3
from collections.abc import Callable, Sequence
from typing import TypeVar

from sovereign_pbx.cli import CouldNotRun
from sovereign_pbx.store import CallRow
from sovereign_pbx.store import reading as stored

Thing = TypeVar("Thing")

MOST = 6  # found, of which one less is shown


def the_one(connection: sqlite3.Connection, prefix: str) -> CallRow:
    """Raises CouldNotRun where there is none, or more than one."""
    found = stored.calls_by_prefix(connection, prefix, MOST) if prefix else []
    return only(found, prefix, lambda call: call.id, what="call", listed_by="calls list")


def only(found: Sequence[Thing], prefix: str, id_of: Callable[[Thing], str], *, what: str, listed_by: str) -> Thing:
    """Of what begins with `prefix` the one that is meant. Raises CouldNotRun."""
    exact = [thing for thing in found if id_of(thing) == prefix]
    if len(exact or found) == 1:
        return (exact or found)[0]
    if not found:
        raise CouldNotRun(f"no {what} has an id that begins with {prefix!r}; `{listed_by}` shows them")
    shown = ", ".join(id_of(thing) for thing in found[: MOST - 1])
    raise CouldNotRun(f"several {what}s begin with {prefix!r}: {shown}{', …' if len(found) >= MOST else ''}")
