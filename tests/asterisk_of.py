"""The Asterisk that a daemon is attached to."""

from sovereign_pbx.daemon import Daemon
from sovereign_pbx.pbx.asterisk.asterisk import AsteriskPbx


def asterisk_of(daemon: Daemon) -> AsteriskPbx:
    (found,) = [member for member in daemon.pbx if isinstance(member, AsteriskPbx)]
    return found


def ami_connected(daemon: Daemon) -> bool:
    """Whether its manager interface is there."""
    ami = asterisk_of(daemon).ami
    return ami is not None and ami.connected
