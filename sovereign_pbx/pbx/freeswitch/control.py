"""FreeSWITCH as a `Control`: its calls come over SIP, and its event socket places them and puts them through."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

import structlog

from sovereign_pbx.core.errors import BadInput, Refused
from sovereign_pbx.pbx.asterisk.peers import Peers
from sovereign_pbx.pbx.control_login import LoginTiming
from sovereign_pbx.pbx.freeswitch.audit import Audit
from sovereign_pbx.pbx.freeswitch.channels import BRIDGE, HANGUP, INSTANCE, Channels
from sovereign_pbx.pbx.freeswitch.dialling import mark_of
from sovereign_pbx.pbx.freeswitch.esl import Esl
from sovereign_pbx.pbx.freeswitch.orders import Dialler, Orders
from sovereign_pbx.pbx.freeswitch.put_through import PutThrough
from sovereign_pbx.pbx.harmless import shown_number
from sovereign_pbx.pbx.link import Dialled, DialOrder, NextStep
from sovereign_pbx.pbx.sip.control import Calls, HeldCall
from sovereign_pbx.wire.esl import Event
from sovereign_pbx.wire.malformed import Malformed
from sovereign_pbx.wire.sip import Request
from sovereign_pbx.wire.sip_address import NameAddr

log = structlog.get_logger(__name__)

CHANNEL_HEADER: Final = "X-Sovereign-Call-UUID"
"""By which the printed dialplan names the caller's channel."""

CALLERS: Final = "sovereign_call"
"""The variable that it sets on the caller's channel, so that what happens to it is told."""

HOLD: Final = "CHANNEL_HOLD"
UNHOLD: Final = "CHANNEL_UNHOLD"

NO_SOCKET: Final = "there is no event socket: set [freeswitch.esl] password"


@dataclass(frozen=True, slots=True, kw_only=True)
class FreeSwitchSettings:
    """Everything an administrator may set.

    `peers`: the networks that FreeSWITCH's calls come from. Without a password the event socket is not used: calls that
    come work, but none can be placed, and callers are put through by SIP alone. `instance`: what this installation's
    channels are known by, also to a later daemon of the same installation. `audit_s`: how often the channels are
    compared between logins, 0 for never.
    """

    host: str = "127.0.0.1"
    port: int = 8021
    user: str = ""
    password: str = field(default="", repr=False)
    timing: LoginTiming = field(default_factory=LoginTiming)
    peers: Sequence[str] = ("127.0.0.1",)
    profile: str = "internal"
    context: str = "sovereign"
    instance: str = "sovereign"
    audit_s: float = 30.0


class FreeSwitchControl:
    """`start` once, `stop` once. The `esl` may be subscribed to by others before `start`."""

    name = "freeswitch"

    def __init__(self, settings: FreeSwitchSettings) -> None:
        self._settings = settings
        self._peers = Peers(settings.peers, "freeswitch.peers")
        self._mark = mark_of(settings.instance)
        self._channels = Channels()
        self._orders: Orders | None = None
        self._put_through: PutThrough | None = None
        self._audit: Audit | None = None
        self._started = False
        self.esl: Esl | None = None
        if settings.password:
            self.esl = Esl(settings.host, settings.port, settings.password, user=settings.user, timing=settings.timing)

    async def start(self, calls: Calls) -> None:
        self._started = True
        if self.esl is None:
            return
        settings = self._settings
        dialler = Dialler(
            instance=settings.instance, mark=self._mark, profile=settings.profile, context=settings.context
        )
        self._orders = Orders(self.esl, self._channels, calls, dialler)
        self._put_through = PutThrough(self.esl, self._channels, calls, dialler)
        self._audit = Audit(self.esl, self._channels, self._mark, every_s=settings.audit_s)
        self.esl.subscribe(HANGUP, BRIDGE, HOLD, UNHOLD)
        self.esl.let_through(f"variable_{INSTANCE}", settings.instance)
        self.esl.let_through(f"variable_{CALLERS}", "true")
        self.esl.on_event(self._channels.event)
        self.esl.on_event(lambda event: _tell_hold(calls, event))
        self.esl.on_login(self._audit.watch)
        await self.esl.start()

    async def stop(self) -> None:
        """Let go. Calls that FreeSWITCH has connected by itself go on."""
        self._started = False
        if self._orders is not None:
            await self._orders.close()
        if self._put_through is not None:
            await self._put_through.close()
        if self.esl is not None:
            await self.esl.stop()

    def owns(self, invite: Request, peer: str) -> bool:
        """From FreeSWITCH's address, with the printed dialplan's header, and the socket is configured."""
        return self.esl is not None and self._peers.admits((peer,)) and bool(channel_of(invite))

    def facts(self, invite: Request) -> Mapping[str, str]:
        uuid = channel_of(invite)
        return {"pbx_id": uuid, "channel": f"freeswitch/{uuid}"} if uuid else {}

    def check_outbound(self) -> None:
        """Raises Refused when there is no event socket to place calls by."""
        if self.esl is None:
            raise Refused("pbx_unavailable", f"calls are placed by FreeSWITCH's event socket, and {NO_SOCKET}")
        if not self.esl.connected:
            why = f": {self.esl.last_error}" if self.esl.last_error else ""
            raise Refused("pbx_unavailable", f"FreeSWITCH's event socket is not connected{why}")

    async def originate(self, order: DialOrder) -> None:
        """Place a call. See `Pbx.originate`."""
        self.check_outbound()
        assert self._orders is not None
        await self._orders.place(order)

    async def put_through(self, call: HeldCall, step: NextStep) -> Dialled:
        """See `Control.put_through`."""
        if self._put_through is None:
            return Dialled("failed", f"FreeSWITCH can't be told: {NO_SOCKET}.")
        return await self._put_through(call, step, channel_of(call.invite), number_of(call.invite))

    async def hang_up(self, call_id: str, cause: int) -> bool:
        """End a call that is being placed, or of a caller who was put through; False when there is none."""
        if self._orders is None or self._put_through is None:
            return False
        return await self._orders.hang_up(call_id, cause) or await self._put_through.hang_up(call_id, cause)

    def health(self) -> dict[str, Any]:
        if not self._started:
            return {"status": "down"}
        if self.esl is None:
            return {"status": "degraded", "esl": None}
        return {
            "status": "ok" if self.esl.connected else "degraded",
            "esl": {"connected": self.esl.connected, "error": self.esl.last_error, "sessions": self.esl.sessions},
            "placing": len(self._orders) if self._orders is not None else 0,
            "put_through": len(self._put_through) if self._put_through is not None else 0,
            "unknown_channels": self._audit.unknown if self._audit is not None else 0,
        }

    async def left_over(self) -> int:
        """How many channels there are that an earlier daemon of this installation had made. Raises Refused
        `pbx_unavailable` where FreeSWITCH can't be asked."""
        if self._audit is None:
            raise Refused("pbx_unavailable", NO_SOCKET)
        return await self._audit.left_over()

    async def audit(self) -> dict[str, Any]:
        """Where FreeSWITCH says otherwise than we know; changes nothing. `asked` is false where it can't be asked,
        `why` says why."""
        if self._audit is None:
            return {"asked": False, "why": NO_SOCKET, "differences": [], "mended": 0}
        return await self._audit.report()


def _tell_hold(calls: Calls, event: Event) -> None:
    """FreeSWITCH plays its own music to our leg, and does not tell it that the caller holds (1.10.12, measured)."""
    if event.name not in (HOLD, UNHOLD):
        return
    call_id = calls.call_of(lambda invite: channel_of(invite) == event.uuid)
    if call_id:
        calls.desk.held(call_id, event.name == HOLD)


def channel_of(invite: Request) -> str:
    """The id of the caller's channel, which FreeSWITCH has made; "" where the INVITE names none."""
    try:
        return str(UUID(invite.headers.get(CHANNEL_HEADER)))
    except ValueError:
        return ""


def number_of(invite: Request) -> str:
    """The caller's number as it may be shown to somebody else; "" where it is none, or withheld."""
    try:
        user = NameAddr.parse(invite.headers.get("From")).uri.user
        return "" if user == "anonymous" else shown_number("the caller id", user)
    except (Malformed, BadInput):
        return ""
