"""Model text made fit for a voice: markup and emoji are for the eye and must not be read aloud.

Audio tags (`[laughs]`, `[in a whisper]`; contract §4.4) tell some voices how to speak. They are no words: whoever
remembers, logs or reports what was said takes `speakable`, and only what goes to the voice is `tagged`.
Repeats are bounded: the time is linear in the text.
"""

import re
from typing import Final

TAG: Final = re.compile(r"\[[^\W\d_](?:[^\W\d_]|[ ,'’-](?=[^\W\d_ ])|, ){0,40}\](?!\()")
"""Words in square brackets: at most forty letters, so that "[1]" and a bracketed address stay what they are."""

_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"```\w*"), ""),  # code fences; the code itself stays, losing it would change the answer
    (re.compile(r"!?\[([^\[\]\n]{0,300})\]\([^)\s]{0,500}\)"), r"\1"),  # [text](address) and images
    (re.compile(r"</?[a-zA-Z][^<>\n]{0,100}>"), ""),  # SSML and HTML
    (re.compile(r"^\s{0,3}(?:#{1,6}|>|[-*+•])\s+", re.MULTILINE), ""),  # headings, quotations, bullets
    (re.compile(r"(\*{1,3})(?=\S)([^\n*]{1,300}?)(?<=\S)\1"), r"\2"),  # *emphasis*
    (re.compile(r"(?<!\w)(_{1,2})(?=\S)(.{1,300}?)(?<=\S)\1(?!\w)"), r"\2"),  # _emphasis_, but not snake_case
    (re.compile(r"\*{2,}|`"), ""),  # halves of pairs that a clause border tore apart
    (
        re.compile(
            "[\U0001f000-\U0001faff\U0001fb00-\U0001fbff\u2600-\u27bf\u2b00-\u2bff\u2190-\u21ff"
            "\ufe0e\ufe0f\u200d\u20e3\U000e0020-\U000e007f]"
        ),
        "",
    ),
)
_SPACES: Final = (
    (re.compile(r"[ \t]*\s+"), " "),
    (re.compile(r" +([,.;:!?])"), r"\1"),
)
_HAS_SOUND = re.compile(r"[^\W_]")


def tagged(text: str) -> str:
    """`text` without what only the eye can use, audio tags left in; "" when nothing is left that has a sound."""
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return _tidy(text) if _HAS_SOUND.search(TAG.sub("", text)) else ""


def speakable(text: str) -> str:
    """The same without audio tags: the words that are heard and remembered."""
    return untagged(tagged(text))


def untagged(text: str) -> str:
    """`text` as it is, but for audio tags: what stays of a sentence of the administrator's own."""
    return _tidy(TAG.sub("", text)) if TAG.search(text) else text


def _tidy(text: str) -> str:
    for pattern, replacement in _SPACES:
        text = pattern.sub(replacement, text)
    return text.strip()
