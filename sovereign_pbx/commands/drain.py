"""`sovereign-pbx drain`: have the running daemon finish its calls and take no more."""

import asyncio
from pathlib import Path
from typing import Any, Final

import aiohttp
import click

from sovereign_pbx.cli import CouldNotRun, Invocation
from sovereign_pbx.commands.call import api_key, shown_text
from sovereign_pbx.commands.output import json_option, print_json
from sovereign_pbx.commands.own_api import ask, base_url, trusted
from sovereign_pbx.config import Config
from sovereign_pbx.core.errors import BadInput
from sovereign_pbx.draining import progress

POLL_S: Final = 2.0  # an API key has a hundred requests a minute
_EPILOG = """
\b
The daemon goes on running. `systemctl restart sovereign-pbx` after --wait cuts nobody off;
`systemctl stop` drains by itself, for [daemon] drain_seconds, and a second SIGTERM ends at once.

The key is made by `sovereign-pbx keys create NAME --scope admin` and read from
$SOVEREIGN_PBX_KEY or from --key-file.
"""


@click.command(epilog=_EPILOG)
@click.option("--wait", "-w", is_flag=True, help="Wait until the last call is over, and tell how far it is.")
@click.option("--now", is_flag=True, help="Give the present calls to the dialplan's fallback at once.")
@click.option("--undo", is_flag=True, help="Take calls again.")
@click.option("--key-file", metavar="FILE", type=click.Path(path_type=Path), help="File with the API key.")
@json_option
@click.pass_obj
def drain(invocation: Invocation, wait: bool, now: bool, undo: bool, key_file: Path | None, as_json: bool) -> None:
    """Finish the present calls and take no more: new ones go to the dialplan's fallback."""
    if undo and (wait or now):
        raise click.UsageError("--undo takes calls again: it goes neither with --wait nor with --now")
    config = invocation.config()
    if not config.http.enabled:
        raise CouldNotRun("the daemon's API is off: [http] enabled = true, then restart it")
    try:
        state = asyncio.run(_drain(config, api_key(key_file, "admin"), wait=wait, now=now, undo=undo))
    except KeyboardInterrupt:
        click.echo("\nnot waited for any more; no new calls are taken until: sovereign-pbx drain --undo", err=True)
        click.get_current_context().exit(130)
    except aiohttp.ClientConnectorError as exc:
        raise CouldNotRun(f"the daemon does not run: nobody answers on {base_url(config)}") from exc
    except (aiohttp.ClientError, OSError, TimeoutError, BadInput) as exc:
        raise CouldNotRun(f"the daemon does not answer: {shown_text(exc) or type(exc).__name__}") from exc
    if as_json:
        print_json(state)
    elif undo:
        click.echo("calls are taken again")
    else:
        click.echo(f"no more calls are taken; {_progress(state)}")


async def _drain(config: Config, key: str, *, wait: bool, now: bool, undo: bool) -> dict[str, Any]:
    url = f"{base_url(config)}/api/v1/drain"
    connector = aiohttp.TCPConnector(ssl=await asyncio.to_thread(trusted, config))
    async with aiohttp.ClientSession(connector=connector) as session:
        if undo:
            return await _asked(session, "DELETE", url, key)
        state = await _asked(session, "POST", url, key, {"now": now})
        told = ""
        while wait and state["calls"]:
            if _progress(state) != told:
                told = _progress(state)
                click.echo(told, err=True)
            await asyncio.sleep(POLL_S)
            state = await _asked(session, "GET", url, key)
            if not state["draining"]:
                raise CouldNotRun("somebody has had the daemon take calls again")
        return state


async def _asked(
    session: aiohttp.ClientSession, method: str, url: str, key: str, body: dict[str, Any] | None = None
) -> dict[str, Any]:
    answer = await ask(session, method, url, key=key, body=body)
    if answer.status != 200:
        raise CouldNotRun(
            shown_text(answer.body.get("message") or answer.body.get("error") or f"status {answer.status}")
        )
    return answer.body


def _progress(state: dict[str, Any]) -> str:
    try:
        return progress(int(state["calls"]), float(state["oldest_seconds"]))
    except (KeyError, TypeError, ValueError) as exc:
        raise BadInput("an answer that is none of /drain") from exc
