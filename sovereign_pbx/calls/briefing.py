"""A colleague's leg of an attended transfer: what he hears before he gets the caller, and what he answers.

Its own line, voice and recogniser, all of them let go in `close`. Without a recogniser he answers by keys, without a
voice he hears a beep, and keys count still.
"""

import asyncio
from collections import Counter
from collections.abc import Coroutine, Mapping
from typing import Any, Final

import numpy as np
import structlog
from structlog.contextvars import bound_contextvars

from sovereign_pbx.assistants.model import Assistant
from sovereign_pbx.assistants.plan import language_of, phrases_of, voice_language
from sovereign_pbx.assistants.realtime import is_realtime
from sovereign_pbx.calls.hearing import Hearing
from sovereign_pbx.calls.media_quality import told
from sovereign_pbx.calls.pump import Pump
from sovereign_pbx.calls.recited import RecitedVoice
from sovereign_pbx.calls.ringing import open_stt, said_to_everybody
from sovereign_pbx.calls.session import Services
from sovereign_pbx.core import events as e
from sovereign_pbx.core.audio import PHONE_RATE
from sovereign_pbx.core.briefing import (
    TOTAL_S,
    Acceptance,
    BriefingEvent,
    BriefingLine,
    BriefingOutcome,
    HungUp,
    Hush,
    Key,
    Listening,
    Say,
    Settle,
    Speech,
    Spoken,
    Words,
)
from sovereign_pbx.core.errors import ConfigError, LinkEnded, ProviderError, SovereignError
from sovereign_pbx.media.line import Line
from sovereign_pbx.media.link import MediaLink
from sovereign_pbx.media.rated import at_rate
from sovereign_pbx.speech.stt import SttStream
from sovereign_pbx.speech.tts import Voice

log = structlog.get_logger(__name__)

_LINES: Final[tuple[BriefingLine, ...]] = ("words", "question", "keys", "again")
_PREPARE_S: Final = 6.0  # a voice that has not made a line by then is done without
_CONNECT_S: Final = 5.0  # as long as the single-use id of the media lives, about
_CLOSE_S: Final = 5.0
_BEEP_HZ: Final = 440.0
_BEEP_S: Final = 0.3


class Briefing:
    """One colleague asked to take one caller. `words` is what he is told; "" goes straight to the question. `rate` is
    that of the call: what he hears is made for it before it is known what his own leg has."""

    def __init__(
        self, services: Services, assistant: Assistant, words: str, *, call_id: str, rate: int = PHONE_RATE
    ) -> None:
        self._services = services
        self._assistant = assistant
        self._call_id = call_id
        self._rate = rate
        phrases = phrases_of(assistant)
        self._texts: dict[BriefingLine, str] = {
            "words": words,
            "question": phrases.briefing_question,
            "keys": phrases.briefing_keys,
            "again": phrases.briefing_again,
        }
        self._sounds: dict[BriefingLine, asyncio.Future[bytes]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._decided: asyncio.Future[BriefingOutcome] = asyncio.get_running_loop().create_future()
        self._pump: Pump[BriefingEvent] | None = None
        self._line: Line | None = None
        self._hearing: Hearing | None = None
        self._stt: SttStream | None = None
        self._segment = 0
        self._saying: BriefingLine | None = None
        self._closed = self._told = False
        self.characters: Counter[str] = Counter()  # sent to be spoken, by who spoke

    @property
    def heard_s(self) -> Mapping[str, float]:
        """Seconds of audio by who recognised them."""
        return self._hearing.heard_s if self._hearing is not None else {}

    async def prepare(self) -> None:
        """Have everything made that he may hear. Returns when it is, or can't be; raises nothing but cancellation,
        which closes it: whoever prepared it is gone."""
        self._begin_making()
        if not self._sounds:  # it was closed before
            return
        try:
            await asyncio.wait(self._sounds.values(), timeout=_PREPARE_S)
        except asyncio.CancelledError:
            await self.close()
            raise

    def connect(self, link: MediaLink) -> None:
        """His media is up: frames flow from the next tick on. A second one, or one after the end, is closed."""
        if self._closed or self._line is not None or self._decided.done():
            link.close()
            return
        with bound_contextvars(call_id=self._call_id):
            self._begin_making()
            self._line = Line(at_rate(link, self._rate), self)
            now = asyncio.get_running_loop().time()
            self._pump = Pump(
                Acceptance("" if self._multilingual else language_of(self._assistant), now),
                {Say: self._say, Hush: self._hush, Settle: self._settle},
            )
            self._spawn(self._listen(), "hear")
        self._services.clock.add(self._line)
        self._pump.feed(e.Tick())

    async def outcome(self) -> BriefingOutcome:
        """What he has answered, once he has: 45 s after `connect` at the latest, and 5 s after this question where his
        media never came. `gone`: he hung up, his media was lost or never came, or `close` was first."""
        if self._line is None:
            await asyncio.wait({self._decided}, timeout=_CONNECT_S)
            if self._line is None and not self._decided.done():
                return "gone"
        await asyncio.wait({self._decided}, timeout=TOTAL_S + 1.0)
        return self._decided.result() if self._decided.done() else "no_answer"

    async def close(self) -> None:
        """Let go of his media and of everything that was opened. Idempotent; never raises."""
        self._closed = True
        self._decide("gone")
        self._let_go()
        for task in list(self._tasks):
            task.cancel()
        try:
            async with asyncio.timeout(_CLOSE_S):
                await asyncio.gather(*self._tasks, return_exceptions=True)
                self._sounds.clear()  # a call keeps its briefings for what they have used, and needs no more of them
                if self._stt is not None:
                    stt, self._stt = self._stt, None
                    await stt.close()
        except (SovereignError, TimeoutError, OSError) as exc:
            log.warning("provider.close_failed", error=str(exc) or type(exc).__name__)

    # --- his line

    def heard(self, frame: bytes) -> None:
        if self._hearing is not None:
            self._hearing.frame(frame)

    def speech_started(self, at: float) -> None:
        if self._hearing is not None:
            self._hearing.speech(True)
        self._feed(Speech(True))

    def speech_stopped(self, at: float) -> None:
        if self._hearing is not None:
            self._hearing.speech(False)
            self._hearing.finalize()  # a yes is short: nobody need wait and see whether more follows
        self._feed(Speech(False))

    def playout_started(self, segment: int) -> None:
        """Nothing depends on it."""

    def playout_finished(self, segment: int) -> None:
        if segment == self._segment and self._saying is not None:
            line, self._saying = self._saying, None
            self._feed(Spoken(line))

    def line_ended(self, how: LinkEnded) -> None:
        self._feed(HungUp())

    def digit(self, digit: str) -> None:
        self._feed(Key(digit))

    # --- what is to be done

    def _feed(self, event: BriefingEvent) -> None:
        if self._pump is not None and not self._decided.done():
            self._pump.feed(event)

    def _say(self, command: Say) -> None:
        assert self._line is not None
        self._segment += 1
        self._saying = command.line
        self._line.playout.open(self._segment)
        sound, segment = self._sounds[command.line], self._segment
        if sound.done():
            self._play(segment, sound)
        else:  # nobody is left in silence for long: the making is bounded
            sound.add_done_callback(lambda made: self._play(segment, made))

    def _play(self, segment: int, sound: asyncio.Future[bytes]) -> None:
        """Ignored by the playout where the segment has been flushed meanwhile."""
        if self._line is not None and not sound.cancelled():
            self._line.playout.add(segment, sound.result() if sound.exception() is None else _beep(self._rate))
            self._line.playout.finish(segment)

    def _hush(self, command: Hush) -> None:
        assert self._line is not None
        self._saying = None
        self._line.playout.flush()

    def _settle(self, command: Settle) -> None:
        log.info("briefing.settled", outcome=command.outcome)
        self._decide(command.outcome)
        self._let_go()

    def _decide(self, outcome: BriefingOutcome) -> None:
        if not self._decided.done():
            self._decided.set_result(outcome)

    def _let_go(self) -> None:
        """The dialplan goes on when his media ends."""
        if self._pump is not None:
            self._pump.stop()
        if self._line is not None:
            self._services.clock.remove(self._line)
            self._line.close()
            if not self._told:
                self._told = True
                told(self._line, self._services.tracer)

    # --- ears

    @property
    def _multilingual(self) -> bool:
        return str(self._assistant.stt_config.get("language", "multi")) == "multi"

    async def _listen(self) -> None:
        try:
            self._stt = await open_stt(self._assistant, self._services, rate=self._rate)
        except (ProviderError, ConfigError) as exc:
            log.warning("briefing.deaf", error=str(exc))
            return
        self._hearing = Hearing(stream=self._stt, reopen=self._reopen, feed=self._recognised)
        self._feed(Listening(True))
        await self._hearing.listen()

    async def _reopen(self) -> SttStream:
        assert self._stt is not None
        await self._stt.close()
        self._stt = await open_stt(self._assistant, self._services, rate=self._rate)
        self._feed(Listening(True))
        return self._stt

    def _recognised(self, event: e.Event) -> None:
        if isinstance(event, e.Interim | e.Final):
            self._feed(Words(event.text, isinstance(event, e.Final)))
        elif isinstance(event, e.HearingFailed):
            log.warning("briefing.deaf", error=str(event.error))
            self._feed(Listening(False))

    # --- voice

    def _begin_making(self) -> None:
        if self._sounds or self._closed:
            return
        with bound_contextvars(call_id=self._call_id):
            voice = self._voice()
            kept = said_to_everybody(self._assistant, self._services)
            for line in _LINES:
                self._sounds[line] = self._spawn(
                    self._made(voice, line, keep=self._texts[line] in kept), f"make-{line}"
                )

    def _voice(self) -> Voice | None:
        """The assistant's own; of a realtime model without one the model itself."""
        assistant, providers = self._assistant, self._services.providers
        try:
            if is_realtime(assistant.llm_config) and not assistant.tts_config.get("provider"):
                return RecitedVoice(providers.realtime(assistant.llm_config), assistant.llm_config)
            return providers.voice(assistant.tts_config, assistant.speech_config)
        except ConfigError as exc:
            log.warning("briefing.mute", error=str(exc))
            return None

    async def _made(self, voice: Voice | None, line: BriefingLine, *, keep: bool) -> bytes:
        """The line's sound; without a voice a beep where an answer is expected, and nothing else."""
        text = self._texts[line]
        try:
            if voice is not None and text.strip():
                language = voice_language(self._assistant)
                if self._services.phrases.get(voice, text, rate=self._rate, language=language) is None:
                    self.characters[voice.name] += len(text)
                async with asyncio.timeout(_PREPARE_S):
                    made = await self._services.phrases.render(
                        voice, text, rate=self._rate, language=language, keep=keep
                    )
                return made.pcm
        except (SovereignError, TimeoutError) as exc:
            log.warning("briefing.not_rendered", line=line, error=str(exc) or type(exc).__name__)
        return _beep(self._rate) if line in ("question", "keys") else b""

    def _spawn(self, coroutine: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(coroutine, name=f"{self._call_id}-briefing-{name}")
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (fault := task.exception()) is not None:
            log.error("briefing.task_failed", task=task.get_name(), exc_info=fault)


def _beep(rate: int) -> bytes:
    """A short tone, soft at both edges."""
    at = np.arange(int(rate * _BEEP_S)) / rate
    edges = np.minimum(1.0, np.minimum(at, _BEEP_S - at) / 0.01)
    return (8000 * edges * np.sin(2 * np.pi * _BEEP_HZ * at)).astype("<i2").tobytes()
