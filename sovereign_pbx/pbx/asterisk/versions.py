"""What is known to be wrong with an Asterisk of a given version, as far as it touches our calls.

Sources: tags of the Asterisk repository for AudioSocket; Debian's source package of 22.10.1; everything else was run
on 22.10.1.
"""

import re
from collections.abc import Mapping
from typing import Final

_VERSION: Final = re.compile(r"(?:^|[^0-9.])(\d{2})\.(\d+)")

# Releases of the supported branches come together: 20.15, 21.10 and 22.5 are the same day's.
_NODELAY_SINCE: Final = {20: 15, 21: 10, 22: 5}
# Frames of more than 8 kHz; 20.17, 22.7 and 23.1 are the same day's, and 21 has no such release.
_WIDE_SINCE: Final = {20: 17, 22: 7, 23: 1}
# chan_websocket tells the channel's variables, which name the call, in its first message.
_NAMES_ITS_CALL_SINCE: Final = {20: 18, 22: 8, 23: 2}
_PATCHED_SINCE: Final = (20, 6)  # Debian's packages
_NEWEST_KNOWN_MAJOR: Final = max(_WIDE_SINCE)

OLDEST_MAJOR: Final = 18


def parse_version(text: str) -> tuple[int, int] | None:
    """(22, 10) from "22.10.1", "Asterisk 22.10.1~dfsg" or "certified/20.7-cert3"; None for what says no number."""
    match = _VERSION.search(text)
    return (int(match[1]), int(match[2])) if match else None


def has_wide_audiosocket(version: str) -> bool:
    """Whether AudioSocket's channel has 16 kHz; not, where the version is not known."""
    return _has(version, _WIDE_SINCE)


def knows_its_websockets(version: str) -> bool:
    """Whether what chan_websocket brings can always be told apart."""
    return _has(version, _NAMES_ITS_CALL_SINCE)


def _has(version: str, since: Mapping[int, int]) -> bool:
    parsed = parse_version(version)
    if parsed is None:
        return False
    major, minor = parsed
    return major > _NEWEST_KNOWN_MAJOR or minor >= since.get(major, minor + 1)


def audiosocket_faults(version: str) -> list[str]:
    """What to expect of this Asterisk's AudioSocket; each with its remedy. Empty: nothing known."""
    parsed = parse_version(version)
    if parsed is None:
        return []
    major, minor = parsed
    if major < OLDEST_MAJOR:
        return [f"Asterisk {major} has no AudioSocket: it came with 18. Use 20 or 22."]
    faults = []
    if major < 20 or minor < _NODELAY_SINCE.get(major, 0):
        faults.append(
            f"Asterisk {major}.{minor} sends audio without TCP_NODELAY, so the caller's frames may arrive in pairs and "
            "late. On loopback it does not matter; across a network use 20.15, 21.10, 22.5 or later."
        )
    return faults


def package_faults(version: str) -> list[str]:
    """What a distribution has put into this Asterisk that its authors have not; with the remedy. Empty: nothing known.

    Debian's patch `2016_opus_plc` (of January 2024, for 20.6; read in the package of 22.10.1; its effect seen) has
    every translation between codecs compare the RTP sequence numbers of what it is fed. Sound that Asterisk makes or
    AudioSocket brings has the number 0; a telephone's own behind it, in the same translation, is taken for late if its
    number is 32768 or more, and dropped until the number has gone round.
    """
    if "dfsg" not in version or (parse_version(version) or (0, 0)) < _PATCHED_SINCE:
        return []
    return [
        "This Asterisk is Debian's package: a colleague who was briefed through [sovereign-dial] often does not hear a "
        "caller whose telephone uses another codec (G.722 here, G.711 there). Name a trunk for him (transfer_trunk), "
        "let both use one codec, or run an Asterisk without Debian's patch 2016_opus_plc."
    ]
