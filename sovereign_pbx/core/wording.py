"""What the end of a transcript says about whether more will come. en, nl, de, fr, es, it, ru.

Other languages are read by their signs, and as if they were English.
"""

import re
from typing import Final, Literal

from sovereign_pbx.core.dictation import (
    MONTHS,
    address,
    code_at_end,
    dictated_singly,
    digits_at_end,
    letters_at_end,
    only_digits,
    words_of,
    year_follows_month,
)
from sovereign_pbx.core.expectation import ANYTHING, Expected
from sovereign_pbx.core.word_lists import (
    ANNOUNCING,
    ANSWERS,
    CORRECTING,
    GREETINGS,
    HESITATIONS,
    LOOSE,
    OPEN,
    POLITE_ENDS,
    REFUSALS,
    THINKING,
)

Shape = Literal[
    "unknown",  # no words yet
    "hesitation",  # "um", "let me see", "no wait"
    "opening",  # "hello" or "sure" before what was asked for
    "open",  # nobody's sentence ends so: "and", "my"
    "loose",  # few sentences end so: "with", "is"
    "digits",  # a number that is being dictated
    "spelling",  # a name or an address that is being spelt
    "complete",  # as many digits as were asked for, or a whole address
    "answer",  # a whole answer of a word or two: "yes", "stop"
    "greeting",
    "question",
    "closed",  # ends like a sentence, or with "please"
    "slight",  # two or three words where a whole story was asked for
    "plain",
]

_BARE: Final = re.compile(r"[^\w' -]+")
_MORE_THAN_YES: Final = ("number", "date", "spelling", "email")
_LAST_WORDS: Final = 8  # as many as any pattern looks at
_LAST_CHARACTERS: Final = 200
_LONGEST_ANSWER: Final = 3
_SHORTEST_DICTATED: Final = 2
_SUBSCRIBER: Final = 9  # shortest subscriber number with its area code in the countries we speak to
_SPELT: Final = 2
_SLIGHT: Final = (2, 3)
_SAID_BEFORE: Final = 2  # "please" ends a request, but may begin one too


def shape(text: str, language: str, expected: Expected = ANYTHING) -> Shape:
    """The shape of `text`, `language` a code like "nl" or "de-AT", `expected` what had been asked for."""
    plain = _BARE.sub(" ", text.casefold().replace("’", "'"))
    words = plain.split()
    if not words:
        return "unknown"
    if len(words) <= _LONGEST_ANSWER:
        if all(word in GREETINGS for word in words):
            return "greeting" if expected.kind in ("anything", "fact", "yes_no") else "opening"
        if all(word in ANSWERS or word in GREETINGS for word in words):
            begins = expected.kind in _MORE_THAN_YES and not any(word in REFUSALS for word in words)
            return "opening" if begins else "answer"
    end = " ".join(words[-_LAST_WORDS:])
    form = _dictated(words_of(text[-_LAST_CHARACTERS:]), expected) or _ending(text.strip(), end, words[-1], language)
    return "slight" if form == "plain" and expected.kind == "open" and len(words) in _SLIGHT else form


def _dictated(words: list[str], expected: Expected) -> Shape | None:
    while words and words[-1] in (".", "-"):  # the recogniser's, not the caller's
        words.pop()
    if not words:
        return None
    reached = address(words)
    if reached:
        return "complete" if reached == "whole" else "spelling"
    digits, letters = digits_at_end(words), letters_at_end(words)
    if expected.kind == "date" and (digits or words[-1] in MONTHS):
        return "complete" if digits >= expected.usual or year_follows_month(words) else "digits"
    if expected.usual and max(digits + letters, code_at_end(words)) >= expected.usual:
        return "complete"
    if letters >= (1 if letters == len(words) else _SPELT) or (expected.kind == "spelling" and len(words[-1]) == 1):
        return "spelling"
    if expected.kind == "number" and digits:
        return "digits" if digits < expected.least else "plain"
    if not 0 < digits < _SUBSCRIBER:
        return None
    if expected.kind == "open" and only_digits(words):
        return "digits"  # who begins with nothing but digits has more of them
    return "digits" if dictated_singly(words) >= _SHORTEST_DICTATED else None


def _ending(text: str, plain: str, last: str, language: str) -> Shape:
    code = language[:2].casefold()
    if last in HESITATIONS or THINKING.search(plain) or CORRECTING.search(plain):
        return "hesitation"
    if text.endswith(("?", "!")):
        return "question"
    if POLITE_ENDS.search(plain) and plain.count(" ") >= _SAID_BEFORE:
        return "closed"
    if last in OPEN.get(code, OPEN["en"]) or ANNOUNCING.search(plain):
        return "open"
    if text.endswith((",", "-", "…", "...", ":")):
        return "open"
    if last in LOOSE.get(code, LOOSE["en"]):
        return "loose"
    return "closed" if text.endswith(".") else "plain"
