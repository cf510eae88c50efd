"""A language model on this machine, without any server of the administrator's: a GGUF file through llama.cpp.

The model runs in its own process (`local_server`) and is spoken to like any OpenAI-compatible server. The shipped one
has 1.5 billion parameters and was tuned on code: it answers simple questions from facts in its instructions, in
English, and is wrong at times. docs/models.md has the measured numbers.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final
from uuid import uuid4

import structlog

from sovereign_pbx.core.errors import ConfigError, ProviderError
from sovereign_pbx.core.values import Message, ToolCall
from sovereign_pbx.speech import models
from sovereign_pbx.speech.fallback import closing
from sovereign_pbx.speech.llm import ChatEvent, Finished, TextDelta, ToolRequest, ToolSpec
from sovereign_pbx.speech.llm.lenient_tools import Call, ToolCallFilter
from sovereign_pbx.speech.llm.local_prompt import STYLE, asking_for, shaped, supported
from sovereign_pbx.speech.llm.local_server import LocalServer, ServerKey, check_model, cores, lease, release
from sovereign_pbx.speech.llm.openai import OpenAIChat
from sovereign_pbx.speech.settings import Settings

log = structlog.get_logger(__name__)

SHIPPED: Final = "qwen"
WARM_S: Final = 60.0


class _MadeUpError(Exception):
    """The model wanted a tool with arguments that nobody gave it."""

    def __init__(self, tool: ToolSpec) -> None:
        super().__init__(tool.name)
        self.tool = tool


class LocalModel:
    """A configured model."""

    def __init__(
        self,
        *,
        model_path: str = "",
        style: str = STYLE,
        temperature: float = 0.2,
        max_tokens: int = 120,
        threads: int = 0,
        prompt_threads: int = 0,
        slots: int = 2,
        context: int = 4096,
        cache_mib: int = 256,
        nice: int = 5,
        start_s: float = 60.0,
        first_s: float = 8.0,
        gap_s: float = 5.0,
        live: bool = True,
    ) -> None:
        self.name = f"local/{model_path.rsplit('/', 1)[-1] or SHIPPED}"
        self._model_path = model_path
        self._style = style
        self._chat_settings = {"temperature": temperature, "max_tokens": max_tokens, "first_s": first_s, "gap_s": gap_s}
        # One core is left to the 20 ms clock and the recogniser. The threads wait for each other at every step: with
        # every core taken, speed falls from 25 to 2 tokens a second when anything else runs, and a first token comes
        # after 1 to 9 s; with one core free it stays at 16, three times as fast as speech, and 0.5 to 2 s.
        generating = threads or max(1, cores() - 1)
        self._shape = (generating, prompt_threads or generating, slots, context, cache_mib, nice)
        self._start_s = start_s
        self._live = live
        self._key: ServerKey | None = None
        self._server: LocalServer | None = None
        self._chat: OpenAIChat | None = None
        # Answers one token. A longer answer broken off would still hold the slot with the cache when the call begins.
        self._primer: OpenAIChat | None = None
        self._address = ""
        self._starting = asyncio.Lock()

    @classmethod
    def from_config(cls, block: Mapping[str, Any], provider: Mapping[str, Any]) -> "LocalModel":
        """From an assistant's `llm_config` and `[providers.local]`."""
        settings, machine = Settings(block, "llm_config"), Settings(provider, "[providers.local]")
        wanted = settings.text("model", SHIPPED)
        if wanted != SHIPPED and "/" not in wanted:
            raise settings.wrong("model", f'must be "{SHIPPED}" or the path of a GGUF file')
        path = wanted if "/" in wanted else machine.text("model_path")
        return cls(
            model_path=str(check_model(path)) if path else "",
            style=machine.text("style", STYLE) if machine.values.get("style") != "" else "",
            temperature=settings.number("temperature", 0.2, 0.0, 2.0) or 0.0,
            max_tokens=settings.whole("max_completion_tokens", 120, 1, 4096) or 120,
            threads=machine.whole("threads", 0, 0, 256) or 0,
            prompt_threads=machine.whole("prompt_threads", 0, 0, 256) or 0,
            slots=machine.whole("slots", 2, 1, 64) or 2,
            context=machine.whole("context", 4096, 512, 131072) or 4096,
            cache_mib=machine.whole("cache_mib", 256, 0, 65536) or 0,
            nice=machine.whole("nice", 5, 0, 19) or 0,
            start_s=machine.seconds("start_s", 60.0, 1.0, 600.0),
            first_s=settings.seconds("first_s", machine.seconds("first_s", 8.0)),
            gap_s=settings.seconds("gap_s", machine.seconds("gap_s", 5.0)),
            live=settings.choice("priority", "high", ("high", "low")) == "high",
        )

    async def reply(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> AsyncIterator[ChatEvent]:
        """Stream one reply. A tool call with made-up arguments is not made; the model is asked again without tools.

        With `priority = "low"` it comes in one piece, once nobody on the line waits for the engine.
        """
        await self._ready()
        assert self._server is not None
        if self._live:
            with self._server.turns.live():
                async with closing(self._reply(messages, tools)) as events:
                    async for event in events:
                        yield event
            return
        for event in await self._server.turns.when_free(lambda: self._reply(messages, tools)):
            yield event

    async def _reply(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> AsyncIterator[ChatEvent]:
        spoken = False
        try:
            async with closing(self._attempt(messages, tools, self._style)) as events:
                async for event in events:
                    spoken = spoken or isinstance(event, TextDelta)
                    yield event
        except _MadeUpError as refused:
            log.info("local_call_made_up", tool=refused.tool.name)
            if spoken:
                yield Finished("stop")
                return
            style = " ".join(filter(None, (self._style, asking_for(refused.tool))))
            async with closing(self._attempt(messages, (), style)) as events:
                async for event in events:
                    yield event

    async def _attempt(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec], style: str
    ) -> AsyncIterator[ChatEvent]:
        """After a tool call the model's text is dropped: it would be the answer that it imagines."""
        chat = await self._ready()
        offered = {tool.name: tool for tool in tools}
        lenient = ToolCallFilter(offered)
        called = False
        async with closing(chat.reply(shaped(messages, tools, style))) as events:
            async for event in events:
                for part in _parts(lenient, event):
                    if isinstance(part, str):
                        if not called:
                            yield TextDelta(part)
                        continue
                    tool = offered[part[0]]
                    arguments = supported(part[1], tool, messages)
                    if arguments is not None:
                        called = True
                        yield ToolRequest(ToolCall(f"call_{uuid4().hex[:12]}", tool.name, arguments))
                    elif not called:
                        raise _MadeUpError(tool)
                if isinstance(event, Finished):
                    yield replace(event, reason="tool_calls") if called else event

    async def warm(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> None:
        """Load the model and read the instructions into its cache, so that the first reply does not wait for it."""
        try:
            async with asyncio.timeout(WARM_S):
                await self._ready()
                assert self._primer is not None and self._server is not None
                with self._server.turns.live():
                    async for _ in self._primer.reply(shaped(messages, tools, self._style)):
                        pass
        except (ProviderError, TimeoutError) as exc:
            log.warning("local_model_not_warm", error=str(exc) or type(exc).__name__)

    async def aclose(self) -> None:
        """Give the server back; the last user ends its process."""
        async with self._starting:
            await self._hang_up()
            key, self._key, self._server = self._key, None, None
        if key is not None:
            await asyncio.to_thread(release, key)

    async def _ready(self) -> OpenAIChat:
        """The client of the running server; starts it, and starts it again when it died."""
        async with self._starting:
            if self._server is None or not self._server.running or self._chat is None:
                await self._start()  # `_chat` alone is missing where an earlier start was cancelled half-way
            assert self._chat is not None
            return self._chat

    async def _start(self) -> None:
        if self._server is None:
            self._key = await self._wanted()
            self._server = lease(self._key, self._start_s)
        server = self._server
        address = await asyncio.to_thread(server.address)
        if address != self._address:
            await self._hang_up()
            account = {"base_url": address, "api_key": server.api_key}
            block = {"provider": "local", "model": SHIPPED, **self._chat_settings}
            self._chat = OpenAIChat.from_config(block, account)
            self._primer = OpenAIChat.from_config({**block, "max_tokens": 1, "first_s": WARM_S}, account)
            self._address = address

    async def _hang_up(self) -> None:
        clients, self._chat, self._primer, self._address = (self._chat, self._primer), None, None, ""
        for client in clients:
            if client is not None:
                await client.aclose()

    async def _wanted(self) -> ServerKey:
        try:
            path = self._model_path or str(await asyncio.to_thread(models.locate, SHIPPED))
        except ConfigError as exc:
            raise ProviderError("local", "llm", "denied", str(exc)) from exc
        return ServerKey(path, *self._shape)


def _parts(lenient: ToolCallFilter, event: ChatEvent) -> list[str | Call]:
    if isinstance(event, TextDelta):
        return lenient.feed(event.text)
    return lenient.rest() if isinstance(event, Finished) else []
