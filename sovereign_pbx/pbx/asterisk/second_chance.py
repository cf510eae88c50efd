"""A call whose sound can't come the way that is wished for has it by AudioSocket."""

from collections.abc import Mapping
from typing import Any

import structlog

from sovereign_pbx.core.audio import PHONE_RATE
from sovereign_pbx.core.errors import LinkEnded
from sovereign_pbx.pbx.asterisk.audiosocket import AudioSocketServer
from sovereign_pbx.pbx.carrier import Carrier, OnConnect, OnEnded, OnExpired

log = structlog.get_logger(__name__)


class SecondChance:
    """`first`, and where Asterisk can't dial it (no such module, endpoint or connection) its application AudioSocket(),
    which the dialplan tries then. Each call is expected by both, until it has come to one of them."""

    def __init__(self, first: Carrier, audiosocket: AudioSocketServer) -> None:
        self.on_connect: OnConnect = lambda token, link: link.close()
        self.on_expired: OnExpired = lambda token: None
        self.on_ended: OnEnded = lambda token, link, how: None
        self.taken = 0
        self._first, self._audiosocket = first, audiosocket
        first.on_connect, audiosocket.on_connect = self._first_came, self._second_came
        first.on_expired, audiosocket.on_expired = lambda token: None, self._expired
        first.on_ended = audiosocket.on_ended = self._ended

    def expect(self, token: str, within_s: float, *, rate: int = PHONE_RATE) -> None:
        self._first.expect(token, within_s, rate=rate)
        self._audiosocket.expect(token, within_s, rate=rate)

    def knows(self, token: str) -> bool:
        return self._first.knows(token) or self._audiosocket.knows(token)

    def forget(self, token: str) -> None:
        self._first.forget(token)
        self._audiosocket.forget(token)

    def dial_string(self, token: str, rate: int) -> str:
        return self._first.dial_string(token, rate)

    def statistics(self) -> Mapping[str, int]:
        """Those of the first, and `second_chances`: how many calls came by AudioSocket all the same."""
        return {**self._first.statistics(), "second_chances": self.taken}

    def _first_came(self, token: str, link: Any) -> None:
        self._audiosocket.forget(token)
        self.on_connect(token, link)

    def _second_came(self, token: str, link: Any) -> None:
        self._first.forget(token)
        self.taken += 1
        log.warning("sound_by_audiosocket", remedy="sovereign-pbx doctor says what [asterisk] media lacks")
        self.on_connect(token, link)

    def _expired(self, token: str) -> None:
        self._first.forget(token)
        self.on_expired(token)

    def _ended(self, token: str, link: Any, how: LinkEnded) -> None:
        self.on_ended(token, link, how)
