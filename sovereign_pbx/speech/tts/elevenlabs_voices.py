"""The voices of an ElevenLabs account: `GET /v1/voices`."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import aiohttp
import msgspec

from sovereign_pbx.core.errors import ProviderError
from sovereign_pbx.speech.settings import Settings
from sovereign_pbx.speech.sockets import address, fault_of_status
from sovereign_pbx.speech.tts.listing import Account, ListedVoice
from sovereign_pbx.speech.tts.voice_settings import BASE_URL

LIST_S: Final = 5.0
MOST_BYTES: Final = 8 << 20
MOST_VOICES: Final = 2000


async def voices(account: Account, *, within_s: float = LIST_S) -> list[ListedVoice]:
    """Every voice that the key may use; without a key none. Raises ProviderError within `within_s`, or ConfigError."""
    settings = Settings(account, "[providers.elevenlabs]")
    key = settings.text("api_key")
    if not key:
        return []
    url = address(settings.text("base_url", BASE_URL), "[providers.elevenlabs]", websocket=False) + "/v1/voices"
    try:
        async with asyncio.timeout(within_s), aiohttp.ClientSession() as session:
            raw = await _fetched(session, url, key)
    except TimeoutError as exc:
        raise _fault("stalled", f"no list within {within_s:g} s") from exc
    except (OSError, aiohttp.ClientError) as exc:
        raise _fault("refused", type(exc).__name__) from exc
    return await asyncio.to_thread(_listed, raw)


async def _fetched(session: aiohttp.ClientSession, url: str, key: str) -> bytes:
    async with session.get(url, headers={"xi-api-key": key}, allow_redirects=False) as response:
        if response.status != 200:
            raise _fault(fault_of_status(response.status), f"HTTP {response.status}")
        raw = b""
        async for chunk in response.content.iter_chunked(1 << 16):
            raw += chunk
            if len(raw) > MOST_BYTES:
                raise _fault("garbled", f"the list is longer than {MOST_BYTES} bytes")
        return raw


def _listed(raw: bytes) -> list[ListedVoice]:
    try:
        answer = msgspec.json.decode(raw)
        found = [_voice(one) for one in answer["voices"][:MOST_VOICES]]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError, TypeError) as exc:
        raise _fault("garbled", "the answer is no list of voices") from exc
    return [voice for voice in found if voice is not None]


def _voice(told: Any) -> ListedVoice | None:
    """A voice as the vendor tells of it; None for what has no id."""
    if not isinstance(told, Mapping) or not isinstance(told.get("voice_id"), str) or not told["voice_id"]:
        return None
    labels = told.get("labels")
    language = labels.get("language") if isinstance(labels, Mapping) else None
    text = told.get("description")
    return ListedVoice(
        id=told["voice_id"],
        name=told["name"] if isinstance(told.get("name"), str) else told["voice_id"],
        language=language if isinstance(language, str) else "",
        description={"en": text} if isinstance(text, str) and text else {},
    )


def _fault(kind: Any, detail: str) -> ProviderError:
    return ProviderError("elevenlabs", "tts", kind, detail)
