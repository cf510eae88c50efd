"""The receptionist: answers from facts, asks when unsure, never guesses."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.core.errors import ConfigError
from sovereign_pbx.core.values import Message, ToolCall
from sovereign_pbx.speech.llm import ChatEvent, Finished, TextDelta, ToolRequest, ToolSpec
from sovereign_pbx.speech.llm.receptionist import Receptionist, phrases

FACTS: list[dict[str, Any]] = [
    {"ask": ["when are you open", "what are your opening hours", "how late do you close"], "say": "Nine to five."},
    {"ask": ["what does an apple pie cost", "how much is an apple pie", "price of a pie"], "say": "Fourteen euro."},
    {"ask": ["where can i park", "is there parking"], "say": "Behind the shop. It is free."},
    {
        "ask": ["what is the state of my order", "where is my order", "is my order ready", "look up order number"],
        "pattern": r"(?P<number>\d+)",
        "tool": "lookup_order",
        "arguments": {"number": "{number}"},
        "say": "Order {number} is {state}.",
        "missing_say": "What is the number of the order?",
        "failed_say": "I can't find that order.",
    },
]
NL_FACTS: list[dict[str, Any]] = [
    {
        "ask": ["wanneer bent u open", "wat zijn de openingstijden", "hoe laat gaat u dicht"],
        "say": "Van negen tot vijf.",
    },
    {"ask": ["wat kost een appeltaart", "prijs van een taart"], "say": "Veertien euro."},
    {"ask": ["waar kan ik parkeren", "is er parkeergelegenheid"], "say": "Achter de winkel."},
]
LOOKUP = ToolSpec("lookup_order", "Look up an order.")
END = ToolSpec("end_call", "End the call.")
TRANSFER = ToolSpec(
    "transfer_call",
    "Connect the caller.",
    {"type": "object", "properties": {"destination": {"enum": ["+3130", "+3120"]}}, "required": ["destination"]},
)


def receptionist(facts: list[dict[str, Any]] = FACTS, **more: Any) -> Receptionist:
    return Receptionist.from_config({"provider": "receptionist", "facts": facts, **more}, {})


def events(model: Receptionist, *messages: Message, tools: tuple[ToolSpec, ...] = ()) -> list[ChatEvent]:
    async def run() -> list[ChatEvent]:
        return [event async for event in model.reply([Message("system", "S"), *messages], tools)]

    return asyncio.run(run())


def text_of(found: list[ChatEvent]) -> str:
    return "".join(event.text for event in found if isinstance(event, TextDelta))


def said(model: Receptionist, *turns: str, tools: tuple[ToolSpec, ...] = ()) -> str:
    """What it says to the last of alternating user and assistant texts."""
    roles = ("user", "assistant")
    messages = [Message(roles[(len(turns) - 1 - at) % 2], text) for at, text in enumerate(turns)]  # type: ignore[arg-type]  # roles are literals
    return text_of(events(model, *messages, tools=tools))


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("When are you open?", "Nine to five."),
        ("Hi, could you tell me when you are open?", "Nine to five."),
        ("What are the opening hours please?", "Nine to five."),
        ("What time do you close?", "Nine to five."),
        ("How much is the apple pie?", "Fourteen euro."),
        ("How much does an apple pie cost?", "Fourteen euro."),
        ("Where can I park my car?", "Behind the shop. It is free."),
        ("When are you opened?", "Nine to five."),
    ],
)
def test_a_known_question_is_answered_however_it_is_put(question: str, answer: str) -> None:
    assert said(receptionist(), question) == answer


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Wanneer zijn jullie open?", "Van negen tot vijf."),
        ("Hallo, kunt u mij vertellen wat de openingstijden zijn?", "Van negen tot vijf."),
        ("Hoe laat sluiten jullie, hoe laat gaat het dicht?", "Van negen tot vijf."),
        ("Wat kost een appeltaart bij u?", "Veertien euro."),
        ("Waar kan ik mijn auto parkeren?", "Achter de winkel."),
    ],
)
def test_dutch_questions_are_answered_in_dutch(question: str, answer: str) -> None:
    assert said(receptionist(NL_FACTS, language="nl"), question) == answer


@pytest.mark.parametrize(
    "question",
    [
        "Do you sell bicycles?",
        "What is the capital of France?",
        "My cat is called Felix.",
        "I want to complain about the weather.",
        "apple",
        "the",
        "Can you bake a wedding cake for two hundred people?",
    ],
)
def test_what_it_does_not_know_is_never_guessed(question: str) -> None:
    assert said(receptionist(), question) == phrases()["en"]["unsure_say"]


def test_between_two_facts_that_fit_alike_it_asks_again() -> None:
    shops = [
        {"ask": ["when is the shop open"], "say": "The shop: nine to five."},
        {"ask": ["when is the workshop open"], "say": "The workshop: on Saturdays."},
    ]
    model = receptionist(shops)
    assert said(model, "When is it open?") == phrases()["en"]["unsure_say"]
    assert said(model, "When is the workshop open?") == "The workshop: on Saturdays."


def test_a_second_failure_in_a_row_is_admitted() -> None:
    model = receptionist(fallback_say="Please send us a letter.")
    unsure = said(model, "Bicycles?")
    assert said(model, "Bicycles?", unsure, "Bicycles, I said!") == "Please send us a letter."


def test_two_questions_get_two_answers() -> None:
    assert said(receptionist(), "When are you open? And how much is an apple pie?") == "Nine to five. Fourteen euro."


def test_a_greeting_before_a_question_is_not_answered_twice() -> None:
    assert said(receptionist(), "Hello! When are you open?") == "Nine to five."
    assert said(receptionist(), "Hello?") == phrases()["en"]["greeting"]["say"]


def test_it_repeats_what_it_said() -> None:
    assert said(receptionist(), "When are you open?", "Nine to five.", "Could you repeat that?") == "Nine to five."


def test_an_answer_comes_sentence_by_sentence() -> None:
    found = events(receptionist(), Message("user", "Where can I park?"))
    assert found == [TextDelta("Behind the shop."), TextDelta(" It is free."), Finished("stop")]


def test_fragments_of_one_utterance_are_read_together() -> None:
    found = events(receptionist(), Message("user", "How much is"), Message("user", "an apple pie?"))
    assert text_of(found) == "Fourteen euro."


# --- tools


def request(found: list[ChatEvent]) -> ToolCall | None:
    return next((event.call for event in found if isinstance(event, ToolRequest)), None)


@pytest.mark.parametrize("spoken", ["4711", "4 7 1 1", "47-11", "four seven one one", "4,711"])
def test_a_fact_with_a_tool_calls_it_with_what_was_said(spoken: str) -> None:
    call = request(events(receptionist(), Message("user", f"Where is my order {spoken}?"), tools=(LOOKUP,)))
    assert call is not None
    assert (call.name, json.loads(call.arguments)) == ("lookup_order", {"number": "4711"})


def test_the_tools_result_is_spoken() -> None:
    call = ToolCall("c1", "lookup_order", '{"number": "4711"}')
    history = (Message("user", "My order 4711?"), Message("assistant", "", tool_calls=(call,)))
    model = receptionist()
    ready = events(model, *history, Message("tool", '{"state": "ready"}', tool_call_id="c1"))
    assert text_of(ready) == "Order 4711 is ready."
    for broken in ("not found", '{"error": "no such order"}', '["ready"]', '{"state": {"a": 1}}'):
        lost = events(model, *history, Message("tool", broken, tool_call_id="c1"))
        assert text_of(lost) == "I can't find that order."


def test_a_missing_detail_is_asked_for_and_then_used() -> None:
    model = receptionist()
    asked = events(model, Message("user", "Where is my order?"), tools=(LOOKUP,))
    assert (text_of(asked), request(asked)) == ("What is the number of the order?", None)
    told = events(
        model,
        Message("user", "Where is my order?"),
        Message("assistant", "What is the number of the order?"),
        Message("user", "It is 90210."),
        tools=(LOOKUP,),
    )
    call = request(told)
    assert call is not None and json.loads(call.arguments) == {"number": "90210"}


def test_a_tool_that_is_not_offered_is_not_called() -> None:
    found = events(receptionist(), Message("user", "Where is my order 4711?"))
    assert (text_of(found), request(found)) == ("I can't find that order.", None)


def test_goodbye_ends_the_call_where_it_may() -> None:
    found = events(receptionist(), Message("user", "Okay, goodbye."), tools=(END,))
    assert text_of(found) == phrases()["en"]["goodbye"]["say"]
    call = request(found)
    assert call is not None and (call.name, call.arguments) == ("end_call", "{}")
    assert found[-1] == Finished("tool_calls")
    assert request(events(receptionist(), Message("user", "Okay, goodbye."))) is None


def test_a_caller_who_wants_a_person_is_put_through_to_the_first_destination() -> None:
    found = events(receptionist(), Message("user", "Can I speak to a person please?"), tools=(TRANSFER,))
    call = request(found)
    assert call is not None and json.loads(call.arguments) == {"destination": "+3130"}
    alone = events(receptionist(), Message("user", "Can I speak to a person please?"))
    assert (text_of(alone), request(alone)) == (phrases()["en"]["person"]["otherwise_say"], None)


def test_the_result_of_a_built_in_tool_is_not_spoken() -> None:
    call = ToolCall("c1", "end_call", "{}")
    history = (Message("assistant", "Goodbye.", tool_calls=(call,)), Message("tool", "ok", tool_call_id="c1"))
    assert text_of(events(receptionist(), *history)) == ""


# --- configuration


@pytest.mark.parametrize(
    ("fact", "why"),
    [
        ({"say": "x"}, "ask"),
        ({"ask": ["a"]}, "say"),
        ({"ask": ["a"], "say": "x", "answer": "y"}, "answer"),
        ({"ask": ["a"], "say": "x", "pattern": "("}, "pattern"),
        ({"ask": ["a"], "say": "x", "tool": "t", "arguments": {"n": "{number}"}}, "number"),
        ({"ask": ["a"], "say": "x", "arguments": {"n": 1}}, "arguments"),
    ],
)
def test_a_wrong_fact_is_refused_by_place_and_key(fact: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why) as caught:
        receptionist([*FACTS, fact])
    assert "facts[4]" in str(caught.value)


@pytest.mark.parametrize("more", [{"facts": "x"}, {"language": "xx"}, {"small_talk": {"weather": {}}}])
def test_a_wrong_setting_is_refused(more: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Receptionist.from_config({"facts": FACTS, **more}, {})


def test_manners_can_be_replaced() -> None:
    model = receptionist(small_talk={"thanks": {"say": "My pleasure."}, "who": {"ask": ["who dis"], "say": "Ann."}})
    assert said(model, "Thank you very much.") == "My pleasure."
    assert said(model, "Who dis?") == "Ann."


@given(st.text(max_size=400))
def test_whatever_is_said_gets_an_answer_and_always_the_same(text: str) -> None:
    model = receptionist()
    first = events(model, Message("user", text), tools=(LOOKUP, END, TRANSFER))
    assert first == events(model, Message("user", text), tools=(LOOKUP, END, TRANSFER))
    assert isinstance(first[-1], Finished)
    assert len(first) > 1


@given(st.text(max_size=200), st.text(max_size=200))
def test_whatever_a_tool_returns_is_survived(arguments: str, result: str) -> None:
    call = ToolCall("c1", "lookup_order", arguments)
    assert text_of(
        events(receptionist(), Message("assistant", "", tool_calls=(call,)), Message("tool", result, tool_call_id="c1"))
    )
