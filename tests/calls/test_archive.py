"""A stored call as the contract's object (§5.3)."""

from typing import Any

import pytest

from sovereign_pbx.calls.archive import call_object
from sovereign_pbx.core.values import Message
from sovereign_pbx.store import CallRow


def shown(*messages: Message, url: str | None = None, **row: Any) -> dict[str, Any]:
    return call_object(CallRow(id="c1", created_at="t1", updated_at="t2", **row), messages, url)


@pytest.mark.parametrize(
    ("row", "field", "value"),
    [
        ({"caller_phone": ""}, "caller_phone", None),
        ({"caller_phone": "+316"}, "caller_phone", "+316"),
        ({"assistant_phone": "100"}, "phone_number", "100"),
        ({"assistant_phone": ""}, "phone_number", None),
        ({"status": "in-progress"}, "status", "in-progress"),
        ({"status": "ringing"}, "status", "failed"),  # no word of the contract's
        ({"assistant_id": "a1"}, "agent_id", "a1"),
        ({"assistant_id": "a1"}, "assistant_id", "a1"),
        ({"assistant_name": "Front"}, "agent_name", "Front"),
        ({}, "messages", []),
        ({}, "room_name", "c1"),
        ({}, "analysis_result", None),
        ({}, "summary", None),
        ({"summary": ""}, "summary", ""),
        ({"assistant": {"metadata": {"a": 1}}}, "metadata", {"a": 1}),
        ({"assistant": {"metadata": "rubbish"}}, "metadata", {}),
    ],
)
def test_each_field_comes_from_its_column(row: dict[str, Any], field: str, value: Any) -> None:
    assert shown(**row)[field] == value


def test_only_what_was_said_is_a_message() -> None:
    messages = (Message("tool", "{}"), Message("assistant", ""), Message("user", "Hi", interrupted=True))
    assert shown(*messages)["messages"] == [{"role": "user", "content": "Hi"}]
