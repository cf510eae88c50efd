"""What of `[sip]` does not fit together: certificates, passwords, ports, the session timer."""

from typing import TYPE_CHECKING

from sovereign_pbx.assistants.problem import Report
from sovereign_pbx.pbx.sip.session_timer import MIN_SE_S

if TYPE_CHECKING:
    from sovereign_pbx.config import Config
    from sovereign_pbx.config_sip import Sip


def check_endpoint(config: "Config", report: Report) -> None:
    """Report an endpoint that could not start, or would not do what was meant."""
    sip = config.sip
    if not sip.enabled:
        return
    _check_tls(sip, report)
    _check_proof(sip, report)
    _check_ports(sip, report)
    if 0 < sip.session_expires_seconds < MIN_SE_S:
        what = f"is less than anybody may ask for: {MIN_SE_S} is what it will be"
        report.warn(("sip", "session_expires_seconds"), what, f"make it {MIN_SE_S} or more, or 0 for none")


def _check_tls(sip: "Sip", report: Report) -> None:
    if "tls" in sip.transports and not sip.tls_certificate:
        report.error(("sip", "transports"), "names tls, and there is no certificate", "set [sip] tls_certificate")
    if sip.tls_certificate and "tls" not in sip.transports:
        report.warn(("sip", "tls_certificate"), "is not used", 'add "tls" to [sip] transports')
    if sip.srtp == "required" and set(sip.transports) != {"tls"}:
        what = "its keys stand in SIP, where whoever sees udp or tcp reads them"
        report.warn(("sip", "srtp"), what, 'make [sip] transports only "tls"')


def _check_proof(sip: "Sip", report: Report) -> None:
    if sip.username and not sip.password:
        report.error(("sip", "username"), "has no password: no call could prove it", "set [sip] password")
    if sip.password and not sip.username:
        report.error(("sip", "password"), "is asked of nobody without a username", "set [sip] username")


def _check_ports(sip: "Sip", report: Report) -> None:
    first = sip.rtp_first_port + sip.rtp_first_port % 2
    pairs = max(0, sip.rtp_last_port - first + 1) // 2
    if 0 < pairs < sip.max_calls:
        what = f"leaves sound for {pairs} of [sip] max_calls ({sip.max_calls})"
        report.warn(("sip", "rtp_last_port"), what, f"make it {first + 2 * sip.max_calls - 1} or more")
    taken = [sip.port, sip.port + 1] if "tls" in sip.transports else [sip.port]
    if any(first <= port <= sip.rtp_last_port for port in taken):
        what = f"is among the ports for the sound ({sip.rtp_first_port} to {sip.rtp_last_port})"
        report.error(("sip", "port"), what, "choose another one")
