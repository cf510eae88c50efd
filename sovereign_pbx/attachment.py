"""The PBXs that a configuration names, made ready to be started. Composition and nothing else.

SIP and FreeSWITCH are brought in only where they are wanted: their import takes a third of a second.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from sovereign_pbx.assistants.trunk import Trunk
from sovereign_pbx.config import Config
from sovereign_pbx.config_parts import asterisk_settings
from sovereign_pbx.pbx.asterisk.asterisk import AsteriskPbx
from sovereign_pbx.pbx.attached import Attached, Member

if TYPE_CHECKING:
    from sovereign_pbx.pbx.sip.control import Control
    from sovereign_pbx.pbx.sip.sip_pbx import SipPbx


def attach(config: Config, trunks: Callable[[], Iterable[Trunk]]) -> Attached:
    """As `[asterisk]`, `[sip]` and `[freeswitch]` say; `trunks` gives every trunk there is, as they are now. Reads the
    certificate for SIP. Raises ConfigError."""
    sip = _sip(config, trunks) if config.sip.enabled else None
    return Attached([*_asterisk(config, sip), *([sip] if sip else []), *_parked(config)])


def _sip(config: Config, trunks: Callable[[], Iterable[Trunk]]) -> "SipPbx":
    """The control that has every call goes last."""
    from sovereign_pbx.config_sip_parts import freeswitch_settings, sip_control, sip_settings
    from sovereign_pbx.pbx.freeswitch.control import FreeSwitchControl
    from sovereign_pbx.pbx.sip.outgoing import SipControl
    from sovereign_pbx.pbx.sip.sip_pbx import SipPbx

    controls: list[Control] = [SipControl(sip_control(config, trunks))]
    if config.freeswitch.enabled and config.freeswitch.media == "sip":
        controls.insert(0, FreeSwitchControl(freeswitch_settings(config)))
    return SipPbx(sip_settings(config), controls)


def _asterisk(config: Config, sip: "SipPbx | None") -> Iterator[Member]:
    if config.asterisk.enabled:
        yield AsteriskPbx(asterisk_settings(config), sip.carrier if sip else None)


def _parked(config: Config) -> Iterator[Member]:
    """FreeSWITCH's calls without SIP."""
    if config.freeswitch.enabled and config.freeswitch.media != "sip":
        from sovereign_pbx.config_sip_parts import freeswitch_settings, parked_settings
        from sovereign_pbx.pbx.freeswitch.control import FreeSwitchControl
        from sovereign_pbx.pbx.freeswitch.parked_pbx import ParkedPbx

        yield ParkedPbx(parked_settings(config), FreeSwitchControl(freeswitch_settings(config)))
