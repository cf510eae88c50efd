"""FreeSWITCH without SIP: its calls are parked by the printed dialplan, steered over the event socket, and their sound
comes by unicast or mod_audio_fork.

The same control as for calls over SIP (`FreeSwitchControl`) places calls and puts callers through. What is an INVITE
to a token there is a channel here that the dialplan parks with the token as its role.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from uuid import uuid4

import structlog
from structlog.contextvars import bind_contextvars

from sovereign_pbx.core.audio import PHONE_RATE
from sovereign_pbx.core.errors import BadInput, ConfigError, LinkEnded, LinkFinished, Refused
from sovereign_pbx.pbx.digits import DIGITS
from sovereign_pbx.pbx.freeswitch.audio_fork import OVERRUN, ForkServer, ForkSound
from sovereign_pbx.pbx.freeswitch.control import CHANNEL_HEADER, FreeSwitchControl
from sovereign_pbx.pbx.freeswitch.dialling import MAX_VARIABLES, OWN_PREFIX
from sovereign_pbx.pbx.freeswitch.esl import Esl
from sovereign_pbx.pbx.freeswitch.paced import Sound
from sovereign_pbx.pbx.freeswitch.parked_call import ParkedCall, line_of
from sovereign_pbx.pbx.freeswitch.parked_leg import ParkedLeg
from sovereign_pbx.pbx.freeswitch.unicast import UnicastSound, is_private
from sovereign_pbx.pbx.harmless import clean
from sovereign_pbx.pbx.link import Desk, DialOrder, NotAnswered, Offer
from sovereign_pbx.pbx.sip.refusal import CAUSE_FALLBACK
from sovereign_pbx.pbx.sip.sip_call import CallTerms, SipCall
from sovereign_pbx.pbx.sip.watched_desk import WatchedDesk
from sovereign_pbx.wire.esl import Event
from sovereign_pbx.wire.sip import Headers, Request

log = structlog.get_logger(__name__)

ROLE: Final = "sovereign_role"
"""Set by the dialplan where it parks a channel: `inbound`, `again`, or a token."""
PARKED: Final = "sovereign_parked"
INBOUND: Final = "inbound"

EVENTS: Final = (
    "CHANNEL_PARK",
    "CHANNEL_UNPARK",
    "CHANNEL_ANSWER",
    "CHANNEL_PROGRESS_MEDIA",
    "CHANNEL_HANGUP_COMPLETE",
    "DTMF",
)
HOLD_EVERY_S: Final = 5.0
HOLD_S: Final = 20
"""A caller of a daemon that is gone hears nothing for so long, and is in his fallback then."""
STOP_S: Final = 2.0
BRIEFED_STAYS_S: Final = 10.0
MAX_DIGITS: Final = 64
PAUSES: Final = "W,"
PAUSE_S: Final = 0.5

_NEVER_CAME: Final = "The person called answered, and FreeSWITCH never brought the call."


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedSettings:
    """`media_host` is where the sound comes to, `media_port` the WebSocket's of audio_fork, `peer_host` FreeSWITCH's
    address for unicast; both hosts of this machine or of a private network. `peers`: who may connect. `context`: what
    the names of the printed dialplan's contexts begin with."""

    media: Literal["unicast", "audio_fork"] = "unicast"
    media_host: str = "127.0.0.1"
    media_port: int = 9094
    peer_host: str = "127.0.0.1"
    peers: Sequence[str] = ()
    context: str = "sovereign"
    max_calls: int = 100
    terms: CallTerms = field(default_factory=CallTerms)


@dataclass(frozen=True, slots=True)
class _Expected:
    take: Callable[[ParkedLeg], Awaitable[None]]
    timer: asyncio.TimerHandle | None


class ParkedPbx:
    """The calls (`pbx.sip.control.Calls` for the control). `start` once, `stop` once."""

    name = "freeswitch"

    def __init__(self, settings: ParkedSettings, control: FreeSwitchControl) -> None:
        """Raises ConfigError where there is no event socket, or the sound would go over an open network."""
        if control.esl is None:
            raise ConfigError(
                "calls without SIP are steered over the event socket",
                key="freeswitch.esl.password",
                remedy='Set it, or [freeswitch] media = "sip".',
            )
        for key, host in (("media_host", settings.media_host), ("esl.host", settings.peer_host)):
            if not is_private(host) and (settings.media == "unicast" or key == "media_host"):
                raise ConfigError(
                    f"{host} is no IPv4 address of this machine or of a private network",
                    key=f"freeswitch.{key}",
                    remedy="FreeSWITCH plays what anybody sends it: use 127.0.0.1, or an address of your own network.",
                )
        self._settings = settings
        self._control = control
        self._esl: Esl = control.esl
        self._forks: ForkServer | None = None
        if settings.media == "audio_fork":
            self._forks = ForkServer(
                settings.media_host,
                settings.media_port,
                permit=settings.peers,
                max_connections=2 * settings.max_calls + 16,  # a colleague each, and strangers up to their handshake
            )
        self._is_up = False
        self._calls: dict[str, ParkedCall] = {}
        self._legs: dict[str, ParkedLeg] = {}  # by channel
        self._ordered: set[str] = set()
        self._expected: dict[str, _Expected] = {}
        self._backs: dict[str, asyncio.Future[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.counts: Counter[str] = Counter()

    async def start(self, desk: Desk) -> None:
        """Raises ConfigError when the address for audio_fork can't be had."""
        self._desk = WatchedDesk(desk, self._ordered.discard)
        if self._forks is not None:
            await self._forks.server.start()
            self._esl.subscribe(OVERRUN)
            self._esl.let_through("Event-Subclass", OVERRUN)
        self._esl.subscribe(*EVENTS)
        self._esl.let_through(f"variable_{PARKED}", "yes")
        self._esl.let_through("Event-Name", "DTMF")  # which tells no variables to go by
        self._esl.on_event(self._event)
        self._esl.on_login(self._compare)
        self._is_up = True
        await self._control.start(self)
        self._spawn(self._hold_back(), "parked-hold")

    async def stop(self) -> None:
        """Calls go on in their dialplan's fallback: two seconds for that, and no longer."""
        if not self._is_up:
            return
        self._is_up = False
        leaving = [asyncio.ensure_future(leg.bye(CAUSE_FALLBACK)) for leg in tuple(self._legs.values())]
        if leaving:
            await asyncio.wait(leaving, timeout=STOP_S)
        for token in tuple(self._expected):
            self.forget(token)
        for leg in tuple(self._legs.values()):
            leg.end(None, LinkFinished("the daemon stops"))
        for task in (*leaving, *self._tasks):
            task.cancel()
        await asyncio.gather(*leaving, *self._tasks, return_exceptions=True)
        await self._control.stop()
        if self._forks is not None:
            await self._forks.server.close()
        for call_id in tuple(self._ordered):
            self._desk.gone(call_id, None)

    # --- Pbx

    def check_outbound(self) -> None:
        """Raises Refused when there is no event socket to place calls by."""
        self._control.check_outbound()

    async def originate(self, order: DialOrder) -> None:
        """See `Pbx.originate`."""
        if len(self.call_ids()) >= self._settings.max_calls:
            raise Refused("too_many_calls", f"there are {self._settings.max_calls} calls")
        self._ordered.add(order.call_id)
        try:
            await self._control.originate(order)
        except (Refused, BadInput):
            self._ordered.discard(order.call_id)
            raise

    async def hang_up(self, call_id: str, cause: int = 16) -> None:
        call = self._calls.get(call_id)
        if call is not None:
            await call.hang_up(cause)
        elif call_id in self._ordered:
            await self._control.hang_up(call_id, cause)

    async def send_digits(self, call_id: str, digits: str) -> None:
        """Raises BadInput for what is no digit, LinkEnded when the call is gone. `w` and `,` are pauses."""
        if len(digits) > MAX_DIGITS or not set(digits.upper()) <= DIGITS | set(PAUSES):
            raise BadInput(f"can't send this: 0-9 * # A-D, w and comma for pauses, {MAX_DIGITS} at most")
        call = self._calls.get(call_id)
        if call is None:
            raise LinkFinished("there is no such call any more")
        async with call.pacing:
            for digit in digits.upper():
                await (asyncio.sleep(PAUSE_S) if digit in PAUSES else call.parked.send_digit(digit))

    def health(self) -> dict[str, Any]:
        if not self._is_up:
            return {"status": "down"}
        control = dict(self._control.health())
        return {
            "status": control.get("status", "ok"),
            "calls": len(self.call_ids()),
            "media": self._settings.media,
            **({"websocket": self._forks.server.statistics()} if self._forks is not None else {}),
            "parked": len(self._legs),
            "invites": dict(self.counts),
            "control": control,
        }

    def call_ids(self) -> frozenset[str]:
        return frozenset((*self._calls, *self._ordered))

    async def left_over(self) -> int:
        return await self._control.left_over()

    async def audit(self) -> dict[str, Any]:
        lines = [line_of(call) for call in self._calls.values()]
        lines += [{"call_id": one, "channel": "", "pbx_id": "", "phase": "dialling"} for one in self._ordered]
        return {"lines": lines, **await self._control.audit()}

    # --- for the control (`pbx.sip.control.Calls`)

    @property
    def desk(self) -> Desk:
        return self._desk

    def expect_call(self, token: str, within_s: float, order: DialOrder, rate: int = PHONE_RATE) -> None:
        async def take(leg: ParkedLeg) -> None:
            bind_contextvars(call_id=order.call_id)
            if order.call_id not in self._ordered:  # given up meanwhile
                await leg.hang_up()
                return
            self._ordered.discard(order.call_id)
            call = self._call(order.call_id, leg, _as_invite(leg.uuid, order.destination), f"freeswitch/{leg.uuid}")
            await call.is_picked_up()

        self._expect(token, take, within_s, lambda: self._never_came(order.call_id))

    def expect_briefing(
        self, token: str, within_s: float, call_id: str, rate: int = PHONE_RATE
    ) -> "asyncio.Future[bool]":
        heard: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        async def take(leg: ParkedLeg) -> None:
            bind_contextvars(call_id=call_id)
            try:
                await self._brief(call_id, leg, heard)
            finally:
                _settle(heard, False)

        self._expect(token, take, within_s, lambda: _settle(heard, False))
        heard.add_done_callback(lambda _: self._forget_expected(token))
        return heard

    def expect_back(self, token: str, call_id: str) -> "asyncio.Future[None]":
        back: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        call = self._calls.get(call_id)
        if call is None:
            back.cancel()
            return back

        async def take(leg: ParkedLeg) -> None:
            bind_contextvars(call_id=call_id)
            if self._calls.get(call_id) is not call or leg is not call.parked:
                await leg.bye(CAUSE_FALLBACK)
                return
            await leg.bring()
            call.came_back()
            if not back.done():
                back.set_result(None)

        self._expect(token, take, None, lambda: None)
        self._backs[token] = back
        call.let_go()
        back.add_done_callback(lambda _: self._backs.pop(token, None))
        return back

    def call_of(self, is_his: Callable[[Request], bool]) -> str:
        return next((call.call_id for call in self._calls.values() if is_his(call.invite)), "")

    def awaits(self, token: str) -> bool:
        return token in self._expected

    def forget(self, token: str) -> None:
        self._forget_expected(token)
        back = self._backs.get(token)
        if back is not None:
            back.cancel()

    # --- channels

    def _event(self, event: Event) -> None:
        if event.name == OVERRUN:
            self.counts["buffer_overrun"] += 1
            log.warning("audio_fork_overrun", channel=clean(event.uuid))
            return
        leg = self._legs.get(event.uuid)
        if leg is not None:
            parks = leg.parks
            leg.event(event)
            if leg.parks > parks:
                self._was_parked(leg, event.variable(ROLE))
        elif event.name == "CHANNEL_PARK" and self._is_up and event.variable(PARKED) == "yes":
            self._came(event)

    def _came(self, event: Event) -> None:
        """A channel that is parked for the first time, as far as is known here."""
        role = event.variable(ROLE)
        full = role == INBOUND and len(self.call_ids()) >= self._settings.max_calls
        try:
            leg = self._leg(event.uuid)
        except ValueError:
            self.counts["refused_no_channel"] += 1
            return
        leg.event(event)
        if role == INBOUND and not full:
            self.counts["offered"] += 1
            self._spawn(self._offered(leg, event), "parked-call")
        elif role in self._expected:
            self._claim(leg, role)
        else:
            self.counts["refused_full" if full else "refused_unknown"] += 1
            log.warning("parked_refused", role=clean(role)[:40], full=full)
            self._spawn(leg.bye(CAUSE_FALLBACK), "parked-refusal")

    def _was_parked(self, leg: ParkedLeg, role: str) -> None:
        """Once more. What `again` waits for it waits for itself."""
        if role in self._expected:
            self._claim(leg, role)

    def _claim(self, leg: ParkedLeg, token: str) -> None:
        expected = self._expected[token]
        self._forget_expected(token)
        self._spawn(self._guarded(expected.take, leg), "parked-token")

    async def _guarded(self, take: Callable[[ParkedLeg], Awaitable[None]], leg: ParkedLeg) -> None:
        """Whoever can't be taken is not left in silence."""
        try:
            await take(leg)
        except (LinkEnded, BadInput) as exc:
            log.warning("parked_not_taken", why=str(exc))
            await leg.bye(CAUSE_FALLBACK)

    async def _offered(self, leg: ParkedLeg, event: Event) -> None:
        call_id = str(uuid4())
        bind_contextvars(call_id=call_id)
        offer = _offer(event, call_id)
        call = self._call(call_id, leg, _as_invite(leg.uuid, offer.caller), offer.channel)
        await call.rings(offer)

    async def _brief(self, call_id: str, leg: ParkedLeg, heard: "asyncio.Future[bool]") -> None:
        await leg.bring()
        over = asyncio.Event()
        link = leg.sound.link(PHONE_RATE)
        link.on_ended = lambda how: over.set()
        self._desk.briefing_connected(call_id, link)
        await over.wait()
        _settle(heard, True)
        try:
            async with asyncio.timeout(BRIEFED_STAYS_S):
                while leg.up and not leg.is_away:  # noqa: ASYNC110 - two things end it, seldom and never both
                    await asyncio.sleep(0.1)
        except TimeoutError:
            await leg.bye()

    def _leg(self, uuid: str) -> ParkedLeg:
        context = self._settings.context
        leg = ParkedLeg(self._esl, uuid, self._sound(), context=context, spawn=self._spawn, on_over=self._forget_leg)
        self._legs[leg.uuid] = leg
        return leg

    def _sound(self) -> Sound:
        if self._forks is not None:
            return ForkSound(self._esl, self._forks, self._spawn)
        return UnicastSound(self._esl, self._settings.media_host, self._settings.peer_host)

    def _call(self, call_id: str, leg: ParkedLeg, invite: Request, channel: str) -> ParkedCall:
        call = ParkedCall(
            call_id,
            leg,
            invite,
            self._desk,
            self._control,
            self._settings.terms,
            rate=leg.rate or PHONE_RATE,
            channel=channel,
            on_gone=self._forget_call,
        )
        self._calls[call_id] = call
        return call

    def _forget_leg(self, leg: ParkedLeg) -> None:
        self._legs.pop(leg.uuid, None)

    def _forget_call(self, call: SipCall) -> None:
        self._calls.pop(call.call_id, None)

    # --- private

    async def _hold_back(self) -> None:
        """The callers' fallback is always under way, and always put off."""
        while True:
            for leg in tuple(self._legs.values()):
                await leg.hold_back(HOLD_S)
            await asyncio.sleep(HOLD_EVERY_S)

    async def _compare(self) -> None:
        """After a login: who has hung up while nobody told us."""
        for leg in tuple(self._legs.values()):
            if (await self._esl.api("uuid_exists", leg.uuid)) == "false":
                leg.end(None, LinkFinished("the channel is gone"))

    def _expect(
        self,
        token: str,
        take: Callable[[ParkedLeg], Awaitable[None]],
        within_s: float | None,
        expired: Callable[[], None],
    ) -> None:
        self._forget_expected(token)
        loop = asyncio.get_running_loop()
        timer = loop.call_later(within_s, self._expire, token, expired) if within_s is not None else None
        self._expected[token] = _Expected(take, timer)

    def _forget_expected(self, token: str) -> None:
        expected = self._expected.pop(token, None)
        if expected is not None and expected.timer is not None:
            expected.timer.cancel()

    def _expire(self, token: str, expired: Callable[[], None]) -> None:
        del self._expected[token]
        self.counts["expired"] += 1
        log.warning("parked_never_came", expected_id=token)
        expired()

    def _never_came(self, call_id: str) -> None:
        if call_id in self._ordered:
            try:
                self._desk.not_answered(call_id, NotAnswered("error", _NEVER_CAME))
            finally:
                self._desk.gone(call_id, None)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(_logged(work, name), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _offer(event: Event, call_id: str) -> Offer:
    """Every field came from the network."""
    named = [(key.removeprefix(f"variable_{OWN_PREFIX}"), value) for key, value in event.headers.items()
             if key.startswith(f"variable_{OWN_PREFIX}")]  # fmt: skip
    withheld = event.get("Caller-Privacy-Hide-Number") == "true"
    return Offer(
        call_id=call_id,
        caller="" if withheld else clean(event.get("Caller-Caller-ID-Number")),
        caller_name="" if withheld else clean(event.get("Caller-Caller-ID-Name")),
        called=clean(event.variable("sovereign_called") or event.get("Caller-Destination-Number")),
        channel=clean(event.get("Channel-Name")),
        pbx_id=clean(event.uuid),
        variables={clean(name): clean(value) for name, value in named[:MAX_VARIABLES]},
    )


def _as_invite(uuid: str, number: str) -> Request:
    """What a control reads of a call: the channel, and the caller's number."""
    headers = Headers()
    headers.add(CHANNEL_HEADER, uuid)
    headers.add("Call-ID", uuid)
    shown = "".join(c for c in number if c.isascii() and (c.isalnum() or c in "+*#._"))[:64] or "anonymous"
    headers.add("From", f"<sip:{shown.replace('#', '%23')}@freeswitch.invalid>")
    return Request("INVITE", "sip:sovereign@freeswitch.invalid", headers)


def _settle(future: "asyncio.Future[bool]", value: bool) -> None:
    if not future.done():
        future.set_result(value)


async def _logged(work: Coroutine[Any, Any, None], name: str) -> None:
    try:
        await work
    except Exception:
        log.exception("parked_task_failed", task=name)
