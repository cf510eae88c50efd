"""The shell round a conversation with a realtime model: events in, commands performed, sessions opened and replaced."""

import asyncio
import random
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog

from sovereign_pbx.calls.minutes import Minutes
from sovereign_pbx.calls.pump import Pump
from sovereign_pbx.calls.record import CallRecord
from sovereign_pbx.calls.speaking import Spawn, Speaking
from sovereign_pbx.calls.tools import Tools
from sovereign_pbx.calls.trace import Tracer
from sovereign_pbx.calls.usage import Tokens
from sovereign_pbx.core import commands as c
from sovereign_pbx.core import events as e
from sovereign_pbx.core.audio import FRAME_S
from sovereign_pbx.core.errors import LinkEnded, ProviderError
from sovereign_pbx.core.realtime import signals as s
from sovereign_pbx.core.realtime.conversation import RealtimeConversation
from sovereign_pbx.core.values import Message
from sovereign_pbx.media.line import Line
from sovereign_pbx.speech.realtime import RealtimeSession

log = structlog.get_logger(__name__)

REOPEN_S: Final = 1.8  # then the caller is somebody else's: he must not hear nothing for longer than two seconds
REPLAY_S: Final = 10.0
_PAUSE_S: Final = 0.25
_ORDERS: Final = (s.Respond, s.Recite, s.StopResponse, s.Truncate, s.Tell, s.AnswerTool, s.ForgetInput)

Reopen = Callable[[tuple[Message, ...]], Awaitable[RealtimeSession]]


class LiveShell:
    """Performs a realtime conversation's commands; is the line's listener."""

    def __init__(
        self,
        *,
        conversation: RealtimeConversation,
        session: RealtimeSession,
        reopen: Reopen,
        record: CallRecord,
        tracer: Tracer,
        spawn: Spawn,
        leave: Callable[[c.HangUp | c.HandOver], None],
        agreed: Callable[[], None],
        lost: Callable[[LinkEnded], None],
    ) -> None:
        self.conversation = conversation
        self.session = session
        self.line: Line | None = None
        self.speaking: Speaking | None = None
        self.tools: Tools | None = None
        self.tokens = Tokens()
        self._seconds: Counter[str] = Counter()  # milliseconds that sessions which are over were sent
        self._reopen = reopen
        self._record = record
        self._tracer = tracer
        self._spawn = spawn
        self._lost = lost
        self._hears = False
        self._recent: deque[bytes] = deque(maxlen=int(REPLAY_S / FRAME_S))
        self._loop = asyncio.get_running_loop()
        minutes = Minutes(record, tracer)
        perform: dict[type, Callable[[Any], None]] = {
            **dict.fromkeys(_ORDERS, self._order),
            s.Play: self._play,
            s.EndSound: lambda command: self._on_line().playout.finish(command.segment),
            s.Hear: self._hear,
            s.Renew: lambda command: self._spawn_renewal(command),
            c.Speak: self._speak,
            c.Flush: self._flush,
            c.Pause: lambda _: self._on_line().playout.pause(),
            c.Resume: self._resume,
            c.UseTool: self._use_tool,
            c.Record: lambda _: agreed(),
            c.Remember: minutes.message,
            c.CloseTurn: minutes.turn,
            c.HangUp: leave,
            c.HandOver: leave,
            c.Note: minutes.note,
        }
        self._pump: Pump[s.Event] = Pump(conversation, perform)

    @property
    def heard_s(self) -> dict[str, float]:
        """Seconds of audio by the model that was sent them."""
        sums = self._seconds + Counter({self.session.name: round(self.session.heard_s * 1000)})
        return {name: ms / 1000 for name, ms in sums.items()}

    # --- events in

    def feed(self, event: s.Event) -> None:
        """Hand an event to the conversation and do what it says."""
        self._pump.feed(event)

    def stop(self) -> None:
        """No more ticks."""
        self._pump.stop()

    # --- the session's signals

    def listen(self) -> None:
        """Take what the session tells, from the beginning."""
        self._spawn(self._follow(self.session), "realtime")

    async def _follow(self, session: RealtimeSession) -> None:
        try:
            async for signal in session:
                if session is not self.session:
                    return
                if isinstance(signal, s.ResponseEnded):
                    self.tokens.add(session.name, signal.usage)
                self.feed(signal)
        except ProviderError as exc:
            if session is self.session:
                log.warning("realtime.lost", error=str(exc))
                self.feed(s.SessionLost(exc))

    def _spawn_renewal(self, command: s.Renew) -> None:
        self._spawn(self._renew(command), "realtime-renew")

    async def _renew(self, command: s.Renew) -> None:
        """In the place of a session that is lost a new one within the time; of one that grows old, one behind it."""
        try:
            with self._tracer.step("realtime.renew", planned=command.planned):
                async with asyncio.timeout(REOPEN_S):
                    fresh = await self._opened(command)
        except (ProviderError, TimeoutError) as exc:
            if not command.planned:
                error = exc if isinstance(exc, ProviderError) else _late(self.session)
                self.feed(s.SessionLost(error))
            return
        if command.planned and self.conversation.replay != command.history:  # somebody has spoken meanwhile
            await fresh.close()
            self.feed(s.SessionAging())
            return
        old, self.session = self.session, fresh
        self._seconds[old.name] += round(old.heard_s * 1000)
        if command.replay_s:
            for frame in list(self._recent)[-round(command.replay_s / FRAME_S) :]:
                fresh.send(frame)
        self.listen()
        self.feed(s.SessionOpened())
        await old.close()

    async def _opened(self, command: s.Renew) -> RealtimeSession:
        """Tried once more within the time, where that may help."""
        while True:
            try:
                return await self._reopen(command.history)
            except ProviderError as exc:
                if exc.kind == "denied":
                    raise
                log.warning("realtime.not_opened", error=str(exc))
            await asyncio.sleep(random.uniform(_PAUSE_S / 2, _PAUSE_S))

    # --- the line's listener

    def heard(self, frame: bytes) -> None:
        frame = frame if self._hears else bytes(len(frame))
        self._recent.append(frame)
        self.session.send(frame)

    def speech_started(self, at: float) -> None:
        self.feed(e.SpeechStarted(at))

    def speech_stopped(self, at: float) -> None:
        self.feed(e.SpeechStopped(at))

    def playout_started(self, segment: int) -> None:
        self.feed(e.PlayoutStarted(segment))

    def playout_finished(self, segment: int) -> None:
        if self.speaking is not None:
            self.speaking.finished(segment)
        self.feed(e.PlayoutFinished(segment))

    def digit(self, digit: str) -> None:
        self.feed(e.DigitPressed(digit))

    def line_ended(self, how: LinkEnded) -> None:
        self._record.event("line.ended", {"how": type(how).__name__, "detail": str(how)})
        self._lost(how)

    # --- commands out

    def _on_line(self) -> Line:
        assert self.line is not None  # there is one before the first event
        return self.line

    def _order(self, command: s.Order) -> None:
        self.session.tell(command)

    def _resume(self, command: c.Resume) -> None:
        going_on = self._on_line().playout.resume(command.words)
        if going_on is not None:
            self.feed(e.PlayoutStarted(*going_on))

    def _play(self, command: s.Play) -> None:
        playout = self._on_line().playout
        playout.open(command.segment)
        if command.pcm:
            playout.add(command.segment, command.pcm)

    def _hear(self, command: s.Hear) -> None:
        self._hears = command.caller

    def _speak(self, command: c.Speak) -> None:
        self._record.event("speak", {"segment": command.segment, "kind": command.kind, "text": command.text})
        if self.speaking is not None:
            self.speaking.speak(command)

    def _flush(self, _: c.Flush) -> None:
        if self.speaking is not None:
            self.speaking.flush()
            return
        for segment, played_ms in self._on_line().playout.flush():
            self.feed(e.PlayoutFlushed(segment, played_ms))

    def _use_tool(self, command: c.UseTool) -> None:
        if self.tools is not None:
            self.tools.use(command.call)


def _late(session: RealtimeSession) -> ProviderError:
    provider = session.name.partition("/")[0]
    return ProviderError(provider, "realtime", "stalled", f"no new session within {REOPEN_S:g} s")
