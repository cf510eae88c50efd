"""What of `[freeswitch]` without SIP can't work, or must not be."""

from typing import TYPE_CHECKING

from sovereign_pbx.assistants.problem import Report

if TYPE_CHECKING:
    from sovereign_pbx.config import Config


def check_parked(config: "Config", report: Report) -> None:
    """Report calls that nothing steers, and sound that would go over a network of everybody's."""
    section = config.freeswitch
    if not section.enabled or section.media == "sip":
        return
    from sovereign_pbx.pbx.freeswitch.unicast import is_private  # and numpy with it, which few configurations need

    if not section.esl.password:
        what = "calls without SIP are steered over the event socket"
        report.error(("freeswitch", "media"), what, "set [freeswitch.esl] password")
    remedy = "use 127.0.0.1, or the IPv4 address of a network of your own: FreeSWITCH plays what anybody sends it"
    if not is_private(section.media_host):
        report.error(("freeswitch", "media_host"), "is no place for sound without SIP", remedy)
    if section.media == "unicast" and not is_private(section.esl.host):
        report.error(("freeswitch", "esl", "host"), "is where unicast would go to", remedy)
