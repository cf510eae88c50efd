"""Ways out over SIP that lead nowhere: registrations, and trunks that the daemon dials itself."""

import ipaddress
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sovereign_pbx.assistants.problem import Path, Report
from sovereign_pbx.assistants.trunk import Trunk
from sovereign_pbx.wire.malformed import Malformed
from sovereign_pbx.wire.sip_address import host_and_port

if TYPE_CHECKING:
    from sovereign_pbx.config import Config

_REGISTRATIONS = ("registrations",)


def check_sip(config: "Config", report: Report) -> None:
    """Report registrations and trunks that can't work, or whose packets `[sip] permit` would drop."""
    for name, trunk in config.trunks.items():
        _check_trunk(("trunks", name), trunk, config, report)
    if config.registrations and not config.sip.enabled:
        report.warn(_REGISTRATIONS, "nothing is registered: [sip] is not enabled", "set [sip] enabled = true")
        return
    _check_registrations(config, report)
    _check_music(config, report)
    for path, place in _places(config):
        _check_place(path, place, config, report)


def dialled_by_us(config: "Config", trunk: Trunk) -> bool:
    """Is this trunk an address that the daemon calls itself?"""
    if trunk.pbx:
        return trunk.pbx == "sip"
    others = config.asterisk.enabled or config.freeswitch.enabled
    return bool(trunk.address) and config.sip.enabled and not others


def _check_trunk(path: Path, trunk: Trunk, config: "Config", report: Report) -> None:
    enabled = {
        "asterisk": config.asterisk.enabled,
        "freeswitch": config.freeswitch.enabled,
        "sip": config.sip.enabled,
    }
    if trunk.pbx and not enabled[trunk.pbx]:
        report.error((*path, "pbx"), f"[{trunk.pbx}] is not enabled", "enable it, or name the PBX that has the trunk")
    elif trunk.pbx == "sip" and not trunk.address:
        report.error((*path, "pbx"), "the daemon is to dial this trunk, and it has no address", "give it an address")
    elif dialled_by_us(config, trunk):
        _check_transport((*path, "transport"), trunk.transport, config, report)
        if trunk.pbx_name in config.registrations:
            what = f'"{trunk.pbx_name}" is a registration too: calls go out through that'
            report.warn((*path, "endpoint"), what, "give one of them another name, or leave the trunk's address out")


def _check_registrations(config: "Config", report: Report) -> None:
    seen: dict[tuple[str, str], str] = {}
    for name, registration in config.registrations.items():
        path = (*_REGISTRATIONS, name)
        _check_transport((*path, "transport"), registration.transport, config, report)
        first = seen.setdefault((registration.server.lower(), registration.username), name)
        if first != name:
            what = f'is the extension of "{first}" again: each takes the other\'s calls'
            report.error((*path, "username"), what, "remove one of them")
        if not registration.password:
            report.warn((*path, "password"), "has no password: most PBXs refuse that", "give it the extension's")
    if config.registrations and config.sip.username:
        what = "calls through registrations must prove that password as well, and registrars do not"
        report.warn(("sip", "username"), what, "leave it empty, and name the registrar in [sip] permit")


def _check_music(config: "Config", report: Report) -> None:
    if config.transfers.music and config.sip.enabled and not (config.asterisk.enabled or config.freeswitch.enabled):
        what = f'"{config.transfers.music}" is music of a PBX: callers who are put through over SIP hear it ring'
        report.warn(("transfers", "music"), what, "leave it empty")


def _check_transport(path: Path, transport: str, config: "Config", report: Report) -> None:
    if config.sip.enabled and transport not in config.sip.transports:
        report.error(path, f"[sip] transports does not name {transport}", f'add "{transport}" to [sip] transports')


def _places(config: "Config") -> Iterator[tuple[Path, str]]:
    for name, registration in config.registrations.items():
        yield (*_REGISTRATIONS, name, "server"), registration.server
    for name, trunk in config.trunks.items():
        if trunk.address and dialled_by_us(config, trunk):
            yield ("trunks", name, "address"), trunk.address


def _check_place(path: Path, place: str, config: "Config", report: Report) -> None:
    """What a name means is not asked here; an address is compared with `permit`, which drops answers, too."""
    try:
        host, _ = host_and_port(place)
    except Malformed as exc:
        report.error(path, f"{place} is no host: {exc}", "write host or host:port")
        return
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return
    networks = [ipaddress.ip_network(network, strict=False) for network in config.sip.permit]
    if networks and not any(address in network for network in networks):
        report.error(path, f"[sip] permit does not name {host}: whatever it answers is dropped", "add it to permit")
