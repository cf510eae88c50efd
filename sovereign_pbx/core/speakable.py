"""Model text made fit for a voice: markup, emoji and stage directions are for the eye and must not be read aloud."""

import re

_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"```\w*"), ""),  # code fences; the code itself stays, losing it would change the answer
    (re.compile(r"!?\[([^\]\n]*)\]\([^)\s]*\)"), r"\1"),  # [text](address) and images
    (re.compile(r"\[(?:[a-z]+(?: [a-z]+){0,2})\]"), ""),  # audio tags: [laughs], [in a whisper]
    (re.compile(r"</?[a-zA-Z][^<>\n]{0,100}>"), ""),  # SSML and HTML
    (re.compile(r"^\s{0,3}(?:#{1,6}|>|[-*+•])\s+", re.MULTILINE), ""),  # headings, quotations, bullets
    (re.compile(r"(\*{1,3})(?=\S)(.+?)(?<=\S)\1"), r"\2"),  # *emphasis*
    (re.compile(r"(?<!\w)(_{1,2})(?=\S)(.+?)(?<=\S)\1(?!\w)"), r"\2"),  # _emphasis_, but not snake_case
    (re.compile(r"\*{2,}|`"), ""),  # halves of pairs that a clause border tore apart
    (
        re.compile(
            "[\U0001f000-\U0001faff\U0001fb00-\U0001fbff\u2600-\u27bf\u2b00-\u2bff\u2190-\u21ff"
            "\ufe0e\ufe0f\u200d\u20e3\U000e0020-\U000e007f]"
        ),
        "",
    ),
    (re.compile(r"[ \t]*\s+"), " "),
    (re.compile(r" +([,.;:!?])"), r"\1"),
)
_HAS_SOUND = re.compile(r"[^\W_]")


def speakable(text: str) -> str:
    """`text` without what only the eye can use; "" when nothing is left that has a sound."""
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    text = text.strip()
    return text if _HAS_SOUND.search(text) else ""
