"""`sovereign-pbx reload`: have the running daemon read its configuration file again."""

import asyncio
import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import click

from sovereign_pbx.api.keys import Key, editing, new_key, write_keys
from sovereign_pbx.assistants.problem import Report
from sovereign_pbx.cli import CouldNotRun, Invocation
from sovereign_pbx.commands.call import KEY_VARIABLE, api_key, shown_text
from sovereign_pbx.commands.output import json_option, print_json
from sovereign_pbx.commands.own_api import Answered, ask, base_url, trusted
from sovereign_pbx.config import ROOT, Config, Examined, examine
from sovereign_pbx.config_checks import is_loopback
from sovereign_pbx.config_difference import Change, Difference
from sovereign_pbx.config_secrets import Expander, References
from sovereign_pbx.config_source import config_path, read_source
from sovereign_pbx.core.errors import BadInput, ConfigError

WITHIN_S: Final = 90.0  # models of new assistants are loaded before
_GOOD_FOR: Final = timedelta(minutes=5)
_KEY_NAME: Final = "reload"
_EPILOG = """
\b
Run it as root or as the daemon's user, or give an API key with the scope admin in
$SOVEREIGN_PBX_KEY or --key-file. Nothing watches the file: it is read when you say so,
here, by `systemctl reload sovereign-pbx`, by SIGHUP or by POST /configuration/reload.

Exit codes: 0 taken up, 1 the file has errors and nothing has changed, 2 could not be asked for.
"""


@click.command(epilog=_EPILOG)
@click.option("--key-file", metavar="FILE", type=click.Path(path_type=Path), help="File with the API key.")
@json_option
@click.pass_obj
def reload(invocation: Invocation, key_file: Path | None, as_json: bool) -> None:
    """Take up the configuration file as it is now, while calls go on.

    It is checked whole before any of it takes effect. Calls in progress keep what they began with. What became
    another is printed, and what only a restart brings about.
    """
    examined = examine(invocation.config_path)
    config = examined.config or _as_far_as_needed(examined)
    if config is None:
        _refused([str(finding) for finding in examined.findings if finding.severity == "error"])
        click.get_current_context().exit(1)
    if not config.http.enabled:
        raise CouldNotRun("the daemon's API is off: send it SIGHUP, and look for the outcome in its log")
    answer = _asked(config, key_file)
    if answer.status == 422:
        print_json(answer.body) if as_json else _refused(answer.body.get("details"))
        click.get_current_context().exit(1)
    if answer.status != 200:
        said = answer.body.get("message") or answer.body.get("error") or f"status {answer.status}"
        raise CouldNotRun(shown_text(said))
    if as_json:
        print_json(answer.body)
    else:
        _tell(answer.body)


def _as_far_as_needed(examined: Examined) -> Config | None:
    """Where the daemon is, from a file with errors elsewhere: it may have secrets and credentials that we have not, so
    that only itself can tell. None where even that can't be read."""
    try:
        source = read_source(config_path(examined.path, os.environ))
    except ConfigError:
        return None
    report = Report(strict=True)
    needed = {name: source.data[name] for name in ("daemon", "http") if name in source.data}
    expanded = Expander(References(source.path.parent, os.environ), report).expand(ROOT, needed)
    parts = ROOT.check(expanded, (), report)
    return None if report.errors else Config(**parts, path=source.path.absolute())


def _asked(config: Config, key_file: Path | None) -> Answered:
    try:
        if key_file is not None or os.environ.get(KEY_VARIABLE):
            return asyncio.run(_ask(config, api_key(key_file, "admin")))
        with _passing_key(config) as key:
            return asyncio.run(_ask(config, key))
    except aiohttp.ClientConnectorError as exc:
        where = f"nobody answers on {base_url(config)}"
        moved = "one whose [http] address was changed in the file listens where it did before until it is restarted"
        raise CouldNotRun(f"the daemon does not run: {where} ({moved})") from exc
    except (aiohttp.ClientError, OSError, TimeoutError, BadInput) as exc:
        raise CouldNotRun(f"the daemon does not answer: {shown_text(exc) or type(exc).__name__}") from exc


async def _ask(config: Config, key: str) -> Answered:
    url = base_url(config)
    connector = aiohttp.TCPConnector(ssl=await asyncio.to_thread(_believed, config))
    async with aiohttp.ClientSession(connector=connector) as session:
        return await ask(session, "POST", f"{url}/api/v1/configuration/reload", key=key, within_s=WITHIN_S)


def _believed(config: Config) -> ssl.SSLContext | bool:
    """On this machine any certificate: the daemon shows the one before until it has read the file's."""
    return False if is_loopback(urlsplit(base_url(config)).hostname or "") else trusted(config)


@contextmanager
def _passing_key(config: Config) -> Iterator[str]:
    """A key of our own while we ask: whoever may write the keys may reload. The daemon sees it at once, and it expires
    should we be killed."""
    if not config.state_dir.is_dir():
        raise CouldNotRun(f"no daemon has run with this configuration: there is no folder {config.state_dir}")
    now = datetime.now(UTC)
    token, key = new_key(f"{_KEY_NAME} {os.getpid()}", ("admin",), now=now, expires_at=now + _GOOD_FOR)
    try:
        _replace(config, key, now)
    except ConfigError as exc:
        raise CouldNotRun(f"{exc}, or give an API key: --key-file or ${KEY_VARIABLE}") from exc
    try:
        yield token
    finally:
        _replace(config, None, now, key.digest)


def _replace(config: Config, added: Key | None, now: datetime, removed: str = "") -> None:
    """Write `added` down; take `removed` away, and what was left by somebody who was killed."""
    with editing(config.keys) as present:
        kept = [key for key in present if key.digest != removed and not _is_left(key, now)]
        write_keys(config.keys, [*kept, *([added] if added else [])])


def _is_left(key: Key, now: datetime) -> bool:
    name, _, number = key.name.partition(" ")
    return name == _KEY_NAME and number.isdigit() and key.state(now) == "expired"


def _refused(details: Any) -> None:
    for line in details if isinstance(details, list) else []:
        click.echo(shown_text(line))
    click.echo("nothing has changed: the daemon goes on with the configuration it has")


def _tell(answer: dict[str, Any]) -> None:
    try:
        told, warnings = _difference(answer), [str(warning) for warning in answer["warnings"]]
    except (KeyError, TypeError) as exc:
        raise CouldNotRun("the daemon's answer is none of /configuration/reload") from exc
    for warning in warnings:
        click.echo(shown_text(warning), err=True)
    for line in told.lines() or ["nothing differs"]:
        click.echo(shown_text(line))


def _difference(answer: dict[str, Any]) -> Difference:
    return Difference(
        added=tuple(str(name) for name in answer["added"]),
        removed=tuple(str(name) for name in answer["removed"]),
        changed=tuple(Change(**one) for one in answer["changed"]),
        needs_restart=tuple(Change(**one) for one in answer["needs_restart"]),
    )
