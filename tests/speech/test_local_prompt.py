"""How a conversation is put to a small model."""

import json

import pytest

from sovereign_pbx.core.values import Message, ToolCall
from sovereign_pbx.speech.llm import ToolSpec
from sovereign_pbx.speech.llm.local_prompt import STYLE, asking_for, shaped, supported

NUMBER = {
    "type": "object",
    "properties": {"number": {"type": "string", "description": "The order's number"}},
    "required": ["number"],
}
LOOKUP = ToolSpec("lookup_order", "Look up an order.", NUMBER)
END = ToolSpec("end_call", "End the call.")
TRANSFER = ToolSpec(
    "transfer_call", "Connect the caller.", {"type": "object", "properties": {"destination": {"enum": ["+3130"]}}}
)
CHOICE = ToolSpec(
    "transfer_call", "Connect.", {"type": "object", "properties": {"destination": {"enum": ["+3130", "+3120"]}}}
)


def test_the_telephones_rules_follow_the_instructions() -> None:
    (system, user) = shaped([Message("system", "You are Ann."), Message("user", "Hi")], [])
    assert system.content == f"You are Ann.\n\n{STYLE}"
    assert user == Message("user", "Hi")


def test_without_instructions_the_rules_are_a_message_of_their_own() -> None:
    assert shaped([Message("user", "Hi")], [])[0] == Message("system", STYLE)


def test_an_empty_style_leaves_the_instructions_alone() -> None:
    messages = [Message("system", "You are Ann."), Message("user", "Hi")]
    assert shaped(messages, [], "") == messages


def test_tools_are_listed_with_the_json_that_calls_them() -> None:
    text = shaped([Message("system", "You are Ann.")], [LOOKUP, END, TRANSFER])[0].content
    assert '- Look up an order. -> {"name": "lookup_order", "arguments": {"number": "…"}} (number: The order' in text
    assert '- End the call. -> {"name": "end_call", "arguments": {}}' in text
    assert '"arguments": {"destination": "+3130"}}' in text


def test_the_instructions_are_the_same_for_every_turn_so_that_their_cache_holds() -> None:
    system = Message("system", "You are Ann.")
    later = [system, Message("user", "Hi"), Message("assistant", "Hello.")]
    assert shaped([system], [LOOKUP])[0] == shaped(later, [LOOKUP])[0]


def test_calls_and_answers_are_told_as_text() -> None:
    call = ToolCall("c1", "lookup_order", '{"number":"4711"}')
    told = shaped(
        [
            Message("system", "S"),
            Message("user", "Order 4711?"),
            Message("assistant", "One moment.", tool_calls=(call,)),
            Message("tool", '{"state":"ready"}', tool_call_id="c1"),
        ],
        [LOOKUP],
    )
    assert told[2] == Message("assistant", 'One moment.\n{"name": "lookup_order", "arguments": {"number": "4711"}}')
    assert told[3].role == "user"
    assert told[3].content.startswith('Answer of lookup_order: {"state":"ready"}')
    assert not any(message.tool_calls or message.tool_call_id for message in told)


def test_arguments_that_are_no_json_are_told_as_none() -> None:
    call = ToolCall("c1", "lookup_order", '{"number":')
    assert json.loads(shaped([Message("assistant", "", tool_calls=(call,))], [], "")[0].content)["arguments"] == {}


@pytest.mark.parametrize(
    ("tool", "said", "arguments", "taken"),
    [
        (LOOKUP, "I want an apple pie.", '{"number": "1234567890"}', None),
        (LOOKUP, "I want an apple pie.", '{"number": "…"}', None),
        (LOOKUP, "Order 4711, please.", '{"number": "4711"}', '{"number": "4711"}'),
        (LOOKUP, "Order four seven one one.", '{"number": "4711"}', '{"number": "4711"}'),
        (LOOKUP, "Order A, please.", '{"number": "A", "mood": "good"}', '{"number": "A"}'),
        (LOOKUP, "Order 4711, please.", "{}", None),
        (TRANSFER, "Put me through.", '{"destination": "+3130"}', '{"destination": "+3130"}'),
        (TRANSFER, "Put me through.", '{"destination": "+31"}', '{"destination": "+3130"}'),
        (CHOICE, "Put me through.", '{"destination": "+3120"}', '{"destination": "+3120"}'),
        (CHOICE, "Put me through.", '{"destination": "+44900"}', None),
        (END, "Goodbye.", "{}", "{}"),
    ],
)
def test_arguments_that_the_conversation_does_not_support_are_refused(
    tool: ToolSpec, said: str, arguments: str, taken: str | None
) -> None:
    assert supported(arguments, tool, [Message("system", "Open at 9:00."), Message("user", said)]) == taken


def test_what_a_tool_needs_is_asked_for_by_its_description() -> None:
    assert asking_for(LOOKUP) == "If the caller wants this: Look up an order. then ask for: The order's number."
