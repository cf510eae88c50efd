"""A scripted recogniser: the transcript's words, when a streaming one would have them.

Interims grow word by word, 200 ms behind each; 250 ms after speech ends (and where it stops for that long) the words
so far are final. Neither has punctuation: recognisers put a full stop behind whatever they take for final, so it says
nothing about the end of a turn.
"""

import re
import zlib
from collections.abc import Iterator
from typing import Final

from scripts.bench_conversation.item import Item
from scripts.bench_conversation.words import Word
from sovereign_pbx.core.events import Final as FinalText
from sovereign_pbx.core.events import Interim

INTERIM_S: Final = 0.2
FINAL_S: Final = 0.25

_DIGITS: Final = {
    word: str(value)
    for words in (
        "zero one two three four five six seven eight nine",
        "zéro un deux trois quatre cinq six sept huit neuf",
        "cero uno dos tres cuatro cinco seis siete ocho nueve",
        "zero uno due tre quattro cinque sei sette otto nove",
        "ноль один два три четыре пять шесть семь восемь девять",
    )
    for value, word in enumerate(words.split())
}


def transcribed(item: Item) -> list[tuple[float, Interim | FinalText]]:
    """What the recogniser says about an item and when, in seconds of it."""
    said: list[tuple[float, Interim | FinalText]] = []
    for words, ended_at in _segments(item):
        for count in range(1, len(words) + 1):
            at = min(words[count - 1].end + INTERIM_S, ended_at + FINAL_S - 0.01)
            said.append((round(at, 3), Interim(written(item, words[:count]))))
        said.append((round(ended_at + FINAL_S, 3), FinalText(written(item, words))))
    return sorted(said, key=lambda event: event[0])


def written(item: Item, words: list[Word]) -> str:
    """Words as the recogniser spells them: every other number comes in figures."""
    texts = [word.text for word in words]
    if item.kind == "number" and zlib.crc32(item.name.encode()) % 2:
        figures = " ".join(_DIGITS.get(text, text) for text in texts)
        return re.sub(r"(?<=\d) (?=\d)", "", figures)
    return " ".join(texts)


def _segments(item: Item) -> Iterator[tuple[list[Word], float]]:
    """Words between silences that are long enough for a final, with the end of the speech that held them."""
    stops = [pause.start for pause in item.pauses if pause.end - pause.start > FINAL_S] + [item.speech_end]
    done = 0
    for stop in sorted(stops):
        count = sum(word.start < stop - 0.02 for word in item.words)
        if count > done:
            yield list(item.words[done:count]), stop
        done = max(done, count)
