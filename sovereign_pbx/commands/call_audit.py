"""What `calls audit` asks the daemon for, and how it is shown."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sovereign_pbx.cli import CouldNotRun
from sovereign_pbx.commands.call import api_key, shown_text
from sovereign_pbx.commands.call_page import plain
from sovereign_pbx.commands.own_api import Answered, ask, base_url, trusted
from sovereign_pbx.config import Config
from sovereign_pbx.core.errors import BadInput

_WORDS = {
    "gone": "no channel",
    "stray": "no call",
    "ringing": "rings for nobody",
    "call": "not in the PBX",
    "row": "record left open",
}


@dataclass(frozen=True, slots=True)
class AuditPage:
    """The daemon's answer (`GET /audit`)."""

    body: dict[str, Any]

    @property
    def exit_code(self) -> int:
        """0 they agree, 1 they differ, 2 the PBX could not be asked."""
        if self.body["differences"]:
            return 1
        return 0 if self.body["asked"] else 2

    def render(self) -> RenderableType:
        parts: list[RenderableType] = [self._calls() if self.body["calls"] else Text("no calls")]
        if self.body["differences"]:
            parts.append(self._differences())
        elif self.body["asked"]:
            parts.append(Text("the PBX, the daemon and the database agree"))
        if not self.body["asked"]:
            parts.append(Text.assemble("Asterisk could not be asked: ", plain(self.body["why"])))
        if self.body["mended"]:
            parts.append(Text(f"mended since the daemon was started: {self.body['mended']}"))
        return Group(*parts)

    def _calls(self) -> Table:
        table = Table("call", "channel", "phase", "under way", box=None, pad_edge=False, header_style="dim")
        for call in self.body["calls"]:
            state = "yes" if call["under_way"] else "being summed up"
            table.add_row(plain(call["call_id"]), plain(call["channel"]), plain(call["phase"]), state)
        return table

    def _differences(self) -> Table:
        table = Table("differs", "call or channel", "why", box=None, pad_edge=False, header_style="dim")
        for one in self.body["differences"]:
            table.add_row(
                _WORDS.get(one["kind"], plain(one["kind"])), plain(one["call_id"] or one["channel"]), plain(one["why"])
            )
        return table


def audited(config: Config, key_file: Path | None) -> AuditPage:
    """Ask the running daemon. Raises CouldNotRun."""
    if not config.http.enabled:
        raise CouldNotRun("the daemon's API is off: [http] enabled = true, then restart it")
    try:
        answer = asyncio.run(_asked(config, api_key(key_file, "read")))
    except aiohttp.ClientConnectorError as exc:
        raise CouldNotRun(f"the daemon does not run: nobody answers on {base_url(config)}") from exc
    except (aiohttp.ClientError, OSError, TimeoutError, BadInput) as exc:
        raise CouldNotRun(f"the daemon does not answer: {shown_text(exc) or type(exc).__name__}") from exc
    if answer.status != 200:
        said = answer.body.get("message") or answer.body.get("error") or f"status {answer.status}"
        raise CouldNotRun(shown_text(said))
    return AuditPage(answer.body)


async def _asked(config: Config, key: str) -> Answered:
    connector = aiohttp.TCPConnector(ssl=await asyncio.to_thread(trusted, config))
    async with aiohttp.ClientSession(connector=connector) as session:
        return await ask(session, "GET", f"{base_url(config)}/api/v1/audit", key=key)
