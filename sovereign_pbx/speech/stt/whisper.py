"""Speech to text on this machine: OpenAI's Whisper, one utterance at a time.

The VAD cuts the utterances. When it says that the caller fell silent, the utterance is transcribed at once: the
endpointing wait hides the work. A caller who goes on speaking makes a second final; if no worker has begun yet, both
parts are read as one.
"""

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Final

import numpy as np
import structlog

from sovereign_pbx.core.audio import FRAME_S, SAMPLE_BYTES
from sovereign_pbx.core.errors import ConfigError, ProviderError
from sovereign_pbx.speech.settings import Settings
from sovereign_pbx.speech.stt import Heard, SttEvent
from sovereign_pbx.speech.stt.whisper_engine import (
    OTHER_WINDOW_S,
    SHIPPED,
    SMALL_WINDOW_S,
    Engine,
    EngineKey,
    Job,
    Transcript,
    lease,
    release,
)

log = structlog.get_logger(__name__)

PRE_ROLL_S: Final = 0.5  # the VAD is sure of speech up to 0.25 s after it began
LONGEST_S: Final = 25.0  # Whisper reads 30 s at most
_SEARCH_S: Final = 5.0
_EVENTS: Final = 256


class Whisper:
    """A configured recogniser. `model`: "tiny.en", "base" (99 languages) or a CTranslate2 model's directory."""

    name = "whisper"

    def __init__(
        self,
        *,
        model: str = "tiny.en",
        language: str = "",
        cpu_threads: int = 0,
        workers: int = 1,
        queue: int = 32,
        compute_type: str = "int8",
        window_s: int = 0,
        interim_s: float = 0.0,
        answer_s: float = 8.0,
        open_s: float = 2.0,
    ) -> None:
        threads = cpu_threads or max(1, min(4, (os.cpu_count() or 2) // workers))
        window_s = window_s or SMALL_WINDOW_S.get(model, OTHER_WINDOW_S)
        self._key = EngineKey(model, threads, workers, queue, compute_type, window_s)
        self._language = language
        self._interim_s = interim_s
        self._answer_s = answer_s
        self._open_s = open_s
        self._engine: Engine | None = None

    @classmethod
    def from_config(cls, block: Mapping[str, Any], provider: Mapping[str, Any]) -> "Whisper":
        """From an assistant's `stt_config` and `[providers.whisper]`."""
        settings, machine = Settings(block, "stt_config"), Settings(provider, "[providers.whisper]")
        model, language = settings.text("model", "tiny.en"), settings.text("language")
        if model not in SHIPPED and os.sep not in model:
            raise settings.wrong("model", f"must be one of {', '.join(SHIPPED)} or the path of a model's directory")
        if model.endswith(".en") and _short(language) not in ("", "en"):
            raise ConfigError(
                f"stt_config: the model {model} reads English only, not {language}",
                key="model",
                remedy='set stt_config.model = "base" (sovereign-pbx models fetch whisper-base)',
            )
        return cls(
            model=model,
            language=language,
            cpu_threads=machine.whole("cpu_threads", 0, 0, 64) or 0,
            workers=machine.whole("workers", 1, 1, 16) or 1,
            queue=machine.whole("queue", 32, 1, 1000) or 32,
            compute_type=machine.choice("compute_type", "int8", ("int8", "int8_float32", "float32")),
            window_s=machine.whole("window_s", 0, 0, 30) or 0,
            interim_s=machine.number("interim_s", 0.0, 0.0, 10.0) or 0.0,
            answer_s=machine.seconds("answer_s", 8.0),
            open_s=machine.seconds("open_s", 2.0),
        )

    async def open(self, *, rate: int, language: str, keyterms: Sequence[str] = ()) -> "WhisperStream":
        """A stream at `rate` Hz. Waits for the model up to two seconds, then lets it load behind the call."""
        language = _short(self._language or language)
        if self._key.model.endswith(".en") and language not in ("", "en"):
            raise ProviderError("whisper", "stt", "denied", f"{self._key.model} reads English only, not {language}")
        engine = self._lease()
        failure = await _outcome(engine, self._open_s)
        if failure is not None:
            await self.aclose()  # the next call tries again: the model may have been fetched by then
            raise ProviderError("whisper", "stt", "denied", str(failure)) from failure
        return WhisperStream(
            engine, rate, language, tuple(keyterms), interim_s=self._interim_s, answer_s=self._answer_s
        )

    async def load(self) -> None:
        """Load the model now, at start-up. Raises ConfigError when it is not here."""
        failure = await _outcome(self._lease(), None)
        if failure is not None:
            await self.aclose()
            raise failure

    async def aclose(self) -> None:
        """Give the model back; the last user frees it."""
        if self._engine is not None:
            self._engine = None
            await asyncio.to_thread(release, self._key)

    def _lease(self) -> Engine:
        if self._engine is None:
            self._engine = lease(self._key)
        return self._engine


class WhisperStream:
    """One call's recogniser. Everything runs on the loop but the jobs themselves."""

    def __init__(
        self, engine: Engine, rate: int, language: str, keyterms: Sequence[str], *, interim_s: float, answer_s: float
    ) -> None:
        self._engine = engine
        self._rate = rate
        self._language = language
        self._keyterms = keyterms
        self._interim_s = interim_s
        self._answer_s = answer_s
        self._loop = asyncio.get_running_loop()
        self._pcm = bytearray()  # while silent: the pre-roll; while speaking: the utterance from there on
        self._speaking = False
        self._since_interim_s = 0.0
        self._jobs: deque[Job] = deque()  # in the order of the speech; answers are passed on in this order
        self._events: deque[SttEvent] = deque(maxlen=_EVENTS)
        self._error: ProviderError | None = None
        self._closed = False
        self._wake = asyncio.Event()

    def send(self, frame: bytes) -> None:
        """Take 20 ms of PCM."""
        if self._closed:
            return
        self._pcm += frame
        if not self._speaking:
            del self._pcm[: max(0, len(self._pcm) - self._bytes(PRE_ROLL_S))]
        elif len(self._pcm) >= self._bytes(LONGEST_S):
            self._cut(quietest(bytes(self._pcm), self._rate, self._bytes(_SEARCH_S)))
        elif self._interim_s:
            self._maybe_interim()

    def speech(self, speaking: bool) -> None:
        """The VAD's word: an utterance begins, or is over and to be read now."""
        if self._closed or speaking == self._speaking:
            return
        self._speaking = speaking
        if speaking:
            self._since_interim_s = 0.0
            self._rejoin()
        else:
            self._cut(len(self._pcm))

    def finalize(self) -> None:
        """The final text of what was sent; empty at once when there is nothing that is not being read already."""
        if self._closed:
            return
        if self._speaking:
            self._cut(len(self._pcm))
        elif not any(not job.interim for job in self._jobs):
            self._tell(Heard("", final=True))

    def __aiter__(self) -> AsyncIterator[SttEvent]:
        return self._listen()

    async def _listen(self) -> AsyncIterator[SttEvent]:
        while True:
            while self._events:
                yield self._events.popleft()
            if self._error is not None:
                raise self._error
            if self._closed:
                return
            self._wake.clear()
            try:
                async with asyncio.timeout_at(self._deadline()):
                    await self._wake.wait()
            except TimeoutError as exc:
                detail = f"no text within {self._answer_s:g} s; the machine has too much to do"
                raise ProviderError("whisper", "stt", "stalled", detail) from exc

    async def close(self) -> None:
        """Take back what has not begun; what is being read is read for nobody."""
        self._closed = True
        for job in self._jobs:
            job.superseded = True
            self._engine.withdraw(job)
        self._jobs.clear()
        self._wake.set()

    def _deadline(self) -> float | None:
        return self._jobs[0].due if self._jobs else None

    def _cut(self, at: int) -> None:
        """Hand the utterance up to byte `at` to the engine."""
        for job in [job for job in self._jobs if job.interim]:
            self._forget(job)
        utterance = bytes(self._pcm[:at])
        del self._pcm[:at]
        self._since_interim_s = 0.0
        self._ask(Job(utterance, self._rate, self._language, self._keyterms))

    def _rejoin(self) -> None:
        """The caller goes on before a worker has begun with his last words: read both parts as one."""
        if self._jobs and self._engine.withdraw(self._jobs[-1]):
            self._pcm = bytearray(self._jobs.pop().pcm) + self._pcm

    def _maybe_interim(self) -> None:
        self._since_interim_s += FRAME_S
        if self._since_interim_s >= self._interim_s and not self._jobs and self._engine.idle:
            self._since_interim_s = 0.0
            self._ask(Job(bytes(self._pcm), self._rate, self._language, self._keyterms, interim=True))

    def _ask(self, job: Job) -> None:
        try:
            self._engine.submit(job)
        except ProviderError as exc:
            if not job.interim:
                self._fail(exc)
            return
        job.due = self._loop.time() + self._answer_s
        self._jobs.append(job)
        job.future.add_done_callback(self._answered)
        self._wake.set()

    def _forget(self, job: Job) -> None:
        job.superseded = True
        self._engine.withdraw(job)
        self._jobs.remove(job)

    def _answered(self, future: "Future[Transcript]") -> None:
        """From a worker's thread."""
        try:
            self._loop.call_soon_threadsafe(self._collect)
        except RuntimeError:
            pass  # the loop has ended; nobody is listening

    def _collect(self) -> None:
        while self._jobs and self._jobs[0].future.done() and not self._closed:
            job = self._jobs.popleft()
            if job.future.cancelled():
                if not job.interim:
                    self._fail(ProviderError("whisper", "stt", "dropped", "the model was closed"))
            elif (failure := job.future.exception()) is not None:
                self._fail(failure)
            else:
                self._pass_on(job, job.future.result())

    def _fail(self, failure: BaseException) -> None:
        if not isinstance(failure, ProviderError):
            failure = ProviderError("whisper", "stt", "dropped", f"{type(failure).__name__}: {failure}")
        self._error = failure
        self._wake.set()

    def _pass_on(self, job: Job, got: Transcript) -> None:
        log.debug(
            "stt_utterance",
            audio_s=round(len(job.pcm) / SAMPLE_BYTES / self._rate, 2),
            interim=job.interim,
            work_ms=round(got.work_ms),
            looks=got.looks,
            no_speech=round(got.draft.no_speech, 2),
            logprob=round(got.draft.logprob, 2),
            kept=bool(got.text),
        )
        if got.text or not job.interim:
            self._tell(Heard(got.text, final=not job.interim))

    def _tell(self, event: SttEvent) -> None:
        self._events.append(event)
        self._wake.set()

    def _bytes(self, seconds: float) -> int:
        return int(seconds * self._rate) * SAMPLE_BYTES


async def _outcome(engine: Engine, timeout_s: float | None) -> BaseException | None:
    """Why the model could not be loaded; None when it was, or is still being loaded after `timeout_s`."""
    loading = asyncio.wrap_future(engine.loading)
    loading.add_done_callback(lambda done: done.cancelled() or done.exception())
    await asyncio.wait([loading], timeout=timeout_s)
    return loading.exception() if loading.done() and not loading.cancelled() else None


def quietest(pcm: bytes, rate: int, search: int) -> int:
    """Byte position of the quietest 0.2 s within the last `search` bytes: where a long speech is cut best."""
    samples = np.frombuffer(pcm, "<i2")[-(search // SAMPLE_BYTES) :].astype(np.float64)
    width = rate // 5
    energy = np.convolve(samples * samples, np.ones(width), "valid")
    first = len(pcm) // SAMPLE_BYTES - samples.size
    return (first + int(np.argmin(energy)) + width // 2) * SAMPLE_BYTES


def _short(language: str) -> str:
    """Whisper's language code: "en" for "en-US"; empty (detect it) for "multi"."""
    code = language.replace("_", "-").split("-")[0].lower()
    return "" if code in ("multi", "auto") else code
