"""The voices of an ElevenLabs account: `GET /v1/voices`."""

from collections.abc import Mapping
from typing import Any, Final

from sovereign_pbx.speech.tts.listing import Account, ListedVoice
from sovereign_pbx.speech.tts.voice_request import LIST_S, VoiceRequest
from sovereign_pbx.speech.tts.voice_settings import BASE_URL


async def voices(account: Account, *, within_s: float = LIST_S) -> list[ListedVoice]:
    """Every voice that the key may use; without a key none. Raises ProviderError within `within_s`, or ConfigError."""
    return await _REQUEST.voices(account, within_s)


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


_REQUEST: Final = VoiceRequest(
    provider="elevenlabs",
    base_url=BASE_URL,
    path="/v1/voices",
    headers=lambda key: {"xi-api-key": key},
    read=_voice,
)
