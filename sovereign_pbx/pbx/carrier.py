"""What brings the sound of calls that are decided elsewhere.

Asterisk's dialplan asks over FastAGI who takes a call, and is told a token. Whatever then connects to us and names that
token is the call's sound: an AudioSocket, a leg over SIP, a WebSocket. Everything above sees a `MediaLink`.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from sovereign_pbx.core.audio import PHONE_RATE
from sovereign_pbx.core.errors import LinkEnded
from sovereign_pbx.media.link import MediaLink

OnConnect = Callable[[str, Any], None]  # the token, its link: a CarriedLink
OnExpired = Callable[[str], None]
OnEnded = Callable[[str, Any, LinkEnded], None]


class CarriedLink(MediaLink, Protocol):
    """A link whose digits may come another way as well: it asks `admit_digit` before it tells its listener of one."""

    admit_digit: Callable[[str], bool]


class Carrier(Protocol):
    """Takes each expected token once, within its time; strangers are refused and counted.

    `on_connect(token, link)` when the sound has come, `on_expired(token)` when it has not, `on_ended(token, link, how)`
    when a link has ended.
    """

    on_connect: OnConnect
    on_expired: OnExpired
    on_ended: OnEnded

    def expect(self, token: str, within_s: float, *, rate: int = PHONE_RATE) -> None:
        """Let `token` (a UUID) connect once within `within_s` seconds, with frames at `rate` Hz."""

    def knows(self, token: str) -> bool:
        """Whether this token's sound is expected, or connected still."""

    def forget(self, token: str) -> None:
        """It will not come after all."""

    def dial_string(self, token: str, rate: int) -> str:
        """What Asterisk's Dial() is given to bring the sound of `token`; "" for the application AudioSocket(), `c(…)`
        for AudioSocket's channel with these options, whose address and token the dialplan has."""

    def statistics(self) -> Mapping[str, int]: ...
