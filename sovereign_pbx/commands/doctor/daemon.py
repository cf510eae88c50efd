"""The daemon, by what it says of itself."""

import asyncio
import os
from typing import Any, Final

import aiohttp

from sovereign_pbx import __version__
from sovereign_pbx.commands.doctor.patient import Patient
from sovereign_pbx.commands.doctor.result import Result, failed, ok, warning
from sovereign_pbx.commands.own_api import ask, base_url, trusted
from sovereign_pbx.config import Config
from sovereign_pbx.config_port_owner import owner_of
from sovereign_pbx.core.errors import BadInput

START: Final = (
    "start it: systemctl start sovereign-pbx, or sovereign-pbx run; journalctl -u sovereign-pbx says why it ended"
)
HEALTH_S: Final = 4.0


async def daemon(patient: Patient) -> Result:
    """Does it run, and is it well?"""
    config = patient.config
    if not config.http.enabled:
        return await asyncio.to_thread(_by_its_port, patient)
    address = f"{config.http.host}:{config.http.port}"
    try:
        patient.daemon = body = await health(config)
    except BadInput as exc:
        return failed(f"what answers on {address} is not this daemon: {exc}", "choose another [http] port")
    except TimeoutError:
        return failed(f"{address} took the connection and said nothing within {HEALTH_S:g} s", "restart the daemon")
    except (aiohttp.ClientError, OSError) as exc:
        return failed(f"does not run: nobody answers on {address} ({_reason(exc)})", START)
    return _worded(body)


def _reason(exc: Exception) -> str:
    """Without the address, which aiohttp repeats twice."""
    number = getattr(exc, "errno", None)
    return os.strerror(number).lower() if number else type(exc).__name__


async def health(config: Config) -> dict[str, Any]:
    """The body of `/api/v1/health`. Raises BadInput for anything else, TimeoutError, aiohttp.ClientError, OSError."""
    connector = aiohttp.TCPConnector(ssl=await asyncio.to_thread(trusted, config))
    async with asyncio.timeout(HEALTH_S), aiohttp.ClientSession(connector=connector) as session:
        body = (await ask(session, "GET", f"{base_url(config)}/api/v1/health")).body
    if not isinstance(body.get("checks"), dict):
        raise BadInput("no health report")
    return body


def _worded(body: dict[str, Any]) -> Result:
    version, status = str(body.get("version", "?")), str(body.get("status", "?"))
    unwell = [
        f"{name} {check.get('status')}" + (f" ({check['detail']})" if check.get("detail") else _why(check))
        for name, check in body["checks"].items()
        if isinstance(check, dict) and check.get("status") != "ok"
    ]
    facts = {"version": version, "health": status}
    if status == "down":
        return failed(f"version {version} runs and is down: {', '.join(unwell)}", "see its log", **facts)
    if unwell:
        return warning(f"version {version} runs; {', '.join(unwell)}", "see its log and docs/operations.md", **facts)
    if version != __version__:
        return warning(f"version {version} runs, {__version__} is installed", "restart the daemon", **facts)
    return ok(f"version {version} runs and is well", **facts)


def _why(check: dict[str, Any]) -> str:
    """What makes a check degraded without saying so: AMI's error one level down, the lag of the media clock."""
    if isinstance(lag_ms := check.get("worst_lag_ms"), int | float):
        return f" (it was {lag_ms:.0f} ms late at worst)"
    ami = check.get("ami")
    error = ami.get("error") if isinstance(ami, dict) else None
    return f" (AMI: {error})" if error else ""


def _by_its_port(patient: Patient) -> Result:
    port = patient.config.asterisk.agi.port
    owner = owner_of(port)
    if owner is None:
        return failed(f"nobody of this user listens on port {port}, and [http] is off", START)
    if not owner.is_ours:
        return failed(f"port {port} is held by {owner}", "stop that, or choose another port")
    patient.daemon = {"checks": {}}
    return warning(f"{owner} listens; [http] is off, so its health can't be asked", "set [http] enabled = true")
