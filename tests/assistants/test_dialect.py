"""Two spellings: what is written in the older one reads back unchanged, and user data is never touched."""

import json
import re
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sovereign_pbx.assistants import dialect
from sovereign_pbx.assistants.model import ASSISTANT
from sovereign_pbx.assistants.problem import Report
from sovereign_pbx.assistants.shape import Choice, Flag, Nullable, Opaque, Real, Shape, Text, Url, Whole
from sovereign_pbx.assistants.table import ListOf, Table

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet="ab_é", max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["firstMessage", "voice_id", "x"]), inner)
    ),
    max_leaves=6,
)


def valid(shape: Shape) -> st.SearchStrategy[Any]:
    """Anything that `shape` accepts, in snake_case, with user data that looks like the contract's names."""
    match shape:
        case Table():
            keys = {name: valid(key.shape) for name, key in shape.keys.items()}
            must = {name: keys.pop(name) for name, key in shape.keys.items() if key.required}
            own = st.dictionaries(st.sampled_from(["crm_ref", "crmRef", "own_key"]), JSON, max_size=2)
            return st.tuples(st.fixed_dictionaries(must, optional=keys), own).map(lambda pair: {**pair[0], **pair[1]})
        case ListOf():
            return st.lists(valid(shape.item), min_size=shape.least, max_size=2)
        case Choice():
            return st.sampled_from(shape.values)
        case Flag():
            return st.booleans()
        case Whole():
            return st.integers(shape.least, shape.most)
        case Real():
            return st.floats(shape.least, shape.most)
        case Nullable():
            return valid(shape.inner)
        case Url():
            return st.just("https://example.com/a_b")
        case Text(pattern=""):
            return st.text(alphabet="ab_é", min_size=shape.least, max_size=shape.least + 3)
        case Text():
            return st.sampled_from(["a@b.c", "ok", "200"]).filter(lambda text: re.fullmatch(shape.pattern, text))
        case Opaque(kind="object"):
            return st.dictionaries(st.sampled_from(["firstMessage", "voice_id", "x"]), JSON, max_size=3)
        case _:
            return JSON.filter(lambda value: value is not None)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(valid(dialect.ENVELOPE))
def test_a_message_in_the_older_spelling_is_read_back_unchanged(message: dict[str, Any]) -> None:
    report = Report()
    read = dialect.ENVELOPE.check(dialect.to_camel_envelope(message), (), report)
    assert not report.errors
    assert json.dumps(read, sort_keys=True) == json.dumps(message, sort_keys=True)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["first_message", "firstMessage", "x"]), st.text(alphabet="ab", max_size=3)))
def test_a_key_given_in_both_spellings_loses_neither(assistant: dict[str, Any]) -> None:
    assert len(dialect.to_camel(ASSISTANT, assistant)) == len(assistant)
    assert len(ASSISTANT.check(assistant, (), Report())) == len(assistant)


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
