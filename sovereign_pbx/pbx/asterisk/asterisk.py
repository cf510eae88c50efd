"""Asterisk as a `Pbx`: FastAGI for decisions, a carrier for the sound, AMI for what neither of them tells."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
from structlog.contextvars import bound_contextvars

from sovereign_pbx.core.errors import BadInput, ConfigError, LinkBroken, LinkEnded, LinkFinished, Refused
from sovereign_pbx.pbx.asterisk.ami import Ami
from sovereign_pbx.pbx.asterisk.audiosocket import WRITE_LIMIT_BYTES, AudioSocketServer
from sovereign_pbx.pbx.asterisk.audit import Audit
from sovereign_pbx.pbx.asterisk.channels import Channels
from sovereign_pbx.pbx.asterisk.fastagi import FastAgiServer
from sovereign_pbx.pbx.asterisk.left_over import left_over
from sovereign_pbx.pbx.asterisk.lines import AFTER_S, Line, Lines
from sovereign_pbx.pbx.asterisk.originator import Originator
from sovereign_pbx.pbx.asterisk.put_through import PutThrough
from sovereign_pbx.pbx.asterisk.reception import Deadlines, Reception
from sovereign_pbx.pbx.asterisk.roll_call import Ours, ways_of
from sovereign_pbx.pbx.asterisk.second_chance import SecondChance
from sovereign_pbx.pbx.asterisk.websocket import WebSocketCarrier
from sovereign_pbx.pbx.asterisk.wideband import Media, Wideband
from sovereign_pbx.pbx.carrier import CarriedLink, Carrier
from sovereign_pbx.pbx.control_login import LoginTiming
from sovereign_pbx.pbx.digits import DIGITS
from sovereign_pbx.pbx.link import Desk, DialOrder

log = structlog.get_logger(__name__)

# Receivers must take 40 ms of tone and 40 of pause (ITU-T Q.24); old ones want more.
TONE_MS: Final = 100
TONE_GAP_S: Final = 0.1
PAUSE_S: Final = 0.5
PAUSES: Final = "w,"
MAX_DIGITS: Final = 64

NO_AMI: Final = "there is no manager interface: set [asterisk.ami] secret"


@dataclass(frozen=True, slots=True, kw_only=True)
class AmiSettings:
    """Where the manager interface is, and as whom to log in."""

    host: str = "127.0.0.1"
    port: int = 5038
    username: str
    secret: str = field(repr=False)
    timing: LoginTiming = field(default_factory=LoginTiming)


@dataclass(frozen=True, slots=True, kw_only=True)
class AsteriskSettings:
    """Everything an administrator may set. Port 0 takes any free one.

    `permit` names the networks that may connect, empty: whoever reaches the address; `audiosocket_permit` is for
    AudioSocket where it differs. `max_calls` bounds the calls known at once, `agi_max_connections` questions at once.
    Without `ami` calls that come work, but none can be placed, and hold, tones sent, hang-up with a cause and the
    roll-call of channels are missing. `context`: the first part of the dialplan's contexts, for calls placed.
    `audit_s`: how often the roll is called between logins, 0 for never. `instance`: what this installation's channels
    are known by, also to a later daemon of the same installation; "" where there is none.

    `media`: what brings the sound. auto: AudioSocket, in wideband where the caller and Asterisk can; audiosocket: at
    8 kHz whatever they can; sip: the carrier that `AsteriskPbx` is given; websocket: chan_websocket. AudioSocket
    listens in every case: it brings what these can't.
    """

    media: Media = "auto"

    agi_host: str = "127.0.0.1"
    agi_port: int = 4573
    audiosocket_host: str = "127.0.0.1"
    audiosocket_port: int = 9092
    websocket_host: str = "127.0.0.1"
    websocket_port: int = 9093
    websocket_connection: str = "sovereign"
    websocket_username: str = ""
    websocket_password: str = field(default="", repr=False)
    websocket_handshake_timeout_s: float = 2.0
    websocket_stalled_s: float = 10.0
    ami: AmiSettings | None = None
    context: str = "sovereign"
    instance: str = ""
    audit_s: float = 30.0
    permit: Sequence[str] = ()
    audiosocket_permit: Sequence[str] | None = None
    max_calls: int = 500
    agi_max_connections: int = 256
    decide_timeout_s: float = 6.0
    next_timeout_s: float = 4.0
    connect_within_s: float = 10.0
    header_timeout_s: float = 5.0
    command_timeout_s: float = 2.0
    handshake_timeout_s: float = 2.0
    idle_timeout_s: float = 900.0
    write_limit_bytes: int = WRITE_LIMIT_BYTES


class AsteriskPbx:
    """The listeners and the AMI client as one PBX. `start` once, `stop` once.

    `sip_carrier` brings the sound where `media` is sip; it is somebody else's to start and to stop.
    """

    name = "asterisk"

    def __init__(self, settings: AsteriskSettings, sip_carrier: Carrier | None = None) -> None:
        if settings.media == "sip" and sip_carrier is None:
            raise ConfigError("Asterisk's calls are to come over SIP, which is not enabled", key="asterisk.media")
        self._settings = settings
        self._sip_carrier = sip_carrier
        self._websocket: WebSocketCarrier | None = None
        self._started = False
        self.ami: Ami | None = None
        self._originator: Originator | None = None
        self._audit: Audit | None = None
        if (ami := settings.ami) is not None:
            self.ami = Ami(ami.host, ami.port, ami.username, ami.secret, timing=ami.timing)

    @property
    def agi_address(self) -> tuple[str, int]:
        """Where FastAGI listens."""
        return self._agi.address

    @property
    def audiosocket_address(self) -> tuple[str, int]:
        """Where AudioSocket listens."""
        return self._audiosocket.address

    async def start(self, desk: Desk) -> None:
        self._assemble(desk)
        try:
            await self._audiosocket.start()
            if self._websocket is not None:
                await self._websocket.start()
            await self._agi.start()
        except BaseException:
            await self._close_carriers()
            raise
        if self.ami is not None:
            await self.ami.start()
        self._started = True

    async def stop(self) -> None:
        """FastAGI goes first: a dialplan whose audio ends then finds nobody to ask and takes its fallback."""
        if not self._started:
            return
        self._started = False
        await self._agi.close()
        for line in self._lines:
            self._carrier.forget(line.token)
            if line.link is not None:
                line.link.close()
        await self._close_carriers()
        if self.ami is not None:
            await self.ami.stop()
        if self._originator is not None:
            self._originator.close()
        for line in self._lines:
            self._lines.close(line, None)

    def check_outbound(self) -> None:
        """Raises Refused when there is no manager interface to place calls by."""
        if self._settings.ami is None:
            raise Refused(
                "pbx_unavailable", "calls are placed by Asterisk's manager interface: set [asterisk.ami] secret"
            )
        if self.ami is None or self._originator is None or not self.ami.connected:
            why = self.ami.last_error if self.ami is not None else ""
            raise Refused(
                "pbx_unavailable", "Asterisk's manager interface is not connected" + (f": {why}" if why else "")
            )

    async def originate(self, order: DialOrder) -> None:
        """Place a call over AMI. See `Pbx.originate`."""
        self.check_outbound()
        assert self._originator is not None
        await self._originator.originate(order)

    async def hang_up(self, call_id: str, cause: int = 16) -> None:
        """End the caller's channel: by AMI with `cause`, else by ending the audio and having the dialplan hang up."""
        line = self._lines.by_call(call_id)
        if line is None:
            return
        line.hang_up = True
        if line.phase == "dialling" and self._originator is not None:
            await self._originator.hang_up(line, cause)
            return
        if self.ami is not None and self.ami.connected:
            try:
                if (await self.ami.action("Hangup", Channel=line.pbx_id, Cause=cause)).ok:
                    return
            except (LinkEnded, BadInput) as exc:
                log.warning("hang_up_failed", why=str(exc))
        if line.link is not None:
            line.link.close()

    async def send_digits(self, call_id: str, digits: str) -> None:
        """Send tones to the caller, one after the other; `w` and `,` are pauses of half a second.

        Raises:
            BadInput: a character that is no digit, or too many.
            LinkEnded: no AMI, or the call is gone.
        """
        if len(digits) > MAX_DIGITS or not set(digits.upper()) <= DIGITS | set(PAUSES.upper()):
            raise BadInput(f"can't send this: 0-9 * # A-D, w and comma for pauses, {MAX_DIGITS} at most")
        line = self._lines.by_call(call_id)
        if line is None:
            raise LinkFinished("there is no such call any more")
        async with line.pacing:
            for digit in digits.upper():
                await (asyncio.sleep(PAUSE_S) if digit in PAUSES.upper() else self._send_digit(line, digit))

    def health(self) -> dict[str, Any]:
        """Status with every counter. Degraded: AMI is not configured, not connected, or a listener is missing."""
        if not self._started:
            return {"status": "down"}
        connected = self.ami is not None and self.ami.connected
        return {
            "status": "ok" if connected else "degraded",
            "calls": len(self._lines),
            "agi": self._agi.statistics(),
            "media": self._settings.media,
            "audiosocket": self._audiosocket.statistics(),
            **({} if self._carrier is self._audiosocket else {"sound": dict(self._carrier.statistics())}),
            "ami": self._ami_health(),
            "unknown_channels": self._audit.unknown if self._audit is not None else 0,
        }

    def call_ids(self) -> frozenset[str]:
        """The calls that this PBX knows of, from the first question of the dialplan until their channel is gone."""
        return frozenset(line.call_id for line in self._lines) if self._started else frozenset()

    async def left_over(self) -> int:
        """How many lines there are that an earlier daemon of this installation had made. Raises Refused
        `pbx_unavailable` where Asterisk can't be asked."""
        return await left_over(self.ami, self._lines, self._settings.instance)

    async def audit(self) -> dict[str, Any]:
        """Every call as it is known here, and where Asterisk says otherwise; changes nothing. `asked` is false where
        Asterisk can't be asked, `why` says why."""
        if self._audit is None or not self._started:
            found: dict[str, Any] = {"asked": False, "why": NO_AMI, "differences": [], "mended": 0}
        else:
            found = await self._audit.report()
        lines = [
            {"call_id": line.call_id, "channel": line.channel, "pbx_id": line.pbx_id, "phase": line.phase}
            for line in (self._lines if self._started else ())
        ]
        return {"lines": lines, **found}

    # Private

    def _assemble(self, desk: Desk) -> None:
        settings = self._settings
        self._desk = desk
        self._lines = Lines(settings.max_calls, desk.gone)
        self._audiosocket = self._made_audiosocket()
        carrier = self._carrier = self._made_carrier()
        carrier.on_connect, carrier.on_expired = self._audio_came, self._audio_never_came
        carrier.on_ended = self._audio_ended
        wideband = Wideband(settings.media, self.ami)
        deadlines = Deadlines(
            decide_s=settings.decide_timeout_s, next_s=settings.next_timeout_s, connect_s=settings.connect_within_s
        )
        self._put_through = PutThrough(desk, self._lines, self._audiosocket, connect_s=settings.connect_within_s)
        if self.ami is not None:
            self._watch(self.ami, desk)
        picked_up = self._originator.answered if self._originator is not None else lambda line: None
        reception = Reception(desk, self._lines, carrier, deadlines, self._put_through, picked_up, wideband.rate)
        self._agi = FastAgiServer(
            settings.agi_host,
            settings.agi_port,
            {
                "inbound": reception.inbound,
                "outbound": reception.outbound,
                "next": reception.next,
                "hangup": reception.hangup,
                "through": self._put_through.through,
                "brief": self._put_through.brief,
                "briefed": self._put_through.briefed,
            },
            header_timeout_s=settings.header_timeout_s,
            command_timeout_s=settings.command_timeout_s,
            max_connections=settings.agi_max_connections,
            permit=settings.permit,
        )

    def _made_carrier(self) -> Carrier:
        settings = self._settings
        if settings.media == "sip" and self._sip_carrier is not None:
            return SecondChance(self._sip_carrier, self._audiosocket)
        if settings.media == "websocket":
            self._websocket = WebSocketCarrier(
                settings.websocket_host,
                settings.websocket_port,
                connection=settings.websocket_connection,
                username=settings.websocket_username,
                password=settings.websocket_password,
                handshake_timeout_s=settings.websocket_handshake_timeout_s,
                stalled_s=settings.websocket_stalled_s,
                max_connections=settings.max_calls + 16,
                permit=settings.permit,
            )
            return SecondChance(self._websocket, self._audiosocket)
        return self._audiosocket

    def _made_audiosocket(self) -> AudioSocketServer:
        settings = self._settings
        return AudioSocketServer(
            settings.audiosocket_host,
            settings.audiosocket_port,
            on_connect=self._audio_came,
            handshake_timeout_s=settings.handshake_timeout_s,
            max_connections=settings.max_calls + 16,  # strangers are let in up to their handshake
            write_limit_bytes=settings.write_limit_bytes,
            idle_timeout_s=settings.idle_timeout_s,
            permit=settings.permit if settings.audiosocket_permit is None else settings.audiosocket_permit,
        )

    async def _close_carriers(self) -> None:
        if self._websocket is not None:
            await self._websocket.close()
        await self._audiosocket.close()

    def _watch(self, ami: Ami, desk: Desk) -> None:
        settings = self._settings
        began = f"sovereign-{settings.instance}-" if settings.instance else ""
        self._channels = Channels(self._lines, desk)
        self._originator = Originator(ami, self._lines, desk, settings.context, began or "sovereign-")
        carrier = self._carrier
        ours = Ours(
            address=lambda: self.audiosocket_address,
            knows_token=carrier.knows,
            began=began,
            ways=lambda: ways_of(carrier),
        )
        self._audit = Audit(ami, self._lines, ours, every_s=settings.audit_s)
        for listener in (self._originator.event, self._channels.event, self._put_through.event):
            ami.on_event(listener)
        for work in (self._audit.watch, self._originator.reconcile):
            ami.on_login(work)

    def _audio_came(self, token: str, link: CarriedLink) -> None:
        line = self._lines.by_token(token)
        if line is None:
            if not self._put_through.audio_came(token, link):
                link.close()
            return
        line.link = link
        link.admit_digit = lambda digit: line.digits.is_news("audio", digit)
        self._lines.enter(line, "talking")
        with bound_contextvars(call_id=line.call_id):
            self._desk.connected(line.call_id, link)

    def _audio_never_came(self, token: str) -> None:
        line = self._lines.by_token(token)
        if line is not None:
            self._lines.close(line, None)

    def _audio_ended(self, token: str, link: CarriedLink, how: LinkEnded) -> None:
        line = self._lines.by_token(token)
        if line is None or line.link is not link:
            return
        log.info("audio_ended", call_id=line.call_id, how=type(how).__name__, why=str(how), **link.statistics())
        self._lines.enter(line, "after", AFTER_S)

    async def _send_digit(self, line: Line, digit: str) -> None:
        if self.ami is None:
            raise LinkBroken("tones can't be sent without AMI")
        answer = await self.ami.action("PlayDTMF", Channel=line.pbx_id, Digit=digit, Duration=TONE_MS)
        if not answer.ok:
            raise LinkFinished(f"Asterisk did not send the tone: {answer.get('Message')}")
        await asyncio.sleep(TONE_MS / 1000 + TONE_GAP_S)

    def _ami_health(self) -> dict[str, Any] | None:
        if self.ami is None:
            return None
        return {"connected": self.ami.connected, "error": self.ami.last_error, "sessions": self.ami.sessions}
