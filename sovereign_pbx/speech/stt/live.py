"""A recogniser's websocket for the length of a call: bounded sending, liveness, reconnecting with replay.

What differs between vendors is a `Dialect`: how to connect, how to read a message, which words mean keep-alive,
finalise and goodbye. Everything else lives here once.
"""

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from sovereign_pbx.core.audio import SAMPLE_BYTES
from sovereign_pbx.core.errors import ProviderError
from sovereign_pbx.speech.sockets import Socket
from sovereign_pbx.speech.stt import Heard, SttEvent
from sovereign_pbx.speech.stt.ring import AudioRing

log = structlog.get_logger(__name__)

EVENTS_LIMIT = 256
WATCH_S = 0.1
FIRST_BACKOFF_S = 0.25
MAX_BACKOFF_S = 5.0
# Less of what the VAD takes for speech may be a cough, for which a vendor owes no answer.
OWED_SPEECH_S = 0.5
# A final text it owes for a syllable ("no", or that there was nothing), and the silence that the VAD needs for its end.
OWED_FINAL_S = 0.45


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long a recogniser's stream waits for what, in seconds."""

    answer_s: float = 1.5  # speech was sent, the vendor said nothing at all since: interims come every second or sooner
    final_s: float = 0.8  # after its final text was asked for: twice Deepgram's 99th percentile (0.35 s), and the way
    ended_s: float | None = None  # after the end of speech of which nothing is final yet; None: `answer_s`
    outage_s: float = 5.0  # reconnecting in vain
    idle_s: float = 4.0  # no audio sent: keep alive (Deepgram closes after 10)


@dataclass(frozen=True, slots=True)
class Reading:
    """What one message of the vendor means. Word times are on the connection's clock."""

    events: tuple[SttEvent, ...] = ()
    alive: bool = False  # the vendor is transcribing what we send
    settled_s: float | None = None  # the connection's audio before this is final


NOTHING = Reading()


class Dialect(Protocol):
    """One vendor's ways."""

    chunk_ms: int
    farewell: str

    async def connect(self, within_s: float | None = None) -> Socket:
        """Open a connection and forget the state of the one before."""

    def read(self, message: str | bytes) -> Reading:
        """Understand one message; raises ProviderError when it says that the stream is over."""

    def finalize(self) -> str | None:
        """The message that asks for the final text, or None when there is nothing to ask."""

    def keep_alive(self) -> str | None:
        """The message for a time without audio, or None: silence is sent instead."""


class LiveStream:
    """One call's recogniser over a websocket. Make it with an open socket; `close` ends it."""

    def __init__(self, dialect: Dialect, socket: Socket, rate: int, patience: Patience) -> None:
        self._dialect = dialect
        self._socket = socket
        self._patience = patience
        self._ring = AudioRing(rate)
        self._chunk = rate * dialect.chunk_ms // 1000 * SAMPLE_BYTES
        self._most = rate * SAMPLE_BYTES  # one second a message when catching up
        self._controls: deque[str] = deque(maxlen=16)  # full: the oldest is outdated by the newer ones
        self._finalize_asked = False
        self._woken: asyncio.Future[None] | None = None  # what the writer sleeps on
        self._events: asyncio.Queue[SttEvent | ProviderError | None] = asyncio.Queue(EVENTS_LIMIT)
        self._clock = asyncio.get_running_loop().time
        self._sent_at = self._clock()
        self._sending_at: float | None = None
        self._answer_due: float | None = None
        self._owed_at = 0.0  # when that began to be owed
        self._speaking_from_s: float | None = None  # stream time
        self._onset_s: float | None = None  # stream time, of the speech that is going on
        self._spoken_s = 0.0  # of speech that is over, and not final
        self._spoke_until_s = 0.0  # stream time
        self._final_asked = False  # at the vendor, and not answered
        self._down_since: float | None = None
        self._tries = 0
        self._task = asyncio.create_task(self._run(), name="stt-stream")

    # --- the interface

    def send(self, frame: bytes) -> None:
        """Take 20 ms of audio. Never blocks."""
        self._ring.append(frame)
        if self._ring.unsent >= self._chunk:
            self._wake()

    def speech(self, speaking: bool) -> None:
        """The caller began or fell silent: for half a second of speech the vendor owes a sign that it listens."""
        if speaking:
            self._speaking_from_s = self._onset_s = self._ring.end_s
        else:
            self._owe_answer()
            self._spoke()
            self._speaking_from_s = self._onset_s = None
            if self._unsettled_s >= OWED_FINAL_S:
                self._owe(self._patience.answer_s if self._patience.ended_s is None else self._patience.ended_s)

    def finalize(self) -> None:
        """Ask for the final text of everything sent so far."""
        self._finalize_asked = True
        self._owe_answer()
        self._wake()

    async def __aiter__(self) -> AsyncIterator[SttEvent]:
        """Events until `close`; ProviderError when the vendor is lost for good."""
        while True:
            event = await self._events.get()
            if event is None:
                return
            if isinstance(event, ProviderError):
                raise event
            yield event

    async def close(self) -> None:
        """End the stream and the vendor's connection; `__aiter__` finishes."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._socket.close()  # a task cancelled before its first step has closed nothing
        while self._events.full():
            self._events.get_nowait()
        self._events.put_nowait(None)

    # --- one connection after the other

    async def _run(self) -> None:
        try:
            while True:
                fault = await self._converse(self._socket)
                log.warning("stt connection lost", provider=fault.provider, kind=fault.kind, detail=fault.detail)
                self._socket = await self._reconnect(fault)
        except ProviderError as exc:
            await self._events.put(exc)
        except Exception as exc:  # a fault of ours must not leave the call waiting for words that never come
            log.exception("stt stream failed")
            await self._events.put(self._socket.fault("garbled", type(exc).__name__))

    async def _converse(self, socket: Socket) -> ProviderError:
        """Use one connection until it fails; returns why."""
        self._sending_at = None
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._read(socket))
                tasks.create_task(self._write(socket))
                tasks.create_task(self._watch(socket))
        except* ProviderError as group:
            fault = _first(group)
        finally:
            await socket.close(self._dialect.farewell)
        return fault

    async def _reconnect(self, fault: ProviderError) -> Socket:
        """A new connection with the un-finalised audio queued for replay, or ProviderError after the outage limit."""
        owed_answer = self._answer_due is not None
        now = self._clock()
        # A vendor whose answer is overdue has been down since it was owed.
        overdue = self._answer_due is not None and now >= self._answer_due
        self._down_since = self._down_since or (self._owed_at if overdue else now)
        while fault.kind != "denied":
            left_s = self._down_since + self._patience.outage_s - self._clock()
            pause_s = self._backoff()
            if left_s <= pause_s:
                break
            await asyncio.sleep(pause_s)
            try:
                socket = await self._dialect.connect(within_s=left_s - pause_s)
            except ProviderError as exc:
                # A try that our own limit cut short tells nothing of the vendor: what came before it does.
                if exc.kind != "stalled" or self._clock() < self._down_since + self._patience.outage_s:
                    fault = exc
                continue
            self._ring.rewind()
            self._finalize_asked |= self._final_asked and self._onset_s is None  # it was lost with the connection
            self._answer_due = None
            if owed_answer:
                self._owe(self._patience.answer_s)
            self._wake()
            return socket
        raise fault

    def _backoff(self) -> float:
        """At once the first time, then 250 ms doubling to 5 s with jitter. Answers of the vendor reset it."""
        self._tries += 1
        if self._tries == 1:
            return 0.0
        longest = min(FIRST_BACKOFF_S * 2 ** (self._tries - 2), MAX_BACKOFF_S)
        return random.uniform(longest / 2, longest)

    # --- one connection

    async def _write(self, socket: Socket) -> None:
        while True:
            while (message := self._next_message()) is not None:
                self._sending_at = self._clock()
                await socket.hand_over(message)  # `_watch` has its deadline: a timer a frame costs a tenth of it all
                self._sent_at, self._sending_at = self._sending_at, None
            self._woken = asyncio.get_running_loop().create_future()
            await self._woken

    def _wake(self) -> None:
        """There is something to send. A bare future: an Event would be a tenth of what a frame costs."""
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

    def _next_message(self) -> bytes | str | None:
        """Audio first, so that a finalise covers everything that was said before it."""
        unsent = self._ring.unsent
        whole = min(unsent, self._most) // self._chunk * self._chunk
        if whole:
            return self._ring.take(whole)
        if self._finalize_asked:
            if unsent:
                return self._ring.take(unsent)
            self._finalize_asked = False
            if (request := self._dialect.finalize()) is not None:
                self._owe_final()
                return request
        return self._controls.popleft() if self._controls else None

    async def _read(self, socket: Socket) -> None:
        while True:
            reading = self._dialect.read(await socket.receive())
            origin_s = self._ring.origin_s
            if reading.alive:
                self._answer_due = self._down_since = None
                if self._speaking_from_s is not None:
                    self._speaking_from_s = self._ring.end_s
                self._tries = 0
            if reading.settled_s is not None:
                self._final_asked = False
                self._ring.settle(origin_s + reading.settled_s)
                if self._ring.start_s >= self._spoke_until_s:
                    self._spoken_s = 0.0
            for event in reading.events:
                await self._events.put(shifted(event, origin_s))

    async def _watch(self, socket: Socket) -> None:
        """Keep an idle connection alive; notice one that takes audio and answers nothing."""
        while True:
            await asyncio.sleep(min(WATCH_S, self._patience.answer_s / 4, self._patience.idle_s / 4))
            now = self._clock()
            self._owe_answer()
            if self._sending_at is not None and socket.is_deaf(now - self._sending_at):
                raise socket.deaf()
            if self._answer_due is not None and now >= self._answer_due:
                raise socket.fault("stalled", f"speech was sent, no answer within {self._patience.answer_s:g} s")
            if now - self._sent_at >= self._patience.idle_s:
                self._keep_alive(now)

    def _keep_alive(self, now: float) -> None:
        self._sent_at = now
        message = self._dialect.keep_alive()
        if message is None:
            self._ring.append(bytes(self._chunk))
        else:
            self._controls.append(message)
        self._wake()

    def _owe_answer(self) -> None:
        """Long enough speech, and nothing said about it: the vendor's time runs."""
        began_s = self._speaking_from_s
        if self._answer_due is None and began_s is not None and self._ring.end_s - began_s >= OWED_SPEECH_S:
            self._owe(self._patience.answer_s)

    def _spoke(self) -> None:
        """Speech is over; until the vendor has made it final it owes that, if it is asked."""
        if self._onset_s is not None:
            self._spoken_s += self._ring.end_s - self._onset_s
            self._spoke_until_s = self._ring.end_s

    @property
    def _unsettled_s(self) -> float:
        """How much of the speech that is over is not final."""
        return min(self._spoken_s, self._spoke_until_s - self._ring.start_s)

    def _owe_final(self) -> None:
        """The final text has been asked for: that takes less time than an answer in general."""
        self._final_asked = True
        if self._unsettled_s >= OWED_FINAL_S:
            self._owe(self._patience.final_s)

    def _owe(self, within_s: float) -> None:
        """The vendor's time runs; what was due sooner stays so."""
        now = self._clock()
        if self._answer_due is None:
            self._owed_at = now
        self._answer_due = min(now + within_s, self._answer_due or now + within_s)


def _first(group: BaseExceptionGroup[ProviderError]) -> ProviderError:
    found: ProviderError | BaseExceptionGroup[ProviderError] = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found


def shifted(event: SttEvent, by_s: float) -> SttEvent:
    """The event with word times moved from the connection's clock to the stream's."""
    if not by_s or not isinstance(event, Heard) or not event.words:
        return event
    return replace(
        event, words=tuple(replace(word, start=word.start + by_s, end=word.end + by_s) for word in event.words)
    )
