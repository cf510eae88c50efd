"""The sound of one parked channel, whatever brings it, as `pbx.sip.sip_call` takes it of a leg."""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

import structlog

from sovereign_pbx.core.errors import BadInput, LinkBroken, LinkEnded
from sovereign_pbx.pbx.freeswitch.esl import Esl
from sovereign_pbx.pbx.freeswitch.unicast import UnicastLink, UnicastSession

log = structlog.get_logger(__name__)

FIRST_S: Final = 2.0
"""From the command to its first datagram it is a frame or two; "+OK" says no more than that it was queued, also where
it comes to nothing."""


class Caller(Protocol):
    """What a sound needs to know of its channel."""

    uuid: str
    rate: int  # of its codec, 0 before there is one
    parks: int  # how often it has been parked, which is where commands for sound are heard


class UnicastSound:
    """`bring` after each time the channel was parked, and never twice: FreeSWITCH would leak a socket, and a thread.

    Raises of `bring`: BadInput where the channel has no media yet (FreeSWITCH 1.10 and 1.11 crash as a whole when they
    are asked before) or the addresses are open to everybody; LinkBroken where nothing comes.
    """

    def __init__(self, esl: Esl, host: str, peer_host: str) -> None:
        self.on_lost: Callable[[], None] = lambda: None
        self._esl = esl
        self._host, self._peer_host = host, peer_host
        self._session: UnicastSession | None = None
        self._brought = 0  # in which park

    async def bring(self, caller: Caller) -> None:
        if not caller.rate:
            raise BadInput("the channel has no media yet: unicast would crash FreeSWITCH")
        if self._brought >= caller.parks:
            raise BadInput("unicast has been asked for in this park already, or the channel is not parked")
        self._brought = caller.parks
        session = self._session
        if session is None:
            session = await UnicastSession.open(self._host, caller.rate, self._peer_host, on_lost=self._lost)
            self._session = session
        elif session.rate != caller.rate:
            raise LinkBroken("the caller's codec has another rate than before")
        session.expect()
        said = await self._esl.message(caller.uuid, "unicast", session.request())
        if not said.startswith("+OK"):
            raise LinkBroken(f"FreeSWITCH does not send the sound: {said[:80]}")
        try:
            async with asyncio.timeout(FIRST_S):
                await session.heard.wait()
        except TimeoutError as exc:
            raise LinkBroken("FreeSWITCH sends no sound, though it was asked to") from exc

    @property
    def rate(self) -> int:
        """Hz, 0 before `bring`."""
        return self._session.rate if self._session is not None else 0

    def rest(self) -> None:
        """The channel is not parked any more: nothing will come, and nothing is missed."""
        if self._session is not None:
            self._session.rest()

    def link(self, rate: int) -> UnicastLink:
        """The sound as frames at the channel's own rate; `rate` is what the call would like."""
        assert self._session is not None, "the sound has not been brought"
        return self._session.link()

    def play_ringing(self) -> None:
        if self._session is not None:
            self._session.play_ringing()

    def play_nothing(self) -> None:
        if self._session is not None:
            self._session.play_nothing()

    def begin(self) -> None:
        """It has begun with `bring`."""

    def close(self, how: LinkEnded) -> None:
        if self._session is not None:
            self._session.close(how)

    def check(self) -> None:
        """Notice a loss while no clock asks."""
        if self._session is not None:
            self._session.lost()

    def _lost(self) -> None:
        log.warning("unicast_lost")
        self.on_lost()
