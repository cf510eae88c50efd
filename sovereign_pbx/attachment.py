"""The PBXs that a configuration names, made ready to be started. Composition and nothing else."""

from sovereign_pbx.config import Config
from sovereign_pbx.config_parts import asterisk_settings
from sovereign_pbx.pbx.asterisk.asterisk import AsteriskPbx
from sovereign_pbx.pbx.attached import Attached


def attach(config: Config) -> Attached:
    """As `[asterisk]`, `[sip]` and `[freeswitch]` say."""
    return Attached([AsteriskPbx(asterisk_settings(config))])
