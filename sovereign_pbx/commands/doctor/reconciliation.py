"""Do Asterisk and the daemon agree on the calls there are? Counted on both sides, twice where they do not."""

import asyncio
from typing import Any, Final

import aiohttp

from sovereign_pbx.commands.doctor.asterisk import NO_LOGIN
from sovereign_pbx.commands.doctor.daemon import health
from sovereign_pbx.commands.doctor.patient import Patient
from sovereign_pbx.commands.doctor.result import Result, ok, skipped, warning
from sovereign_pbx.core.errors import BadInput, LinkEnded
from sovereign_pbx.pbx.asterisk.ami import Ami
from sovereign_pbx.pbx.asterisk.roll_call import Ours, Shown

LOOKS: Final = 3
BETWEEN_S: Final = 2.0


async def reconciliation(patient: Patient) -> Result:
    """Channels whose audio comes to the daemon, against the audio connections that it has."""
    if patient.ami is None:
        return skipped(NO_LOGIN)
    if patient.daemon is None or not _pbx(patient.daemon):
        return skipped("the daemon does not say which calls it has")
    there = here = unknown = 0
    for look in range(LOOKS):
        await asyncio.sleep(BETWEEN_S if look else 0)
        try:
            pbx = _pbx(await health(patient.config))
            there = await _channels(patient, patient.ami)
        except (BadInput, LinkEnded, TimeoutError, aiohttp.ClientError, OSError) as exc:
            return warning(f"could not be compared: {exc or type(exc).__name__}", "see the daemon's log")
        here, unknown = _number(pbx.get("audiosocket"), "connections"), _number(pbx, "unknown_channels")
        if there == here and not unknown:
            return ok(f"Asterisk and the daemon have the same calls ({here})", channels=there, connections=here)
    detail = f"Asterisk connects {there} channels to the daemon, which has {here} connections, {unknown} of no call"
    remedy = "sovereign-pbx calls audit says which; the daemon mends it by itself within [asterisk] audit_seconds"
    return warning(detail, remedy, channels=there, connections=here, unknown=unknown)


def _pbx(body: dict[str, Any]) -> dict[str, Any]:
    found = body.get("checks", {}).get("pbx")
    return found if isinstance(found, dict) else {}


def _number(table: Any, name: str) -> int:
    found = table.get(name) if isinstance(table, dict) else None
    return found if isinstance(found, int) else 0


async def _channels(patient: Patient, ami: Ami) -> int:
    """How many channels are in an AudioSocket that leads to this daemon."""
    answer = await ami.action("CoreShowChannels")
    shown = [Shown.of(entry) for entry in answer.entries if entry.event == "CoreShowChannel"]
    listener = patient.config.asterisk.audiosocket
    host = patient.config.asterisk.advertise_host or listener.host
    ours = Ours(address=lambda: (host, listener.port), knows_token=lambda token: False, began="")
    addresses = ours.addresses(shown)
    return sum(bool(token) and address in addresses for token, address in (one.audio for one in shown))
