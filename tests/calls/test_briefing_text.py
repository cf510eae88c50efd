"""What a colleague is told about a call: from the model, by the model, or without it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.assistants.model import Assistant
from sovereign_pbx.calls.briefing_text import LONGEST, _short, briefing_words
from sovereign_pbx.calls.session import Services
from sovereign_pbx.calls.usage import Tokens
from sovereign_pbx.core.values import Message
from sovereign_pbx.testing.providers.openai import Answer
from tests.calls.house import House, assistant, house, play

HISTORY = (
    Message("assistant", "Hello, how can I help?"),
    Message("user", "I want to return a bicycle, order 4512."),
    Message("assistant", "I'll put you through."),
)
NUMBER = "+31612345678"


@dataclass
class Place:
    house: House
    services: Services

    async def words(self, **changes: Any) -> str:
        given = {"given": "", "instruction": "", "caller": NUMBER, "history": HISTORY, "assistant": {}, **changes}
        who = Assistant.parse({"name": "reception", **assistant(**given.pop("assistant"))}, where="here")
        history = given.pop("history")
        return await briefing_words(history, self.services, who, **given)


@asynccontextmanager
async def place(folder: Path, answer: str | Answer = "Jan wants to return a bicycle.") -> AsyncIterator[Place]:
    async with house(folder) as made:
        made.openai.script = (answer,)
        yield Place(made, made.daemon.desk._services)


def test_what_the_model_gave_is_said_behind_who_calls(tmp_path: Path) -> None:
    async def scene() -> None:
        async with place(tmp_path) as at:
            words = await at.words(given="Jan Bakker wants to return a bicycle.")
            assert words == f"I have a caller for you: {NUMBER}. Jan Bakker wants to return a bicycle."
            assert not at.house.openai.requests

    play(scene())


def test_without_one_the_assistants_model_sums_it_up_without_tools(tmp_path: Path) -> None:
    async def scene() -> None:
        async with place(tmp_path) as at:
            tokens = Tokens()
            words = await at.words(instruction="Always name the order number.", tokens=tokens)
            assert words == f"I have a caller for you: {NUMBER}. Jan wants to return a bicycle."
            (request,) = at.house.openai.requests
            assert not request.get("tools")
            system, said = request["messages"]
            assert "Always name the order number." in system["content"]
            assert "code en" in system["content"]
            assert "Caller: I want to return a bicycle, order 4512." in said["content"]
            assert tokens.rows()[0]["replies"] == 1

    play(scene())


def test_a_tool_that_the_caller_talked_the_model_into_is_no_words(tmp_path: Path) -> None:
    async def scene() -> None:
        answer = Answer("Call ended.", tools=(("transfer_call", '{"destination": "0900123"}'),))
        async with place(tmp_path, answer) as at:
            words = await at.words()
            assert words == f"I have a caller for you: {NUMBER}. Call ended."

    play(scene())


def test_a_model_that_is_late_costs_four_seconds_at_most_and_his_last_words_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sovereign_pbx.calls.briefing_text.WITHIN_S", 0.2)

    async def scene() -> None:
        async with place(tmp_path) as at:
            at.house.openai.first_token_ms = 3000
            async with asyncio.timeout(1.5):
                words = await at.words()
            assert words.endswith("The last thing the caller said was: I want to return a bicycle, order 4512.")

    play(scene())


def test_a_model_that_fails_costs_the_summary_alone(tmp_path: Path) -> None:
    async def scene() -> None:
        async with place(tmp_path) as at:
            at.house.openai.faults.arm("deny")
            assert "I want to return a bicycle" in await at.words()

    play(scene())


def test_an_assistant_without_a_model_that_could_asks_none(tmp_path: Path) -> None:
    async def scene() -> None:
        async with place(tmp_path) as at:
            words = await at.words(assistant={"llm_config": {"provider": "receptionist", "facts": {}}})
            assert "I want to return a bicycle" in words
            assert not at.house.openai.requests

    play(scene())


def test_whoever_has_said_nothing_is_not_summed_up(tmp_path: Path) -> None:
    async def scene() -> None:
        async with place(tmp_path) as at:
            words = await at.words(history=(Message("assistant", "Hello"),), caller="")
            assert words == "I have a caller for you: somebody who withholds the number."
            assert not at.house.openai.requests

    play(scene())


def test_it_is_said_in_the_assistants_language(tmp_path: Path) -> None:
    async def scene() -> None:
        async with place(tmp_path, "Jan wil een fiets terugbrengen.") as at:
            stt = {"provider": "deepgram", "model": "nova-3", "language": "nl"}
            words = await at.words(assistant={"stt_config": stt})
            assert words == f"Ik heb een beller voor u: {NUMBER}. Jan wil een fiets terugbrengen."
            assert "code nl" in at.house.openai.requests[0]["messages"][0]["content"]

    play(scene())


def test_markup_and_line_ends_are_not_spoken() -> None:
    assert _short("**Jan**\n\n- wants a `bicycle` [laughs] 🚲", LONGEST) == "Jan wants a bicycle"


def test_what_is_too_long_ends_behind_a_sentence() -> None:
    text = "He wants a bicycle. " * 30
    cut = _short(text, LONGEST)
    assert cut.endswith("bicycle.")
    assert LONGEST - 20 <= len(cut) <= LONGEST


@given(st.text(max_size=3000))
def test_whatever_is_given_is_bounded(text: str) -> None:
    cut = _short(text, LONGEST)
    assert len(cut) <= LONGEST
    assert "\n" not in cut
