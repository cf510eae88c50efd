"""What of `[freeswitch]` works, and is not what somebody wants."""

import ipaddress
from typing import TYPE_CHECKING

from sovereign_pbx.assistants.problem import Report

if TYPE_CHECKING:
    from sovereign_pbx.config import Config

_ESL = ("freeswitch", "esl")


def check_freeswitch(config: "Config", report: Report) -> None:
    """Report an event socket that is not used, a password that travels, and calls that [sip] would drop."""
    section = config.freeswitch
    if not section.enabled:
        return
    if not section.esl.password:
        what = "no event socket password: FreeSWITCH places no calls, and callers are put through by SIP alone"
        report.warn(_ESL, what, "set [freeswitch.esl] password to that of event_socket.conf.xml")
        if section.media == "sip" and config.sip.transfer == "refer":
            what = (
                "a REFER would have FreeSWITCH look for the number in our own context, and bring the caller here again"
            )
            report.error(("sip", "transfer"), what, 'make it "bridge", or set [freeswitch.esl] password')
    elif not _is_here(section.esl.host):
        what = "the event socket is not on this machine: its password crosses the network as it is"
        report.warn((*_ESL, "host"), what, "keep it in a network of your own, or tunnel it")
    if any(ipaddress.ip_network(peer, strict=False).prefixlen == 0 for peer in section.peers):
        what = "names every address: whoever reaches [sip] could have the calls of others moved"
        report.warn(("freeswitch", "peers"), what, "name FreeSWITCH's addresses")
    if section.media == "sip" and config.sip.username:
        what = "its calls prove no password, and [sip] username asks for one: they are refused"
        report.error(("freeswitch", "media"), what, "leave [sip] username empty, and name FreeSWITCH in [sip] permit")
    if section.media == "sip" and config.sip.permit:
        for peer in section.peers:
            if not _covered(peer, config.sip.permit):
                what = f"[sip] permit does not name {peer}: its calls are dropped"
                report.error(("freeswitch", "peers"), what, "add it to [sip] permit")


def _covered(peer: str, permit: tuple[str, ...]) -> bool:
    wanted = ipaddress.ip_network(peer, strict=False)
    for one in permit:
        network = ipaddress.ip_network(one, strict=False)
        if network.version == wanted.version and wanted.subnet_of(network):  # type: ignore[arg-type]  # of one version
            return True
    return False


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
