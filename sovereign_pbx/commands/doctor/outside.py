"""What lies outside: the webhooks' servers, and the time of day."""

import asyncio
import ssl
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from sovereign_pbx.commands.doctor.machine import blocks_of
from sovereign_pbx.commands.doctor.patient import Patient
from sovereign_pbx.commands.doctor.result import Result, failed, ok, skipped, warning
from sovereign_pbx.config import Config
from sovereign_pbx.config_checks import is_loopback
from sovereign_pbx.speech.llm.quirks import quirks_of

CONNECT_S: Final = 5.0
CLOSE_S: Final = 1.0

# Receivers refuse what was signed more than five minutes ago (docs/webhooks.md).
WRONG_S: Final = 300.0
DOUBTFUL_S: Final = 5.0
JUMP_S: Final = 1.0


async def webhooks(patient: Patient) -> Result:
    """A connection to each server that gets webhooks; no event is sent."""
    urls = sorted(set(_urls(patient.config)))
    if not urls:
        return skipped("no webhook is configured")
    places = {(parts.scheme, parts.hostname or "", parts.port or _port(parts.scheme)) for parts in map(urlsplit, urls)}
    outcomes = await asyncio.gather(*(_connect(*place) for place in sorted(places)))
    bad = [text for reached, text in outcomes if not reached]
    good = [text for reached, text in outcomes if reached]
    if bad:
        remedy = "correct the URL, or let this machine reach it: events wait and are repeated, callers do not"
        return failed("; ".join(bad), remedy, reached=good)
    return ok("; ".join(good), reached=good)


def _urls(config: Config) -> Iterator[str]:
    yield from filter(None, [config.webhook.url])
    for assistant in config.assistants.values():
        if assistant.is_active:
            yield from filter(None, [assistant.webhook_url, *(tool.url for tool in assistant.tools)])


def _port(scheme: str) -> int:
    return 443 if scheme == "https" else 80


async def _connect(scheme: str, host: str, port: int) -> tuple[bool, str]:
    """(reached, in words)."""
    place, began = f"{host}:{port}", time.monotonic()
    context = await asyncio.to_thread(ssl.create_default_context) if scheme == "https" else None
    try:
        async with asyncio.timeout(CONNECT_S):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
    except TimeoutError:
        return False, f"{place} does not answer within {CONNECT_S:g} s"
    except ssl.SSLError as exc:
        return False, f"{place}: TLS failed ({getattr(exc, 'verify_message', '') or exc.reason or exc})"
    except OSError as exc:
        return False, f"{place} can't be reached ({exc.strerror or exc})"
    took_ms = (time.monotonic() - began) * 1000
    writer.close()
    try:
        async with asyncio.timeout(CLOSE_S):
            await writer.wait_closed()
    except (OSError, TimeoutError):
        pass  # it was reached, which is all that was asked
    return True, f"{place} {'with TLS ' if context else ''}in {took_ms:.0f} ms"


async def clock(patient: Patient) -> Result:
    """The time of day against Asterisk's (on another machine) and a provider's, and whether it was set meanwhile."""
    jumped_s = _jumped(patient)
    if abs(jumped_s) > JUMP_S:
        return warning(f"was set by {jumped_s:+.0f} s while doctor ran", "let chrony or systemd-timesyncd keep it")
    return judged({**await _pbx_clock(patient), **await _providers_clock(patient)})


def judged(differences: dict[str, float]) -> Result:
    """How far we are ahead of others, in seconds by their name, in words."""
    if not differences:
        return skipped("could not be compared: no Asterisk on another machine, no provider that tells the time")
    shown = ", ".join(f"{ahead_s:+.1f} s against {who}" for who, ahead_s in differences.items())
    worst_s = max(map(abs, differences.values()))
    facts = {"ahead_s": {who: round(ahead_s, 2) for who, ahead_s in differences.items()}}
    remedy = "let chrony or systemd-timesyncd keep the time: receivers refuse webhooks signed five minutes ago"
    if worst_s > WRONG_S:
        return failed(shown, remedy, **facts)
    return warning(shown, remedy, **facts) if worst_s > DOUBTFUL_S else ok(shown, **facts)


def _jumped(patient: Patient) -> float:
    wall, monotonic = patient.clock_at_start
    return (time.time() - wall) - (time.monotonic() - monotonic)


async def _pbx_clock(patient: Patient) -> dict[str, float]:
    """How far we are ahead of Asterisk; its Ping tells its time. On one machine there is but one clock."""
    if patient.ami is None or is_loopback(patient.config.asterisk.ami.host):
        return {}
    answer = await patient.ami.action("Ping")
    try:
        return {"Asterisk": time.time() - float(answer.get("Timestamp"))}
    except ValueError:
        return {}


async def _providers_clock(patient: Patient) -> dict[str, float]:
    """How far we are ahead of the first provider that tells the time, by the Date of an answer to a bare HEAD."""
    async with aiohttp.ClientSession() as session:
        for url in dict.fromkeys(_addresses(patient.config)):
            ahead_s = await ahead_of(session, url)
            if ahead_s is not None:
                return {urlsplit(url).hostname or url: ahead_s}
    return {}


async def ahead_of(session: aiohttp.ClientSession, url: str) -> float | None:
    """Seconds that we are ahead of a server, by whole ones as HTTP tells them; None when it does not tell."""
    try:
        async with asyncio.timeout(CONNECT_S), session.head(url, allow_redirects=False) as response:
            told = parsedate_to_datetime(response.headers.get("Date", ""))
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
        return None
    return time.time() - told.timestamp()


def _addresses(config: Config) -> Iterator[str]:
    """Servers of the providers in use that are not on this machine."""
    for assistant in config.assistants.values():
        for block in (*blocks_of(assistant.llm_config), *blocks_of(assistant.stt_config)):
            name = str(block.get("provider"))
            given = config.accounts.get(name, {}).get("base_url")
            parts = urlsplit(str(given or quirks_of(name).base_url))
            if parts.hostname and not is_loopback(parts.hostname):
                secure = parts.scheme in ("https", "wss")
                yield f"{'https' if secure else 'http'}://{parts.netloc.rpartition('@')[2]}/"
