"""A receptionist without a language model: it answers what it was told to answer, and asks when it is not sure.

Each fact lists ways to ask and what to say; a fact may use one tool and speak its result. Nothing is made up, nothing
leaves the machine, an answer takes well under a millisecond, and the same call always goes the same way.
"""

import functools
import re
import tomllib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final

from sovereign_pbx.core.values import Message, ToolCall
from sovereign_pbx.speech.llm import ChatEvent, Finished, TextDelta, ToolRequest, ToolSpec
from sovereign_pbx.speech.llm.receptionist_facts import (
    KINDS,
    Fact,
    answer,
    arguments_json,
    found_in,
    read_facts,
    read_small_talk,
)
from sovereign_pbx.speech.llm.receptionist_match import Questions, plain
from sovereign_pbx.speech.settings import Settings

_SENTENCES: Final = re.compile(r"(?<=[.!?…])\s+")
MOST_ANSWERS: Final = 2
_POLITE: Final = ("greeting", "thanks")  # said in passing; an answer to what else was said is enough


@functools.cache
def phrases() -> Mapping[str, Any]:
    """The manners of each language that ships with the package."""
    file = resources.files("sovereign_pbx.speech.llm") / "receptionist_phrases.toml"
    return tomllib.loads(file.read_text(encoding="utf-8"))


@dataclass(frozen=True, slots=True)
class _Turn:
    """What is to be said, and the tool to use after it."""

    say: str
    tool: str = ""
    arguments: str = "{}"


class Receptionist:
    """A configured receptionist; a `ChatModel`."""

    name = "receptionist"

    def __init__(
        self,
        facts: Sequence[Fact],
        *,
        language: str = "en",
        small_talk: Mapping[str, Mapping[str, Any]] | None = None,
        unsure_say: str = "",
        fallback_say: str = "",
        end_call_tool: str = "end_call",
        transfer_tool: str = "transfer_call",
    ) -> None:
        shipped: Mapping[str, Any] = phrases().get(language, phrases()["en"])
        self._facts = tuple(facts)
        self._talk = small_talk if small_talk is not None else {k: v for k, v in shipped.items() if k in KINDS}
        self._unsure = unsure_say or str(shipped["unsure_say"])
        self._fallback = fallback_say or str(shipped["fallback_say"])
        self._tools = {"goodbye": end_call_tool, "person": transfer_tool}
        words = enumerate(shipped["numbers"])
        self._digits = {word: str(digit) for digit, spellings in words for word in spellings.split("|")}
        examples = {f"fact {number}": fact.ask for number, fact in enumerate(self._facts)}
        examples |= {kind: tuple(table["ask"]) for kind, table in self._talk.items()}
        self._questions = Questions(examples, shipped["fillers"])

    @classmethod
    def from_config(cls, block: Mapping[str, Any], provider: Mapping[str, Any]) -> "Receptionist":
        """From an assistant's `llm_config`: facts, language, fallback_say, unsure_say, small_talk."""
        settings = Settings(block, "llm_config")
        language = settings.choice("language", "en", tuple(phrases()))
        return cls(
            read_facts(settings),
            language=language,
            small_talk=read_small_talk(settings, phrases()[language]),
            unsure_say=settings.text("unsure_say"),
            fallback_say=settings.text("fallback_say"),
            end_call_tool=settings.text("end_call_tool", "end_call"),
            transfer_tool=settings.text("transfer_tool", "transfer_call"),
        )

    async def reply(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> AsyncIterator[ChatEvent]:
        """The answer, sentence by sentence, then at most one tool."""
        turn = self._turn(messages, {tool.name: tool for tool in tools})
        for number, sentence in enumerate(_SENTENCES.split(turn.say) if turn.say else ()):
            yield TextDelta(f" {sentence}" if number else sentence)
        if turn.tool:
            yield ToolRequest(ToolCall(f"call_{len(messages)}", turn.tool, turn.arguments))
        yield Finished("tool_calls" if turn.tool else "stop")

    async def warm(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> None:
        """Nothing to prepare."""

    async def aclose(self) -> None:
        """Nothing to let go."""

    def _turn(self, messages: Sequence[Message], tools: Mapping[str, ToolSpec]) -> _Turn:
        last = messages[-1] if messages else None
        if last is None or last.role in ("system", "assistant"):
            return _Turn(str(self._talk.get("greeting", {}).get("say", "")))
        if last.role == "tool":
            return _Turn(self._result(last, messages))
        said = " ".join(_latest(messages, "user"))
        spoken = [message.content for message in messages if message.role == "assistant" and message.content]
        return self._answered(said, spoken, tools)

    def _answered(self, said: str, spoken: Sequence[str], tools: Mapping[str, ToolSpec]) -> _Turn:
        asked = self._asked_back(spoken)
        if asked is not None and found_in(asked, said, self._digits):
            return self._fact(asked, said, tools)
        topics = self._topics(said)
        if not topics:
            return self._unsure_turn(spoken)
        turns = [self._topic(topic, part, spoken, tools) for topic, part in topics]
        first_tool = next((turn for turn in turns if turn.tool), _Turn(""))
        return _Turn(" ".join(turn.say for turn in turns if turn.say), first_tool.tool, first_tool.arguments)

    def _topics(self, said: str) -> list[tuple[str, str]]:
        """The topics of which it is sure, with the words they were found in: of the whole, else of each sentence."""
        whole = self._questions.best(said)
        parts = [part for part in _SENTENCES.split(said) if part.strip()]
        found: dict[str, str] = {}
        for part in parts if len(parts) > 1 else ():
            match = self._questions.best(part)
            if match is not None and match.sure:
                found.setdefault(match.topic, part)
        if not found and whole is not None and whole.sure:
            found[whole.topic] = said
        weighty = {topic: part for topic, part in found.items() if topic not in _POLITE}
        return list((weighty or found).items())[:MOST_ANSWERS]

    def _topic(self, topic: str, said: str, spoken: Sequence[str], tools: Mapping[str, ToolSpec]) -> _Turn:
        if topic.startswith("fact "):
            return self._fact(self._facts[int(topic.removeprefix("fact "))], said, tools)
        if topic == "repeat":
            before = next((text for text in reversed(spoken) if text not in (self._unsure, self._fallback)), "")
            return _Turn(before or self._unsure)
        table, tool = self._talk[topic], self._tools.get(topic, "")
        if tool in tools:
            return _Turn(str(table["say"]), tool, _first_choices(tools[tool]))
        return _Turn(str(table.get("otherwise_say") or table["say"]))

    def _fact(self, fact: Fact, said: str, tools: Mapping[str, ToolSpec]) -> _Turn:
        if not fact.tool:
            return _Turn(fact.say)
        groups = found_in(fact, said, self._digits)
        if groups is None:
            return _Turn(fact.missing_say or self._unsure)
        if fact.tool not in tools:
            return _Turn(fact.failed_say or self._fallback)
        return _Turn("", fact.tool, arguments_json(fact, groups))

    def _result(self, last: Message, messages: Sequence[Message]) -> str:
        calls = (call for message in messages for call in message.tool_calls if call.id == last.tool_call_id)
        call = next(calls, None)
        if call is None or call.name in self._tools.values():
            return ""
        fact = next((fact for fact in self._facts if fact.tool == call.name), None)
        if fact is None:
            return self._fallback
        return answer(fact, call.arguments, last.content) or fact.failed_say or self._fallback

    def _asked_back(self, spoken: Sequence[str]) -> Fact | None:
        """The fact whose missing detail was just asked for."""
        last = plain(spoken[-1]).strip() if spoken else ""
        return next((f for f in self._facts if f.missing_say and last.endswith(plain(f.missing_say).strip())), None)

    def _unsure_turn(self, spoken: Sequence[str]) -> _Turn:
        """Ask once; when the second try is not understood either, say so."""
        return _Turn(self._fallback if spoken and spoken[-1].endswith(self._unsure) else self._unsure)


def _latest(messages: Sequence[Message], role: str) -> list[str]:
    """The contents of the last messages in a row by `role`, in order."""
    found: list[str] = []
    for message in reversed(messages):
        if message.role != role:
            break
        found.insert(0, message.content)
    return found


def _first_choices(tool: ToolSpec) -> str:
    """Arguments for a tool that needs no thought: the first option of each required parameter."""
    properties: Mapping[str, Any] = tool.parameters.get("properties", {})
    wanted = tool.parameters.get("required", list(properties))
    fact = Fact(
        ("",), "", arguments={n: str((properties[n].get("enum") or [""])[0]) for n in wanted if n in properties}
    )
    return arguments_json(fact, {})
