"""The local model: its process, its client, its replies; with a stand-in for llama.cpp, and with the real one."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from sovereign_pbx.core.errors import ConfigError, ProviderError
from sovereign_pbx.core.values import Message
from sovereign_pbx.speech import models
from sovereign_pbx.speech.llm import Finished, TextDelta, ToolRequest, ToolSpec
from sovereign_pbx.speech.llm import local_server as servers
from sovereign_pbx.speech.llm.local import LocalModel

FAKE = Path(__file__).parent / "fake_xllamacpp"
NUMBER = {
    "type": "object",
    "properties": {"number": {"type": "string", "description": "The order's number"}},
    "required": ["number"],
}
LOOKUP = ToolSpec("lookup_order", "Look up the state of an order.", NUMBER)
CALL = '{"name": "lookup_order", "arguments": {"number": "4711"}}'


@pytest.fixture
def gguf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYTHONPATH", str(FAKE))
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF....")
    return path


def with_model(path: Path, play: Callable[[LocalModel], Awaitable[None]], **settings: Any) -> None:
    async def run() -> None:
        model = LocalModel(model_path=str(path), **settings)
        try:
            async with asyncio.timeout(30):
                await play(model)
        finally:
            await model.aclose()
        assert not servers._shared

    asyncio.run(run())


async def reply(model: LocalModel, said: str, tools: tuple[ToolSpec, ...] = ()) -> tuple[str, list[str], str]:
    """The text, the calls' names and arguments, and the reason for the end."""
    text, calls, reason = "", [], ""
    async for event in model.reply([Message("system", "S"), Message("user", said)], tools):
        if isinstance(event, TextDelta):
            text += event.text
        elif isinstance(event, ToolRequest):
            calls.append(f"{event.call.name} {event.call.arguments}")
        elif isinstance(event, Finished):
            reason = event.reason
    return text, calls, reason


def test_a_reply_is_streamed_from_a_process_of_its_own(gguf: Path) -> None:
    async def play(model: LocalModel) -> None:
        assert await reply(model, "say We are open.") == ("We are open.", [], "stop")

    with_model(gguf, play)


def test_a_call_written_as_text_is_made_and_what_follows_is_not_spoken(gguf: Path) -> None:
    async def play(model: LocalModel) -> None:
        text, calls, reason = await reply(model, f"say {CALL} Your order is lost.", (LOOKUP,))
        assert (text.strip(), calls, reason) == ("", ['lookup_order {"number": "4711"}'], "tool_calls")

    with_model(gguf, play)


def test_a_call_with_a_made_up_argument_is_not_made_and_the_model_is_asked_again(gguf: Path) -> None:
    async def play(model: LocalModel) -> None:
        placeholder = CALL.replace("4711", "…")
        text, calls, reason = await reply(model, f"once {placeholder}", (LOOKUP,))
        assert calls == []
        assert reason == "stop"
        assert text == "asked again without tools"

    with_model(gguf, play)


def test_the_template_never_hears_of_tools(gguf: Path) -> None:
    async def play(model: LocalModel) -> None:
        body = (await reply(model, "what were you asked?", (LOOKUP,)))[0]
        assert '"tools"' not in body
        assert "Look up the state of an order. ->" in body

    with_model(gguf, play, max_tokens=4000)


def test_warming_up_starts_the_process_and_reads_one_token(gguf: Path) -> None:
    async def play(model: LocalModel) -> None:
        await model.warm([Message("system", "S")], [LOOKUP])
        started = time.monotonic()
        await reply(model, "say Hello.")
        assert time.monotonic() - started < 5

    with_model(gguf, play)


def test_assistants_with_the_same_model_share_its_process(gguf: Path) -> None:
    async def run() -> None:
        first, second = LocalModel(model_path=str(gguf)), LocalModel(model_path=str(gguf))
        await asyncio.gather(reply(first, "say A"), reply(second, "say B"))
        assert len(servers._shared) == 1
        await first.aclose()
        assert (await reply(second, "say C"))[0] == "C"
        await second.aclose()
        assert not servers._shared

    asyncio.run(run())


def test_a_process_that_dies_costs_one_reply_and_is_started_again(gguf: Path) -> None:
    async def play(model: LocalModel) -> None:
        with pytest.raises(ProviderError):
            await reply(model, "die")
        assert (await reply(model, "say Back."))[0] == "Back."

    with_model(gguf, play)


def test_a_model_that_cannot_be_loaded_is_denied_and_says_why(gguf: Path) -> None:
    async def play(model: LocalModel) -> None:
        with pytest.raises(ProviderError, match="failed to load model"):
            await reply(model, "say A")
        await model.warm([Message("system", "S")])  # never raises

    with_model(gguf.rename(gguf.with_name("broken.gguf")), play)


def test_a_model_that_loads_for_ever_is_given_up(gguf: Path) -> None:
    async def play(model: LocalModel) -> None:
        with pytest.raises(ProviderError, match="stalled"):
            await reply(model, "say A")

    with_model(gguf.rename(gguf.with_name("slow.gguf")), play, start_s=1.0)


def test_the_process_ends_with_the_daemon(gguf: Path) -> None:
    key = servers.ServerKey(str(gguf), 1, 1, 1, 512, 0, 0)
    server = servers.LocalServer(key, 20)
    server.address()
    process = server._process
    assert process is not None and process.stdin is not None
    process.stdin.close()  # as the kernel does when the daemon is killed
    assert process.wait(10) == 0
    server.stop()


def test_the_process_answers_nobody_without_the_key(gguf: Path) -> None:
    async def play(model: LocalModel) -> None:
        await reply(model, "say A")
        assert model._server is not None
        from sovereign_pbx.speech.llm.openai import OpenAIChat

        stranger = OpenAIChat(model="m", base_url=model._address, api_key="guess")
        with pytest.raises(ProviderError, match="denied"):
            [event async for event in stranger.reply([Message("user", "say A")])]
        await stranger.aclose()

    with_model(gguf, play)


def test_a_model_that_was_not_fetched_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOVEREIGN_PBX_CACHE", str(tmp_path))

    async def run() -> None:
        with pytest.raises(ProviderError, match="models fetch qwen"):
            await reply(LocalModel(), "say A")

    asyncio.run(run())


@pytest.mark.parametrize(
    ("block", "provider", "key"),
    [
        ({"model": "gpt-5"}, {}, "model"),
        ({"model": "/no/such.gguf"}, {}, "No such file"),
        ({}, {"model_path": __file__}, "not a GGUF"),
        ({}, {"slots": 0}, "slots"),
        ({"temperature": 3}, {}, "temperature"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(block: dict[str, Any], provider: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError, match=key):
        LocalModel.from_config(block, provider)


def test_the_style_can_be_changed_and_left_out() -> None:
    assert LocalModel.from_config({}, {})._style
    assert LocalModel.from_config({}, {"style": "Be kind."})._style == "Be kind."
    assert LocalModel.from_config({}, {"style": ""})._style == ""


def fetched() -> bool:
    try:
        return bool(models.locate("qwen"))
    except ConfigError:
        return False


@pytest.mark.speech
@pytest.mark.skipif(not fetched(), reason="the 1.1 GB model was not fetched")
@pytest.mark.timeout(300)
def test_the_shipped_model_answers_from_its_instructions_and_calls_a_tool() -> None:
    facts = "You are the receptionist of a bakery. Facts: closed on Sunday, open on Saturday from ten to two."

    async def run() -> None:
        model = LocalModel(temperature=0.0, first_s=60, gap_s=60)
        try:
            messages = [Message("system", facts), Message("user", "When are you open on Saturday?")]
            text = "".join([e.text async for e in model.reply(messages, [LOOKUP]) if isinstance(e, TextDelta)])
            assert "two" in text.lower() or "2" in text
            messages[1] = Message("user", "What is the state of order 4711?")
            calls = [e.call async for e in model.reply(messages, [LOOKUP]) if isinstance(e, ToolRequest)]
            assert [(call.name, call.arguments) for call in calls] == [("lookup_order", '{"number": "4711"}')]
        finally:
            await model.aclose()

    asyncio.run(run())
