"""ElevenLabs over its multi-context websocket, one per call, one context per segment
(https://elevenlabs.io/docs/api-reference/text-to-speech/v-1-text-to-speech-voice-id-multi-stream-input).

PCM at the call's own rate is asked for: nothing is resampled, and no G.711 has to be decoded. A segment's text is
flushed and its context closed at once: a flush alone never brings `isFinal`, with the close exactly one comes, behind
the complete audio. Cancelling sends the same close; what still arrives is dropped by its context id, and counts against
the vendor's limit of five contexts until its `isFinal`.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import structlog

from sovereign_pbx.core.audio import SAMPLE_BYTES
from sovereign_pbx.core.errors import ConfigError, ProviderError, ProviderFault
from sovereign_pbx.speech.settings import Settings
from sovereign_pbx.speech.sockets import Socket, Sockets, one_line
from sovereign_pbx.speech.tts import Audio, VoiceSession
from sovereign_pbx.speech.tts.elevenlabs_context import Answer, Context, decode_answer
from sovereign_pbx.speech.tts.voice_settings import (
    ElevenLabsAccount,
    VoiceChoice,
    knows_tags,
    language_code,
    reads_numbers,
)

log = structlog.get_logger(__name__)

CONTEXTS: Final = 5
INACTIVITY_S: Final = 180  # the vendor's maximum
RATES: Final = (8000, 16000)
FAREWELL: Final = '{"close_socket":true}'
# What the vendor calls its errors when another try would end alike.
_DENIED: Final = ("api_key", "quota", "voice", "model", "unauthorized", "invalid", "payment", "forbidden")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """How long a voice is waited for, in seconds."""

    first_s: float = 2.5  # first audio, connecting included
    gap_s: float = 2.0  # between chunks
    keep_alive_s: float = 60.0


class ElevenLabsSession:
    """One call's socket. It reconnects when a segment needs it and the vendor has closed it meanwhile."""

    def __init__(
        self,
        connect: Callable[[float], Awaitable[Socket]],
        choice: VoiceChoice,
        rate: int,
        deadlines: Deadlines,
    ) -> None:
        self._connect = connect
        self._choice = choice
        self._second = rate * SAMPLE_BYTES
        self._deadlines = deadlines
        self._socket: Socket | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self._connecting = asyncio.Lock()
        self._contexts: dict[str, Context] = {}
        self._freed = asyncio.Event()
        self._number = 0
        self._closed = False
        self._clock = asyncio.get_running_loop().time

    async def speak(self, text: str) -> AsyncIterator[Audio]:
        """One segment. The last `Audio` may have words and no sound: the word that ends with the segment."""
        spoken = text.strip()
        if not any(char.isalnum() for char in spoken):
            return
        deadline = self._clock() + self._deadlines.first_s
        fresh = False
        while True:
            # A socket that the vendor has just closed is found out by using it: once more, on a new one.
            fresh = fresh or self._socket is None
            context = await self._begin(spoken, deadline)
            heard = False
            try:
                async for audio in self._chunks(context, deadline):
                    heard = True
                    yield audio
                return
            except ProviderError as exc:
                if heard or fresh or self._closed or exc.kind != "dropped":
                    raise
                fresh = True
            finally:
                await self._leave(context)

    async def close(self) -> None:
        """Close the socket; segments still being spoken end with an error."""
        self._closed = True
        socket = self._socket
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        if socket is not None:
            await socket.close()  # a task cancelled before its first step has closed nothing

    async def connect(self, deadline: float) -> Socket:
        """The open socket, a new one if need be."""
        async with self._connecting:
            if self._closed:
                raise self._fault("dropped", "the session was closed")
            if self._socket is None:
                self._socket = await self._connect(deadline - self._clock())
                task = asyncio.create_task(self._serve(self._socket), name="tts-session")
                self._serving.add(task)
                task.add_done_callback(self._served)
            return self._socket

    # --- one segment

    async def _begin(self, text: str, deadline: float) -> Context:
        """Open a context and send all of its text."""
        socket = await self.connect(deadline)
        await self._wait_for_place(socket, deadline)
        self._number += 1
        context = Context(f"s{self._number}", self._second)
        self._contexts[context.id] = context
        opening: dict[str, Any] = {"text": " ", "context_id": context.id}
        if self._choice.settings:
            opening["voice_settings"] = dict(self._choice.settings)
        try:
            await socket.send(json.dumps(opening))
            await socket.send(json.dumps({"text": f"{text} ", "context_id": context.id, "flush": True}))
            await socket.send(json.dumps({"context_id": context.id, "close_context": True}))
        except ProviderError as exc:
            context.fail(exc)
        except asyncio.CancelledError:
            context.wanted = False
            await self._give_up(socket, context)
            raise
        return context

    async def _give_up(self, socket: Socket, context: Context) -> None:
        """Interrupted while opening: close the context, else it would hold its place for the whole call."""
        try:
            await socket.send(json.dumps({"context_id": context.id, "close_context": True}))
        except ProviderError:
            pass  # the socket is gone, and the context with it

    async def _wait_for_place(self, socket: Socket, deadline: float) -> None:
        """Fewer than five contexts are open at the vendor; the sixth would cost the socket (close 1008)."""
        try:
            async with asyncio.timeout_at(deadline):
                while len(self._contexts) >= CONTEXTS:
                    self._freed.clear()
                    await self._freed.wait()
        except TimeoutError as exc:
            await socket.close()  # contexts that never end have to go with their socket
            raise socket.fault("stalled", "no context became free") from exc

    async def _chunks(self, context: Context, deadline: float) -> AsyncIterator[Audio]:
        heard = False
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    chunk = await context.chunks.get()
            except TimeoutError as exc:
                self._abandon()
                raise self._fault("stalled", "no audio within the deadline") from exc
            if isinstance(chunk, ProviderError):
                raise chunk
            if chunk is None:
                if not heard:
                    raise self._fault("garbled", "the voice ended without any audio")
                return
            heard = heard or bool(chunk.pcm)
            deadline = self._clock() + self._deadlines.gap_s
            yield chunk

    def _abandon(self) -> None:
        """A vendor that stopped talking will not begin again: the next segment gets a socket of its own."""
        self._socket = None
        for task in self._serving:
            task.cancel()

    async def _leave(self, context: Context) -> None:
        """Nobody listens any more. The context was closed with its text: only its late audio is left to drop."""
        context.wanted = False
        if context.final:
            self._contexts.pop(context.id, None)
            self._freed.set()

    # --- one socket

    async def _serve(self, socket: Socket) -> None:
        fault = socket.fault("dropped", "the session was closed")
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._read(socket))
                tasks.create_task(self._keep_alive(socket))
        except* ProviderError as group:
            inner: Any = group
            while isinstance(inner, BaseExceptionGroup):
                inner = inner.exceptions[0]
            fault = inner
            log.info("tts connection ended", kind=fault.kind, detail=fault.detail)
        finally:
            if self._socket is socket:
                self._socket = None
            lost, self._contexts = self._contexts, {}
            for context in lost.values():
                context.fail(fault)
            self._freed.set()
            await socket.close(FAREWELL)

    def _served(self, task: asyncio.Task[None]) -> None:
        self._serving.discard(task)
        if not task.cancelled() and (exc := task.exception()) is not None:
            log.error("tts session failed", exc_info=exc)

    async def _read(self, socket: Socket) -> None:
        while True:
            message = await socket.receive()
            try:
                answer = decode_answer(message)
            except msgspec.MsgspecError as exc:
                raise socket.fault("garbled", one_line(exc)) from exc
            context = self._contexts.get(answer.contextId or "")
            if answer.error is not None:
                fault = self._vendor_error(answer)
                if context is None:
                    raise fault
                context.fail(fault)
            elif context is not None:
                self._deliver(context, answer)
            if context is not None and context.final:
                self._contexts.pop(context.id, None)
                self._freed.set()

    def _deliver(self, context: Context, answer: Answer) -> None:
        try:
            context.take(answer)
            if answer.isFinal:
                context.finish()
        except asyncio.QueueFull:
            context.fail(self._fault("garbled", "audio without end"))

    async def _keep_alive(self, socket: Socket) -> None:
        """The vendor closes a socket idle for its inactivity time; empty text resets that."""
        while True:
            await asyncio.sleep(self._deadlines.keep_alive_s)
            if not self._contexts:
                await socket.send('{"text":""}')

    def _vendor_error(self, answer: Answer) -> ProviderError:
        text = one_line(f"{answer.error} {answer.message or ''}")
        denied = any(word in str(answer.error).lower() for word in _DENIED)
        return self._fault("denied" if denied else "refused", text)

    def _fault(self, kind: ProviderFault, detail: str) -> ProviderError:
        return ProviderError("elevenlabs", "tts", kind, detail)


class ElevenLabsVoice:
    """A voice spoken through the websocket."""

    def __init__(
        self,
        account: ElevenLabsAccount,
        choice: VoiceChoice,
        *,
        deadlines: Deadlines | None = None,
        connect_s: float = 2.0,
        send_s: float = 1.0,
    ) -> None:
        self.name = f"elevenlabs/{choice.model}"
        self.key = choice.key
        self.knows_tags = knows_tags(choice.model)
        self.reads_numbers = reads_numbers(choice.model)
        self._choice = choice
        self._deadlines = deadlines or Deadlines()
        self._connect_s = connect_s
        headers = {"xi-api-key": account.api_key}
        self._sockets = Sockets("elevenlabs", "tts", account.base_url, headers, connect_s=connect_s, send_s=send_s)

    @classmethod
    def from_config(cls, block: Mapping[str, Any], provider: Mapping[str, Any]) -> "ElevenLabsVoice":
        """From an assistant's `tts_config` and `[providers.elevenlabs]`."""
        settings = Settings(block, "tts_config")
        return cls(
            ElevenLabsAccount.from_config(provider),
            VoiceChoice.from_config(block),
            deadlines=Deadlines(
                first_s=settings.seconds("first_s", 2.5),
                gap_s=settings.seconds("gap_s", 2.0),
            ),
            connect_s=settings.seconds("connect_s", 2.0),
        )

    async def open(self, *, rate: int, language: str) -> VoiceSession:
        """Connect within the deadline (2 s) or raise ProviderError."""
        path = f"/v1/text-to-speech/{self._choice.voice_id}/multi-stream-input"
        query = [
            ("model_id", self._choice.model),
            ("output_format", pcm_format(rate)),
            ("auto_mode", "true"),
            ("sync_alignment", "true"),
            ("inactivity_timeout", str(INACTIVITY_S)),
        ]
        if code := language_code(self._choice.model, self._choice.language or language):
            query.append(("language_code", code))

        async def connect(within_s: float) -> Socket:
            return await self._sockets.connect(path, query, within_s=max(within_s, 0.0))

        session = ElevenLabsSession(connect, self._choice, rate, self._deadlines)
        await session.connect(asyncio.get_running_loop().time() + self._connect_s)
        return session

    async def aclose(self) -> None:
        await self._sockets.aclose()


def pcm_format(rate: int) -> str:
    """The vendor's name for PCM at the call's rate."""
    if rate not in RATES:
        raise ConfigError(f"elevenlabs speaks at 8000 or 16000 Hz on a call, not at {rate}")
    return f"pcm_{rate}"
