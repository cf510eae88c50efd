"""Every accepted way of writing a tool comes to the same `Tool`."""

from typing import Any

import pytest

from sovereign_pbx.assistants.model import Assistant
from sovereign_pbx.assistants.problem import InvalidSettings
from sovereign_pbx.assistants.tools import Destination, Tool, parse_tools
from sovereign_pbx.core.values import BLIND, TransferTerms

SCHEMA = {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}


def only(tool: dict[str, Any]) -> Tool:
    (found,) = parse_tools([tool])
    return found


def fault(*tools: dict[str, Any]) -> str:
    with pytest.raises(InvalidSettings) as caught:
        parse_tools(list(tools))
    return str(caught.value)


def test_flat_and_nested_tools_are_the_same() -> None:
    flat = only({"name": "look", "description": "Look up.", "parameters": SCHEMA, "url": "https://t.example/"})
    nested = only(
        {
            "type": "function",
            "function": {"name": "look", "description": "Look up.", "parameters": SCHEMA},
            "server": {"url": "https://t.example/"},
        }
    )
    assert flat == nested
    assert flat.kind == "webhook" and flat.parameters == SCHEMA and flat.url == "https://t.example/"


def test_url_beats_server_url_and_the_server_secret_stays() -> None:
    tool = only(
        {
            "name": "look",
            "description": "Look.",
            "url": "https://a.example/",
            "server": {"url": "https://b.example/", "secret": "hunter2"},
        }
    )
    assert (tool.url, tool.secret) == ("https://a.example/", "hunter2")
    assert "hunter2" not in repr(tool)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"async": True, "async_response": "Noted."}, "Noted."),
        ({"async": True, "asyncResponse": "Noted."}, "Noted."),
        ({"async": True, "message": "New.", "async_response": "Old."}, "New."),
    ],
)
def test_message_is_the_newer_name_of_async_response(keys: dict[str, Any], message: str) -> None:
    tool = only({"name": "note", "description": "Note.", **keys})
    assert tool.is_async and tool.message == message


@pytest.mark.parametrize("spelling", ["end_call", "endCall"])
def test_both_spellings_of_end_call_are_known(spelling: str) -> None:
    tool = only({"type": spelling})
    assert tool.kind == "end_call" and tool.name == "end_call" and tool.description


@pytest.mark.parametrize("spelling", ["transfer_call", "transferCall"])
def test_a_transfer_offers_its_destinations_to_the_model(spelling: str) -> None:
    sales = {"type": "number", "number": "+31612345678", "description": "Sales", "message": "Connecting."}
    tool = only({"type": spelling, "destinations": [sales]})
    assert tool.destinations == (Destination("+31612345678", "Sales", "Connecting."),)
    assert tool.parameters["properties"]["destination"]["enum"] == ["+31612345678"]


def test_an_mcp_tool_names_its_server_and_what_may_be_used_of_it() -> None:
    mcp = {"type": "mcp", "mcp_server_id": "x1", "allowed_tools": ["search"]}
    assistant = Assistant.parse({"llm_config": {"tools": [mcp]}}, where="it")
    (tool,) = assistant.tools
    assert (tool.kind, tool.mcp_server_id, tool.allowed_tools, tool.required) == ("mcp", "x1", ("search",), True)
    assert not only({**mcp, "required": False}).required
    assert not assistant.warnings


def test_autonomous_silence_handling_brings_end_call_unless_it_is_there() -> None:
    quiet = {"autonomous_silence_handling": True}
    assert [tool.kind for tool in Assistant.parse(quiet, where="it").tools] == ["end_call"]
    own = {**quiet, "llm_config": {"tools": [{"type": "end_call", "name": "bye"}]}}
    assert [tool.name for tool in Assistant.parse(own, where="it").tools] == ["bye"]
    assert "tools" not in Assistant.parse(quiet, where="it").to_public()["llm_config"]


def test_a_second_tool_of_the_same_name_is_refused() -> None:
    look = {"name": "look", "description": "Look."}
    assert '[1]: a second tool is named "look"' in fault(look, look)


@pytest.mark.parametrize(
    ("tool", "words"),
    [
        ({"description": "x"}, 'no "name"'),
        ({"name": "x"}, 'no "description"'),
        ({"name": "not a name", "description": "x"}, "not a name that language models accept"),
        ({"name": "x" * 65, "description": "x"}, "1 to 64 characters"),
        ({"type": "end_call", "name": "not ok"}, "not a name that language models accept"),
        ({"type": "transfer_call"}, "destinations"),
        ({"type": "transfer_call", "destinations": [{"number": "+31"}]}, '"description" is missing'),
        ({"type": "transfer_call", "destinations": [{"type": "sip", "number": "1", "description": "x"}]}, '"number"'),
        ({"type": "mcp", "mcp_server_id": "x"}, "allowed_tools"),
        ({"type": "telepathy"}, "must be one of"),
        ({"name": "x", "description": "x", "parameters": {"type": "array"}}, 'type "object"'),
        ({"name": "x", "description": "x", "url": "file:///etc/passwd"}, "http:// or https://"),
    ],
)
def test_a_tool_that_can_not_work_is_refused(tool: dict[str, Any], words: str) -> None:
    assert words in fault(tool)


def test_one_fault_in_a_tool_is_told_once() -> None:
    with pytest.raises(InvalidSettings) as caught:
        parse_tools([{"type": "endcall"}])
    assert len(caught.value.problems) == 1


def test_a_destination_may_say_how_callers_are_put_through() -> None:
    (tool,) = parse_tools(
        [
            {
                "type": "transferCall",
                "destinations": [
                    {
                        "number": "100",
                        "description": "Sales",
                        "mode": "attended",
                        "ringTimeoutSeconds": 12,
                        "briefing": "Say what it is about.",
                    },
                    {"number": "200", "description": "Service"},
                ],
            }
        ]
    )
    sales, service = tool.destinations
    assert sales.terms == TransferTerms(mode="attended", ring_s=12, briefing="Say what it is about.")
    assert service.terms == BLIND
    assert "summary" in tool.parameters["properties"]


def test_only_who_is_briefed_needs_a_summary() -> None:
    (tool,) = parse_tools([{"type": "transfer_call", "destinations": [{"number": "1", "description": "Sales"}]}])
    assert "summary" not in tool.parameters["properties"]


@pytest.mark.parametrize(
    "odd", [{"mode": "warm"}, {"ring_timeout_seconds": 1}, {"ring_timeout_seconds": 301}, {"briefing": "x" * 1001}]
)
def test_terms_out_of_range_are_refused(odd: dict[str, object]) -> None:
    with pytest.raises(InvalidSettings):
        parse_tools([{"type": "transfer_call", "destinations": [{"number": "1", "description": "Sales", **odd}]}])
