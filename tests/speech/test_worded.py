"""Voices are given the spoken form, and everybody else keeps the written text."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from sovereign_pbx.core.errors import ConfigError
from sovereign_pbx.core.values import Word
from sovereign_pbx.speech.tts import Audio
from sovereign_pbx.speech.tts.worded import Worded

LISTED = [{"from": "SIP", "to": "sip"}]


class Mouth:
    """A voice that writes down what it is given; 20 ms of sound a word, with its times where `timed`."""

    name = key = "mouth"

    def __init__(self, *, timed: bool = True, knows_tags: bool = False, reads_numbers: bool = False) -> None:
        self.timed = timed
        self.knows_tags = knows_tags
        self.reads_numbers = reads_numbers
        self.given: list[str] = []
        self.languages: list[str] = []

    async def open(self, *, rate: int, language: str) -> "Mouth":
        self.languages.append(language)
        return self

    async def speak(self, text: str) -> AsyncIterator[Audio]:
        self.given.append(text)
        for place, word in enumerate(text.split()):
            words = (Word(word, place * 0.02, (place + 1) * 0.02),) if self.timed and not word.startswith("[") else ()
            yield Audio(bytes(320), words)

    async def close(self) -> None: ...

    async def aclose(self) -> None: ...


def speak(mouth: Mouth, text: str, call: str = "en", **block: Any) -> list[Audio]:
    async def main() -> list[Audio]:
        listed = block.pop("pronunciation", ())
        session = await Worded.from_config(mouth, block, listed).open(rate=8000, language=call)
        return [audio async for audio in session.speak(text)]

    return asyncio.run(main())


def words(audio: list[Audio]) -> list[str]:
    return [word.text for each in audio for word in each.words]


def test_a_voice_that_needs_it_is_given_everything_in_words() -> None:
    mouth = Mouth()
    assert words(speak(mouth, "It costs $12.50 at example.com.")) == ["It", "costs", "$12.50", "at", "example.com."]
    assert mouth.given == ["It costs twelve dollars fifty at example dot com."]


def test_a_voice_that_reads_numbers_is_given_addresses_in_words() -> None:
    mouth = Mouth(reads_numbers=True)
    speak(mouth, "It costs $12.50 at example.com.")
    assert mouth.given == ["It costs $12.50 at example dot com."]


@pytest.mark.parametrize(
    ("mode", "given"),
    [
        ("auto", "Op drie, zie x punt N L."),
        ("full", "Op drie, zie x punt N L."),
        ("addresses", "Op 3, zie x punt N L."),
        ("off", "Op 3, zie x.nl."),
    ],
)
def test_the_administrator_may_decide(mode: str, given: str) -> None:
    mouth = Mouth()
    speak(mouth, "Op 3, zie x.nl.", "nl", text_normalization=mode)
    assert mouth.given == [given]


def test_another_word_for_the_mode_is_an_error() -> None:
    with pytest.raises(ConfigError, match="text_normalization must be one of auto, full"):
        Worded.from_config(Mouth(), {"text_normalization": "yes"}, ())


def test_the_pronunciation_list_changes_what_is_said_and_the_phrases_key() -> None:
    mouth = Mouth()
    assert words(speak(mouth, "Our SIP line.", pronunciation=LISTED)) == ["Our", "SIP", "line."]
    assert mouth.given == ["Our sip line."]
    assert Worded.from_config(mouth, {}, LISTED).key != Worded.from_config(mouth, {}, ()).key


def test_audio_tags_go_to_voices_that_know_them_and_to_no_other() -> None:
    text = "[laughs] Of course, [in a whisper] it is 3."
    actor, reader = Mouth(knows_tags=True), Mouth()
    assert words(speak(actor, text)) == words(speak(reader, text)) == ["Of", "course,", "it", "is", "3."]
    assert actor.given == ["[laughs] Of course, [in a whisper] it is three."]
    assert reader.given == ["Of course, it is three."]


@pytest.mark.parametrize("text", ["[laughs]", " … ", "", "😀", "[laughs] …"])
def test_what_has_no_sound_is_not_sent(text: str) -> None:
    mouth = Mouth(knows_tags=True)
    assert speak(mouth, text) == []
    assert mouth.given == []


def test_markup_is_not_read_aloud_in_a_greeting_either() -> None:
    mouth = Mouth()
    speak(mouth, "**Welcome** at [our shop](https://example.com)!")
    assert mouth.given == ["Welcome at our shop!"]


def test_in_a_call_of_several_languages_each_sentence_is_put_in_its_own() -> None:
    mouth = Mouth()

    async def main() -> None:
        session = await Worded(mouth).open(rate=8000, language="multi")
        for text in ("Dat kost voor u 3 euro.", "En 5?", "That is 5 for you and me.", "Das ist für Sie 7 und 8."):
            async for _ in session.speak(text):
                pass

    asyncio.run(main())
    assert mouth.given == [
        "Dat kost voor u drie euro.",
        "En vijf?",
        "That is five for you and me.",
        "Das ist für Sie sieben und acht.",
    ]
    assert mouth.languages == ["multi"]


def test_the_voices_own_language_counts_before_the_calls() -> None:
    mouth = Mouth()
    speak(mouth, "Nummer 3", "en", language="nl")
    assert mouth.given == ["Nummer drie"]


def test_a_voice_without_times_gets_them_estimated_from_what_it_said() -> None:
    mouth = Mouth(timed=False)
    audio = speak(mouth, "Call 020 7946 0958 now.")
    assert audio[-1].pcm == b""
    assert words(audio) == ["Call", "020", "7946", "0958", "now."]
    assert speak(mouth, "Just words.")[-1].pcm  # where nothing is said otherwise, the history can tell by itself


def test_a_long_text_is_put_into_words_by_a_thread() -> None:
    mouth = Mouth()
    speak(mouth, "It is 3. " * 400)
    assert mouth.given == ["It is three. " * 399 + "It is three."]
