"""The transcript as it grows, read from the daemon's own database while the call goes on."""

import asyncio
import sqlite3
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from sovereign_pbx.commands.timeline import sum_of_parts
from sovereign_pbx.core.values import TurnRecord
from sovereign_pbx.store import reading, schema

_LOOK_S = 0.2


class Live:
    """Prints each turn once it is complete."""

    def __init__(self, console: Console, database: Path) -> None:
        self._console = console
        self._database = database
        self._shown = 0

    async def run(self) -> None:
        """Print until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(_LOOK_S)

    async def look(self) -> None:
        """Print what is new."""
        turns = await asyncio.to_thread(self._turns)
        for turn in turns[self._shown :]:
            self._print(turn)
        self._shown = max(self._shown, len(turns))

    def _turns(self) -> list[TurnRecord]:
        if not self._database.exists():
            return []
        connection = schema.connect_reader(self._database)
        try:
            calls = reading.calls(connection, limit=1, offset=0, status=None)
            return reading.turns(connection, calls[0].id) if calls else []
        except sqlite3.OperationalError:  # the daemon has only just made the file
            return []
        finally:
            connection.close()

    def _print(self, turn: TurnRecord) -> None:
        if turn.said:
            self._console.print(f"[dim]{turn.started_at:6.1f} s[/]  [cyan]caller[/]  {escape(turn.said)}")
        if turn.heard:
            at = turn.reply_started_at if turn.reply_started_at is not None else turn.started_at
            cut = "  [yellow]— interrupted[/]" if turn.interrupted else ""
            self._console.print(f"[dim]{at:6.1f} s[/]  [green]Nova  [/]  {escape(turn.heard)}{cut}")
        if turn.timing is not None and turn.said:
            self._console.print(f"            [dim]answer after {sum_of_parts(turn.timing)}[/]")
