"""`sovereign-pbx campaigns start|pause|cancel`: through the running daemon's API, which answers when it holds."""

import asyncio
from pathlib import Path
from typing import Final

import aiohttp
import click

from sovereign_pbx.cli import CouldNotRun, Invocation
from sovereign_pbx.commands.call import api_key, shown_text
from sovereign_pbx.commands.campaign_choice import the_one
from sovereign_pbx.commands.database import reading
from sovereign_pbx.commands.own_api import ask, base_url, trusted
from sovereign_pbx.config import Config
from sovereign_pbx.core.errors import BadInput

_FAULTS: Final = (aiohttp.ClientError, OSError, TimeoutError, BadInput)
_key_option = click.option(
    "--key-file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="File with the API key; else $SOVEREIGN_PBX_KEY.",
)


@click.command()
@_key_option
@click.argument("campaign", metavar="ID")
@click.pass_obj
def start(invocation: Invocation, key_file: Path | None, campaign: str) -> None:
    """Start a campaign, or resume it."""
    _set(invocation, key_file, campaign, "scheduled")


@click.command()
@_key_option
@click.argument("campaign", metavar="ID")
@click.pass_obj
def pause(invocation: Invocation, key_file: Path | None, campaign: str) -> None:
    """Dial nobody any more, until it is started again; calls under way go on."""
    _set(invocation, key_file, campaign, "paused")


@click.command()
@_key_option
@click.confirmation_option("--yes", prompt="Those who have not been called will not be. Cancel for good?")
@click.argument("campaign", metavar="ID")
@click.pass_obj
def cancel(invocation: Invocation, key_file: Path | None, campaign: str) -> None:
    """End a campaign for good; calls under way go on."""
    _set(invocation, key_file, campaign, "cancelled")


def _set(invocation: Invocation, key_file: Path | None, campaign: str, status: str) -> None:
    config = invocation.config()
    if not config.http.enabled:
        raise CouldNotRun("the daemon's API is off: [http] enabled = true, then restart it")
    key = api_key(key_file, "calls")
    with reading(invocation, None) as connection:
        campaign_id = the_one(connection, campaign)
    click.echo(asyncio.run(_patch(config, key, campaign_id, status)))


async def _patch(config: Config, key: str, campaign_id: str, status: str) -> str:
    url = f"{base_url(config)}/api/v1/campaigns/{campaign_id}"
    try:
        connector = aiohttp.TCPConnector(ssl=await asyncio.to_thread(trusted, config))
    except OSError as exc:
        raise CouldNotRun(f"[http] tls_certificate can't be read: {exc.strerror or exc}") from exc
    async with aiohttp.ClientSession(connector=connector) as session:
        try:
            answer = await ask(session, "PATCH", url, key=key, body={"status": status})
        except aiohttp.ClientConnectorError as exc:
            raise CouldNotRun(
                f"the daemon does not run, or not with this configuration: nobody answers on {url}"
            ) from exc
        except _FAULTS as exc:
            raise CouldNotRun(
                f"the daemon did not answer: {str(exc) or type(exc).__name__}; look at: campaigns show"
            ) from exc
    if answer.status != 200:
        raise CouldNotRun(shown_text(answer.body.get("message") or f"status {answer.status}"))
    told = answer.body["campaign"]
    return f"{told['status']}: {told['calling_leads']} being called, {told['pending_leads']} waiting"
