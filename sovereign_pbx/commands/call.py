"""`sovereign-pbx call`: have the running daemon call somebody, through its REST API."""

import asyncio
import os
from pathlib import Path
from typing import Any, Final

import aiohttp
import click

from sovereign_pbx.cli import CouldNotRun, Invocation
from sovereign_pbx.commands.call_page import plain
from sovereign_pbx.commands.own_api import Answered, ask, base_url, trusted
from sovereign_pbx.config import Config
from sovereign_pbx.core.errors import BadInput

KEY_VARIABLE: Final = "SOVEREIGN_PBX_KEY"
POLL_S: Final = 1.0  # an API key has a hundred requests a minute
LONGEST_WAIT_S: Final = 60.0
FAILURES: Final = 5  # in a row, while following
SUMMARY_S: Final = 90.0  # a model writes it, and may have others to write before

_FAULTS: Final = (aiohttp.ClientError, OSError, TimeoutError, BadInput)
_EPILOG = """
\b
The key is made by `sovereign-pbx keys create NAME --scope calls` and read from
$SOVEREIGN_PBX_KEY or from --key-file. Where to is allowed by [dialling] allow.

Exit codes: 0 dialled (with --follow: answered), 1 nobody answered, 2 could not be dialled.
"""


@click.command(epilog=_EPILOG)
@click.argument("destination")
@click.option("--assistant", required=True, metavar="NAME", help="Who speaks: the name or the id of an assistant.")
@click.option("--number", metavar="NUMBER", default="", help="Which of your numbers calls: itself or its id.")
@click.option(
    "--first-message", metavar="TEXT", default="", help="What is said first, in place of the assistant's own."
)
@click.option("--follow", "-f", is_flag=True, help="Wait for the end, and tell how it went.")
@click.option("--key-file", metavar="FILE", type=click.Path(path_type=Path), help="File with the API key.")
@click.pass_obj
def call(
    invocation: Invocation,
    destination: str,
    assistant: str,
    number: str,
    first_message: str,
    follow: bool,
    key_file: Path | None,
) -> None:
    """Call DESTINATION, a number or sip:user@host, and have an assistant talk to whoever answers."""
    config = invocation.config()
    if not config.http.enabled:
        raise CouldNotRun("the daemon's API is off: [http] enabled = true, then restart it")
    wanted = {"number_id": number, "first_message": first_message}
    body = {"destination": destination, "assistant_id": assistant, **{k: v for k, v in wanted.items() if v}}
    try:
        answered = asyncio.run(_call(config, api_key(key_file, "calls"), body, follow=follow))
    except KeyboardInterrupt:
        click.echo("\nnot followed any more; the call goes on", err=True)
        click.get_current_context().exit(130)
    click.get_current_context().exit(0 if answered else 1)


def api_key(file: Path | None, scope: str) -> str:
    """The key of the API. Raises CouldNotRun where there is none, with how to make one of this scope."""
    if file is None:
        key = os.environ.get(KEY_VARIABLE, "")
    else:
        try:
            key = file.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as exc:
            raise CouldNotRun(f"the key file {file} can't be read: {getattr(exc, 'strerror', None) or exc}") from exc
    key = key.strip()
    if not key or not key.isprintable() or not key.isascii():
        where = str(file) if file is not None else f"${KEY_VARIABLE}"
        raise CouldNotRun(f"no API key in {where}; make one with: sovereign-pbx keys create NAME --scope {scope}")
    return key


async def _call(config: Config, key: str, body: dict[str, Any], *, follow: bool) -> bool:
    url = base_url(config)
    try:
        connector = aiohttp.TCPConnector(ssl=await asyncio.to_thread(trusted, config))
    except OSError as exc:
        raise CouldNotRun(f"[http] tls_certificate can't be read: {exc.strerror or exc}") from exc
    async with aiohttp.ClientSession(connector=connector) as session:
        call_id = await _place(session, f"{url}/api/v1/calls/outbound", key, body)
        click.echo(f"dialling {shown_text(body['destination'])}, call {call_id}")
        if not follow:
            return True
        return await _follow(session, f"{url}/api/v1/calls/{call_id}", key)


async def _place(session: aiohttp.ClientSession, url: str, key: str, body: dict[str, Any]) -> str:
    """The call's id. The order is sent once, whatever becomes of its answer."""
    try:
        answer = await ask(session, "POST", url, key=key, body=body)
    except aiohttp.ClientConnectorError as exc:
        raise CouldNotRun(f"the daemon does not run, or not with this configuration: nobody answers on {url}") from exc
    except _FAULTS as exc:
        raise CouldNotRun(
            f"the daemon did not say whether it calls ({str(exc) or type(exc).__name__}); before trying again look at:"
            " sovereign-pbx calls list"
        ) from exc
    call_id = answer.body.get("call_id")
    if answer.status not in (200, 201) or not isinstance(call_id, str) or not _is_id(call_id):
        raise CouldNotRun(_refusal(answer))
    return call_id


def _is_id(text: str) -> bool:
    """It becomes part of an address."""
    return 0 < len(text) <= 100 and all(sign.isalnum() or sign in "-_+." for sign in text) and text.strip(".") != ""


def _refusal(answer: Answered) -> str:
    """What the daemon says, with what helps where it says little."""
    said = answer.body.get("message") or answer.body.get("error") or f"status {answer.status}"
    details = answer.body.get("details")
    lines = [shown_text(said), *(shown_text(one) for one in (details if isinstance(details, list) else []))]
    if answer.status in (401, 403) and answer.body.get("code") != "destination_not_allowed":
        lines.append("the key must be one of this daemon's with the scope calls: sovereign-pbx keys list")
    return "\n    ".join(lines)


async def _follow(session: aiohttp.ClientSession, url: str, key: str) -> bool:
    """Tell what happens until the end; was it answered?"""
    shown, ended_at = "", 0.0
    clock = asyncio.get_running_loop().time
    while True:
        call = await _look(session, url, key)
        status = str(call.get("status"))
        if status == "in-progress" and shown != status:
            click.echo("answered")
        shown = status
        if status in ("ended", "failed"):
            ended_at = ended_at or clock()
            if call.get("summary") is not None or clock() - ended_at > SUMMARY_S:
                return _tell_end(call)
        await asyncio.sleep(POLL_S)


async def _look(session: aiohttp.ClientSession, url: str, key: str) -> dict[str, Any]:
    """The call as it is now. Raises CouldNotRun when it can't be asked for any more."""
    why = ""
    for _ in range(FAILURES):
        try:
            answer = await ask(session, "GET", url, key=key)
        except _FAULTS as exc:
            why = str(exc) or type(exc).__name__
            await asyncio.sleep(POLL_S)
            continue
        if answer.status == 200:
            return answer.body
        if answer.status != 429:
            raise CouldNotRun(_refusal(answer))
        await asyncio.sleep(min(max(answer.retry_after_s, POLL_S), LONGEST_WAIT_S))
    raise CouldNotRun(f"the daemon does not answer any more: {why or 'too many requests'}; the call goes on")


def _tell_end(call: dict[str, Any]) -> bool:
    answered = call.get("started_at") is not None
    reason = shown_text(call.get("end_reason") or "unknown")
    click.echo(f"{'ended' if answered else 'not answered'}: {reason}, {call.get('duration_seconds') or 0} s")
    messages = call.get("messages")
    for message in messages if isinstance(messages, list) else []:
        if isinstance(message, dict) and message.get("role") in ("user", "assistant"):
            click.echo(f"  {message['role']}: {shown_text(message.get('content') or '')}")
    if call.get("error"):
        click.echo(f"error: {shown_text(call['error'])}")
    if call.get("summary"):
        click.echo(shown_text(call["summary"]))
    return answered


def shown_text(text: object) -> str:
    """Without what could drive the terminal."""
    return plain(text).plain
