"""Reasoning that a server puts into the reply's own text, kept from being read aloud.

Ollama, vLLM and llama.cpp without a reasoning parser stream `<think>…</think>` before the answer.
"""

from typing import Final

OPENING: Final = "<think>"
CLOSING: Final = "</think>"


class ThoughtFilter:
    """Passes a reply's text through, without one leading block of thoughts."""

    def __init__(self) -> None:
        self._held = ""
        self._thinking = False
        self._decided = False

    def feed(self, text: str) -> str:
        """More of the reply; returns what may be spoken of it."""
        if self._decided:
            return text
        self._held += text
        if not self._thinking:
            start = self._held.lstrip()
            if OPENING.startswith(start[: len(OPENING)]) and len(start) < len(OPENING):
                return ""
            if not start.startswith(OPENING):
                return self._release(self._held)
            self._thinking = True
        thought, closed, rest = self._held.partition(CLOSING)
        if not closed:
            self._held = thought[-len(CLOSING) :]
            return ""
        return self._release(rest.lstrip())

    def rest(self) -> str:
        """What was held back at the end of the reply: the beginning of a tag that was none."""
        return "" if self._decided or self._thinking else self._release(self._held)

    def _release(self, text: str) -> str:
        # White space alone after the thoughts is not an answer yet.
        self._decided = bool(text)
        if not self._decided and self._thinking:
            self._held = OPENING + CLOSING
        return text
