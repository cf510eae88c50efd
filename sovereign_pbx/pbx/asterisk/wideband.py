"""Which calls are wideband: what the caller's telephone speaks, and what this Asterisk can bring of it."""

from collections.abc import Sequence
from typing import Final, Literal

from sovereign_pbx.core.audio import PHONE_RATE
from sovereign_pbx.core.errors import LinkEnded
from sovereign_pbx.pbx.asterisk.ami import Ami
from sovereign_pbx.pbx.asterisk.versions import has_wide_audiosocket

Media = Literal["auto", "audiosocket", "sip", "websocket"]

FORMATS: Final = "SOVEREIGN_FORMATS="
"""Begins the argument by which the dialplan tells the caller's codecs, the one in use first. A dialplan that was
printed before there was wideband says nothing, and could not bring it."""

WIDE_RATE: Final = 16000

# Asterisk's names (`core show codecs`) of what is sampled 16000 times a second or more
_WIDE: Final = (
    *("g722", "g719", "siren7", "siren14", "opus", "amrwb", "silk16", "silk24", "speex16", "speex32"),
    *("slin16", "slin24", "slin32", "slin44", "slin48", "slin96", "slin192"),
)


def speaks_wideband(arguments: Sequence[str]) -> bool:
    """Whether an `/inbound` request's arguments name a codec in use that carries more than a telephone's 3.4 kHz."""
    told = next((text for text in arguments if text.startswith(FORMATS)), FORMATS)
    return told.removeprefix(FORMATS).partition("|")[0].strip("()").lower() in _WIDE


class Wideband:
    """Decides a call's rate. `media` auto: wideband over AudioSocket's channel, where this Asterisk's can."""

    def __init__(self, media: Media, ami: Ami | None) -> None:
        self._media = media
        self._ami = ami
        self.version = ""  # as Asterisk told it at the last login
        if ami is not None:
            ami.on_login(self._learn)

    @property
    def possible(self) -> bool:
        if self._media == "auto":
            return has_wide_audiosocket(self.version)
        return self._media != "audiosocket"

    def rate(self, arguments: Sequence[str]) -> int:
        """Of the call that an `/inbound` request with these arguments tells of."""
        return WIDE_RATE if self.possible and speaks_wideband(arguments) else PHONE_RATE

    async def _learn(self) -> None:
        assert self._ami is not None
        try:
            self.version = await self._ami.version()
        except LinkEnded:
            return  # the next login asks again
