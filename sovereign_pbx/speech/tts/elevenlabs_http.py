"""ElevenLabs over HTTP streaming through its official SDK: for `eleven_v3`, which the websocket does not serve, and for
`transport = "http"`. No word times come this way.

The SDK is imported and its client made on first use, in a thread (0.4 s), and shared by all calls of an account.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sovereign_pbx.core.audio import SAMPLE_BYTES, frame_bytes
from sovereign_pbx.core.errors import ConfigError, ProviderError, ProviderFault
from sovereign_pbx.speech.settings import Settings
from sovereign_pbx.speech.sharing import Shares
from sovereign_pbx.speech.sockets import address, fault_of_status, one_line
from sovereign_pbx.speech.tts import Audio, VoiceSession
from sovereign_pbx.speech.tts.elevenlabs import Deadlines, pcm_format
from sovereign_pbx.speech.tts.voice_settings import (
    ElevenLabsAccount,
    VoiceChoice,
    knows_tags,
    language_code,
    reads_numbers,
)

if TYPE_CHECKING:
    import httpx
    from elevenlabs.client import AsyncElevenLabs

KEEP_CONNECTION_S: Final = 120.0


class _Client(NamedTuple):
    sdk: "AsyncElevenLabs"
    http: "httpx.AsyncClient"


def _make_client(account: ElevenLabsAccount) -> _Client:
    import httpx
    from elevenlabs import VoiceSettings
    from elevenlabs.client import AsyncElevenLabs

    limits = httpx.Limits(max_connections=1000, max_keepalive_connections=100, keepalive_expiry=KEEP_CONNECTION_S)
    http = httpx.AsyncClient(timeout=httpx.Timeout(60.0, connect=2.0), follow_redirects=False, limits=limits)
    client = AsyncElevenLabs(
        api_key=account.api_key,
        base_url=address(account.base_url, "[providers.elevenlabs]", websocket=False),
        httpx_client=http,
    )
    _ = client.text_to_speech, VoiceSettings  # loads their modules here, not on the loop
    return _Client(client, http)


async def _close_client(client: _Client) -> None:
    await client.http.aclose()


_clients: Shares[ElevenLabsAccount, _Client] = Shares(_make_client, _close_client)


class ElevenLabsHttpSession:
    """One call's voice; nothing stays open between segments but the shared client's connections."""

    def __init__(
        self, client: "AsyncElevenLabs", choice: VoiceChoice, rate: int, language: str, deadlines: Deadlines
    ) -> None:
        self._client = client
        self._choice = choice
        self._rate = rate
        self._language = language
        self._deadlines = deadlines

    async def speak(self, text: str) -> AsyncIterator[Audio]:
        """One segment. Closing the iterator closes the request, and with it the synthesis."""
        spoken = text.strip()
        if not any(char.isalnum() for char in spoken):
            return
        deadline = asyncio.get_running_loop().time() + self._deadlines.first_s
        odd = b""
        heard = False
        # `async for … break` alone would leave the request running until the collector finds it.
        async with aclosing(self._request(spoken)) as stream:
            while (chunk := await self._next(stream, deadline)) is not None:
                pcm = odd + chunk
                whole = len(pcm) // SAMPLE_BYTES * SAMPLE_BYTES
                odd = pcm[whole:]
                deadline = asyncio.get_running_loop().time() + self._deadlines.gap_s
                if whole:
                    heard = True
                    yield Audio(pcm[:whole])
        if not heard:
            raise _fault("garbled", "the voice ended without any audio")

    async def close(self) -> None:
        """Nothing to let go of."""

    def _request(self, text: str) -> Any:
        from elevenlabs import VoiceSettings

        optional: dict[str, Any] = {}
        if self._choice.settings:
            optional["voice_settings"] = VoiceSettings(**dict(self._choice.settings))
        if code := language_code(self._choice.model, self._choice.language or self._language):
            optional["language_code"] = code
        return self._client.text_to_speech.stream(
            self._choice.voice_id,
            text=text,
            model_id=self._choice.model,
            output_format=pcm_format(self._rate),
            # The SDK's default of 1024 bytes holds 64 ms of sound back.
            request_options={"chunk_size": frame_bytes(self._rate)},
            **optional,
        )

    async def _next(self, stream: Any, deadline: float) -> bytes | None:
        """The next chunk, None at the end; every failure as ProviderError."""
        import httpx
        from elevenlabs.core.api_error import ApiError

        try:
            async with asyncio.timeout_at(deadline):
                chunk: bytes | None = await anext(stream, None)
                return chunk
        except TimeoutError as exc:
            raise _fault("stalled", "no audio within the deadline") from exc
        except ApiError as exc:
            status = exc.status_code or 0
            raise _fault(fault_of_status(status), one_line(f"HTTP {status}: {exc.body}")) from exc
        except httpx.TimeoutException as exc:
            raise _fault("stalled", type(exc).__name__) from exc
        except httpx.ConnectError as exc:
            raise _fault("refused", one_line(exc)) from exc
        except httpx.HTTPError as exc:
            raise _fault("dropped", one_line(f"{type(exc).__name__}: {exc}")) from exc


class ElevenLabsHttp:
    """A voice spoken through HTTP."""

    def __init__(self, account: ElevenLabsAccount, choice: VoiceChoice, *, deadlines: Deadlines | None = None) -> None:
        self.name = f"elevenlabs/{choice.model}"
        self.key = choice.key
        self.knows_tags = knows_tags(choice.model)
        self.reads_numbers = reads_numbers(choice.model)
        self._account = account
        self._choice = choice
        self._deadlines = deadlines or Deadlines()
        self._leased: _Client | None = None
        self._leasing = asyncio.Lock()

    @classmethod
    def from_config(cls, block: Mapping[str, Any], provider: Mapping[str, Any]) -> "ElevenLabsHttp":
        """From an assistant's `tts_config` and `[providers.elevenlabs]`."""
        if find_spec("elevenlabs") is None:
            raise ConfigError(
                "tts_config: this voice needs the elevenlabs package",
                key="provider",
                remedy="pip install 'sovereign-pbx[elevenlabs]'",
            )
        settings = Settings(block, "tts_config")
        account = ElevenLabsAccount.from_config(provider)
        address(account.base_url, "[providers.elevenlabs]", websocket=False)
        return cls(
            account,
            VoiceChoice.from_config(block),
            deadlines=Deadlines(first_s=settings.seconds("first_s", 2.5), gap_s=settings.seconds("gap_s", 2.0)),
        )

    async def open(self, *, rate: int, language: str) -> VoiceSession:
        """Make sure of the client; the connection comes with the first segment."""
        pcm_format(rate)
        async with self._leasing:
            if self._leased is None:
                self._leased = await _clients.lease(self._account)
            return ElevenLabsHttpSession(self._leased.sdk, self._choice, rate, language, self._deadlines)

    async def aclose(self) -> None:
        """Give the client back; the last user closes it."""
        async with self._leasing:
            if self._leased is not None:
                self._leased = None
                await _clients.release(self._account)


def _fault(kind: ProviderFault, detail: str) -> ProviderError:
    return ProviderError("elevenlabs", "tts", kind, detail)
