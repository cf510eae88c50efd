"""When a silence ends the caller's turn: a delay, not a yes or no.

The delay runs from the last speech sample. It lies between `endpointing_min_delay` and `endpointing_max_delay`
(contract §4.5) and is shaped by two witnesses. The turn model hears prosody: it tells an ended sentence from a
held breath, but is unsure of very short utterances ("hello world" scored 0.23 at once and 0.95 after half a
second), which is why it is asked again as the silence grows. The transcript knows words: nobody's turn ends in
"and" or in the middle of a telephone number, whatever it sounds like, and a bare "yes" is a whole answer.
"""

import re
from typing import Final, Literal

from sovereign_pbx.core.plan import TurnTaking

Shape = Literal["unknown", "open", "digits", "answer", "closed", "plain"]

RESCORE_AT_S: Final = (0.4, 0.8)  # silences at which the turn model hears the utterance again
COMPLETE: Final = 0.5  # smart-turn's own threshold
HOPELESS: Final = 0.1  # at and below this the whole delay is waited
RECOGNISER_SCORE: Final = 0.9  # what the recogniser's own end of utterance is worth

# Share of the span between the shortest and the longest delay.
_UNSCORED: Final[dict[Shape, float]] = {
    "unknown": 0.5,
    "open": 1.0,
    "digits": 0.75,
    "answer": 0.1,
    "closed": 0.2,
    "plain": 0.5,
}
# However sure the turn model is, these transcripts wait at least so long.
_AT_LEAST: Final[dict[Shape, float]] = {"open": 0.7, "digits": 0.5}


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_OPEN_ENDS: Final[dict[str, frozenset[str]]] = {
    "en": _set(
        "and or but so because if when that which who the a an to of for with from at in on my your is are was"
        " um uh uhm erm er hmm like well then than about i'm it's i'd i'll"
    ),
    "nl": _set(
        "en of maar dus want omdat als dat die de het een te van voor met naar bij in op mijn is zijn was"
        " eh ehm uh uhm nou dan over ik"
    ),
    "de": _set(
        "und oder aber also weil wenn dass die der das den dem ein eine zu von für mit nach bei in auf mein meine ist"
        " sind war äh ähm hm dann über ich"
    ),
    "fr": _set(
        "et ou mais donc car parce si quand que qui le la les un une des de du à pour avec dans sur mon ma mes est"
        " sont euh heu ben alors je"
    ),
}
_ANSWERS: Final = _set(
    "yes yeah yep no nope okay ok sure right correct hello hi thanks bye stop wait"
    " ja nee nein klar genau hallo danke dank goed prima graag doei"
    " oui non merci bonjour salut d'accord"
)
_NUMBER_WORDS: Final = _set(
    "zero oh one two three four five six seven eight nine double"
    " nul een twee drie vier vijf zes zeven acht negen dubbel"
    " null eins zwei drei vier fünf sechs sieben acht neun"
    " zéro un deux trois quatre cinq six sept huit neuf"
)
_DIGITS = re.compile(r"[\d\s+()./-]*\d$")
_WORD = re.compile(r"[\w']+")
_DICTATED_DIGITS: Final = 9  # shortest subscriber number with its area code in the countries we speak to
_DICTATED_WORDS: Final = 2


def shape(text: str, language: str) -> Shape:
    """What the end of the transcript says about whether more will come."""
    words = _WORD.findall(text.casefold().replace("’", "'"))
    if not words:
        return "unknown"
    if len(words) <= 2 and all(word in _ANSWERS for word in words):
        return "answer"
    if _dictating(text.strip().rstrip(".,"), words):
        return "digits"
    if text.rstrip().endswith(("?", "!")):
        return "closed"
    if words[-1] in _OPEN_ENDS.get(language[:2].casefold(), _OPEN_ENDS["en"]) or text.rstrip().endswith(
        (",", "-", "…", "...", ":")
    ):
        return "open"
    return "closed" if text.rstrip().endswith(".") else "plain"


def delay(policy: TurnTaking, text: str, probability: float | None, language: str) -> float:
    """Seconds of silence, counted from the last speech sample, after which the turn has ended."""
    kind = shape(text, language)
    share = _UNSCORED[kind] if probability is None else _by_score(probability, kind)
    span = max(0.0, policy.endpointing_max_delay - policy.endpointing_min_delay)
    return policy.endpointing_min_delay + span * max(share, _AT_LEAST.get(kind, 0.0))


def next_score(silence_s: float) -> float | None:
    """The next length of silence at which to ask the turn model."""
    return next((at for at in RESCORE_AT_S if at > silence_s), None)


def _by_score(probability: float, kind: Shape) -> float:
    doubt = min(1.0, max(0.0, (COMPLETE - probability) / (COMPLETE - HOPELESS)))
    # the model has too little to hear in one word: there the transcript is the better witness
    return min(doubt, _UNSCORED["answer"]) if kind == "answer" else doubt


def _dictating(text: str, words: list[str]) -> bool:
    tail = _DIGITS.search(text)
    count = sum(character.isdigit() for character in tail.group()) if tail else 0
    if count:
        return 2 < count < _DICTATED_DIGITS
    spoken = 0
    for word in reversed(words):
        if word not in _NUMBER_WORDS:
            break
        spoken += 1
    return _DICTATED_WORDS < spoken < _DICTATED_DIGITS
