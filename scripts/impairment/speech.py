"""What is said on the impaired lines, and how much of it is understood."""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scripts.bench_conversation import recordings
from sovereign_pbx.core.audio import PHONE_RATE, SAMPLE_BYTES
from sovereign_pbx.speech.stt.whisper_engine import SMALL_WINDOW_S, EngineKey, Job, lease, release
from sovereign_pbx.speech.tts.hibari import Hibari
from sovereign_pbx.testing.debian_packages import Progress

GAP_S = 1.0
LEAD_S = 3.0  # as long as a jitter buffer takes to know the line
_BEFORE_S, _AFTER_S = 0.1, 0.8  # what a cut takes along: a line delays by up to a quarter of a second
_LEAST_WORDS, _MOST_WORDS, _MOST_S = 6, 14, 6.0
_SEED = 20

# What an assistant says, without numbers, which people and recognisers write in many ways.
SENTENCES = (
    "Thank you for calling, how can I help you today?",
    "We are open every weekday from early in the morning until late in the afternoon.",
    "I am sorry, but the doctor is not available this week.",
    "Could you please tell me your name and your telephone number?",
    "One moment please, I will look that up for you right away.",
    "Your appointment has been moved to next Thursday.",
    "I will put you through to a colleague in the sales department.",
    "Would you prefer an appointment in the morning or in the afternoon?",
    "The parcel was handed over to the carrier yesterday evening.",
    "You can cancel the reservation free of charge until tomorrow.",
    "Unfortunately nobody is free to talk to you at the moment.",
    "Shall I ask somebody to call you back later today?",
    "The invoice will be sent to the address that we have on file.",
    "There is a small charge for delivery on a Saturday.",
    "Please bring your insurance card and a list of your medication.",
    "I have booked a table for you near the window.",
    "The technician will ring the bell when he has arrived.",
    "Is there anything else that I can do for you?",
    "Your message has been written down and passed on to the owner.",
    "The garage will let you know as soon as the car is ready.",
    "Parking is possible behind the building, next to the bakery.",
    "Let me repeat that, to be sure that I have understood you.",
    "The meeting room on the ground floor is free after lunch.",
    "Thank you very much for your patience, and goodbye.",
)


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence, and from when to when it is said."""

    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Programme:
    """Sentences with silence between, as 8 kHz PCM."""

    pcm: bytes
    said: tuple[Said, ...]

    @property
    def seconds(self) -> float:
        return len(self.pcm) / SAMPLE_BYTES / PHONE_RATE


def programme(sentences: Sequence[tuple[str, bytes]]) -> Programme:
    """(words, sound) one after the other."""
    pcm, said = bytearray(_silence(LEAD_S)), []
    for text, sound in sentences:
        start = len(pcm) / SAMPLE_BYTES / PHONE_RATE
        pcm += sound
        said.append(Said(text, start, len(pcm) / SAMPLE_BYTES / PHONE_RATE))
        pcm += _silence(GAP_S)
    return Programme(bytes(pcm), tuple(said))


def _silence(seconds: float) -> bytes:
    return bytes(int(seconds * PHONE_RATE) * SAMPLE_BYTES)


def callers(count: int, progress: Progress) -> Programme:
    """A person's recorded sentences, always the same ones. Raises PackagesUnavailable."""
    chosen = [
        one
        for one in recordings.load(progress)
        if one.kind == "speech"
        and one.language == "en"
        and one.whole
        and _LEAST_WORDS <= len(words(one.text)) <= _MOST_WORDS
        and one.audio.size <= _MOST_S * PHONE_RATE
        and not re.search(r"\d", one.text)
    ]
    picked = random.Random(_SEED).sample(sorted(chosen, key=lambda one: one.name), count)
    return programme([(one.text, one.audio.astype("<i2").tobytes()) for one in picked])


async def assistants(count: int) -> Programme:
    """What the embedded voice makes of an assistant's sentences."""
    session = await Hibari().open(rate=PHONE_RATE, language="en")
    made = [(text, b"".join([chunk.pcm async for chunk in session.speak(text)])) for text in SENTENCES[:count]]
    await session.close()
    return programme(made)


class Listener:
    """The embedded recogniser, reading sentence by sentence. Blocks."""

    def __init__(self, model: str = "tiny.en") -> None:
        self._key = EngineKey(model, 2, 1, 8, "int8", SMALL_WINDOW_S.get(model, 15))
        self._engine = lease(self._key)
        self._engine.loading.result()

    def errors(self, said: Said, pcm: bytes) -> int:
        """Wrong words in what is understood of a sentence; `pcm` is on the programme's own time."""
        first = int(max(0.0, said.start_s - _BEFORE_S) * PHONE_RATE) * SAMPLE_BYTES
        last = int((said.end_s + _AFTER_S) * PHONE_RATE) * SAMPLE_BYTES
        job = Job(pcm[first:last], PHONE_RATE, "en")
        self._engine.submit(job)
        return word_errors(words(said.text), words(job.future.result().text))

    def close(self) -> None:
        release(self._key)


def words(text: str) -> list[str]:
    """Lower case, without punctuation."""
    return re.sub(r"[^\w' ]", " ", text.lower().replace("’", "'")).split()


def word_errors(said: Sequence[str], heard: Sequence[str]) -> int:
    """Insertions, deletions and substitutions between two texts."""
    row = np.arange(len(heard) + 1)
    for number, word in enumerate(said, 1):
        before, row = row, np.empty_like(row)
        row[0] = number
        for at, other in enumerate(heard, 1):
            row[at] = min(before[at] + 1, row[at - 1] + 1, before[at - 1] + (word != other))
    return int(row[-1])
