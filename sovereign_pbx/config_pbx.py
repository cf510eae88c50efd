"""Which PBXs there are, what has to listen for them, and what of that does not fit together."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from sovereign_pbx.assistants.problem import Path, Report
from sovereign_pbx.config_parked_checks import check_parked

if TYPE_CHECKING:
    from sovereign_pbx.config import Config

Place = tuple[Path, str, int]


def pbx_listeners(config: "Config") -> Iterator[Place]:
    """Every address that is listened on for the PBXs: the table it stands in, host, port."""
    asterisk, sip, freeswitch = config.asterisk, config.sip, config.freeswitch
    if asterisk.enabled:
        yield ("asterisk", "agi"), asterisk.agi.host, asterisk.agi.port
        yield ("asterisk", "audiosocket"), asterisk.audiosocket.host, asterisk.audiosocket.port
        if asterisk.media == "websocket":
            yield ("asterisk", "websocket"), asterisk.websocket.host, asterisk.websocket.port
    if sip.enabled:
        yield ("sip",), sip.host, sip.port
    if freeswitch.enabled and freeswitch.media == "audio_fork":
        yield ("freeswitch",), freeswitch.media_host, freeswitch.media_port


def permitted(config: "Config", table: Path) -> tuple[Sequence[str], str]:
    """Who may connect to the listener of that table, and the key that says so."""
    if table[0] == "sip":
        return config.sip.permit, "[sip] permit"
    if table[0] == "freeswitch":
        return config.freeswitch.peers, "[freeswitch] peers"
    return config.asterisk.permit, "[asterisk] permit"


def check_pbx(config: "Config", report: Report) -> None:
    """Report a daemon that nobody can call, and sound that has no way to come."""
    if not (config.asterisk.enabled or config.sip.enabled or config.freeswitch.enabled):
        report.error(("asterisk", "enabled"), "no PBX is enabled", "enable [asterisk], [sip] or [freeswitch]")
    if config.asterisk.enabled and config.asterisk.media == "sip" and not config.sip.enabled:
        report.error(("asterisk", "media"), "the sound of calls is to come over SIP", "set [sip] enabled = true")
    check_parked(config, report)
    if config.freeswitch.enabled and config.freeswitch.media == "sip" and not config.sip.enabled:
        report.error(("freeswitch", "media"), "FreeSWITCH's calls are to come over SIP", "set [sip] enabled = true")
    if config.sip.enabled and config.sip.rtp_first_port >= config.sip.rtp_last_port:
        what = f"is not below rtp_last_port ({config.sip.rtp_last_port})"
        report.error(("sip", "rtp_first_port"), what, "give it a range of two ports a call")
    if config.sip.enabled and config.sip.jitter_min_ms > config.sip.jitter_max_ms:
        report.error(
            ("sip", "jitter_min_ms"), f"is more than jitter_max_ms ({config.sip.jitter_max_ms})", "make it less"
        )
