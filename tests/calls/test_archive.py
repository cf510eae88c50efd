"""A stored call as the contract's object (§5.3)."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from sovereign_pbx.calls.archive import Archive, CallFilter, call_object
from sovereign_pbx.core.values import Message
from sovereign_pbx.store import CallRow
from sovereign_pbx.store.call_queries import CallPage


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
        ({"assistant_id": ""}, "assistant_id", None),
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


class Kept:
    """Some calls, as the store gives them."""

    def __init__(self, rows: Sequence[CallRow]) -> None:
        self.rows = rows

    async def call(self, call_id: str) -> CallRow | None:
        return next((row for row in self.rows if row.id == call_id), None)

    async def messages(self, call_id: str) -> list[Message]:
        return []

    async def call_page(self, wanted: CallFilter, limit: int, offset: int) -> CallPage:
        return CallPage(self.rows, {row.id: [] for row in self.rows}, len(self.rows))

    async def change_call(self, call_id: str, changes: Mapping[str, Any]) -> None:
        raise AssertionError("a page is only read")


def test_a_page_lets_the_audio_of_calls_run_between_its_rows() -> None:
    async def run() -> None:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0)

        ticking = asyncio.create_task(tick())
        calls, total = await Archive(Kept([CallRow(id=f"c{n}") for n in range(50)])).page(CallFilter(), 50, 0)
        ticking.cancel()
        assert (len(calls), total) == (50, 50)
        assert ticks >= 50

    asyncio.run(run())
