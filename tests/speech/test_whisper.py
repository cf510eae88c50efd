"""Whisper: the stream's behaviour with a scripted engine, and the real model on synthetic speech."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import numpy as np
import pytest

from sovereign_pbx.core.errors import ConfigError, ProviderError
from sovereign_pbx.speech.stt import Heard, SttEvent
from sovereign_pbx.speech.stt import whisper_engine as engines
from sovereign_pbx.speech.stt.whisper import Whisper, WhisperStream, quietest
from sovereign_pbx.speech.stt.whisper_engine import Engine, EngineKey, Job, Transcript
from sovereign_pbx.speech.stt.whisper_judge import Draft
from sovereign_pbx.speech.tts.hibari import Hibari
from tests.speech import phone_audio as audio

FRAME = b"\1\0" * 160
KEY = EngineKey("scripted", 1, 1, 3, "int8", 10)


class ScriptedEngine(Engine):
    """The real queue; reads an utterance as its length in frames, when `gate` is open."""

    def __init__(self, key: EngineKey = KEY) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.began = threading.Semaphore(0)
        self.read: list[Job] = []
        self.answer: Callable[[Job], str] = lambda job: f"{len(job.pcm) // len(FRAME)} frames"
        super().__init__(key)

    def _load(self) -> None:
        return None

    def _read(self, job: Job) -> Transcript:
        self.read.append(job)
        self.began.release()
        if not self.gate.wait(10):
            raise TimeoutError
        text = self.answer(job)
        return Transcript(text, Draft(text, -0.1, 0.1), 1, 1.0)


def with_stream(
    play: Callable[[WhisperStream, ScriptedEngine], Awaitable[None]],
    *,
    interim_s: float = 0.0,
    answer_s: float = 5.0,
    key: EngineKey = KEY,
) -> None:
    async def run() -> None:
        engine = ScriptedEngine(key)
        stream = WhisperStream(engine, 8000, "en", (), interim_s=interim_s, answer_s=answer_s)
        try:
            async with asyncio.timeout(10):
                await play(stream, engine)
        finally:
            engine.gate.set()
            await stream.close()
            await asyncio.to_thread(engine.close)

    asyncio.run(run())


async def heard(stream: WhisperStream, count: int) -> list[SttEvent]:
    got: list[SttEvent] = []
    async for event in stream:
        got.append(event)
        if len(got) == count:
            break
    return got


def send(stream: WhisperStream, frames: int) -> None:
    for _ in range(frames):
        stream.send(FRAME)


def test_an_utterance_is_read_the_moment_the_caller_falls_silent() -> None:
    async def play(stream: WhisperStream, engine: ScriptedEngine) -> None:
        send(stream, 10)
        stream.speech(True)
        send(stream, 40)
        stream.speech(False)
        assert await heard(stream, 1) == [Heard("50 frames", final=True)]

    with_stream(play)


def test_only_half_a_second_before_the_vads_word_belongs_to_the_utterance() -> None:
    async def play(stream: WhisperStream, engine: ScriptedEngine) -> None:
        send(stream, 200)
        stream.speech(True)
        send(stream, 10)
        stream.speech(False)
        assert await heard(stream, 1) == [Heard("35 frames", final=True)]

    with_stream(play)


def test_noise_gives_an_empty_final() -> None:
    async def play(stream: WhisperStream, engine: ScriptedEngine) -> None:
        engine.answer = lambda job: ""
        stream.speech(True)
        send(stream, 20)
        stream.speech(False)
        assert await heard(stream, 1) == [Heard("", final=True)]

    with_stream(play)


def test_a_caller_who_goes_on_makes_a_second_final_without_words_said_twice() -> None:
    async def play(stream: WhisperStream, engine: ScriptedEngine) -> None:
        stream.speech(True)
        send(stream, 40)
        stream.speech(False)
        assert await heard(stream, 1) == [Heard("40 frames", final=True)]
        send(stream, 5)
        stream.speech(True)
        send(stream, 15)
        stream.speech(False)
        assert await heard(stream, 1) == [Heard("20 frames", final=True)]

    with_stream(play)


def test_speech_that_resumes_before_its_reading_began_is_read_as_one() -> None:
    async def play(stream: WhisperStream, engine: ScriptedEngine) -> None:
        engine.gate.clear()
        engine.submit(Job(FRAME, 8000, "en"))  # another call keeps the worker busy
        await asyncio.to_thread(engine.began.acquire, timeout=5)
        stream.speech(True)
        send(stream, 40)
        stream.speech(False)
        send(stream, 5)
        stream.speech(True)
        send(stream, 15)
        stream.speech(False)
        engine.gate.set()
        assert await heard(stream, 1) == [Heard("60 frames", final=True)]

    with_stream(play)


def test_finalize_reads_what_was_said_so_far_and_goes_on_listening() -> None:
    async def play(stream: WhisperStream, engine: ScriptedEngine) -> None:
        stream.speech(True)
        send(stream, 30)
        stream.finalize()
        send(stream, 12)
        stream.speech(False)
        assert await heard(stream, 2) == [Heard("30 frames", final=True), Heard("12 frames", final=True)]

    with_stream(play)


def test_finalize_answers_at_once_when_nothing_is_left_to_read() -> None:
    async def play(stream: WhisperStream, engine: ScriptedEngine) -> None:
        send(stream, 30)
        stream.finalize()
        assert await heard(stream, 1) == [Heard("", final=True)]
        assert engine.read == []

    with_stream(play)


def test_finalize_adds_nothing_while_the_utterance_is_being_read() -> None:
    async def play(stream: WhisperStream, engine: ScriptedEngine) -> None:
        engine.gate.clear()
        stream.speech(True)
        send(stream, 30)
        stream.speech(False)
        stream.finalize()
        engine.gate.set()
        assert await heard(stream, 1) == [Heard("30 frames", final=True)]
        assert len(engine.read) == 1

    with_stream(play)


def test_a_speech_without_pause_is_cut_where_it_is_quietest() -> None:
    async def play(stream: WhisperStream, engine: ScriptedEngine) -> None:
        stream.speech(True)
        loud, quiet = b"\0\x10" * 160, bytes(320)
        for number in range(1260):
            stream.send(quiet if 1100 <= number < 1110 else loud)
        got = await heard(stream, 1)
        assert isinstance(got[0], Heard)
        assert 1095 <= int(got[0].text.split()[0]) <= 1115

    with_stream(play)


def test_interims_come_while_the_caller_speaks_and_the_machine_is_idle() -> None:
    async def play(stream: WhisperStream, engine: ScriptedEngine) -> None:
        stream.speech(True)
        send(stream, 50)
        assert await heard(stream, 1) == [Heard("50 frames", final=False)]
        send(stream, 10)
        stream.speech(False)
        assert await heard(stream, 1) == [Heard("60 frames", final=True)]

    with_stream(play, interim_s=1.0)


def test_an_interim_that_comes_after_the_end_of_speech_is_not_told() -> None:
    async def play(stream: WhisperStream, engine: ScriptedEngine) -> None:
        engine.gate.clear()
        stream.speech(True)
        send(stream, 50)
        await asyncio.to_thread(engine.began.acquire, timeout=5)
        stream.speech(False)
        engine.gate.set()
        assert await heard(stream, 1) == [Heard("50 frames", final=True)]

    with_stream(play, interim_s=1.0)


def test_a_busy_machine_gives_no_interims() -> None:
    async def play(stream: WhisperStream, engine: ScriptedEngine) -> None:
        engine.gate.clear()
        engine.submit(Job(FRAME, 8000, "en"))
        await asyncio.to_thread(engine.began.acquire, timeout=5)
        stream.speech(True)
        send(stream, 200)
        assert (len(engine.read), engine._waiting) == (1, [])
        engine.gate.set()

    with_stream(play, interim_s=1.0)


def test_a_full_queue_drops_what_is_superseded_before_it_refuses() -> None:
    async def play(stream: WhisperStream, engine: ScriptedEngine) -> None:
        engine.gate.clear()
        engine.submit(Job(FRAME, 8000, "en"))
        await asyncio.to_thread(engine.began.acquire, timeout=5)
        stale = Job(FRAME, 8000, "en", superseded=True)
        for job in (Job(FRAME, 8000, "en"), stale, Job(FRAME, 8000, "en"), Job(FRAME, 8000, "en")):
            engine.submit(job)
        assert stale.future.cancelled()
        with pytest.raises(ProviderError, match="refused"):
            engine.submit(Job(FRAME, 8000, "en"))

    with_stream(play)


def test_a_stream_that_the_queue_refuses_fails_and_says_so() -> None:
    async def play(stream: WhisperStream, engine: ScriptedEngine) -> None:
        engine.gate.clear()
        engine.submit(Job(FRAME, 8000, "en"))
        await asyncio.to_thread(engine.began.acquire, timeout=5)
        for _ in range(3):
            engine.submit(Job(FRAME, 8000, "en"))
        stream.speech(True)
        send(stream, 20)
        stream.speech(False)
        with pytest.raises(ProviderError, match="refused"):
            await heard(stream, 1)

    with_stream(play)


def test_a_reading_that_takes_too_long_fails_the_stream_within_its_deadline() -> None:
    async def play(stream: WhisperStream, engine: ScriptedEngine) -> None:
        engine.gate.clear()
        stream.speech(True)
        send(stream, 20)
        stream.speech(False)
        with pytest.raises(ProviderError, match="stalled"):
            await heard(stream, 1)

    with_stream(play, answer_s=0.05)


def test_an_error_of_the_model_fails_the_stream_with_a_provider_error() -> None:
    def broken(job: Job) -> str:
        raise RuntimeError("out of memory")

    async def play(stream: WhisperStream, engine: ScriptedEngine) -> None:
        engine.answer = broken
        stream.speech(True)
        send(stream, 20)
        stream.speech(False)
        with pytest.raises(ProviderError, match="out of memory"):
            await heard(stream, 1)

    with_stream(play)


def test_a_closed_stream_ends_its_iteration_and_takes_its_jobs_back() -> None:
    async def play(stream: WhisperStream, engine: ScriptedEngine) -> None:
        engine.gate.clear()
        engine.submit(Job(FRAME, 8000, "en"))
        await asyncio.to_thread(engine.began.acquire, timeout=5)
        stream.speech(True)
        send(stream, 20)
        stream.speech(False)
        await stream.close()
        assert [event async for event in stream] == []
        engine.gate.set()
        await asyncio.to_thread(engine.close)
        assert len(engine.read) == 1

    with_stream(play)


def test_assistants_with_the_same_model_share_it_and_the_last_one_frees_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "Engine", ScriptedEngine)

    async def run() -> None:
        first, second = Whisper(), Whisper()
        await first.load()
        await second.load()
        assert len(engines._shared) == 1
        await first.aclose()
        assert len(engines._shared) == 1
        await second.aclose()
        await second.aclose()
        assert not engines._shared

    asyncio.run(run())


@pytest.mark.parametrize(
    ("block", "provider", "key"),
    [
        ({"model": "large-v9"}, {}, "model"),
        ({"model": "tiny.en", "language": "nl"}, {}, "model"),
        ({}, {"cpu_threads": "two"}, "cpu_threads"),
        ({}, {"compute_type": "int3"}, "compute_type"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(block: dict[str, Any], provider: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError, match=key):
        Whisper.from_config(block, provider)


def test_the_english_model_refuses_another_language_when_a_call_opens() -> None:
    with pytest.raises(ProviderError, match="English only"):
        asyncio.run(Whisper().open(rate=8000, language="nl-NL"))


def test_a_directory_without_a_model_is_named(tmp_path: Any) -> None:
    with pytest.raises(ConfigError, match=r"model\.bin"):
        asyncio.run(Whisper(model=str(tmp_path)).load())


def test_the_quietest_place_is_found_within_the_searched_stretch() -> None:
    samples = np.full(16000, 8000)
    samples[2000:4000] = 0  # before the stretch
    samples[12000:14000] = 0
    at = quietest(samples.astype("<i2").tobytes(), 8000, 16000) // 2
    assert 12000 <= at <= 14000


# --- the real model

SENTENCES = (
    "We are open Monday to Friday from nine until five.",
    "I would like to order three apple pies for Saturday.",
    "Can you tell me where my parcel is?",
    "Please put me through to the sales department.",
)


async def spoken(*texts: str) -> list[bytes]:
    session = await Hibari().open(rate=8000, language="en")
    return [b"".join([chunk.pcm async for chunk in session.speak(text)]) for text in texts]


async def transcribed(model: str, language: str, sounds: list[bytes], keyterms: Sequence[str] = ()) -> list[str]:
    whisper, texts = Whisper(model=model, open_s=30), []
    try:
        for sound in sounds:
            stream = await whisper.open(rate=8000, language=language, keyterms=keyterms)
            audio.say_into(stream, sound)
            async with asyncio.timeout(30):
                (got,) = await heard(stream, 1)
            assert isinstance(got, Heard)
            assert got.final
            texts.append(got.text)
            await stream.close()
    finally:
        await whisper.aclose()
    return texts


def test_wideband_goes_to_the_model_as_it_came() -> None:
    async def run() -> None:
        engine = ScriptedEngine()
        engine.answer = lambda job: f"{len(job.pcm) // 640} frames of {job.rate} Hz"
        stream = WhisperStream(engine, 16000, "en", (), interim_s=0.0, answer_s=5.0)
        async with asyncio.timeout(10):
            stream.speech(True)
            for _ in range(40):
                stream.send(b"\1\0" * 320)
            stream.speech(False)
            assert await heard(stream, 1) == [Heard("40 frames of 16000 Hz", final=True)]
        await stream.close()
        await asyncio.to_thread(engine.close)

    asyncio.run(run())


@pytest.mark.speech
def test_synthetic_speech_over_a_telephone_line_is_understood() -> None:
    async def run() -> None:
        sounds = [audio.over_the_phone(sound) for sound in await spoken(*SENTENCES)]
        texts = await transcribed("tiny.en", "en", sounds)
        errors = sum(
            audio.word_errors(audio.words(said), audio.words(text)) for said, text in zip(SENTENCES, texts, strict=True)
        )
        assert errors <= 0.1 * sum(len(audio.words(said)) for said in SENTENCES), texts

    asyncio.run(run())


@pytest.mark.speech
def test_key_terms_make_names_understood_and_are_not_heard_in_noise() -> None:
    said, names = "My name is Wojciech Kowalski.", ("Wojciech Kowalski", "Hoogvliet")

    async def run() -> None:
        (speech,) = await spoken(said)
        sounds = [speech, audio.pcm(audio.noise(0.8, 0.05)), audio.pcm(audio.music(0.8))]
        texts = await transcribed("tiny.en", "en", [audio.over_the_phone(sound) for sound in sounds], names)
        assert texts == [said, "", ""]

    asyncio.run(run())


@pytest.mark.speech
def test_single_words_are_understood() -> None:
    async def run() -> None:
        said = ("Yes.", "No.", "Thank you.", "Seven.", "Goodbye.")
        texts = await transcribed("tiny.en", "en", [audio.over_the_phone(s) for s in await spoken(*said)])
        assert [audio.words(text) for text in texts] == [audio.words(text) for text in said]

    asyncio.run(run())


@pytest.mark.speech
def test_sounds_that_are_not_speech_give_no_words() -> None:
    sounds = [
        sound
        for seconds in (0.4, 1.5)
        for sound in (
            np.zeros(int(8000 * seconds)),
            audio.noise(seconds, 0.003),
            audio.noise(seconds, 0.05),
            audio.noise(seconds, 0.2),
            audio.tone(seconds, 440),
            audio.tone(seconds, 440, 480, level=0.1),
            audio.tone(seconds, 770, 1336),
            audio.music(seconds),
            audio.clicks(seconds),
        )
    ]

    async def run() -> None:
        texts = await transcribed("tiny.en", "en", [audio.over_the_phone(audio.pcm(sound)) for sound in sounds])
        assert texts == [""] * len(sounds)

    asyncio.run(run())
