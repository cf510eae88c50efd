"""The ear of the scenes: it must tell what was said, what was cut off, and where the fallback's tone begins."""

import math
import struct
from collections.abc import Iterator

import pytest

from sovereign_pbx.testing.providers.voice_sound import Sound
from sovereign_pbx.testing.rtp_ear import RtpEar
from sovereign_pbx.testing.rtp_packet import ENCODE, HEADER
from tests.calls.house import GREETING
from tests.calls.scene_hearing import FALLBACK, UNKNOWN, read
from tests.calls.scene_stage import ANSWER, LONG_ANSWER, PLAIN

PHRASES = (GREETING, ANSWER, LONG_ANSWER, PLAIN.filler, PLAIN.apology, PLAIN.unwell, PLAIN.unheard)
VOICE = Sound(8000)


def tone(seconds: float) -> bytes:
    return b"".join(
        struct.pack("<h", int(16000 * math.sin(2 * math.pi * 1004 * n / 8000))) for n in range(int(seconds * 8000))
    )


def packets(pcm: bytes) -> Iterator[bytes]:
    for number in range(len(pcm) // 320):
        payload = ENCODE[0](pcm[number * 320 : number * 320 + 320])
        yield HEADER.pack(0x80, 0, number & 0xFFFF, number * 160, 7) + payload


def ear(*parts: str | float | bytes) -> RtpEar:
    """Text is spoken, seconds are silence."""
    pcm = b""
    for part in parts:
        pcm += (
            VOICE.of(part)
            if isinstance(part, str)
            else bytes(int(part * 8000) * 2)
            if isinstance(part, float)
            else part
        )
    made = RtpEar()
    for number, packet in enumerate(packets(pcm)):
        made.take(packet, 100.0 + number * 0.02)
    return made


def told(*parts: str | float | bytes) -> list[str]:
    return [str(one) for one in read(ear(*parts), PHRASES)]


def cut(text: str) -> str:
    return f"{text} (cut off)"


@pytest.mark.parametrize("phrase", PHRASES)
def test_every_phrase_is_known(phrase: str) -> None:
    (one,) = read(ear(0.5, phrase, 0.5), PHRASES)
    assert str(one) == phrase
    assert one.start == pytest.approx(100.5, abs=0.02)
    assert one.end == pytest.approx(100.5 + len(phrase.rstrip(".?")) * 0.06, abs=0.04)


@pytest.mark.parametrize("letters", range(12, 90, 7))
def test_what_follows_a_cut_closely_is_told_apart(letters: int) -> None:
    assert told(0.5, LONG_ANSWER[:letters], PLAIN.apology, 0.5) == [cut(LONG_ANSWER), PLAIN.apology]


def test_a_tone_that_follows_a_cut_closely_is_told_apart() -> None:
    speech, fallback = read(ear(0.5, LONG_ANSWER[:40], tone(2.0)), PHRASES)
    assert (str(speech), fallback.what) == (cut(LONG_ANSWER), FALLBACK)
    assert fallback.start == pytest.approx(100.5 + 40 * 0.06, abs=0.07)


def test_clauses_may_lose_the_space_between_them() -> None:
    assert told(0.2, LONG_ANSWER[:44].rstrip(), LONG_ANSWER[44:].lstrip(), 0.2) == [LONG_ANSWER]


def test_a_word_alone_is_only_a_sound() -> None:
    assert told(0.2, "We", 1.0, GREETING) == [cut(UNKNOWN), GREETING]


def test_silence_is_nothing() -> None:
    assert told(2.0) == []
