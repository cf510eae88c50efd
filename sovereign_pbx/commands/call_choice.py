"""Which call is meant: by its id, or the beginning of it."""

import sqlite3

from sovereign_pbx.cli import CouldNotRun
from sovereign_pbx.store import CallRow
from sovereign_pbx.store import reading as stored


def the_one(connection: sqlite3.Connection, prefix: str) -> CallRow:
    """Raises CouldNotRun where there is none, or more than one."""
    found = stored.calls_by_prefix(connection, prefix, 6) if prefix else []
    exact = [call for call in found if call.id == prefix]
    if len(exact or found) == 1:
        return (exact or found)[0]
    if not found:
        raise CouldNotRun(f"no call has an id that begins with {prefix!r}; `calls list` shows them")
    shown = ", ".join(call.id for call in found[:5])
    raise CouldNotRun(f"several calls begin with {prefix!r}: {shown}{', …' if len(found) > 5 else ''}")
