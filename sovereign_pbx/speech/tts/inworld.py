"""Inworld over its HTTP stream: `POST /tts/v1/voice:stream`, one JSON object a line (https://docs.inworld.ai).

PCM at the call's own rate is asked for, without a header; where a chunk comes with one all the same it is cut off.
Words come with their times. One request a segment on warm connections; closing the iterator closes the request.
"""

import asyncio
import base64
import binascii
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import msgspec

from sovereign_pbx.core.audio import SAMPLE_BYTES
from sovereign_pbx.core.errors import ProviderError, ProviderFault
from sovereign_pbx.core.values import Word
from sovereign_pbx.speech.settings import Settings
from sovereign_pbx.speech.sockets import address, fault_of_status, one_line
from sovereign_pbx.speech.tts import Audio, VoiceSession
from sovereign_pbx.speech.tts.elevenlabs import Deadlines
from sovereign_pbx.speech.tts.listing import Account, ListedVoice
from sovereign_pbx.speech.tts.voice_request import LIST_S, VoiceRequest

BASE_URL: Final = "https://api.inworld.ai"
MODEL: Final = "inworld-tts-1.5-mini"  # the fastest to its first sound
MOST_CHARACTERS: Final = 2000
MOST_LINE_BYTES: Final = 4 << 20  # a line is a chunk of sound; some are longer than aiohttp's own 64 KB a line
SLOWEST, FASTEST = 0.5, 1.5
_WAV_HEADER: Final = 44
_DELIVERIES: Final = ("", "STABLE", "BALANCED", "CREATIVE")
KEEP_S: Final = 60.0


class _Alignment(msgspec.Struct):
    words: list[str] = []
    wordStartTimeSeconds: list[float] = []
    wordEndTimeSeconds: list[float] = []


class _Timestamps(msgspec.Struct):
    wordAlignment: _Alignment | None = None


class _Result(msgspec.Struct):
    audioContent: str = ""
    timestampInfo: _Timestamps | None = None


class _Error(msgspec.Struct):
    code: int = 0
    message: str = ""


class _Line(msgspec.Struct):
    result: _Result | None = None
    error: _Error | None = None


_line = msgspec.json.Decoder(_Line)


@dataclass(frozen=True, slots=True)
class InworldChoice:
    """A voice, as an assistant chose it; `fields` go into every request."""

    voice_id: str
    model: str
    language: str
    rate: float | None
    fields: tuple[tuple[str, Any], ...]

    @classmethod
    def from_config(cls, settings: Settings) -> "InworldChoice":
        voice = settings.required("voice_id", "choose a voice of Inworld, such as Katrien or Lennart")
        model = settings.text("model", MODEL)
        speed = settings.number("speaking_rate", settings.number("speed", None, 0.25, 2), 0.25, 2)
        fields: dict[str, Any] = {}
        delivery = settings.choice("delivery_mode", "", _DELIVERIES)
        temperature = settings.number("temperature", None, 0, 2)
        if delivery and model.startswith("inworld-tts-2"):
            fields["deliveryMode"] = delivery
        if temperature is not None and not model.startswith("inworld-tts-2"):
            fields["temperature"] = temperature
        rate = None if speed is None else min(max(speed, SLOWEST), FASTEST)
        return cls(voice, model, settings.text("language"), rate, tuple(fields.items()))

    @property
    def key(self) -> str:
        """Names the sound for the phrase cache."""
        return f"inworld/{self.voice_id}/{self.model}/{self.rate}/{json.dumps(dict(self.fields), sort_keys=True)}"

    def request(self, text: str, rate: int, language: str) -> dict[str, Any]:
        """The body of a request."""
        audio: dict[str, Any] = {"audioEncoding": "PCM", "sampleRateHertz": rate}
        if self.rate is not None:
            audio["speakingRate"] = self.rate
        body = {
            "text": text,
            "voiceId": self.voice_id,
            "modelId": self.model,
            "audioConfig": audio,
            "timestampType": "WORD",
            **dict(self.fields),
        }
        spoken = self.language or language
        return {**body, "language": spoken} if spoken and spoken != "multi" else body


class InworldSession:
    """One call's voice; nothing stays open between segments but the warm connections."""

    def __init__(self, voice: "InworldVoice", rate: int, language: str) -> None:
        self._voice = voice
        self._rate = rate
        self._language = language

    async def speak(self, text: str) -> AsyncIterator[Audio]:
        spoken = text.strip()
        if not any(char.isalnum() for char in spoken):
            return
        begun_s = 0.0
        for piece in pieces(spoken):
            heard_s = 0.0
            async for audio in self._piece(piece, begun_s):
                heard_s += len(audio.pcm) / SAMPLE_BYTES / self._rate
                yield audio
            begun_s += heard_s

    async def close(self) -> None:
        """Nothing to let go of."""

    async def _piece(self, text: str, begun_s: float) -> AsyncIterator[Audio]:
        deadlines = self._voice.deadlines
        until = asyncio.get_running_loop().time() + deadlines.first_s
        odd, heard = b"", False
        response = await self._voice.post(self._voice.choice.request(text, self._rate, self._language), until)
        try:
            lines = _lines(response)
            while (line := await _next(lines, until)) is not None:
                pcm, words = _read(line)
                until = asyncio.get_running_loop().time() + deadlines.gap_s
                whole = len(odd + pcm) // SAMPLE_BYTES * SAMPLE_BYTES
                sound, odd = (odd + pcm)[:whole], (odd + pcm)[whole:]
                heard |= bool(sound)
                if sound or words:
                    yield Audio(sound, tuple(Word(w.text, w.start + begun_s, w.end + begun_s) for w in words))
        finally:
            response.close()  # not released: what is still being made is not wanted any more
        if not heard:
            raise fault("garbled", "the voice ended without any audio")


class InworldVoice:
    """A configured voice."""

    def __init__(self, api_key: str, base_url: str, choice: InworldChoice, deadlines: Deadlines) -> None:
        self.name = f"inworld/{choice.model}"
        self.key = choice.key
        # Emotions in brackets are for its first models, and in English (documentation of inworld-tts-1).
        self.knows_tags = choice.model.startswith("inworld-tts-1") and choice.language.lower().startswith("en")
        self.choice = choice
        self.deadlines = deadlines
        self._url = address(base_url, "[providers.inworld]", websocket=False) + "/tts/v1/voice:stream"
        self._headers = {"Authorization": f"Basic {api_key}"}  # the key comes in base64 already
        self._session: aiohttp.ClientSession | None = None

    @classmethod
    def from_config(cls, block: Mapping[str, Any], provider: Mapping[str, Any]) -> "InworldVoice":
        """From an assistant's `tts_config` and `[providers.inworld]`."""
        settings, account = Settings(block, "tts_config"), Settings(provider, "[providers.inworld]")
        return cls(
            account.required("api_key", 'set api_key = "${env:INWORLD_API_KEY}", in base64 as it is shown'),
            account.text("base_url", BASE_URL),
            InworldChoice.from_config(settings),
            Deadlines(first_s=settings.seconds("first_s", 2.5), gap_s=settings.seconds("gap_s", 2.0)),
        )

    async def open(self, *, rate: int, language: str) -> VoiceSession:
        """The connection comes with the first segment, and is kept warm."""
        return InworldSession(self, rate, language)

    async def post(self, body: Mapping[str, Any], until: float) -> aiohttp.ClientResponse:
        """The answer to a request, its head read. Raises ProviderError."""
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_S, ttl_dns_cache=60)
            self._session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None))
        try:
            async with asyncio.timeout_at(until):
                response = await self._session.post(self._url, json=body, headers=self._headers, allow_redirects=False)
        except TimeoutError as exc:
            raise fault("stalled", "no answer within the deadline") from exc
        except (OSError, aiohttp.ClientError) as exc:
            raise fault("refused", one_line(exc)) from exc
        if response.status != 200:
            response.close()
            raise fault(fault_of_status(response.status), f"HTTP {response.status}")
        return response

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None


def pieces(text: str) -> list[str]:
    """The text in parts that the vendor takes, cut between words where it must be."""
    found = []
    while len(text) > MOST_CHARACTERS:
        cut = text.rfind(" ", 0, MOST_CHARACTERS)
        cut = cut if cut > 0 else MOST_CHARACTERS
        found.append(text[:cut])
        text = text[cut:].lstrip()
    return [*found, text]


async def _lines(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Whole lines, however the stream is cut."""
    rest = b""
    async for chunk in response.content.iter_any():
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            if line.strip():
                yield line
        if len(rest) > MOST_LINE_BYTES:
            raise fault("garbled", f"a line longer than {MOST_LINE_BYTES} bytes")
    if rest.strip():
        yield rest


async def _next(lines: AsyncIterator[bytes], until: float) -> bytes | None:
    try:
        async with asyncio.timeout_at(until):
            return await anext(lines, None)
    except TimeoutError as exc:
        raise fault("stalled", "no audio within the deadline") from exc
    except (OSError, aiohttp.ClientError) as exc:
        raise fault("dropped", one_line(f"{type(exc).__name__}: {exc}")) from exc


def _read(line: bytes) -> tuple[bytes, tuple[Word, ...]]:
    """(PCM, words) of a line. Raises ProviderError for what is none, and for an error in it."""
    try:
        told = _line.decode(line)
        pcm = base64.b64decode(told.result.audioContent, validate=True) if told.result is not None else b""
    except (msgspec.MsgspecError, binascii.Error, UnicodeDecodeError, RecursionError) as exc:
        raise fault("garbled", "a line that can't be understood") from exc
    if told.error is not None:
        denied = told.error.code in (3, 5, 7, 16)  # gRPC: invalid argument, not found, permission denied, no key
        raise fault("denied" if denied else "refused", one_line(told.error.message))
    info = told.result.timestampInfo if told.result is not None else None
    spoken = info.wordAlignment if info is not None else None
    return pcm[_WAV_HEADER:] if pcm.startswith(b"RIFF") else pcm, _words(spoken) if spoken is not None else ()


def _words(spoken: _Alignment) -> tuple[Word, ...]:
    times = zip(spoken.words, spoken.wordStartTimeSeconds, spoken.wordEndTimeSeconds, strict=False)
    return tuple(Word(text, start, end) for text, start, end in times if text.strip())


async def voices(account: Account, *, within_s: float = LIST_S) -> list[ListedVoice]:
    """Every voice that the key may use; without a key none. Raises ProviderError within `within_s`, or ConfigError."""
    return await _REQUEST.voices(account, within_s)


def _voice(told: Any) -> ListedVoice | None:
    """A voice as the vendor tells of it; None for what has no id. Older answers list languages, newer name one."""
    if not isinstance(told, Mapping) or not isinstance(told.get("voiceId"), str) or not told["voiceId"]:
        return None
    languages = told.get("languages")
    first = languages[0] if isinstance(languages, list) and languages else told.get("langCode")
    name, text = told.get("displayName"), told.get("description")
    return ListedVoice(
        id=told["voiceId"],
        name=name if isinstance(name, str) and name else told["voiceId"],
        language=first.replace("_", "-") if isinstance(first, str) else "",
        description={"en": text} if isinstance(text, str) and text else {},
    )


def fault(kind: ProviderFault, detail: str) -> ProviderError:
    return ProviderError("inworld", "tts", kind, detail)


_REQUEST: Final = VoiceRequest(
    provider="inworld",
    base_url=BASE_URL,
    path="/voices/v1/voices",
    headers=lambda key: {"Authorization": f"Basic {key}"},
    read=_voice,
)
