"""The sound of calls that Asterisk's dialplan has decided about, brought by `Dial(PJSIP/…)` to our endpoint."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping

import structlog

from sovereign_pbx.core.audio import PHONE_RATE
from sovereign_pbx.core.errors import LinkEnded
from sovereign_pbx.media.link import MediaLink
from sovereign_pbx.pbx.carrier import OnExpired
from sovereign_pbx.pbx.digits import DigitsOnce
from sovereign_pbx.pbx.sip.answering import answer
from sovereign_pbx.pbx.sip.invitation import Invitation
from sovereign_pbx.pbx.sip.leg import Leg
from sovereign_pbx.pbx.sip.rtp_link import RtpLink
from sovereign_pbx.pbx.sip.tokens import Tokens

log = structlog.get_logger(__name__)


class SipCarrier:
    """Takes each expected token once, within its time (`Carrier`). `address`: where Asterisk reaches the endpoint, as
    host:port; `peer`: what Asterisk calls the endpoint of the daemon (`[asterisk] sip_endpoint`)."""

    on_connect: Callable[[str, MediaLink], None]
    on_expired: OnExpired
    on_ended: Callable[[str, MediaLink, LinkEnded], None]

    def __init__(self, tokens: Tokens, address: Callable[[], str], *, peer: str) -> None:
        self.on_connect = lambda token, link: link.close()
        self.on_expired = lambda token: None
        self.on_ended = lambda token, link, how: None
        self.counts: Counter[str] = Counter()
        self._tokens = tokens
        self._address = address
        self._peer = peer
        self._expected: set[str] = set()
        self._links: dict[str, MediaLink] = {}

    def expect(self, token: str, within_s: float, *, rate: int = PHONE_RATE) -> None:
        async def take(invitation: Invitation, leg: Leg) -> None:
            self._expected.discard(token)
            await self._take(token, rate, invitation, leg)

        self._expected.add(token)
        self._tokens.expect(token, take, within_s=within_s, expired=lambda: self._expire(token), rate=rate)

    def knows(self, token: str) -> bool:
        return token in self._expected or token in self._links

    def forget(self, token: str) -> None:
        if token in self._expected:
            self._expected.discard(token)
            self._tokens.forget(token)

    def dial_string(self, token: str, rate: int) -> str:
        """The rate is agreed on by SDP."""
        return f"PJSIP/{self._peer}/sip:{token}@{self._address()}"

    def statistics(self) -> Mapping[str, int]:
        """connections, expected, and how many were accepted, expired, or ended (by how)."""
        return {"connections": len(self._links), "expected": len(self._expected), **self.counts}

    async def _take(self, token: str, rate: int, invitation: Invitation, leg: Leg) -> None:
        if not await answer(invitation, leg):
            self.counts["unanswered"] += 1
            self.on_expired(token)
            return
        self.counts["accepted"] += 1
        over = asyncio.Event()
        link = carried(leg, rate, over)
        self._links[token] = link
        try:
            self.on_connect(token, link)
            await over.wait()
        finally:
            del self._links[token]
            await leg.bye()
            if link.ended is not None:
                self.counts[type(link.ended).__name__] += 1
                self.on_ended(token, link, link.ended)

    def _expire(self, token: str) -> None:
        self._expected.discard(token)
        self.counts["expired"] += 1
        self.on_expired(token)


def carried(leg: Leg, rate: int, over: asyncio.Event) -> RtpLink:
    """The sound of a leg that is nothing else, as a link; `over` is set when it has ended, by whomever. Digits that
    come by INFO are told by the link like those of the sound, once."""
    link = leg.sound.link(rate)
    digits = DigitsOnce()
    link.admit_digit = lambda digit: digits.is_news("audio", digit)
    link.on_ended = lambda how: over.set()
    leg.ears = _Ears(link, digits)
    return link


class _Ears:
    def __init__(self, link: RtpLink, digits: DigitsOnce) -> None:
        self._link = link
        self._digits = digits

    def digit(self, digit: str) -> None:
        if self._link.listener is not None and self._digits.is_news("signalling", digit):
            self._link.listener.digit(digit)

    def held(self, held: bool) -> None:
        """Whoever decides about the call is told by the PBX's own means."""

    def over(self, cause: int | None, how: LinkEnded) -> None:
        """The link ends with the dialog."""
