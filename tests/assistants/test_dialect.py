"""Two spellings: renaming there and back changes nothing, and never touches what is the user's."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.assistants import dialect
from sovereign_pbx.assistants.model import ASSISTANT
from sovereign_pbx.assistants.shape import Choice, Nullable, Shape
from sovereign_pbx.assistants.table import ListOf, Table

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["firstMessage", "voice_id", "x"]), inner)
    ),
    max_leaves=6,
)


def canonical(shape: Shape) -> st.SearchStrategy[Any]:
    """Anything that `shape` describes, in snake_case, with user data that looks like the contract's names."""
    if isinstance(shape, Nullable):
        return canonical(shape.inner)
    if isinstance(shape, Table):
        keys = {name: canonical(key.shape) for name, key in shape.keys.items()}
        own = st.dictionaries(st.sampled_from(["crm_id", "crmId", "own_key"]), JSON, max_size=2)
        return st.tuples(st.fixed_dictionaries({}, optional=keys), own).map(lambda pair: {**pair[0], **pair[1]})
    if isinstance(shape, ListOf):
        return st.lists(canonical(shape.item), max_size=2)
    if isinstance(shape, Choice):
        return st.sampled_from(shape.values)
    return JSON


@given(canonical(dialect.ENVELOPE))
def test_a_message_survives_the_older_spelling(message: dict[str, Any]) -> None:
    assert dialect.to_snake(dialect.ENVELOPE, dialect.to_camel_envelope(message)) == message


@given(st.dictionaries(st.sampled_from(["first_message", "firstMessage", "x"]), st.integers()))
def test_a_key_given_in_both_spellings_loses_neither(assistant: dict[str, Any]) -> None:
    there = dialect.to_camel(ASSISTANT, assistant)
    assert len(there) == len(assistant)
    assert len(dialect.to_snake(ASSISTANT, assistant)) == len(assistant)


def test_the_envelope_is_spelt_as_the_older_generation_knew_it() -> None:
    message = {
        "type": "tool-calls",
        "call": {"id": "1", "type": "inbound_phone_call", "status": "in-progress"},
        "phone_number": {"number": "+31850835037"},
        "customer": {"number": "+31612345678"},
        "assistant": {
            "first_message": "Hello",
            "tts_config": {"voice_id": "x"},
            "llm_config": {"tools": [{"type": "end_call"}, {"name": "a", "async_response": "b"}]},
            "analysis_plan": {"structured_data_plan": {"schema": {"first_message": {}}}, "min_messages_threshold": 2},
            "metadata": {"crm_id": 1},
        },
        "tool_call_list": [{"id": "t", "type": "function", "function": {"name": "a", "arguments": {"call_id": 1}}}],
        "duration_seconds": 3,
        "end_reason": "user_hangup",
        "analysis": {"primary_topic": "x"},
    }
    assert dialect.to_camel_envelope(message) == {
        "type": "tool-calls",
        "call": {"id": "1", "type": "inboundPhoneCall", "status": "in-progress"},
        "phoneNumber": {"number": "+31850835037"},
        "customer": {"number": "+31612345678"},
        "assistant": {
            "firstMessage": "Hello",
            "tts_config": {"voiceId": "x"},
            "llm_config": {"tools": [{"type": "endCall"}, {"name": "a", "asyncResponse": "b"}]},
            "analysisPlan": {"structuredDataPlan": {"schema": {"first_message": {}}}, "minMessagesThreshold": 2},
            "metadata": {"crm_id": 1},
        },
        "toolCallList": [{"id": "t", "type": "function", "function": {"name": "a", "arguments": {"call_id": 1}}}],
        "durationSeconds": 3,
        "endReason": "user_hangup",
        "analysis": {"primary_topic": "x"},
    }


def test_tool_answers_are_read_in_either_spelling_and_results_left_alone() -> None:
    body = {"results": [{"toolCallId": "1", "result": {"toolCallId": "mine"}}, "odd"], "other": 1}
    read = dialect.tool_answer(body)
    assert read == {"results": [{"tool_call_id": "1", "result": {"toolCallId": "mine"}}, "odd"], "other": 1}
    assert dialect.tool_answer(["no", "table"]) == ["no", "table"]
