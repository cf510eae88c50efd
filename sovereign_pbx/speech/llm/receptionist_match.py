"""Which of the known questions a caller asked, in any language, without a model. Pure and deterministic.

Words and their three- and four-letter pieces are compared, rare ones counting more (the pieces forgive endings,
compounds and the recogniser's spelling). A question is recognised when most of an example is in what was said and most
of what was said is in the example; otherwise it is not, and the caller is asked again.
"""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

SURE: Final = 0.52
MARGIN: Final = 0.1
COVERED: Final = 0.4  # of an example; less is a word in passing, however well it fits
_UNKNOWN: Final = 0.6  # weight of a word that no example has, relative to the rarest known one
_WORD: Final = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class Match:
    """The best topic and how sure it is: 0 to 1; `rival` is the best score of any other topic."""

    topic: str
    score: float
    rival: float

    @property
    def sure(self) -> bool:
        return self.score >= SURE and self.score - self.rival >= MARGIN


class Questions:
    """Example questions by topic."""

    def __init__(self, examples: Mapping[str, Sequence[str]], fillers: Sequence[str] = ()) -> None:
        self._fillers = re.compile(
            r"\b(?:" + "|".join(map(re.escape, sorted(map(plain, fillers), key=len, reverse=True))) + r")\b"
            if fillers
            else r"(?!)"
        )
        features = {topic: [self._said(text) for text in texts] for topic, texts in examples.items()}
        spread = Counter(word for found in features.values() for word in {w for f in found for w in f})
        topics = max(1, len(examples))
        self._weights = {word: math.log(1 + topics / count) for word, count in spread.items()}
        self._rarest = math.log(1 + topics)
        self._examples = [
            (topic, found, self._weight(found)) for topic, many in features.items() for found in many if found
        ]

    def best(self, said: str) -> Match | None:
        """The topic that fits best; None when nothing that was said is in any example."""
        heard = self._said(said)
        if not heard or not self._examples:
            return None
        whole = self._weight(heard)
        scores: dict[str, float] = {}
        for topic, example, weight in self._examples:
            shared = heard & example
            if shared:
                scores[topic] = max(scores.get(topic, 0.0), _score(self._weight(shared), weight, whole))
        ranked = sorted(scores.items(), key=lambda item: (-item[1], item[0]))
        if not ranked:
            return None
        return Match(ranked[0][0], ranked[0][1], ranked[1][1] if len(ranked) > 1 else 0.0)

    def _weight(self, features: frozenset[str]) -> float:
        unknown = self._rarest * _UNKNOWN
        # a word and all its pieces together count about as much as two words
        return sum(self._weights.get(f, unknown) * (1.0 if f[0] == " " else 0.25) for f in features)

    def _said(self, text: str) -> frozenset[str]:
        """The features of a text without fillers, or of its fillers where it has nothing else ("hello")."""
        return self._features(text) or self._features(text, keep_fillers=True)

    def _features(self, text: str, *, keep_fillers: bool = False) -> frozenset[str]:
        text = plain(text)
        words = _WORD.findall(text if keep_fillers else self._fillers.sub(" ", text))
        return frozenset(piece for word in words for piece in _pieces(word))


def _score(shared: float, example: float, heard: float) -> float:
    covered = shared / example
    score = 0.65 * covered + 0.35 * shared / heard
    return score if covered >= COVERED else min(score, SURE - 0.01)


def _pieces(word: str) -> list[str]:
    """The word itself (marked by a space) and its pieces of three and four letters, its ends marked."""
    edged = f"<{word}>"
    return [" " + word, *(edged[at : at + n] for n in (3, 4) for at in range(len(edged) - n + 1))]


def plain(text: str) -> str:
    """Lower case, without accents, without apostrophes."""
    split = unicodedata.normalize("NFKD", text.lower().replace("'", "").replace("’", ""))
    return "".join(char for char in split if not unicodedata.combining(char))
