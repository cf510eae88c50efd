"""What the callers of the corpus say: which recordings, where the pauses are, what the assistant had asked."""

import itertools
import re
import zlib
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from scripts.bench_conversation.item import Kind, Split
from scripts.bench_conversation.recordings import Recording
from scripts.bench_conversation.timeline import Timeline
from scripts.bench_conversation.words import Border, borders, spoken

Random = np.random.Generator
Recipe = Callable[["Voice", Timeline, Random], str]
"""Fills the timeline; returns what the assistant had asked before."""

HELD_OUT: Final = ("it_IT_m_Carlo", "nl_NL_m_Fish")
"""Voices that are in no training item."""

LONGEST_S: Final = 7.0
_DIGITS: Final = tuple(f"digits/{digit}" for digit in range(10))
_LETTERS: Final = tuple(f"letters/{letter}" for letter in "abcdefghijklmnopqrstuvwxyz")
_ANSWERS: Final = (
    r"(vm-(no|goodbye|first|last|INBOX|Old|Work|Family|Friends|messages)|hello|goodbye|today|tomorrow|yesterday"
    r"|cancelled|activated|auth-thankyou|im-sorry|one-moment-please|please-try-again|calling|h-\d+|day-\d|mon-\d+|1\d)"
)

QUESTIONS: Final[dict[str, tuple[str, str, str, str]]] = {
    # open, yes or no or a word, a number, spelling
    "en": ("How can I help you?", "Is that right?", "What is your telephone number?", "Can you spell your name?"),
    "fr": (
        "Comment puis-je vous aider ?",
        "C'est exact ?",
        "Quel est votre numéro de téléphone ?",
        "Pouvez-vous épeler votre nom ?",
    ),
    "es": (
        "¿En qué puedo ayudarle?",
        "¿Es correcto?",
        "¿Cuál es su número de teléfono?",
        "¿Puede deletrear su nombre?",
    ),
    "it": (
        "Come posso aiutarla?",
        "È corretto?",
        "Qual è il suo numero di telefono?",
        "Può dirmi il nome per lettere?",
    ),
    "ru": ("Чем я могу вам помочь?", "Верно?", "Какой у вас номер телефона?", "Продиктуйте имя по буквам."),
    "nl": ("Waarmee kan ik u helpen?", "Klopt dat?", "Wat is uw telefoonnummer?", "Kunt u uw naam spellen?"),
}


class Voice:
    """One speaker's recordings, of one split."""

    def __init__(self, recordings: Sequence[Recording], split: Split) -> None:
        self.name, self.language = recordings[0].voice, recordings[0].language
        self.split = split
        everything = {recording.name.split("/", 1)[1]: recording for recording in recordings}
        everything |= {recording.name: recording for recording in recordings}
        # words are what numbers and answers are made of: they may be in both splits, sentences may not
        self.digits = [everything[name] for name in _DIGITS if name in everything]
        self.letters = [everything[name] for name in _LETTERS if name in everything]
        self.conjunction = everything.get("vm-and")
        mine = [recording for recording in recordings if split_of(recording) == split]
        self.answers = [recording for recording in mine if _is_answer(recording)]
        self.sentences = [recording for recording in mine if _is_sentence(recording)]
        self.divisible = [(recording, places) for recording in self.sentences if (places := _places(recording))]


def split_of(recording: Recording) -> Split:
    """By voice where a voice is held out, else by the prompt: the same prompt is in one split in every language."""
    if recording.voice in HELD_OUT:
        return "test"
    return "train" if zlib.crc32(recording.name.split("/", 1)[1].encode()) % 2 else "test"


def _is_sentence(recording: Recording) -> bool:
    return recording.whole and len(spoken(recording.text)) >= 4 and 1.0 <= recording.audio.size / 8000 <= LONGEST_S


def _is_answer(recording: Recording) -> bool:
    words = spoken(recording.text)
    if recording.language == "nl":
        return 1 <= len(words) <= 2 and recording.audio.size < 1.5 * 8000
    return len(words) <= 3 and re.fullmatch(_ANSWERS, recording.name.split("/")[-1]) is not None


def _places(recording: Recording) -> list[Border]:
    # reverberation fills the silence between two sentences, so that their border can't be told from one between words
    if recording.language == "nl" and re.search(r"[.!?;:].*\w", recording.text):
        return []
    return borders(recording.audio, recording.text)


def _pick(things: Sequence[Recording], random: Random) -> Recording:
    return things[int(random.integers(len(things)))]


# What a date, and what a count, is the answer to.
FACTS: Final[dict[str, tuple[str, str]]] = {
    "en": ("When would that be?", "For how many people?"),
    "fr": ("Ce serait pour quel jour ?", "Pour combien de personnes ?"),
    "es": ("¿Para cuándo sería?", "¿Para cuántas personas?"),
    "it": ("Per quando sarebbe?", "Per quante persone?"),
    "ru": ("На какой день?", "На сколько человек?"),
}
_DATE: Final = r"h-\d+|day-\d|mon-\d+|today|tomorrow|yesterday"
_COUNT: Final = r"1\d"


def pause(random: Random) -> float:
    """300 to 1500 ms, distributed as the pauses of real turns.

    On eot-bench, 55.6 % of the pauses inside turns outlast 300 ms, 21.7 % 600 ms and 10 % 1 s (its row for silence
    alone): of those over 300 ms 61 % end within 600 ms and 21 % more within a second.
    """
    low, high = ((0.3, 0.6), (0.6, 1.0), (1.0, 1.5))[int(random.choice(3, p=(0.61, 0.21, 0.18)))]
    return float(random.uniform(low, high))


def sentence(voice: Voice, line: Timeline, random: Random) -> str:
    line.say(_pick(voice.sentences, random))
    return QUESTIONS[voice.language][0]


def paused(voice: Voice, line: Timeline, random: Random) -> str:
    recording, places = voice.divisible[int(random.integers(len(voice.divisible)))]
    count = min(len(places), 1 + int(random.random() < 0.3))
    chosen = sorted(random.choice(len(places), count, replace=False))
    cuts = [(places[at], pause(random)) for at in chosen]
    line.say(recording, cuts if _apart(cuts) else cuts[:1])
    return QUESTIONS[voice.language][0]


def _apart(cuts: Sequence[tuple[Border, float]]) -> bool:
    return all(b[0].sample - a[0].sample > 0.5 * 8000 for a, b in itertools.pairwise(cuts))


def joined(voice: Voice, line: Timeline, random: Random) -> str:
    assert voice.conjunction is not None
    line.say(_pick(voice.sentences, random))
    before = random.random() < 0.3
    silence = pause(random)
    line.gap(silence if before else 0.08)
    line.say(voice.conjunction)
    line.gap(0.08 if before else silence)
    line.say(_pick(voice.sentences, random))
    return QUESTIONS[voice.language][0]


def answer(voice: Voice, line: Timeline, random: Random) -> str:
    recording = _pick(voice.answers, random)
    line.say(recording)
    other = QUESTIONS[voice.language][int(random.integers(2))]
    return _asked(recording) or other


def _asked(recording: Recording) -> str:
    name = recording.name.split("/")[-1]
    for question, pattern in zip(FACTS.get(recording.language, ()), (_DATE, _COUNT), strict=False):
        if re.fullmatch(pattern, name):
            return question
    return ""


def number(voice: Voice, line: Timeline, random: Random) -> str:
    for index, size in enumerate(_groups(random)):
        for place in range(size):
            if index or place:
                line.gap(float(random.uniform(0.4, 0.9) if place == 0 else random.uniform(0.04, 0.12)))
            line.say(_pick(voice.digits, random))
    return QUESTIONS[voice.language][2 if random.random() < 0.6 else 0]


def spelled(voice: Voice, line: Timeline, random: Random) -> str:
    count = int(random.integers(4, 9))
    for place in range(count):
        if place:
            line.gap(float(random.uniform(0.12, 0.7)))
        line.say(_pick(voice.letters, random))
    return QUESTIONS[voice.language][3 if random.random() < 0.6 else 0]


def _groups(random: Random) -> tuple[int, ...]:
    """How people group the digits of telephone and customer numbers."""
    patterns = ((3, 3, 4), (4, 3, 3), (2, 2, 2, 2, 2), (3, 4), (3, 2, 2), (4, 4), (1, 3, 3, 4), (3, 3))
    return patterns[int(random.integers(len(patterns)))]


RECIPES: Final[dict[Kind, Recipe]] = {
    "sentence": sentence,
    "paused": paused,
    "joined": joined,
    "answer": answer,
    "number": number,
    "spelled": spelled,
}


def able(voice: Voice, kind: Kind) -> bool:
    """Whether the voice has what a kind of item is made of, and may be used in its split."""
    if voice.split == "train" and voice.name in HELD_OUT:
        return False
    needed: dict[Kind, bool] = {
        "sentence": bool(voice.sentences),
        "paused": bool(voice.divisible),
        "joined": voice.conjunction is not None and len(voice.sentences) > 1,
        "answer": len(voice.answers) > 2,
        "number": len(voice.digits) == 10,
        "spelled": len(voice.letters) > 15,
    }
    return needed[kind]
