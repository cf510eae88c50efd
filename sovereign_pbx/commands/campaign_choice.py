"""Which campaign is meant: by its id, the beginning of it, or its name."""

import sqlite3

from sovereign_pbx.cli import CouldNotRun
from sovereign_pbx.commands.call_page import plain
from sovereign_pbx.store import campaign_queries


def the_one(connection: sqlite3.Connection, wanted: str) -> str:
    """Its id. Raises CouldNotRun where there is none, or several."""
    found = campaign_queries.campaigns_by_prefix(connection, wanted, 6) if wanted else []
    exact = [row for row in found if wanted == row.id] or [row for row in found if wanted == row.name]
    if len(exact or found) == 1:
        return (exact or found)[0].id
    if not found:
        raise CouldNotRun(
            f"no campaign has this name, or an id that begins with {wanted!r}; `campaigns list` shows them"
        )
    shown = ", ".join(f"{row.id} ({plain(row.name).plain})" for row in found[:5])
    raise CouldNotRun(f"several campaigns fit {wanted!r}: {shown}{', …' if len(found) > 5 else ''}")
