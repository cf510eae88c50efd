"""Webhook tools to the letter of contract §11 and §8.3: every shape, every answer, every failure."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from sovereign_pbx.assistants.account import Account, tool_target
from sovereign_pbx.assistants.model import Assistant
from sovereign_pbx.calls.mcp import McpServers
from sovereign_pbx.calls.tools import Tools
from sovereign_pbx.calls.trace import Tracer
from sovereign_pbx.core.events import Event, ToolFinished
from sovereign_pbx.core.values import ToolCall
from sovereign_pbx.webhooks.ask import Asker
from sovereign_pbx.webhooks.envelope import CallFacts
from sovereign_pbx.webhooks.post import open_session
from tests.webhooks.receiver import Got, Receiver, answering, dead_url, listening, never

SCHEMA = {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}
LOOK = {"name": "look", "description": "Look.", "parameters": SCHEMA}
ASKED = '{"query": "John"}'


class Hands:
    """The tools of one assistant, and what became of their calls."""

    def __init__(self, assistant: Assistant, account: Account, asker: Asker, timeout_s: float) -> None:
        self.finished: list[ToolFinished] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.tools = Tools(
            tools=assistant.tools,
            borrowed=(),
            target=lambda tool: tool_target(tool, assistant, account),
            facts=lambda: CallFacts(call_id="c1", caller="+31", called="100", assistant=assistant.to_public()),
            asker=asker,
            mcp=McpServers(open_session),
            timeout_s=timeout_s,
            feed=self._feed,
            spawn=self._spawn,
            tracer=Tracer(),
            exchange=lambda: 1,
        )

    def _feed(self, event: Event) -> None:
        assert isinstance(event, ToolFinished)
        self.finished.append(event)

    def _spawn(self, work: Any, name: str) -> "asyncio.Task[None]":
        task: asyncio.Task[None] = asyncio.ensure_future(work)
        self._tasks.add(task)
        return task

    async def use(self, *calls: ToolCall) -> list[str]:
        """What the model is told, in the order of the calls."""
        self.finished.clear()
        for call in calls:
            self.tools.use(call)
        await asyncio.sleep(0)
        while self._tasks:
            await self._tasks.pop()
        told = {each.call_id: each.result for each in self.finished}
        assert len(self.finished) == len(calls)
        return [told[call.id] for call in calls]


@asynccontextmanager
async def hands(
    *tools: dict[str, Any], account: Account | None = None, timeout_s: float = 5.0, **more: Any
) -> AsyncIterator[Hands]:
    assistant = Assistant.parse({"name": "a", "llm_config": {"tools": list(tools)}, **more}, where="it")
    async with open_session() as session:
        yield Hands(assistant, account or Account(), Asker(session, max_bytes=100_000), timeout_s)


def hands_at(receiver: Receiver, **keys: Any) -> AbstractAsyncContextManager[Hands]:
    """One tool whose own address is the receiver's."""
    return hands({**LOOK, "url": receiver.url, **keys}, timeout_s=0.5)


def play(scene: Awaitable[None]) -> None:
    async def run() -> None:
        await scene

    asyncio.run(run())


def calls_of(got: Got) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = got.body["message"]["tool_call_list"]
    return found


async def named(got: Got) -> web.StreamResponse:
    results = [{"tool_call_id": call["id"], "result": call["function"]["name"]} for call in calls_of(got)]
    return web.json_response({"results": results})


def look(**more: Any) -> dict[str, Any]:
    return {**LOOK, **more}


# --- the shapes (§11.1)


@pytest.mark.parametrize(
    "shape",
    [
        lambda here, there: look(url=here),
        lambda here, there: look(url=here, server={"url": there}),
        lambda here, there: look(server={"url": here}),
        lambda here, there: {"type": "function", "function": LOOK, "url": here},
        lambda here, there: {"type": "function", "function": LOOK, "server": {"url": here}},
        lambda here, there: {"type": "function", **LOOK, "url": here},
        lambda here, there: {"type": "webhook", **LOOK, "url": here},
    ],
)
def test_every_shape_of_a_webhook_tool_is_asked_the_same_thing(
    shape: Callable[[str, str], dict[str, Any]],
) -> None:
    async def scene() -> None:
        async with listening(Receiver(named, secret="")) as receiver:
            async with hands(shape(receiver.url, dead_url())) as tools:
                assert await tools.use(ToolCall("id1", "look", ASKED)) == ["look"]
            (got,) = receiver.got
            assert not receiver.refused
            message = got.body["message"]
            assert message["type"] == got.event == "tool-calls"
            assert message["call"] == {"id": "c1", "type": "inbound_phone_call", "status": "in-progress"}
            assert message["customer"] == {"number": "+31"} and "llm_config" in message["assistant"]
            function = {"name": "look", "arguments": {"query": "John"}}
            assert calls_of(got) == [{"id": "id1", "type": "function", "function": function}]

    play(scene())


# --- what signs it (§8.3), and where it goes (§8.1)


@pytest.mark.parametrize(
    ("tool", "more", "account", "secret"),
    [
        ({"server": {"secret": "tool"}}, {"webhook_secret": "assistant"}, "account", "tool"),
        ({}, {"webhook_secret": "assistant"}, "account", "assistant"),
        ({}, {}, "account", "account"),
        ({}, {}, "", ""),
    ],
)
def test_a_tools_own_secret_signs_else_the_assistants_else_the_accounts(
    tool: dict[str, Any], more: dict[str, Any], account: str, secret: str
) -> None:
    async def scene() -> None:
        async with listening(Receiver(named, secret=secret)) as receiver:
            usual = Account(secret=account)
            async with hands(look(url=receiver.url, **tool), account=usual, **more) as tools:
                assert await tools.use(ToolCall("1", "look", ASKED)) == ["look"]
            assert not receiver.refused

    play(scene())


@pytest.mark.parametrize(
    ("events", "asked"),
    [(None, True), (["tool-calls"], True), (["end-of-call-report"], False), ([], False)],
)
def test_a_tool_without_an_address_is_asked_where_the_event_is_wanted(events: list[str] | None, asked: bool) -> None:
    async def scene() -> None:
        async with listening(Receiver(named, secret="assistant")) as receiver:
            own: dict[str, Any] = {"webhook_url": receiver.url, "webhook_secret": "assistant"}
            wanted: dict[str, Any] = {} if events is None else {"webhook_events": events}
            async with hands(LOOK, **own, **wanted) as tools:
                (told,) = await tools.use(ToolCall("1", "look", ASKED))
            assert len(receiver.got) == asked
            assert told == "look" if asked else "no webhook to run on" in told and "go on without it" in told

    play(scene())


def test_without_an_assistants_webhook_the_accounts_is_asked() -> None:
    async def scene() -> None:
        async with listening(Receiver(named, secret="account")) as receiver:
            async with hands(LOOK, account=Account(url=receiver.url, secret="account")) as tools:
                assert await tools.use(ToolCall("1", "look", ASKED)) == ["look"]
            assert not receiver.refused

    play(scene())


# --- several at once, and async (§11.1, §11.2)


def test_one_request_goes_to_each_address_with_the_calls_that_belong_there() -> None:
    async def scene() -> None:
        async with listening(Receiver(named, secret="")) as one, listening(Receiver(named, secret="")) as two:
            tools = [look(name="a", url=one.url), look(name="b", url=two.url), look(name="c", url=one.url)]
            async with hands(*tools) as used:
                calls = [ToolCall(name, name, ASKED) for name in "abc"]
                assert await used.use(*calls) == ["a", "b", "c"]
            assert [[call["function"]["name"] for call in calls_of(got)] for got in one.got] == [["a", "c"]]
            assert [[call["function"]["name"] for call in calls_of(got)] for got in two.got] == [["b"]]

    play(scene())


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"async": True}, "Done."),
        ({"async": True, "async_response": "Noted."}, "Noted."),
        ({"async": True, "message": "Written down."}, "Written down."),
        ({"async": True, "message": "Written down.", "async_response": "Noted."}, "Written down."),
    ],
)
def test_an_async_tool_is_answered_at_once_and_asked_all_the_same(keys: dict[str, Any], told: str) -> None:
    async def scene() -> None:
        asked = asyncio.Event()

        async def slow(got: Got) -> web.StreamResponse:
            asked.set()
            await asyncio.sleep(0.2)
            return web.json_response({"error": "nobody hears this"})

        async with listening(Receiver(slow, secret="")) as receiver, hands_at(receiver, **keys) as tools:
            assert await tools.use(ToolCall("1", "look", ASKED)) == [told]
            assert asked.is_set() and not tools.finished[0].failed

    play(scene())


# --- the answers (§11.3)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b'{"results": [{"tool_call_id": "1", "result": "open"}]}', "open"),
        (b'{"results": [{"toolCallId": "1", "result": {"from": 9}}]}', '{"from":9}'),
        (b'{"results": [{"result": "open"}]}', "open"),
        (b'{"results": [{"tool_call_id": "1", "error": "closed"}]}', "Error: closed"),
        (b'{"results": [{"tool_call_id": "other", "result": "open"}]}', "Error: the tool gave no result"),
        (b'{"results": []}', "Error: the tool gave no result"),
        (b'{"results": ["nonsense", 5, null]}', "Error: the tool gave no result"),
        (b'{"result": "open"}', "open"),
        (b'{"result": 5}', "5"),
        (b'{"result": null}', "null"),
        (b'{"result": ["a", "b"]}', '["a","b"]'),
        (b'{"open": true}', '{"open":true}'),
        (b'{"results": {"not": "a list"}}', '{"results":{"not":"a list"}}'),
        (b"{}", "{}"),
        (b"", "{}"),
        (b'{"error": "no such person"}', "Error: no such person"),
        (b'{"result": "' + "ü".encode() * 30_000 + b'"}', "ü" * 20_000 + " … (cut)"),
    ],
)
def test_every_form_of_answer_is_understood(answer: bytes, told: str) -> None:
    async def scene() -> None:
        async with listening(Receiver(answering(answer), secret="")) as receiver, hands_at(receiver) as tools:
            (heard,) = await tools.use(ToolCall("1", "look", ASKED))
            assert heard == told or (told.startswith("Error: the tool gave") and heard.startswith(told))
            assert tools.finished[0].failed == told.startswith("Error: ")

    play(scene())


def test_of_calls_that_are_answered_together_only_the_failed_one_counts_as_failed() -> None:
    async def scene() -> None:
        results = b'{"results": [{"tool_call_id": "1", "error": "closed"}, {"tool_call_id": "2", "result": "open"}]}'
        async with listening(Receiver(answering(results), secret="")) as receiver, hands_at(receiver) as tools:
            assert await tools.use(ToolCall("1", "look", ASKED), ToolCall("2", "look", ASKED)) == [
                "Error: closed",
                "open",
            ]
            assert {each.call_id: each.failed for each in tools.finished} == {"1": True, "2": False}

    play(scene())


async def compressed(got: Got) -> web.StreamResponse:
    return web.Response(body=b"\x1f\x8b", headers={"Content-Encoding": "gzip"})


FAILURES: list[tuple[Callable[[Got], Awaitable[web.StreamResponse]], str]] = [
    (answering(b"", 500), "status"),
    (answering(b'{"result": "x"}', 404), "status"),
    (answering(b"", 302, Location="http://127.0.0.1:1/"), "redirect"),
    (answering(b"open"), "not_json"),
    (answering(b'{"result": "x'), "not_json"),
    (answering(b'["open"]'), "wrong_shape"),
    (answering(b'"open"'), "wrong_shape"),
    (answering(b'{"result": "\xff"}'), "not_json"),
    (answering(b'{"result": "' + b"x" * 200_000 + b'"}'), "too_large"),
    (compressed, "wrong_shape"),
    (never, "timeout"),
]


@pytest.mark.parametrize(("answer", "kind"), FAILURES)
def test_every_failure_is_told_to_the_model_so_that_the_talk_goes_on(
    answer: Callable[[Got], Awaitable[web.StreamResponse]], kind: str
) -> None:
    async def scene() -> None:
        async with listening(Receiver(answer, secret="")) as receiver, hands_at(receiver) as tools:
            (told,) = await tools.use(ToolCall("1", "look", ASKED))
            assert told == f"The tool failed ({kind}). Tell the caller, and go on without it."
            assert tools.finished[0].failed
            assert len(receiver.got) == 1  # a tool might act twice

    play(scene())


def test_a_server_that_is_not_there_is_told_too() -> None:
    async def scene() -> None:
        async with hands(look(url=dead_url())) as tools:
            (told,) = await tools.use(ToolCall("1", "look", ASKED))
            assert "(refused)" in told

    play(scene())


# --- arguments


def test_wrong_arguments_go_nowhere_and_keep_no_other_tool_from_running() -> None:
    async def scene() -> None:
        async with listening(Receiver(named, secret="")) as receiver:
            async with hands(look(name="a", url=receiver.url), look(name="b", url=receiver.url)) as tools:
                calls = ToolCall("1", "a", '{"query": 5}'), ToolCall("2", "b", ASKED)
                told = await tools.use(*calls)
                assert told[0].startswith('Not used: "query" must be of type string. Call the tool again')
                assert told[1] == "b"
                (again,) = await tools.use(ToolCall("3", "a", "{}"))
                assert "go on without it" in again
            assert [call["function"]["name"] for got in receiver.got for call in calls_of(got)] == ["b"]

    play(scene())


def test_an_async_tool_with_wrong_arguments_is_not_said_to_be_done() -> None:
    async def scene() -> None:
        async with listening(Receiver(named, secret="")) as receiver:
            async with hands(look(url=receiver.url, **{"async": True})) as tools:
                (told,) = await tools.use(ToolCall("1", "look", "{}"))
                assert told.startswith("Not used") and tools.finished[0].failed
            assert not receiver.got

    play(scene())


def test_a_tool_that_nobody_has_is_told_as_such() -> None:
    async def scene() -> None:
        async with hands(LOOK) as tools:
            assert await tools.use(ToolCall("1", "fly", "{}")) == ["There is no tool named fly."]

    play(scene())
