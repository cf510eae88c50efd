"""What voices on this machine have in common: a text in pieces, each rendered whole within a deadline."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from sovereign_pbx.core.errors import ProviderError
from sovereign_pbx.speech.tts import Audio

Render = Callable[[str], Awaitable[bytes]]
"""Text to PCM s16le at the link's rate. Cancelling it stops the work where the engine lets it."""

RENDER_S: Final = 2.5
PIECE_CHARS: Final = 160  # about 12 s of speech; rendered in 20 to 60 ms
_SENTENCE_END: Final = re.compile(r"(?<=[.!?…])\s+(?=\S)|\n+")
_CLAUSE_END: Final = re.compile(r"(?<=[,;:–—])\s+(?=\S)")


class LocalSession:
    """One call's voice."""

    def __init__(self, provider: str, render: Render, render_s: float = RENDER_S) -> None:
        self._provider = provider
        self._render = render
        self._render_s = render_s
        self._closed = False

    async def speak(self, text: str) -> AsyncIterator[Audio]:
        """Sentence by sentence; the next one is rendered when the one before was taken."""
        for piece in pieces(text):
            if self._closed:
                return
            if not any(char.isalnum() for char in piece):
                continue  # engines make a breath or a click of lone punctuation
            try:
                async with asyncio.timeout(self._render_s):
                    pcm = await self._render(piece)
            except TimeoutError as exc:
                raise ProviderError(self._provider, "tts", "stalled", f"no audio within {self._render_s:g} s") from exc
            if pcm:
                yield Audio(pcm)

    async def close(self) -> None:
        """Nothing more will be spoken."""
        self._closed = True


def pieces(text: str, about: int = PIECE_CHARS) -> list[str]:
    """`text` cut at sentence ends, then clause ends, then anywhere between words, into pieces of at most `about`
    characters (a single longer word stays whole), short sentences together."""
    return _packed([p for s in _SENTENCE_END.split(text) for p in _cut(s.strip(), about)], about)


def _cut(sentence: str, about: int) -> list[str]:
    if len(sentence) <= about:
        return [sentence] if sentence else []
    clauses = _CLAUSE_END.split(sentence)
    if len(clauses) > 1:
        return _packed([p for clause in clauses for p in _cut(clause, about)], about)
    return _packed(sentence.split(), about)


def _packed(parts: list[str], about: int) -> list[str]:
    packed: list[str] = []
    for part in parts:
        if packed and len(packed[-1]) + 1 + len(part) <= about:
            packed[-1] += " " + part
        else:
            packed.append(part)
    return packed
