"""Mistral's Voxtral: an utterance at a time, `POST /v1/audio/transcriptions` (https://docs.mistral.ai).

`voxtral-mini-latest` is a model for recordings. Our voice detector cuts the utterances, as for Whisper: when the caller
falls silent, what he said is sent at once, and the endpointing wait hides most of the way there and back. There are no
interim texts.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

import aiohttp
import msgspec

from sovereign_pbx.core.audio import SAMPLE_BYTES
from sovereign_pbx.core.errors import ProviderError, ProviderFault
from sovereign_pbx.media.wav import header
from sovereign_pbx.speech.settings import Settings
from sovereign_pbx.speech.sockets import address, fault_of_status, one_line
from sovereign_pbx.speech.stt import Heard, SttEvent, SttStream
from sovereign_pbx.speech.stt.whisper import quietest

BASE_URL: Final = "https://api.mistral.ai/v1"
MODEL: Final = "voxtral-mini-latest"
PRE_ROLL_S: Final = 0.5  # the voice detector is sure of speech up to 0.25 s after it began
LONGEST_S: Final = 30.0
SEARCH_S: Final = 5.0
AT_ONCE: Final = 8  # utterances under way; a ninth means that the vendor answers nothing
MOST_BYTES: Final = 1 << 20
_KEEP_S: Final = 60.0


class _Answer(msgspec.Struct):
    text: str


_answer = msgspec.json.Decoder(_Answer)


class MistralStt:
    """A configured recogniser."""

    def __init__(
        self,
        api_key: str,
        *,
        base_url: str = BASE_URL,
        model: str = MODEL,
        language: str = "",
        connect_s: float = 2.0,
        answer_s: float = 3.0,
    ) -> None:
        self.name = f"mistral/{model}"
        self._base_url = address(base_url, "[providers.mistral]", websocket=False)
        self._headers = {"Authorization": f"Bearer {api_key}"}
        self._model = model
        self._language = language
        self._connect_s = connect_s
        self._answer_s = answer_s
        self._session: aiohttp.ClientSession | None = None

    @classmethod
    def from_config(cls, block: Mapping[str, Any], provider: Mapping[str, Any]) -> "MistralStt":
        """From an assistant's `stt_config` and `[providers.mistral]`."""
        settings, account = Settings(block, "stt_config"), Settings(provider, "[providers.mistral]")
        return cls(
            account.required("api_key", 'set api_key = "${env:MISTRAL_API_KEY}"'),
            base_url=account.text("base_url", BASE_URL),
            model=settings.text("model", MODEL),
            language=settings.text("language"),
            connect_s=settings.seconds("connect_s", 2.0),
            answer_s=settings.seconds("answer_s", 3.0),
        )

    async def open(self, *, rate: int, language: str, keyterms: Sequence[str] = ()) -> SttStream:
        """Warm the connection, which tells whether the key is good, within the deadline (2 s). The vendor takes no key
        terms. Raises ProviderError."""
        async with self._asked("GET", "/models", self._connect_s) as response:
            if response.status in (401, 403):
                raise fault("denied", f"HTTP {response.status}")
        spoken = (self._language or language).replace("_", "-").split("-")[0].lower()
        return MistralStream(self, rate, spoken if len(spoken) == 2 else "")

    async def transcribe(self, pcm: bytes, rate: int, language: str) -> str:
        """The words of one utterance; a failure that may pass is tried again while there is time."""
        until = asyncio.get_running_loop().time() + self._answer_s
        try:
            return await self._transcribed(pcm, rate, language, until)
        except ProviderError as exc:
            if exc.kind not in ("refused", "dropped"):
                raise
        return await self._transcribed(pcm, rate, language, until)

    async def aclose(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _transcribed(self, pcm: bytes, rate: int, language: str, until: float) -> str:
        form = aiohttp.FormData()
        form.add_field("file", header(rate, 1, len(pcm)) + pcm, filename="utterance.wav", content_type="audio/wav")
        form.add_field("model", self._model)
        if language:
            form.add_field("language", language)
        left_s = max(0.0, until - asyncio.get_running_loop().time())
        async with self._asked("POST", "/audio/transcriptions", left_s, form) as response:
            if response.status != 200:
                raise fault(fault_of_status(response.status), f"HTTP {response.status}")
            try:
                return _answer.decode(await response.content.read(MOST_BYTES)).text.strip()
            except msgspec.MsgspecError as exc:
                raise fault("garbled", one_line(exc)) from exc

    def _asked(self, method: str, path: str, within_s: float, form: aiohttp.FormData | None = None) -> "_Asked":
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_S, ttl_dns_cache=60)
            self._session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None))
        return _Asked(self._session, method, self._base_url + path, self._headers, within_s, form)


class _Asked:
    """One request and its answer within a deadline; every failure is a ProviderError."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        method: str,
        url: str,
        headers: Mapping[str, str],
        within_s: float,
        form: aiohttp.FormData | None,
    ) -> None:
        self._request = session.request(method, url, headers=headers, data=form, allow_redirects=False)
        self._timeout = asyncio.timeout(within_s)
        self._within_s = within_s

    async def __aenter__(self) -> aiohttp.ClientResponse:
        await self._timeout.__aenter__()
        try:
            return await self._request.__aenter__()
        except BaseException as exc:
            await self._leave(exc)
            raise

    async def __aexit__(self, kind: Any, exc: BaseException | None, trace: Any) -> None:
        try:
            await self._request.__aexit__(kind, exc, trace)
        finally:
            await self._leave(exc)

    async def _leave(self, exc: BaseException | None) -> None:
        try:
            await self._timeout.__aexit__(type(exc) if exc else None, exc, exc.__traceback__ if exc else None)
        except TimeoutError as late:
            raise fault("stalled", f"no answer within {self._within_s:.1f} s") from late
        if isinstance(exc, OSError | aiohttp.ClientError):
            kind: ProviderFault = "refused" if isinstance(exc, aiohttp.ClientConnectorError) else "dropped"
            raise fault(kind, one_line(exc)) from exc


class MistralStream:
    """One call's recogniser. Answers are told in the order in which the caller spoke."""

    def __init__(self, engine: MistralStt, rate: int, language: str) -> None:
        self._engine = engine
        self._rate = rate
        self._language = language
        self._pcm = bytearray()  # while silent: the pre-roll; while speaking: the utterance from there on
        self._speaking = False
        self._told: asyncio.Queue[asyncio.Task[str] | Heard | None] = asyncio.Queue(AT_ONCE)
        self._tasks: set[asyncio.Task[str]] = set()
        self._error: ProviderError | None = None

    def send(self, frame: bytes) -> None:
        self._pcm += frame
        if not self._speaking:
            del self._pcm[: max(0, len(self._pcm) - self._bytes(PRE_ROLL_S))]
        elif len(self._pcm) >= self._bytes(LONGEST_S):
            self._cut(quietest(bytes(self._pcm), self._rate, self._bytes(SEARCH_S)))

    def speech(self, speaking: bool) -> None:
        """The voice detector's word: an utterance begins, or is over and to be read now."""
        if speaking != self._speaking:
            self._speaking = speaking
            if not speaking:
                self._cut(len(self._pcm))

    def finalize(self) -> None:
        """What was sent is read at once; when there is nothing, that is said at once."""
        if self._speaking:
            self._cut(len(self._pcm))
        elif not self._tasks:
            self._tell(Heard("", final=True))

    async def __aiter__(self) -> AsyncIterator[SttEvent]:
        while (one := await self._told.get()) is not None:
            if isinstance(one, Heard):
                yield one
                continue
            try:
                yield Heard(await asyncio.shield(one), final=True)
            except asyncio.CancelledError:
                if one.cancelled():
                    break
                raise
        if self._error is not None:
            raise self._error

    async def close(self) -> None:
        """What is being read is read for nobody."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._end()

    def _cut(self, at: int) -> None:
        utterance = bytes(self._pcm[:at])
        del self._pcm[:at]
        task = asyncio.get_running_loop().create_task(
            self._engine.transcribe(utterance, self._rate, self._language), name="mistral-utterance"
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())  # the reader tells of it
        self._tell(task)

    def _tell(self, one: "asyncio.Task[str] | Heard") -> None:
        try:
            self._told.put_nowait(one)
        except asyncio.QueueFull:
            self._error = fault("stalled", f"{AT_ONCE} utterances are unanswered")
            for task in self._tasks:
                task.cancel()
            self._end()

    def _end(self) -> None:
        while not self._told.empty():
            self._told.get_nowait()
        self._told.put_nowait(None)

    def _bytes(self, seconds: float) -> int:
        return int(seconds * self._rate) * SAMPLE_BYTES


def fault(kind: ProviderFault, detail: str) -> ProviderError:
    return ProviderError("mistral", "stt", kind, detail)
