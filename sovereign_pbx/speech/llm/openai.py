"""Chat completions, streamed, through the official openai SDK: OpenAI, Mistral, xAI, Ollama, vLLM, llama.cpp and any
server that speaks the same (https://platform.openai.com/docs/api-reference/chat-streaming).

The SDK is imported on first use (0.4 s, in a thread): call `warm` while the call rings. Its own retries are off: they
honour `Retry-After` up to two minutes, a caller does not. Its models of requests and chunks are left out too: building
them took half of the 6 ms of processor time of a reply of twenty chunks, so it hands over plain JSON, which is checked
here.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import structlog

from sovereign_pbx.core.errors import ProviderError, ProviderFault
from sovereign_pbx.core.values import Message
from sovereign_pbx.speech.llm import ChatEvent, Finished, TextDelta, ToolRequest, ToolSpec
from sovereign_pbx.speech.llm.chat_chunks import Chunk, chunk_of
from sovereign_pbx.speech.llm.chat_messages import chat_messages, chat_tools
from sovereign_pbx.speech.llm.quirks import Quirks, quirks_of, takes_temperature, without
from sovereign_pbx.speech.llm.thinking import ThoughtFilter
from sovereign_pbx.speech.llm.tool_fragments import ToolFragments
from sovereign_pbx.speech.settings import Settings
from sovereign_pbx.speech.sharing import Shares
from sovereign_pbx.speech.sockets import address, fault_of_status, one_line

if TYPE_CHECKING:
    from openai import AsyncOpenAI, AsyncStream

log = structlog.get_logger(__name__)

# Turns are seconds apart: httpx's own 5 s would mean a new TLS handshake before nearly every reply.
KEEP_CONNECTION_S = 120.0
USAGE_S = 0.3  # the usage chunk trails the end of the text; the last clause does not wait longer for it
WARM_S = 4.0
FIRST_S = 4.5  # a filler that ends at 3 s is followed by the answer or the apology within two more
GAP_S = 2.0  # between two chunks, when words have come: who stops so long has stopped, and somebody can go on
TRIES = 4  # one for the network, the others for parameters that the server turns down


class Account(NamedTuple):
    """What a client is made for."""

    base_url: str
    api_key: str
    organization: str
    connect_s: float

    def __repr__(self) -> str:
        return f"Account({self.base_url})"


def _make_client(account: Account) -> "AsyncOpenAI":
    import httpx2
    import openai

    # The read timeout backs up our own deadlines; ours are per stage of the reply.
    timeout = httpx2.Timeout(60.0, connect=account.connect_s, pool=account.connect_s)
    limits = httpx2.Limits(max_connections=1000, max_keepalive_connections=100, keepalive_expiry=KEEP_CONNECTION_S)
    return openai.AsyncOpenAI(
        api_key=account.api_key,
        base_url=account.base_url,
        organization=account.organization or None,
        max_retries=0,
        timeout=timeout,
        http_client=openai.DefaultAsyncHttpxClient(limits=limits, timeout=timeout),
    )


async def _close_client(client: "AsyncOpenAI") -> None:
    await client.close()


_clients: Shares[Account, "AsyncOpenAI"] = Shares(_make_client, _close_client)


class OpenAIChat:
    """One configured model."""

    def __init__(
        self,
        *,
        provider: str = "openai",
        model: str,
        api_key: str = "none",
        base_url: str = "",
        organization: str = "",
        temperature: float | None = None,
        max_tokens: int | None = None,
        reasoning_effort: str = "",
        quirks: Quirks | None = None,
        connect_s: float = 2.0,
        first_s: float = FIRST_S,
        gap_s: float = GAP_S,
    ) -> None:
        self.name = f"{provider}/{model}"
        self._provider = provider
        self._quirks = quirks or quirks_of(provider)
        url = address(base_url or self._quirks.base_url, f"[providers.{provider}]", websocket=False)
        self._account = Account(url, api_key, organization, connect_s)
        self._leased: AsyncOpenAI | None = None
        self._leasing = asyncio.Lock()
        self._first_s = first_s
        self._gap_s = gap_s
        self._settings: dict[str, Any] = {"model": model, "stream": True}
        if temperature is not None and takes_temperature(self._quirks, model, reasoning_effort):
            self._settings["temperature"] = temperature
        if max_tokens is not None:
            self._settings[self._quirks.limit_field] = max_tokens
        if reasoning_effort and self._quirks.effort:
            self._settings["reasoning_effort"] = reasoning_effort
        if self._quirks.usage_option:
            self._settings["stream_options"] = {"include_usage": True}

    @classmethod
    def from_config(cls, block: Mapping[str, Any], provider: Mapping[str, Any]) -> "OpenAIChat":
        """From an assistant's `llm_config` and `[providers.NAME]`, NAME being `llm_config.provider`."""
        settings = Settings(block, "llm_config")
        name = settings.text("provider", "openai")
        account = Settings(provider, f"[providers.{name}]")
        quirks = quirks_of(name)
        remedy = f"set base_url of [providers.{name}] to the server's /v1 address"
        base_url = account.text("base_url", quirks.base_url) or account.required("base_url", remedy)
        if quirks.needs_key and base_url == quirks.base_url:
            account.required("api_key", f'set api_key = "${{env:{name.upper()}_API_KEY}}" in [providers.{name}]')
        return cls(
            provider=name,
            model=settings.text("model", quirks.model)
            or settings.required("model", "name a model that the server serves"),
            api_key=account.text("api_key", "none"),
            base_url=base_url,
            organization=account.text("organization"),
            temperature=settings.number("temperature", 0.7, 0.0, 2.0),
            max_tokens=settings.whole("max_completion_tokens", None, 1, 32768)
            or settings.whole("max_tokens", None, 1, 32768),
            reasoning_effort=settings.text("reasoning_effort"),
            quirks=quirks,
            connect_s=settings.seconds("connect_s", 2.0),
            first_s=settings.seconds("first_s", FIRST_S),
            gap_s=settings.seconds("gap_s", GAP_S),
        )

    async def reply(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> AsyncIterator[ChatEvent]:
        """Stream one reply. Closing the iterator closes the server's stream at once."""
        request: dict[str, Any] = {"messages": chat_messages(messages, self._quirks)}
        if tools:
            request["tools"] = chat_tools(tools)
        deadline = asyncio.get_running_loop().time() + self._first_s
        async with self._faults():
            async with asyncio.timeout_at(deadline):
                stream = await self._start(request)
            async with stream:
                async for event in self._events(stream, deadline):
                    yield event

    async def warm(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> None:
        """Import the SDK, open the connection. A server that does not list models still opens one."""
        try:
            async with asyncio.timeout(WARM_S):
                client = await self._client()
                await client.get("/models", cast_to=object)
        except Exception as exc:  # whatever it was, the first reply will meet it again and report it
            log.info("llm warm-up failed", provider=self._provider, error=type(exc).__name__)

    async def aclose(self) -> None:
        """Give the client back; the last user closes it."""
        async with self._leasing:
            if self._leased is not None:
                self._leased = None
                await _clients.release(self._account)

    async def _client(self) -> "AsyncOpenAI":
        async with self._leasing:
            if self._leased is None:
                self._leased = await _clients.lease(self._account)
            return self._leased

    async def _start(self, request: dict[str, Any]) -> "AsyncStream[object]":
        """The open stream: one quick retry when the server could not be reached, one for each parameter refused."""
        client = await self._client()
        import openai

        retried = False
        for _ in range(TRIES):
            try:
                return await client.post(
                    "/chat/completions",
                    cast_to=object,
                    body={**self._settings, **request},
                    stream=True,
                    stream_cls=openai.AsyncStream[object],
                )
            except (openai.BadRequestError, openai.UnprocessableEntityError) as exc:
                mended = without(self._settings, exc.response.text)
                if mended is None:
                    raise
                log.info("llm parameter refused", provider=self._provider, left=sorted(mended))
                self._settings = mended
            except (openai.InternalServerError, openai.APIConnectionError) as exc:
                if retried or isinstance(exc, openai.APITimeoutError):
                    raise
                retried = True
                await asyncio.sleep(random.uniform(0.05, 0.15))
        raise self._fault("denied", "the server turned down one parameter after the other")

    async def _events(self, stream: "AsyncStream[object]", deadline: float) -> AsyncIterator[ChatEvent]:
        """Events of an open stream; the first text or tool by `deadline`, every later chunk within the gap."""
        clock = asyncio.get_running_loop().time
        fragments = ToolFragments()
        thoughts = ThoughtFilter()
        usage: dict[str, Any] = {}
        reason, useful = "", False
        chunks = aiter(stream)
        while (chunk := await _next(chunks, deadline, ended=bool(reason))) is not None:
            usage = chunk.told_usage() or usage
            for choice in chunk.choices or ():
                if choice.delta and choice.delta.content and (text := thoughts.feed(choice.delta.content)):
                    useful = True
                    yield TextDelta(text)
                for part in (choice.delta and choice.delta.tool_calls) or ():
                    useful = True
                    called = part.function
                    name, arguments = (called.name, called.arguments) if called else (None, None)
                    fragments.add(part.index, part.id, name, arguments)
                reason = choice.finish_reason or reason
            if reason:
                deadline = clock() + USAGE_S
            elif useful:
                deadline = clock() + self._gap_s
        if text := thoughts.rest():
            useful = True
            yield TextDelta(text)
        if not reason and not useful:
            raise self._fault("garbled", "the stream ended without an answer")
        for call in fragments.complete():
            yield ToolRequest(call)
        yield Finished(reason or "stop", usage)

    @asynccontextmanager
    async def _faults(self) -> AsyncIterator[None]:
        """Whatever goes wrong inside, as ProviderError."""
        try:
            yield
        except ProviderError:
            raise
        except TimeoutError as exc:
            raise self._fault("stalled", "no answer within the deadline") from exc
        except ValueError as exc:  # JSON that is none, tool calls without end
            raise self._fault("garbled", one_line(exc)) from exc
        except Exception as exc:
            raise self._translated(exc) from exc

    def _translated(self, exc: Exception) -> ProviderError:
        import openai

        if isinstance(exc, openai.APITimeoutError):
            return self._fault("stalled", "no answer within the deadline")
        if isinstance(exc, openai.APIConnectionError):
            # Before the response's head a cause of the connect kind; afterwards the stream was cut.
            connecting = type(exc.__cause__).__name__ in ("ConnectError", "ConnectTimeout")
            return self._fault("refused" if connecting else "dropped", one_line(exc.__cause__ or exc))
        if isinstance(exc, openai.APIStatusError):
            return self._fault(fault_of_status(exc.status_code), one_line(f"HTTP {exc.status_code}: {exc.message}"))
        if isinstance(exc, openai.APIError):
            return self._fault("dropped", one_line(exc.message))
        if isinstance(exc, openai.OpenAIError | AttributeError | TypeError | KeyError):
            return self._fault("garbled", one_line(f"{type(exc).__name__}: {exc}"))
        return self._fault("dropped", one_line(f"{type(exc).__name__}: {exc}"))

    def _fault(self, kind: ProviderFault, detail: str) -> ProviderError:
        secret = self._account.api_key
        # OpenAI quotes part of a wrong key; some servers all of it.
        return ProviderError(self._provider, "llm", kind, detail.replace(secret, "…") if len(secret) > 4 else detail)


async def _next(chunks: AsyncIterator[object], deadline: float, *, ended: bool) -> Chunk | None:
    """The next chunk, None at the end. After the text has `ended` a late usage chunk is done without."""
    try:
        async with asyncio.timeout_at(deadline):
            chunk = await anext(chunks, None)
    except TimeoutError:
        if ended:
            return None
        raise
    return None if chunk is None else chunk_of(chunk)
