"""ElevenLabs' voice settings and models, as data: which model takes which setting, language and audio tags."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

from sovereign_pbx.speech.settings import Settings

BASE_URL: Final = "https://api.elevenlabs.io"

ALL_SETTINGS: Final = ("stability", "similarity_boost", "style", "use_speaker_boost", "speed")

# First match wins. What a model does not take is left out: at best it is ignored, at worst refused.
_TAKES: Final = (
    ("eleven_v3*", ("stability",)),
    ("eleven_flash_v2_5", ("stability", "similarity_boost", "speed")),
    ("*", ALL_SETTINGS),
)
_TAKES_LANGUAGE: Final = ("eleven_flash_v2_5", "eleven_turbo_v2_5", "eleven_v3*", "eleven_v4*")
_KNOWS_TAGS: Final = ("eleven_v3*", "eleven_v4*")
_READS_NUMBERS: Final = ("eleven_multilingual_v2", "eleven_v3*")
_HTTP_ONLY: Final = ("eleven_v3",)

# The contract lets 0.5 to 2 be stored; the vendor speaks at 0.7 to 1.2.
SPEED_LOW, SPEED_HIGH = 0.7, 1.2


def _matches(model: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(model, pattern) for pattern in patterns)


def http_only(model: str) -> bool:
    """Whether the text-to-speech websocket does not serve the model."""
    return _matches(model, _HTTP_ONLY)


def language_code(model: str, language: str) -> str | None:
    """The language to send: two letters, and only to models that take one."""
    code = language.split("-")[0].lower()
    return code if len(code) == 2 and _matches(model, _TAKES_LANGUAGE) else None


def knows_tags(model: str) -> bool:
    """Whether audio tags in square brackets are delivered, not read aloud (contract §4.4)."""
    return _matches(model, _KNOWS_TAGS)


def reads_numbers(model: str) -> bool:
    """Whether the vendor puts numbers into words. Its fast models leave that out for the sake of latency."""
    return _matches(model, _READS_NUMBERS)


def voice_settings(settings: Settings, model: str) -> dict[str, float | bool]:
    """The settings given in a `tts_config`, as this model takes them; ConfigError on a value out of range."""
    given: dict[str, float | bool | None] = {
        "stability": settings.number("stability", None, 0.0, 1.0),
        "similarity_boost": settings.number("similarity_boost", None, 0.0, 1.0),
        "style": settings.number("style", None, 0.0, 1.0),
        "use_speaker_boost": settings.flag("use_speaker_boost", None),
        "speed": settings.number("speed", None, 0.5, 2.0),
    }
    taken = next(names for pattern, names in _TAKES if fnmatchcase(model, pattern))
    wanted = {name: value for name, value in given.items() if value is not None and name in taken}
    if "speed" in wanted:
        wanted["speed"] = min(max(float(wanted["speed"]), SPEED_LOW), SPEED_HIGH)
    if "stability" in wanted and fnmatchcase(model, "eleven_v3*"):
        wanted["stability"] = round(float(wanted["stability"]) * 2) / 2  # creative 0, natural 0.5, robust 1
    return wanted


@dataclass(frozen=True, slots=True)
class ElevenLabsAccount:
    """`[providers.elevenlabs]`."""

    api_key: str
    base_url: str = BASE_URL

    def __repr__(self) -> str:
        return f"ElevenLabsAccount({self.base_url})"

    @classmethod
    def from_config(cls, provider: Mapping[str, Any]) -> "ElevenLabsAccount":
        account = Settings(provider, "[providers.elevenlabs]")
        key = account.required("api_key", 'set api_key = "${env:ELEVENLABS_API_KEY}"')
        return cls(key, account.text("base_url", BASE_URL))


@dataclass(frozen=True, slots=True)
class VoiceChoice:
    """A voice of ElevenLabs, as an assistant chose it."""

    voice_id: str
    model: str = "eleven_flash_v2_5"
    language: str = ""
    settings: tuple[tuple[str, float | bool], ...] = ()

    @classmethod
    def from_config(cls, block: Mapping[str, Any]) -> "VoiceChoice":
        settings = Settings(block, "tts_config")
        voice = settings.required("voice_id", "choose a voice of your ElevenLabs account and give its id")
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", voice):
            raise settings.wrong("voice_id", "must be letters, digits, - and _")
        model = settings.text("model", "eleven_flash_v2_5")
        return cls(voice, model, settings.text("language"), tuple(voice_settings(settings, model).items()))

    @property
    def key(self) -> str:
        """Names the sound for the phrase cache, whatever the transport."""
        return f"elevenlabs/{self.voice_id}/{self.model}/{json.dumps(dict(self.settings), sort_keys=True)}"
