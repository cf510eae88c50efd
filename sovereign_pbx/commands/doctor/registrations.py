"""The daemon as an extension of other PBXs: does each registration hold?"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from sovereign_pbx.commands.doctor.patient import Patient
from sovereign_pbx.commands.doctor.result import Look, Result, failed, ok, skipped


def looks(patient: Patient) -> list[Look]:
    """None where nothing registers."""
    config = patient.config
    if not (config.sip.enabled and config.registrations):
        return []
    return [Look("registrations", partial(registrations, patient))]


async def registrations(patient: Patient) -> Result:
    """What the daemon says of each; it alone knows, since a second one beside it would take its place."""
    found = _told(patient.daemon or {})
    if found is None:
        return skipped("only a daemon that runs knows, and none was asked")
    missing = {name: one for name, one in found.items() if not one.get("registered")}
    if not missing:
        return ok(", ".join(f"{name} at {one.get('server')}" for name, one in found.items()), registered=[*found])
    said = ", ".join(f"{name}: {one.get('error') or 'not yet'}" for name, one in missing.items())
    tables = ", ".join(f"[registrations.{name}]" for name in missing)
    return failed(said, f"check server, username, auth_username and password of {tables}", missing=[*missing])


def _told(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Of `/api/v1/health`: SIP may be the only PBX, or one of several."""
    pbx = body.get("checks", {}).get("pbx", {})
    for place in (pbx, pbx.get("sip", {})):
        found = place.get("controls", {}).get("sip", {}).get("registrations")
        if isinstance(found, Mapping):
            return found
    return None
