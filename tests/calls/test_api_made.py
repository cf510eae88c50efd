"""What is made through the API answers the very next call, and those after a restart."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sovereign_pbx.testing.audiosocket_caller import NotAnswered
from sovereign_pbx.testing.mcp_server import ScriptedMcp, ScriptedTool
from sovereign_pbx.testing.port_block import reserve_ports
from tests.api.rest import make_key
from tests.calls.house import House, assistant, house, play
from tests.calls.test_after_the_call import SCHEMA, kind, one_call, scripted
from tests.waiting import until


class Api:
    """The daemon's own API, over HTTP."""

    def __init__(self, session: aiohttp.ClientSession, port: int, key: str) -> None:
        self._session, self._port = session, port
        self._headers = {"Authorization": f"Bearer {key}"}

    async def __call__(self, method: str, path: str, body: Any = None) -> Any:
        url = f"http://127.0.0.1:{self._port}/api/v1{path}"
        async with self._session.request(method, url, json=body, headers=self._headers) as response:
            answer = await response.json()
            assert response.status < 300, answer
            return answer


@asynccontextmanager
async def house_with_api(folder: Path, **sections: Any) -> AsyncIterator[tuple[House, Api]]:
    ports = reserve_ports()
    port = ports.take(socket.SOCK_STREAM)
    try:
        async with house(folder, http={"enabled": True, "port": port}, **sections) as place:
            key = await asyncio.to_thread(make_key, place.daemon.config)
            async with aiohttp.ClientSession() as session:
                yield place, Api(session, port, key)
    finally:
        ports.release()


async def greeted(place: House, called: str) -> list[dict[str, str]]:
    """What is said to somebody who calls, and hangs up once it is over."""
    before = len(place.webhooks("end-of-call-report"))
    async with place.caller(called) as caller:
        await caller.place()
        await until(lambda: caller.heard.sounds())
        await asyncio.sleep(1.5)
        await caller.hang_up()
    messages: list[dict[str, str]] = (await place.reported(before + 1))[-1]["messages"]
    return messages


async def refused(place: House, called: str) -> None:
    async with place.caller(called) as caller:
        with pytest.raises(NotAnswered):
            await caller.place()


HELLO = [{"role": "assistant", "content": "Hello from the API."}]


def test_a_number_made_through_the_api_is_answered_by_the_next_call_and_after_a_restart(tmp_path: Path) -> None:
    async def scene() -> None:
        async with house_with_api(tmp_path, numbers=[]) as (place, api):
            await refused(place, "555")
            desk = await api("POST", "/assistants", assistant(name="Desk", first_message="Hello from the API."))
            number = {"phone_number": "555", "name": "Made", "assistant_id": desk["assistant"]["id"]}
            path = f"/numbers/{(await api('POST', '/numbers', number))['number']['id']}"
            assert await greeted(place, "555") == HELLO
            assert place.webhooks("end-of-call-report")[-1]["phone_number"]["name"] == "Made"
            await place.stop()
            await place.start()
            assert await greeted(place, "555") == HELLO
            await api("PATCH", path, {"is_active": False})
            await refused(place, "555")
            await api("PATCH", path, {"is_active": True})
            await api("PATCH", f"/assistants/{desk['assistant']['id']}", {"first_message": "Hello again."})
            assert await greeted(place, "555") == [{"role": "assistant", "content": "Hello again."}]
            await api("DELETE", path)
            await refused(place, "555")

    play(scene())


def test_a_call_that_has_begun_keeps_the_assistant_it_began_with(tmp_path: Path) -> None:
    async def scene() -> None:
        async with house_with_api(tmp_path, numbers=[]) as (place, api):
            desk = (await api("POST", "/assistants", assistant(name="Desk", metadata={"version": 1})))["assistant"]
            await api("POST", "/numbers", {"phone_number": "555", "assistant_id": desk["id"]})
            async with place.caller("555") as caller:
                await caller.place()
                await until(lambda: caller.heard.sounds())
                await api("PATCH", f"/assistants/{desk['id']}", {"metadata": {"version": 2}})
                await api("DELETE", f"/assistants/{desk['id']}")
                await asyncio.sleep(1.0)
                await caller.hang_up()
            (report,) = await place.reported()
            assert report["assistant"]["metadata"] == {"version": 1}
            await refused(place, "555")

    play(scene())


def test_an_mcp_server_made_through_the_api_is_tested_with_its_secret_headers(tmp_path: Path) -> None:
    async def scene() -> None:
        token = {"Authorization": "Bearer hunter2"}
        stock = ScriptedTool("stock", "Looks into the stock.")
        async with house_with_api(tmp_path) as (_, api), ScriptedMcp(stock, headers=token) as server:
            body = {"name": "Stock", "url": server.url, "headers": token}
            path = f"/mcp-servers/{(await api('POST', '/mcp-servers', body))['mcp_server']['id']}"
            tested = await api("POST", f"{path}/test")
            assert (tested["ok"], [tool["name"] for tool in tested["tools"]]) == (True, ["stock"])
            await api("PATCH", path, {"headers": {"Authorization": "Bearer other"}})
            tested = await api("POST", f"{path}/test")
            assert tested["ok"] is False and tested["error"] and "other" not in tested["error"]

    play(scene())


def test_a_workflow_made_through_the_api_conducts_the_calls_of_its_number_while_it_is_active(tmp_path: Path) -> None:
    async def scene() -> None:
        async with house_with_api(tmp_path, numbers=[]) as (place, api):
            desk = await api("POST", "/assistants", assistant(name="Desk", first_message="The assistant speaks."))
            node = {
                "id": "intake",
                "type": "conversation",
                "instructions": "Ask.",
                "first_line": "The workflow speaks.",
            }
            definition = {"version": 1, "entry_node": "intake", "nodes": [node]}
            workflow = await api("POST", "/workflows", {"name": "Intake", "definition": definition})
            ids = {"assistant_id": desk["assistant"]["id"], "workflow_id": workflow["workflow"]["id"]}
            await api("POST", "/numbers", {"phone_number": "555", **ids})
            assert [said["content"] for said in await greeted(place, "555")] == ["The workflow speaks."]
            await api("PATCH", f"/workflows/{ids['workflow_id']}", {"is_active": False})
            assert [said["content"] for said in await greeted(place, "555")] == ["The assistant speaks."]

    play(scene())


def test_an_analysis_template_made_through_the_api_asks_its_questions_of_the_next_call(tmp_path: Path) -> None:
    async def scene() -> None:
        async with house_with_api(tmp_path, numbers=[]) as (place, api):
            place.openai.script = scripted('{"sentiment": 8}')
            prompts = {"system_prompt": "Judge by the JSON Schema.", "user_prompt": "Judge this: {transcript}"}
            template = await api("POST", "/analysis-templates", {"name": "Mood", "schema": SCHEMA, **prompts})
            plan = {"structured_data_plan": {"enabled": True, "template_id": template["analysis_template"]["id"]}}
            desk = await api("POST", "/assistants", assistant(name="Desk", analysis_plan=plan))
            await api("POST", "/numbers", {"phone_number": "555", "assistant_id": desk["assistant"]["id"]})
            await one_call(place, place.caller("555"))
            (report,) = await place.reported()
            assert report["analysis"] == {"sentiment": 8}
            (asked,) = [body for body in place.openai.requests if kind(body) == "analysis"]
            assert "Judge this: " in str(asked["messages"][-1]["content"])
            assert "{transcript}" not in str(asked)

    play(scene())
