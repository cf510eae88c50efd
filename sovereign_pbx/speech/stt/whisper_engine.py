"""One Whisper model in memory, shared by all calls of the process, working in its own few threads.

CTranslate2 runs the model in int8 and lets go of the interpreter while it works; faster-whisper gives the log-mel
features, the tokenizer and the prompt. A short utterance is read in a window of 10 s instead of 30: on two cores 0.11 s
instead of 0.36 s, with the same word error rate (tiny.en, 4.2 % on 160 telephone prompts). Windows below 10 s make the
small models repeat themselves, and long utterances in a cut window end early. The base model loses a little in noise
(10 s: 19.9 %, 15 s: 18.1 %, 30 s: 16.8 % at 10 dB), hence 15 s for it.
"""

import math
import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import structlog

from sovereign_pbx.core.errors import ConfigError, ProviderError
from sovereign_pbx.media.resample import resample
from sovereign_pbx.speech import models
from sovereign_pbx.speech.read_ahead import read_ahead
from sovereign_pbx.speech.stt.whisper_judge import Draft, believed, doubtful

log = structlog.get_logger(__name__)

MODEL_RATE: Final = 16000
SHIPPED: Final = {"tiny.en": "whisper-tiny.en", "base": "whisper-base"}
WHOLE_WINDOW_S: Final = 30
SMALL_WINDOW_S: Final = {"tiny.en": 10}
OTHER_WINDOW_S: Final = 15
_FRAMES_A_SECOND: Final = 100
_ROOM_S: Final = 1.0  # the decoder wants to see the silence behind the last word
_PROMPT_TOKENS: Final = 60
_SHORTEST: Final = MODEL_RATE // 20  # 50 ms; no word is shorter


class EngineKey(NamedTuple):
    """What makes two assistants share one model."""

    model: str
    cpu_threads: int
    workers: int
    queue: int
    compute_type: str
    window_s: int


@dataclass(eq=False)
class Job:
    """One utterance (PCM s16le at `rate`) to be read. `superseded`: its answer is no longer of use to anybody."""

    pcm: bytes
    rate: int
    language: str
    keyterms: Sequence[str] = ()
    interim: bool = False
    superseded: bool = False
    asked_at: float = field(default_factory=time.monotonic)
    due: float = math.inf  # on the asker's own clock
    future: "Future[Transcript]" = field(default_factory=Future)


@dataclass(frozen=True, slots=True)
class Transcript:
    """The words, and how the engine came to them."""

    text: str
    draft: Draft
    looks: int
    work_ms: float


class Engine:
    """A model and its workers. Thread-safe."""

    def __init__(self, key: EngineKey) -> None:
        self._key = key
        self._lock = threading.Lock()
        self._waiting: list[Job] = []
        self._busy = 0
        self._model: Any = None
        self._pool = ThreadPoolExecutor(key.workers, thread_name_prefix="whisper", initializer=_yield_to_the_clock)
        self.loading: Future[None] = self._pool.submit(self._load)

    @property
    def idle(self) -> bool:
        """No job waits and a worker is free."""
        with self._lock:
            return not self._waiting and self._busy < self._key.workers

    def submit(self, job: Job) -> None:
        """Queue `job`; its future is resolved from a worker. When the queue is full the oldest superseded job goes;
        without one the new job is turned down (ProviderError `refused`)."""
        with self._lock:
            if len(self._waiting) >= self._key.queue and not self._drop_superseded():
                raise ProviderError("whisper", "stt", "refused", f"{len(self._waiting)} utterances are waiting")
            self._waiting.append(job)
        self._pool.submit(self._work)

    def withdraw(self, job: Job) -> bool:
        """Take back a job that no worker has begun; False when it is too late."""
        with self._lock:
            if job not in self._waiting:
                return False
            self._waiting.remove(job)
        job.future.cancel()
        return True

    def close(self) -> None:
        """Stop the workers and free the model. Blocks until the running job is done."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
        for job in waiting:
            job.future.cancel()
        self._pool.shutdown(cancel_futures=True)
        self._model = None

    def _drop_superseded(self) -> bool:
        old = next((job for job in self._waiting if job.superseded or job.interim), None)
        if old is None:
            return False
        self._waiting.remove(old)
        old.future.cancel()
        log.info("stt_job_dropped", reason="superseded", waited_ms=round((time.monotonic() - old.asked_at) * 1000))
        return True

    def _work(self) -> None:
        with self._lock:
            if not self._waiting:
                return  # withdrawn or dropped since
            job = self._waiting.pop(0)
            self._busy += 1
        try:
            if job.future.set_running_or_notify_cancel():
                job.future.set_result(self._read(job))
        except Exception as exc:
            job.future.set_exception(self._fault(exc))
        finally:
            with self._lock:
                self._busy -= 1

    def _fault(self, exc: Exception) -> ProviderError:
        if isinstance(exc, ProviderError):
            return exc
        return ProviderError("whisper", "stt", "dropped", f"{type(exc).__name__}: {exc}")

    def _load(self) -> None:
        started = time.monotonic()
        folder = models.locate(SHIPPED[self._key.model]) if self._key.model in SHIPPED else Path(self._key.model)
        if not (folder / "model.bin").is_file() or not (folder / "tokenizer.json").is_file():
            raise ConfigError(
                f"{folder} is not a CTranslate2 Whisper model (model.bin, tokenizer.json)", key="stt_config.model"
            )
        read_ahead("ctranslate2", "av", "tokenizers", "onnxruntime")  # what faster-whisper imports
        try:
            from faster_whisper import WhisperModel
        except ImportError as exc:
            raise ConfigError(
                "faster-whisper is not installed", remedy='pip install "sovereign-pbx[embedded]"'
            ) from exc
        self._model = WhisperModel(
            str(folder),
            device="cpu",
            compute_type=self._key.compute_type,
            cpu_threads=self._key.cpu_threads,
            num_workers=self._key.workers,
        )
        self._read(Job(bytes(MODEL_RATE), MODEL_RATE, "en"))  # the first run allocates; a caller should not wait for it
        log.info("whisper_loaded", model=self._key.model, ms=round((time.monotonic() - started) * 1000))

    def _read(self, job: Job) -> Transcript:
        if self._model is None:
            failure = self.loading.exception() if self.loading.done() else None
            raise ProviderError("whisper", "stt", "denied", str(failure or "the model is not loaded"))
        started = time.monotonic()
        pcm = resample(job.pcm, job.rate, MODEL_RATE)
        audio = np.frombuffer(pcm, "<i2").astype(np.float32) / 32768
        if len(audio) < _SHORTEST:
            return Transcript("", Draft("", 0.0, 1.0), 0, 0.0)
        features = self._model.feature_extractor(audio)
        seconds = len(audio) / MODEL_RATE
        small = self._key.window_s
        window_s = small if seconds <= small - _ROOM_S else WHOLE_WINDOW_S
        draft, looks = self._decode(features, seconds, job, window_s), 1
        if doubtful(draft) and window_s < WHOLE_WINDOW_S and not job.interim:
            draft, looks = self._decode(features, seconds, job, WHOLE_WINDOW_S), 2
        return Transcript(believed(draft), draft, looks, (time.monotonic() - started) * 1000)

    def _decode(self, features: Any, seconds: float, job: Job, window_s: int) -> Draft:
        """One pass over a window. The token cap bounds what a loop can cost."""
        frames = window_s * _FRAMES_A_SECOND
        window = np.zeros((features.shape[0], frames), np.float32)
        kept = min(frames, features.shape[1])
        window[:, :kept] = features[:, :kept]
        encoded = self._model.encode(window)
        tokenizer = self._tokenizer(job.language, encoded)
        prompt = self._prompt(tokenizer, job.keyterms)
        result = self._model.model.generate(
            encoded,
            [prompt],
            beam_size=1,
            # CTranslate2 writes half of this at most; nobody says more than ten tokens a second
            max_length=min(448, len(prompt) + 2 * (16 + int(10 * seconds))),
            return_scores=True,
            return_no_speech_prob=True,
        )[0]
        tokens = result.sequences_ids[0]
        logprob = result.scores[0] * len(tokens) / (len(tokens) + 1)
        return Draft(tokenizer.decode(tokens), logprob, result.no_speech_prob)

    def _tokenizer(self, language: str, encoded: Any) -> Any:
        from faster_whisper.tokenizer import Tokenizer

        many = self._model.model.is_multilingual
        if not many and language not in ("", "en"):
            raise ProviderError(
                "whisper", "stt", "denied", f'{self._key.model} reads English only; for {language} use model = "base"'
            )
        if many and not language:
            language = self._model.model.detect_language(encoded)[0][0][0][2:-2]
        return Tokenizer(self._model.hf_tokenizer, many, task="transcribe", language=language or "en")

    def _prompt(self, tokenizer: Any, keyterms: Sequence[str]) -> list[int]:
        hint = tokenizer.encode(" " + ", ".join(keyterms) + ".")[:_PROMPT_TOKENS] if keyterms else []
        prompt: list[int] = self._model.get_prompt(tokenizer, hint, without_timestamps=True)
        return prompt


def _yield_to_the_clock() -> None:
    """Lower this thread's priority, and that of the compute threads it starts: the 20 ms clock goes first."""
    try:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 5)
    except OSError as exc:
        log.info("whisper_priority_kept", error=str(exc))


_shared: dict[EngineKey, tuple[Engine, int]] = {}
_shared_lock = threading.Lock()


def lease(key: EngineKey) -> Engine:
    """The engine for `key`, started if nobody has it. Give it back with `release`."""
    with _shared_lock:
        engine, users = _shared.get(key) or (Engine(key), 0)
        _shared[key] = (engine, users + 1)
        return engine


def release(key: EngineKey) -> None:
    """One user less; the last one stops the engine, which may block for the length of a job."""
    with _shared_lock:
        engine, users = _shared[key]
        if users > 1:
            _shared[key] = (engine, users - 1)
            return
        del _shared[key]
    engine.close()
