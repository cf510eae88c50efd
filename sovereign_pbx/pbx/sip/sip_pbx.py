"""Every PBX that can dial SIP, as one `Pbx`: our endpoint, its calls, and the controls that put them through."""

import asyncio
import ssl
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol, runtime_checkable

import structlog
from structlog.contextvars import bind_contextvars

from sovereign_pbx.core.audio import PHONE_RATE
from sovereign_pbx.core.errors import BadInput, LinkFinished, Refused
from sovereign_pbx.pbx.digits import DIGITS
from sovereign_pbx.pbx.link import Desk, DialOrder, NotAnswered
from sovereign_pbx.pbx.sip.answering import answer
from sovereign_pbx.pbx.sip.control import Control
from sovereign_pbx.pbx.sip.endpoint import Endpoint
from sovereign_pbx.pbx.sip.identity import offer_from
from sovereign_pbx.pbx.sip.incoming import Door
from sovereign_pbx.pbx.sip.invitation import Invitation
from sovereign_pbx.pbx.sip.leg import Leg
from sovereign_pbx.pbx.sip.legs import Legs
from sovereign_pbx.pbx.sip.proving import Proving
from sovereign_pbx.pbx.sip.refusal import Refusal
from sovereign_pbx.pbx.sip.rtp_ports import RtpPorts
from sovereign_pbx.pbx.sip.sip_call import CallTerms, SipCall
from sovereign_pbx.pbx.sip.sip_carrier import SipCarrier, carried
from sovereign_pbx.pbx.sip.sound import SoundSettings
from sovereign_pbx.pbx.sip.tokens import Tokens
from sovereign_pbx.pbx.sip.transaction_server import ServerTransaction
from sovereign_pbx.pbx.sip.watched_desk import WatchedDesk
from sovereign_pbx.wire.sip import NameAddr, Request, host_text, tag_of

log = structlog.get_logger(__name__)

MAX_DIGITS: Final = 64
PAUSES: Final = "W,"
PAUSE_S: Final = 0.5
BRIEFED_STAYS_S: Final = 10.0
_NO_CONTROL: Final = 'nothing places calls over SIP: [registrations], a trunk with pbx = "sip", or [freeswitch.esl]'
_NEVER_CAME: Final = "The person called answered, and the PBX never brought the call."


@dataclass(frozen=True, slots=True, kw_only=True)
class SipSettings:
    """Everything an administrator may set. Port 0 takes any free one.

    `permit` names the networks whose calls are taken, empty: whoever reaches the port. `username` empty: no password is
    asked. `asterisk_endpoint`: what Asterisk calls us (`[asterisk] sip_endpoint`), for the sound of its calls.
    """

    host: str = "127.0.0.1"
    port: int = 5090
    transports: tuple[Literal["udp", "tcp", "tls"], ...] = ("udp", "tcp")
    advertise_host: str = ""
    permit: tuple[str, ...] = ()
    username: str = ""
    password: str = field(default="", repr=False)
    tls: ssl.SSLContext | None = None
    max_calls: int = 512
    sound: SoundSettings = field(default_factory=SoundSettings)
    rtp_first_port: int = 30000
    rtp_last_port: int = 31999
    session_expires_s: int = 1800
    terms: CallTerms = field(default_factory=CallTerms)
    asterisk_endpoint: str = "sovereign"


@runtime_checkable
class Asked(Protocol):
    """A control whose PBX can be asked which of our calls it has (`Pbx` members of `pbx.attached`)."""

    async def left_over(self) -> int: ...

    async def audit(self) -> dict[str, Any]: ...


class SipPbx:
    """The endpoint, its calls, and the controls (`pbx.sip.control.Calls` for them). `start` once, `stop` once."""

    name = "sip"

    def __init__(self, settings: SipSettings, controls: Sequence[Control] = ()) -> None:
        self._settings = settings
        self._controls = tuple(controls)
        self._started: list[Control] = []
        self._is_up = False
        self._calls: dict[str, SipCall] = {}
        self._ordered: dict[str, Control] = {}  # placed, and not answered yet
        self._backs: dict[str, asyncio.Future[None]] = {}  # by the token that a caller comes back by
        self.counts: Counter[str] = Counter()
        self.tokens = Tokens()
        self.endpoint = Endpoint(
            settings.host,
            settings.port,
            settings.transports,
            advertise_host=settings.advertise_host,
            permit=settings.permit,
            tls=settings.tls,
            max_calls=settings.max_calls,
            on_request=self._came,
        )
        self.ports = RtpPorts(settings.host, settings.rtp_first_port, settings.rtp_last_port)
        self.legs = Legs(self.endpoint, self.ports, settings.sound, session_expires_s=settings.session_expires_s)
        self.carrier = SipCarrier(self.tokens, self._address, peer=settings.asterisk_endpoint)
        proving = Proving(settings.username, settings.password) if settings.username else None
        self._door = Door(self.legs, self.tokens, self, self.counts, proving)

    async def start(self, desk: Desk) -> None:
        """Raises ConfigError when the address can't be had."""
        self._desk = WatchedDesk(desk, self._forget_order)
        await self.endpoint.start()
        self._is_up = True
        try:
            for control in self._controls:
                await control.start(self)
                self._started.append(control)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Calls are hung up on such that their PBX goes on with its dialplan."""
        if not self._is_up:
            return
        self._is_up = False
        self.tokens.close()
        while self._started:
            await self._started.pop().stop()
        await self.legs.close()
        await self.endpoint.stop()
        for call_id in tuple(self._ordered):
            self._desk.gone(call_id, None)

    # --- Pbx

    def check_outbound(self) -> None:
        """Raises Refused when no control can place a call now."""
        self._who_can()

    async def originate(self, order: DialOrder) -> None:
        """See `Pbx.originate`."""
        control = self._who_can(order.pbx)
        if not self.has_room():
            raise Refused("too_many_calls", f"there are {self._settings.max_calls} calls, [sip] max_calls")
        self._ordered[order.call_id] = control
        try:
            await control.originate(order)
        except (Refused, BadInput):
            self._desk.gone(order.call_id, None)
            raise

    async def hang_up(self, call_id: str, cause: int = 16) -> None:
        call, control = self._calls.get(call_id), self._ordered.get(call_id)
        if call is not None:
            await call.hang_up(cause)
        elif control is not None:
            await control.hang_up(call_id, cause)

    async def send_digits(self, call_id: str, digits: str) -> None:
        """Send tones to the caller, one after the other; `w` and `,` are pauses of half a second.

        Raises:
            BadInput: a character that is no digit, or too many.
            LinkEnded: the call is gone, or its other end takes no digits.
        """
        if len(digits) > MAX_DIGITS or not set(digits.upper()) <= DIGITS | set(PAUSES):
            raise BadInput(f"can't send this: 0-9 * # A-D, w and comma for pauses, {MAX_DIGITS} at most")
        call = self._calls.get(call_id)
        if call is None:
            raise LinkFinished("there is no such call any more")
        async with call.pacing:
            for digit in digits.upper():
                await (asyncio.sleep(PAUSE_S) if digit in PAUSES else call.leg.send_digit(digit))

    def health(self) -> dict[str, Any]:
        """Status with every counter. Degraded: a control is."""
        if not self._is_up:
            return {"status": "down"}
        controls = {control.name: dict(control.health()) for control in self._controls}
        degraded = any(one.get("status", "ok") != "ok" for one in controls.values())
        return {
            "status": "degraded" if degraded else "ok",
            "calls": len(self.call_ids()),
            "endpoint": self.endpoint.statistics(),
            "invites": dict(self.counts),
            "carrier": dict(self.carrier.statistics()),
            "rtp": {"lent": len(self.ports)},
            "controls": controls,
        }

    def call_ids(self) -> frozenset[str]:
        """The calls that are known here, from their INVITE or their order until they are gone."""
        return frozenset((*self._calls, *self._ordered))

    async def left_over(self) -> int:
        """Of calls that SIP alone had placed there are none: they ended with the daemon that knew their dialogs. Raises
        Refused `pbx_unavailable` where a control can't ask."""
        return sum([await control.left_over() for control in self._controls if isinstance(control, Asked)])

    async def audit(self) -> dict[str, Any]:
        """The dialogs here are the truth, but for what a control knows: who has lost his is noticed by his sound, or by
        the session timer."""
        lines = [
            {
                "call_id": call.call_id,
                "channel": call.channel,
                "pbx_id": call.invite.headers.get("Call-ID"),
                "phase": call.phase,
            }
            for call in self._calls.values()
        ]
        lines += [{"call_id": one, "channel": "", "pbx_id": "", "phase": "dialling"} for one in self._ordered]
        found = [await control.audit() for control in self._controls if isinstance(control, Asked)]
        whys = [one["why"] for one in found if one.get("why")]
        return {
            "lines": lines,
            "asked": all(one["asked"] for one in found),
            "differences": [each for one in found for each in one["differences"]],
            "mended": sum(one["mended"] for one in found),
            **({"why": "; ".join(whys)} if whys else {}),
        }

    # --- for the controls

    @property
    def desk(self) -> Desk:
        return self._desk

    def call_of(self, is_his: Callable[[Request], bool]) -> str:
        return next((call.call_id for call in self._calls.values() if is_his(call.invite)), "")

    def expect_call(self, token: str, within_s: float, order: DialOrder, rate: int = PHONE_RATE) -> None:
        async def take(invitation: Invitation, leg: Leg) -> None:
            await self._picked_up(order.call_id, leg, invitation.request, rate, invitation)

        self.tokens.expect(token, take, within_s=within_s, expired=lambda: self._never_came(order.call_id), rate=rate)

    def expect_briefing(
        self, token: str, within_s: float, call_id: str, rate: int = PHONE_RATE
    ) -> asyncio.Future[bool]:
        heard: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        async def take(invitation: Invitation, leg: Leg) -> None:
            bind_contextvars(call_id=call_id)
            try:
                await self._brief(call_id, invitation, leg, rate, heard)
            finally:
                _settle(heard, False)

        self.tokens.expect(token, take, within_s=within_s, expired=lambda: _settle(heard, False), rate=rate)
        heard.add_done_callback(lambda _: self.tokens.forget(token))  # cancelled: nobody wants it any more
        return heard

    def expect_back(self, token: str, call_id: str) -> asyncio.Future[None]:
        back: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        call = self._calls.get(call_id)
        if call is None:
            back.cancel()
            return back

        async def take(invitation: Invitation, leg: Leg) -> None:
            bind_contextvars(call_id=call_id)
            if self._calls.get(call_id) is not call or not call.is_away:
                leg.refuse(Refusal(404))
            elif await answer(invitation, leg):
                call.come_back(leg)
                if not back.done():
                    back.set_result(None)
                await leg.ended()

        self.tokens.expect(token, take)
        self._backs[token] = back
        call.let_go()
        back.add_done_callback(lambda _: self._backs.pop(token, None))
        return back

    def awaits(self, token: str) -> bool:
        return token in self.tokens

    def forget(self, token: str) -> None:
        self.tokens.forget(token)
        back = self._backs.get(token)
        if back is not None:
            back.cancel()

    async def converse(self, order: DialOrder, leg: Leg, invite: Request) -> None:
        """An INVITE of ours was answered: from here on it is a call like every other. Returns when it is gone."""
        await self._picked_up(order.call_id, leg, invite, leg.sound.rate, None)

    def call(self, call_id: str) -> SipCall:
        """Raises Refused `not_found`."""
        call = self._calls.get(call_id)
        if call is None:
            raise Refused("not_found", f"no call with the id {call_id!r}")
        return call

    # --- INVITEs

    def has_room(self, entering: int = 0) -> bool:
        """For another call, beside those that are on their way in."""
        return len(self.call_ids()) + entering < self._settings.max_calls

    async def take(self, call_id: str, invitation: Invitation, leg: Leg) -> None:
        """A new call, until it is gone."""
        request, peer = invitation.request, invitation.transaction.flow.peer[0]
        control = next((one for one in self._controls if one.owns(request, peer)), None)
        facts = control.facts(request) if control is not None else None
        offer = offer_from(request, call_id, peer=peer, facts=facts, rate=leg.sound.rate)
        call = self._call(call_id, leg, request, offer.rate, control, offer.channel)
        self.counts["offered"] += 1
        await call.offered(invitation, offer)

    def _came(self, transaction: ServerTransaction) -> None:
        """Any request that is not the layer's own business."""
        request = transaction.request
        if tag_of(request.headers, "To"):
            leg = self.legs.of(request)
            if leg is None:
                transaction.reply(481)
            else:
                leg.take(transaction)
        elif request.method == "INVITE" and self._is_up:
            self.legs.spawn(self._door.receive(transaction), "sip-invite")
        elif request.method == "INVITE":
            transaction.reply(503)
        else:
            transaction.reply(481 if request.method in ("BYE", "INFO", "UPDATE", "NOTIFY", "PRACK") else 405)

    async def _picked_up(
        self, call_id: str, leg: Leg, invite: Request, rate: int, invitation: Invitation | None
    ) -> None:
        bind_contextvars(call_id=call_id)
        control = self._ordered.pop(call_id, None)
        if control is None or call_id in self._calls:  # given up meanwhile
            await leg.hang_up()
            return
        call = self._call(call_id, leg, invite, rate, control, f"SIP/{leg.dialog.target.host}-{call_id[:8]}")
        await call.picked_up(invitation)

    def _call(
        self, call_id: str, leg: Leg, invite: Request, rate: int, control: Control | None, channel: str
    ) -> SipCall:
        call = SipCall(
            call_id,
            leg,
            invite,
            self._desk,
            control,
            self._settings.terms,
            rate=rate,
            channel=channel,
            on_gone=lambda call: self._forget(call),
        )
        self._calls[call_id] = call
        return call

    async def _brief(
        self, call_id: str, invitation: Invitation, leg: Leg, rate: int, heard: "asyncio.Future[bool]"
    ) -> None:
        if not await answer(invitation, leg):
            return
        over = asyncio.Event()
        link = carried(leg, rate, over)
        self._desk.briefing_connected(call_id, link)
        await over.wait()
        _settle(heard, True)
        try:
            async with asyncio.timeout(BRIEFED_STAYS_S):
                await leg.ended()
        except TimeoutError:
            await leg.bye()

    # --- private

    def _address(self) -> str:
        """Where a PBX reaches us, as host:port: never an address that means all of them."""
        kind = next(kind for kind in ("udp", "tcp", "tls") if kind in self._settings.transports)
        uri = NameAddr.parse(self.endpoint.contact(kind, self.name)).uri
        return host_text(uri.host, uri.port)

    def _who_can(self, wanted: str = "") -> Control:
        """Raises the first one's Refused when nobody can."""
        refusals = [Refused("pbx_unavailable", _NO_CONTROL)]
        for control in self._controls:
            if wanted and control.name != wanted:
                continue
            try:
                control.check_outbound()
            except Refused as exc:
                refusals.append(exc)
            else:
                return control
        raise refusals[1] if len(refusals) > 1 else refusals[0]

    def _never_came(self, call_id: str) -> None:
        if call_id in self._ordered:
            try:
                self._desk.not_answered(call_id, NotAnswered("error", _NEVER_CAME))
            finally:
                self._desk.gone(call_id, None)

    def _forget(self, call: SipCall) -> None:
        if self._calls.get(call.call_id) is call:
            del self._calls[call.call_id]

    def _forget_order(self, call_id: str) -> None:
        self._ordered.pop(call_id, None)


def _settle(future: "asyncio.Future[bool]", value: bool) -> None:
    if not future.done():
        future.set_result(value)
