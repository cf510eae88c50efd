"""What ElevenLabs turns down: query parameters, bodies, voice settings."""

from collections.abc import Mapping
from typing import Any, Final

FORMATS: Final = {"pcm_8000": 8000, "pcm_16000": 16000}
MODELS: Final = frozenset(
    {
        "eleven_flash_v2_5",
        "eleven_turbo_v2_5",
        "eleven_multilingual_v2",
        "eleven_monolingual_v1",
        "eleven_v3",
        "eleven_v4",
        "eleven_v4_turbo",
    }
)
_NO_SOCKET: Final = frozenset({"eleven_v3"})
_NO_LANGUAGE: Final = frozenset({"eleven_multilingual_v2", "eleven_monolingual_v1"})
_SOCKET_QUERY: Final = frozenset(
    {
        "model_id",
        "output_format",
        "language_code",
        "auto_mode",
        "inactivity_timeout",
        "sync_alignment",
        "apply_text_normalization",
        "enable_ssml_parsing",
        "enable_logging",
        "seed",
    }
)
_HTTP_QUERY: Final = frozenset({"output_format", "enable_logging", "optimize_streaming_latency"})
_BODY: Final = frozenset({"text", "model_id", "voice_settings", "language_code", "seed", "apply_text_normalization"})
_RANGES: Final = {"stability": (0, 1), "similarity_boost": (0, 1), "style": (0, 1), "speed": (0.7, 1.2)}


def socket_complaint(query: Mapping[str, str]) -> str | None:
    """Why the websocket would be refused, or None."""
    if extra := sorted(set(query) - _SOCKET_QUERY):
        return f"unknown parameter {extra[0]}"
    if query.get("model_id") in _NO_SOCKET:
        return f"model {query['model_id']} is not available on this endpoint"
    for name in ("auto_mode", "sync_alignment"):
        if query.get(name, "true") not in ("true", "false"):
            return f"{name} must be true or false"
    if not 1 <= int(query.get("inactivity_timeout", "20")) <= 180:
        return "inactivity_timeout out of range"
    return _common(query)


def request_complaint(query: Mapping[str, str], body: Any) -> str | None:
    """Why an HTTP request would be refused, or None."""
    if extra := sorted(set(query) - _HTTP_QUERY):
        return f"unknown parameter {extra[0]}"
    if not isinstance(body, dict) or (extra := sorted(set(body) - _BODY)):
        return f"unknown field {extra[0]}" if isinstance(body, dict) else "the body is no object"
    if not isinstance(body.get("text"), str) or not body["text"].strip():
        return "text is empty"
    return _common({**query, **body}) or settings_complaint(body.get("voice_settings"))


def settings_complaint(settings: Any) -> str | None:
    """Why voice settings would be refused, or None."""
    if settings is None:
        return None
    if not isinstance(settings, dict):
        return "voice_settings must be an object"
    for name, value in settings.items():
        if name == "use_speaker_boost":
            if not isinstance(value, bool):
                return "use_speaker_boost must be true or false"
        elif name not in _RANGES:
            return f"unknown voice setting {name}"
        elif not isinstance(value, int | float) or not _RANGES[name][0] <= value <= _RANGES[name][1]:
            return f"{name} out of range"
    return None


def _common(values: Mapping[str, Any]) -> str | None:
    if values.get("output_format") not in FORMATS:
        return "output_format is not one of this server's"
    if values.get("model_id", "eleven_flash_v2_5") not in MODELS:
        return "no such model"
    if "language_code" in values and values.get("model_id") in _NO_LANGUAGE:
        return "this model takes no language_code"
    return None
