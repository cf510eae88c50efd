"""Calls that a workflow conducts, through the whole daemon: every kind of node, and what goes wrong on the way."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from sovereign_pbx.calls.toolbox import LISTING_S
from sovereign_pbx.store.sqlite import SqliteStore
from sovereign_pbx.testing.audiosocket_caller import AudioSocketCaller
from sovereign_pbx.testing.mcp_server import ScriptedMcp
from sovereign_pbx.testing.providers.openai import Answer
from tests.calls.house import QUESTION, House, assistant, house, play
from tests.waiting import until
from tests.webhooks.receiver import Got

HELLO = "Good day, what is it about?"


def graph(**changes: Any) -> dict[str, Any]:
    """From the intake through a tool to the orders; from there to a colleague or to the end."""
    nodes: dict[str, dict[str, Any]] = {
        "intake": {"type": "conversation", "instructions": "INTAKE", "first_line": HELLO},
        "look_up": {
            "type": "tool",
            "tool_name": "find_order",
            "arguments": {"by": "caller"},
            "first_line": "One look.",
        },
        "orders": {"type": "conversation", "instructions": "ORDERS"},
        "person": {"type": "transfer", "destination": "+31201234567", "first_line": "Here is a colleague."},
        "goodbye": {"type": "end", "first_line": "Goodbye now."},
    }
    for name, change in changes.items():
        nodes.setdefault(name, {}).update(change)
    return {
        "version": 1,
        "entry_node": "intake",
        "global_prompt": "GLOBAL",
        "nodes": [{"id": name, **node} for name, node in nodes.items()],
        "edges": [
            {"from": "intake", "to": "look_up", "description": "An order.", "message": "I see."},
            {"from": "intake", "to": "person", "description": "A person."},
            {"from": "look_up", "to": "orders"},
            {"from": "orders", "to": "goodbye", "description": "Done."},
        ],
    }


def script(*ways: str) -> Any:
    """A model that, each time the caller has spoken, takes the next of `ways`, and talks when there is none."""
    left = list(ways)

    def answer(body: dict[str, Any]) -> Answer:
        if body["messages"][-1]["role"] == "user" and left:
            return Answer(tools=((f"go_to_{left.pop(0)}", "{}"),))
        return Answer("Your order is on its way.")

    return answer


def sections(definition: dict[str, Any], **workflow: Any) -> dict[str, Any]:
    return {
        "workflows": {"shop": {"definition": definition, **workflow}},
        "numbers": [{"number": "*", "name": "Main line", "assistant": "reception", "workflow": "shop"}],
        "dialling": {"allow": ["+3120*"]},
    }


def finds(result: Any, status: int = 200) -> Any:
    async def answer(got: Got) -> web.StreamResponse:
        return web.json_response({"result": result} if got.event == "tool-calls" else {}, status=status)

    return answer


async def silence(caller: AudioSocketCaller, after: int = 0) -> None:
    """Wait until the assistant has spoken more than `after` times, and has been silent since."""
    now = asyncio.get_running_loop().time

    def silent() -> bool:
        sounds = caller.heard.sounds()
        return len(sounds) > after and now() - sounds[-1].end > 0.6

    await until(silent, 15.0)


async def ask(caller: AudioSocketCaller) -> None:
    """Ask, and hear what is said to that."""
    sounds = len(caller.heard.sounds())
    await caller.say(QUESTION).finished.wait()
    await silence(caller, sounds)


def asked(place: House) -> list[dict[str, Any]]:
    """What the model was asked during the call; the summary comes after it."""
    return [body for body in place.openai.requests if body.get("stream") and "GLOBAL" in body["messages"][0]["content"]]


def prompts(place: House) -> list[str]:
    return [body["messages"][0]["content"] for body in asked(place)]


def functions(body: dict[str, Any]) -> list[str]:
    return [tool["function"]["name"] for tool in body.get("tools", ())]


def said(report: dict[str, Any]) -> list[str]:
    return [message["content"] for message in report["messages"] if message["role"] == "assistant"]


async def events(place: House) -> list[tuple[str, dict[str, Any]]]:
    """What is on record of the only call."""
    (row,) = await place.rows()
    store = await SqliteStore.open(place.daemon.config.database)
    try:
        return [(name, values) for _, name, values in await store.events(row.id)]
    finally:
        await store.close()


def test_a_workflow_conducts_a_call_from_the_greeting_to_the_end(tmp_path: Path) -> None:
    async def scene() -> None:
        async with house(tmp_path, **sections(graph())) as place:
            place.openai.script = script("look_up", "goodbye")
            place.receiver.answer = finds("shipped today")
            async with place.caller() as caller:
                await caller.place()
                await silence(caller)
                await ask(caller)
                await until(lambda: len(place.openai.requests) >= 2)
                await silence(caller)
                await caller.say(QUESTION).finished.wait()
                await caller.over(20.0)
                assert caller.steps == ["hangup"]
            (report,) = await place.reported()
            assert report["end_reason"] == "assistant_hangup"
            assert said(report)[0] == HELLO
            assert said(report)[-1].endswith("Goodbye now.")
            assert prompts(place) == ["GLOBAL\n\nINTAKE", "GLOBAL\n\nORDERS", "GLOBAL\n\nORDERS"]
            assert functions(place.openai.requests[0]) == ["go_to_look_up", "go_to_person"]
            assert functions(place.openai.requests[1]) == ["go_to_goodbye"]
            assert place.openai.requests[1]["messages"][-1]["content"] == "shipped today"
            (used,) = place.webhooks("tool-calls")
            (call,) = used["tool_call_list"]
            assert call["function"] == {"name": "find_order", "arguments": {"by": "caller"}}
            steps = [values for name, values in await events(place) if name == "workflow_step"]
            assert [step["to"] for step in steps] == ["look_up", "orders", "goodbye"]

    play(scene())


def test_a_transfer_node_gives_the_caller_to_its_destination(tmp_path: Path) -> None:
    async def scene() -> None:
        async with house(tmp_path, **sections(graph())) as place:
            place.openai.script = script("person")
            async with place.caller() as caller:
                await caller.place()
                await silence(caller)
                await caller.say(QUESTION).finished.wait()
                await until(lambda: caller.steps, 10.0)
                assert caller.steps == ["dial"]
                assert caller.variables["SOVEREIGN_DEST"] == "+31201234567"
            (report,) = await place.reported()
            assert (report["end_reason"], said(report)[-1]) == ("transferred", "Here is a colleague.")

    play(scene())


def test_a_transfer_that_is_not_allowed_is_refused_before_a_word_and_noted(tmp_path: Path) -> None:
    async def scene() -> None:
        async with house(tmp_path, **{**sections(graph()), "dialling": {"allow": ["+32*"]}}) as place:
            place.openai.script = script("person")
            async with place.caller() as caller:
                await caller.place()
                await silence(caller)
                await caller.say(QUESTION).finished.wait()
                await until(lambda: len(caller.heard.sounds()) >= 2, 10.0)
                await silence(caller)
                await caller.hang_up()
                assert caller.steps == []
            (report,) = await place.reported()
            assert said(report)[-1] == "Your order is on its way."
            assert "transfer_refused" in [name for name, _ in await events(place)]

    play(scene())


@pytest.mark.parametrize("kept", ["inactive", "unknown"])
def test_without_a_usable_workflow_the_assistant_takes_the_call(tmp_path: Path, kept: str) -> None:
    async def scene() -> None:
        async with house(tmp_path, **sections(graph(), is_active=kept != "inactive")) as place:
            if kept == "unknown":
                place.daemon.desk._services.directory.replace(workflows={})
            async with place.caller() as caller:
                await caller.place()
                await silence(caller)
                await caller.hang_up()
            (report,) = await place.reported()
            assert said(report) == ["Hello, how can I help?"]
            notes = [values["text"] for name, values in await events(place) if name == "resolution.note"]
            assert len(notes) == 1
            assert "workflow" in notes[0]

    play(scene())


def test_a_running_call_keeps_the_workflow_that_it_began_with(tmp_path: Path) -> None:
    async def scene() -> None:
        async with house(tmp_path, **sections(graph())) as place:
            place.openai.script = script("look_up")
            place.receiver.answer = finds("shipped")
            async with place.caller() as caller:
                await caller.place()
                place.daemon.desk._services.directory.replace(workflows={})
                await silence(caller)
                await ask(caller)
                await until(lambda: len(place.openai.requests) >= 2)
                await caller.hang_up()
            await place.reported()
            assert prompts(place)[1] == "GLOBAL\n\nORDERS"

    play(scene())


def test_a_node_changes_model_voice_and_recogniser_from_there_on(tmp_path: Path) -> None:
    async def scene() -> None:
        changes = {
            "voice": "emma",
            "llm_config": {"model": "scripted-2"},
            "stt_config": {"provider": "deepgram", "model": "nova-3", "language": "nl"},
        }
        async with house(tmp_path, **sections(graph(orders=changes))) as place:
            place.openai.script = script("look_up")
            place.receiver.answer = finds("shipped")
            async with place.caller() as caller:
                await caller.place()
                await silence(caller)
                await ask(caller)
                await until(lambda: len(place.openai.requests) >= 2)
                await silence(caller)
                await ask(caller)
                await until(lambda: len(place.openai.requests) >= 3)
                await silence(caller)
                await caller.hang_up()
            (report,) = await place.reported()
            assert [body["model"] for body in asked(place)] == ["scripted", "scripted-2", "scripted-2"]
            assert "workflow.kept" not in [name for name, _ in await events(place)]
            assert [used.values("language") for used in place.deepgram.connections] == [["en"], ["nl"]]
            assert {used.voice_id for used in place.elevenlabs.sockets if used.messages} == {"anna", "emma"}
            assert said(report)[-1] == "Your order is on its way."

    play(scene())


def test_what_can_not_be_opened_leaves_the_call_with_what_it_had(tmp_path: Path) -> None:
    async def scene() -> None:
        changes = {
            "tts_config": {"provider": "nobody", "voice_id": "x"},
            "llm_config": {"provider": "nobody"},
            "stt_config": {"model": "refused"},
        }
        async with house(tmp_path, **sections(graph(orders=changes))) as place:
            place.openai.script = script("look_up")
            place.receiver.answer = finds("shipped")
            async with place.caller() as caller:
                await caller.place()
                await silence(caller)
                await ask(caller)
                await until(lambda: len(place.openai.requests) >= 2)
                await silence(caller)
                await caller.hang_up()
            (report,) = await place.reported()
            assert said(report)[-1] == "Your order is on its way."
            kept = [values["block"] for name, values in await events(place) if name == "workflow.kept"]
            assert sorted(kept) == ["llm_config", "stt_config", "tts_config"]

    play(scene())


def test_a_tool_node_goes_on_when_its_webhook_fails(tmp_path: Path) -> None:
    async def scene() -> None:
        async with house(tmp_path, **sections(graph())) as place:
            place.openai.script = script("look_up")
            place.receiver.answer = finds("", 500)
            async with place.caller() as caller:
                await caller.place()
                await silence(caller)
                await ask(caller)
                await until(lambda: len(place.openai.requests) >= 2)
                await caller.hang_up()
            assert prompts(place)[1] == "GLOBAL\n\nORDERS"
            assert place.openai.requests[1]["messages"][-1]["content"].startswith("The tool failed")

    play(scene())


def test_a_number_with_a_workflow_and_no_assistant_is_answered_by_what_its_webhook_brings(tmp_path: Path) -> None:
    async def scene() -> None:
        usual = assistant()
        ground = {name: usual[name] for name in ("stt_config", "llm_config", "tts_config", "speech_config")}

        async def answer(got: Got) -> web.StreamResponse:
            return web.json_response({"assistant": ground} if got.event == "assistant-request" else {})

        numbers = [{"number": "*", "workflow": "shop"}]
        async with house(tmp_path, **{**sections(graph()), "numbers": numbers}) as place:
            place.receiver.answer = answer
            async with place.caller() as caller:
                await caller.place()
                await silence(caller)
                await caller.hang_up()
            (report,) = await place.reported()
            assert said(report) == [HELLO]

    play(scene())


def test_mcp_servers_that_hang_keep_the_caller_ringing_no_longer_together_than_one(tmp_path: Path) -> None:
    async def scene() -> None:
        async with ScriptedMcp() as one, ScriptedMcp() as two:
            one.fail("hang")
            two.fail("hang")
            servers = {name: {"url": server.url} for name, server in (("one", one), ("two", two))}
            tools = {
                name: [{"type": "mcp", "mcp_server_id": name, "allowed_tools": ["look"], "required": False}]
                for name in servers
            }
            definition = graph(intake={"tools": tools["one"]}, orders={"tools": tools["two"]})
            async with house(tmp_path, mcp_servers=servers, **sections(definition)) as place:
                async with place.caller() as caller:
                    began = asyncio.get_running_loop().time()
                    await caller.place()
                    assert asyncio.get_running_loop().time() - began < LISTING_S + 1.0
                    await silence(caller)
                    await caller.hang_up()
                assert one.requests and two.requests
                (report,) = await place.reported()
                assert said(report) == [HELLO]

    play(scene())
