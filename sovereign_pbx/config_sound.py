"""What of `[sip]`'s codecs and encryption this installation can do: two libraries come with the extra `sip`."""

from typing import Final

import structlog

from sovereign_pbx.config_sip import Sip
from sovereign_pbx.core.errors import ConfigError
from sovereign_pbx.pbx.sip import codecs, srtp
from sovereign_pbx.wire.negotiation import Encryption

log = structlog.get_logger(__name__)

REMEDY: Final = "install sovereign-pbx with the extra sip"


def spoken_codecs(section: Sip) -> tuple[str, ...]:
    """Those of `codecs` that can be spoken here. Raises ConfigError when none is left."""
    spoken = codecs.available(section.codecs)
    if not spoken:
        raise ConfigError(
            "none of the codecs can be spoken here: G722 needs the package G722", key="sip.codecs", remedy=REMEDY
        )
    if len(spoken) < len(section.codecs):
        log.warning("codec_not_installed", codec="G722", remedy=REMEDY)
    return spoken


def possible_encryption(section: Sip) -> Encryption:
    """`srtp`, or `off` where its library is missing. Raises ConfigError when it is required. Loads the library, so that
    no call waits for that."""
    if section.srtp == "off":
        return "off"
    if srtp.available():
        srtp.load()
        return section.srtp
    if section.srtp == "required":
        raise ConfigError("encrypted sound needs the package pylibsrtp", key="sip.srtp", remedy=REMEDY)
    log.info("srtp_not_installed", remedy=REMEDY)
    return "off"
