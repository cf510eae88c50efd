"""What answers cost that were begun before it was sure that the caller had finished, and what came of them.

An adopted one is a reply like any other and counted with those. What was dropped is counted here, by the vendor's own
figures where it had finished, else by an estimate: no vendor tells what an answer took that was broken off.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sovereign_pbx.calls.trace import Tracer
from sovereign_pbx.calls.usage import Tokens, is_count, named_rows
from sovereign_pbx.core.commands import Think
from sovereign_pbx.core.speculation import estimated_tokens
from sovereign_pbx.speech.llm import Finished, ToolSpec


@dataclass(slots=True, eq=False)
class _Open:
    """One that is neither adopted nor dropped yet."""

    question: Think
    tools: Sequence[ToolSpec]
    model: str
    answered: int = 0  # characters
    finished: Finished | None = None


@dataclass(slots=True)
class Speculated:
    """The speculative replies of one call."""

    tracer: Tracer
    begun: int = 0
    adopted: int = 0
    estimated: int = 0  # of the dropped ones: without figures of the vendor's
    tokens: Tokens = field(default_factory=Tokens)  # of the dropped ones
    _open: dict[int, _Open] = field(default_factory=dict)

    def begin(self, question: Think, tools: Sequence[ToolSpec], model: str) -> None:
        """A reply is asked for on speculation."""
        self.begun += 1
        self._open[question.reply] = _Open(question, tools, model)

    def text(self, reply: int, characters: int) -> None:
        """So much more text has come of `reply`, whatever kind of reply it is."""
        if reply in self._open:
            self._open[reply].answered += characters

    def finished(self, reply: int, event: Finished) -> bool:
        """Keep what the vendor says of a reply that is still open here. False: it is not."""
        if reply not in self._open:
            return False
        self._open[reply].finished = event
        return True

    def adopt(self, reply: int) -> Finished | None:
        """It is the answer. Gives back what the vendor said of it, if it has finished already."""
        guess = self._open.pop(reply, None)
        if guess is None:
            return None
        self.adopted += 1
        self.tracer.emit("speculation", outcome="adopted")
        return guess.finished

    def drop(self, reply: int) -> bool:
        """Count what it took. False: it is not open here."""
        guess = self._open.pop(reply, None)
        if guess is None:
            return False
        told: Mapping[str, Any] = guess.finished.usage if guess.finished is not None else {}
        if not (is_count(told.get("input_tokens")) and is_count(told.get("output_tokens"))):
            self.estimated += 1
            told = {"input_tokens": _asked(guess), "output_tokens": estimated_tokens(guess.answered)}
        self.tokens.add((guess.finished.model if guess.finished else "") or guess.model, told)
        spent = {"input": told["input_tokens"], "output": told["output_tokens"]}
        self.tracer.emit("speculation", outcome="dropped", **spent)
        return True

    def usage(self, characters: Mapping[str, int]) -> dict[str, Any]:
        """For the call's usage: counts, and rows of tokens and characters in vain; {} where none was begun."""
        if not self.begun:
            return {}
        counts = {"begun": self.begun, "adopted": self.adopted, "dropped": self.begun - self.adopted}
        return {
            **counts,
            "estimated": self.estimated,
            "llm": self.tokens.rows(),
            "tts": named_rows(characters, "characters"),
        }


def _asked(guess: _Open) -> int:
    told = sum(len(message.content) for message in guess.question.messages)
    offered = sum(len(tool.description) + len(str(tool.parameters)) for tool in guess.tools)
    return estimated_tokens(told + offered)
