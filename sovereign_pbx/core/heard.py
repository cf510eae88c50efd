"""What the caller heard of a sentence that was cut: a pure function of the playout position.

Where the voice gives word times they decide. Where it does not, the words share the segment's length by their
syllables and the pauses that punctuation asks for. A word counts as heard when it was heard to its end: half a
word in the history would make the model believe that it was understood.
"""

import re
from collections.abc import Sequence
from typing import Final

from sovereign_pbx.core.values import Word

FRAME_TOLERANCE_MS: Final = 20.0  # the link reports whole frames, word times are finer
SYLLABLE_MS: Final = 220.0  # 4.5 syllables/s: English and Dutch voices on the telephone; only a fall-back
LONGEST_AGAIN_MS: Final = 1000.0  # of a word that is said again from its beginning
COMMA_MS: Final = 150.0
STOP_MS: Final = 300.0
_VOWELS = re.compile(r"[aeiouyàâäáãåæèéêëìíîïòóôöõøùúûüýœ]+", re.IGNORECASE)
_NOT_WORD = re.compile(r"[\W_]+")
_LOOK_AHEAD: Final = 5  # tokens skipped at most when a voice leaves words out of its timing


def heard(text: str, words: Sequence[Word], total_ms: float | None, played_ms: float) -> str:
    """The part of `text` that was heard to the end of a word after `played_ms` milliseconds.

    `words`: timing from the voice, seconds from the segment's start, possibly empty.
    `total_ms`: the segment's whole length once synthesis is complete, else None.
    Returns a prefix of `text` without trailing white space; "" when no word was heard out.
    """
    if played_ms <= 0:
        return ""
    if total_ms is not None and played_ms + FRAME_TOLERANCE_MS >= total_ms:
        return text.rstrip()
    tokens = list(re.finditer(r"\S+", text))
    if not tokens:
        return ""
    count = _by_times(tokens, words, played_ms) if words else _by_weight(tokens, total_ms, played_ms)
    return text[: tokens[count - 1].end()] if count else ""


def going_on_ms(words: Sequence[Word], played_ms: float) -> float:
    """Where speech that was held after `played_ms` goes on: at the beginning of the word that it was held in.

    `played_ms` itself between words, in one that counts as heard (see `heard`), in one that is too long to be said
    again (a number spelt out), and where the voice gave no times.
    """
    for word in words:
        start_ms, end_ms = word.start * 1000, word.end * 1000
        if start_ms < played_ms < end_ms - FRAME_TOLERANCE_MS and played_ms - start_ms <= LONGEST_AGAIN_MS:
            return max(0.0, start_ms)
    return played_ms


def estimate_ms(text: str) -> float:
    """How long a voice needs for `text`, from its syllables and punctuation."""
    return sum(_weight(token) for token in text.split())


def _by_times(tokens: Sequence[re.Match[str]], words: Sequence[Word], played_ms: float) -> int:
    position = 0
    for word in words:
        if word.end * 1000 > played_ms + FRAME_TOLERANCE_MS:
            break
        position = min(_after(tokens, position, word.text), len(tokens))
    return position


def _after(tokens: Sequence[re.Match[str]], position: int, spoken: str) -> int:
    """The token behind the one that `spoken` names; a word spelt otherwise ("12" → "twelve") takes one token."""
    wanted = _bare(spoken)
    if not wanted:
        return position
    for index in range(position, min(position + _LOOK_AHEAD, len(tokens))):
        if _bare(tokens[index].group()) == wanted:
            return index + 1
    return position + 1


def _by_weight(tokens: Sequence[re.Match[str]], total_ms: float | None, played_ms: float) -> int:
    weights = [_weight(token.group()) for token in tokens]
    scale = total_ms / sum(weights) if total_ms is not None else 1.0
    reached = 0.0
    for count, weight in enumerate(weights):
        reached += weight * scale
        if reached > played_ms + FRAME_TOLERANCE_MS:
            return count
    return len(tokens)


def _weight(token: str) -> float:
    digits = sum(character.isdigit() for character in token)
    syllables = max(1, len(_VOWELS.findall(token)) + digits)
    pause = STOP_MS if token[-1] in ".!?…" else COMMA_MS if token[-1] in ",;:" else 0.0
    return syllables * SYLLABLE_MS + pause


def _bare(word: str) -> str:
    return _NOT_WORD.sub("", word).casefold()
