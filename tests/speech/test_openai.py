"""Chat completions over the scripted server, in the strictness of each vendor."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any, cast

import pytest

from sovereign_pbx.core.errors import ConfigError, ProviderError
from sovereign_pbx.core.values import Message, Role, ToolCall
from sovereign_pbx.speech.llm import ChatEvent, Finished, TextDelta, ToolRequest, ToolSpec
from sovereign_pbx.speech.llm.openai import OpenAIChat
from sovereign_pbx.testing.providers import Answer, ScriptedOpenAI
from tests.speech.running import SOON_S, UNHURRIED_S, eventually, run_clean

ASK = (Message("system", "Be brief."), Message("user", "Are you open?"))
TOOLS = (ToolSpec("look_up", "Looks something up."), ToolSpec("book", "Books a table."))
FLAVOURS = ("openai", "mistral", "xai", "ollama", "vllm", "llamacpp")


@asynccontextmanager
async def serving(script: Any = ("We open at nine.",), **settings: Any) -> AsyncIterator[ScriptedOpenAI]:
    async with ScriptedOpenAI(script, **{"first_token_ms": 5, "tokens_per_s": 1000, **settings}) as server:
        yield server


@asynccontextmanager
async def model(server: ScriptedOpenAI, flavour: str = "openai", **settings: Any) -> AsyncIterator[OpenAIChat]:
    chat = OpenAIChat(
        **{
            "provider": flavour,
            "model": "gpt-5.4",
            "api_key": "test-key",
            "base_url": f"{server.url}/{flavour}/v1",
            **settings,
        }
    )
    try:
        yield chat
    finally:
        await chat.aclose()


async def replied(
    chat: OpenAIChat, messages: Sequence[Message] = ASK, tools: Sequence[ToolSpec] = ()
) -> list[ChatEvent]:
    return [event async for event in chat.reply(messages, tools)]


def said(events: Sequence[ChatEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_every_server_is_asked_in_a_way_that_it_accepts_at_first(flavour: str) -> None:
    async def main() -> None:
        async with serving() as server:
            async with model(server, flavour, temperature=0.3, max_tokens=200) as chat:
                events = await replied(chat, ASK, TOOLS)
            assert said(events) == "We open at nine."
            assert isinstance(events[-1], Finished)
            assert events[-1].reason == "stop"
            assert events[-1].usage.get("output_tokens") == (None if flavour == "llamacpp" else 4)
            assert (len(server.requests), server.refused) == (1, 0)

    run_clean(main())


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_two_tool_calls_arrive_whole_whatever_the_server_leaves_out(flavour: str) -> None:
    wanted = (("look_up", '{"q": "opening hours"}'), ("book", '{"at": "19:00", "people": 2}'))

    async def main() -> None:
        async with serving([Answer("One moment.", wanted)]) as server, model(server, flavour) as chat:
            events = await replied(chat, ASK, TOOLS)
            calls = [event.call for event in events if isinstance(event, ToolRequest)]
            assert [(call.name, call.arguments) for call in calls] == list(wanted)
            assert len({call.id for call in calls}) == 2
            assert isinstance(events[-1], Finished)
            assert events[-1].reason == "tool_calls"

    run_clean(main())


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_history_with_tools_from_another_vendor_is_accepted(flavour: str) -> None:
    history = (
        Message("system", "Be brief."),
        Message("system", "Today is Friday."),
        Message("user", "A table for two?"),
        Message("assistant", "", (ToolCall("call_from-another_vendor-0123456789", "book", ""),)),
        Message("tool", "booked", tool_call_id="call_from-another_vendor-0123456789"),
        Message("assistant", ""),
        Message("user", "Thanks."),
    )

    async def main() -> None:
        async with serving() as server, model(server, flavour) as chat:
            assert said(await replied(chat, history, TOOLS)) == "We open at nine."

    run_clean(main())


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("last", ["system", "user"])
def test_instructions_in_the_middle_of_a_conversation_and_at_its_end_are_accepted(flavour: str, last: Role) -> None:
    """What is told to the model during a call: injected facts, "ask whether he is still there"."""
    history = (
        Message("system", "Be brief."),
        Message("user", "A table for two?"),
        Message("system", "The caller is a regular."),
        Message("assistant", "At what time?"),
        Message(last, "The caller has been silent for a while."),
    )

    async def main() -> None:
        async with serving() as server, model(server, flavour) as chat:
            assert said(await replied(chat, history)) == "We open at nine."
            body = server.requests[-1]
            assert "regular" in str(body["messages"])
            assert "silent" in body["messages"][-1]["content"]

    run_clean(main())


def test_a_parameter_that_the_server_turns_down_is_left_out_from_then_on() -> None:
    async def main() -> None:
        async with serving() as server:
            # an administrator's own name for a server that is as strict as Mistral's
            settings: dict[str, Any] = {"provider": "ours", "base_url": f"{server.url}/mistral/v1", "max_tokens": 50}
            async with model(server, **settings, reasoning_effort="low") as chat:
                assert said(await replied(chat)) == "We open at nine."
                assert said(await replied(chat)) == "We open at nine."
            assert [set(request) & {"stream_options", "reasoning_effort"} for request in server.requests] == [set()] * 2

    run_clean(main())


def test_the_limit_is_renamed_when_a_newer_model_asks_for_it() -> None:
    async def main() -> None:
        async with serving() as server:
            settings: dict[str, Any] = {"provider": "ours", "base_url": f"{server.url}/openai/v1", "max_tokens": 50}
            async with model(server, **settings) as chat:
                await replied(chat)
            assert server.requests[-1]["max_completion_tokens"] == 50
            assert "max_tokens" not in server.requests[-1]

    run_clean(main())


@pytest.mark.parametrize(
    ("name", "effort", "sent"),
    [("gpt-5.4", "", True), ("gpt-5-mini", "", False), ("gpt-5-chat-latest", "", True), ("gpt-5.6", "none", True)],
)
def test_a_temperature_goes_only_to_models_that_take_one(name: str, effort: str, sent: bool) -> None:
    async def main() -> None:
        async with serving() as server:
            async with model(server, model=name, temperature=0.2, reasoning_effort=effort) as chat:
                await replied(chat)
            assert ("temperature" in server.requests[-1]) is sent
            assert server.refused == 0

    run_clean(main())


def test_closing_the_reply_closes_the_servers_stream_at_once() -> None:
    async def main() -> None:
        async with serving([" ".join(["word"] * 500)], tokens_per_s=100) as server, model(server) as chat:
            async with aclosing(cast(Any, chat.reply(ASK))) as reply:
                async for event in reply:
                    assert event == TextDelta("word")
                    break
            await eventually(lambda: server.cancelled == 1, "the server saw the client go", within_s=0.5)
            server.script = ("Good bye.",)
            assert said(await replied(chat)) == "Good bye."

    run_clean(main())


def test_cancelling_the_task_closes_the_servers_stream_at_once() -> None:
    async def main() -> None:
        async with serving([" ".join(["word"] * 500)], tokens_per_s=100) as server, model(server) as chat:
            task = asyncio.create_task(replied(chat))
            await eventually(lambda: server.open_requests == 1, "the request arrived")
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await eventually(lambda: server.open_requests == 0, "the server's handler ended", within_s=0.5)

    run_clean(main())


@pytest.mark.parametrize(
    ("fault", "at", "kind"),
    [
        ("deny", "connect", "denied"),
        ("refuse", "connect", "refused"),
        ("stall", "connect", "stalled"),
        ("stall", "first", "stalled"),
        ("drop", "connect", "dropped"),
        ("drop", "first", "dropped"),
        ("garbage", "first", "garbled"),
    ],
)
def test_a_server_that_fails_before_the_first_word_is_noticed_within_the_deadline(
    fault: Any, at: Any, kind: str
) -> None:
    async def main() -> None:
        async with serving() as server:
            async with model(server, first_s=0.3 if fault == "stall" else UNHURRIED_S) as chat:
                await chat.warm(ASK)
                server.faults.arm(fault, at)
                began = asyncio.get_running_loop().time()
                with pytest.raises(ProviderError) as caught:
                    await replied(chat)
                assert caught.value.kind == kind
                assert asyncio.get_running_loop().time() - began < SOON_S
            await eventually(lambda: server.open_requests == 0, "the server's handler ended")

    run_clean(main())


@pytest.mark.parametrize(("fault", "kind"), [("stall", "stalled"), ("drop", "dropped"), ("garbage", "garbled")])
def test_a_server_that_fails_in_the_middle_gives_its_words_and_then_the_error(fault: Any, kind: str) -> None:
    async def main() -> None:
        async with serving() as server, model(server, gap_s=0.2 if fault == "stall" else UNHURRIED_S) as chat:
            server.faults.arm(fault, "middle")
            words: list[ChatEvent] = []
            with pytest.raises(ProviderError) as caught:
                async for event in chat.reply(ASK):
                    words.append(event)  # noqa: PERF401 - what came before the error is the point
            assert caught.value.kind == kind
            assert words == [TextDelta("We")]

    run_clean(main())


def test_one_refusal_is_tried_again_before_the_caller_notices() -> None:
    async def main() -> None:
        async with serving() as server, model(server) as chat:
            server.faults.arm("refuse", times=1)
            assert said(await replied(chat)) == "We open at nine."
            assert server.faults.happened == 1

    run_clean(main())


def test_too_many_requests_is_passing_and_not_tried_again() -> None:
    async def main() -> None:
        async with serving() as server, model(server) as chat:
            server.faults.arm("refuse", status=429)
            with pytest.raises(ProviderError) as caught:
                await replied(chat)
            assert caught.value.kind == "refused"
            assert server.faults.happened == 1

    run_clean(main())


@pytest.mark.parametrize("flavour", ["ollama", "vllm", "llamacpp"])
def test_thoughts_of_a_reasoning_model_are_not_read_aloud(flavour: str) -> None:
    async def main() -> None:
        thinking = ["<think>\nThe user wants hours.\n</think>\n\nWe open at nine."]
        async with serving(thinking) as server, model(server, flavour) as chat:
            assert said(await replied(chat)) == "We open at nine."

    run_clean(main())


def test_a_server_that_is_not_there_is_refused() -> None:
    async def main() -> None:
        async with serving() as server, model(server) as chat:
            await server.stop()
            with pytest.raises(ProviderError) as caught:
                await replied(chat)
            assert caught.value.kind == "refused"

    run_clean(main())


def test_a_wrong_key_is_denied_and_never_quoted() -> None:
    async def main() -> None:
        async with serving() as server, model(server, api_key="sk-very-secret") as chat:
            with pytest.raises(ProviderError) as caught:
                await replied(chat)
            assert caught.value.kind == "denied"
            assert "very-secret" not in str(caught.value)

    run_clean(main())


def test_warming_opens_the_connection_that_the_reply_uses_and_never_raises() -> None:
    async def main() -> None:
        async with serving() as server:
            async with model(server, api_key="wrong") as chat:
                await chat.warm(ASK)
            async with model(server) as chat:
                await chat.warm(ASK)
                await server.stop()
                await chat.warm(ASK)

    run_clean(main())


def test_two_models_of_one_account_share_a_client_and_the_last_one_closes_it() -> None:
    async def main() -> None:
        async with serving() as server, model(server) as first:
            async with model(server) as second:
                await replied(second)
                await replied(first)
            assert said(await replied(first)) == "We open at nine."

    run_clean(main())


@pytest.mark.parametrize(
    ("block", "provider", "message"),
    [
        ({"provider": "openai"}, {}, r"\[providers.openai\]: api_key is missing"),
        ({"provider": "mine"}, {}, r"\[providers.mine\]: base_url is missing"),
        ({"provider": "mine"}, {"base_url": "http://127.0.0.1:9/v1"}, "llm_config: model is missing"),
        ({"provider": "mine", "model": "m"}, {"base_url": "127.0.0.1:9"}, "base_url is not an http"),
        ({"provider": "openai", "temperature": 3}, {"api_key": "k"}, "temperature must be a number from 0 to 2"),
        ({"provider": "openai", "max_completion_tokens": 0}, {"api_key": "k"}, "max_completion_tokens must be"),
    ],
)
def test_a_bad_setting_says_what_and_where(block: dict[str, Any], provider: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        OpenAIChat.from_config(block, provider)


def test_the_defaults_are_the_contracts() -> None:
    chat = OpenAIChat.from_config({"provider": "mistral"}, {"api_key": "k"})
    assert chat.name == "mistral/mistral-medium-latest"
