"""Text to speech in English on this machine: hibari, a 7.9 MB neural voice that comes whole in its package.

24 kHz, rendered in about 0.5 % of the audio's length on one core. One model and one thread serve all calls.
"""

import asyncio
import importlib
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np

from sovereign_pbx.core.errors import ConfigError, ProviderError
from sovereign_pbx.speech.settings import Settings
from sovereign_pbx.speech.tts.listing import Account, ListedVoice, described
from sovereign_pbx.speech.tts.local_session import RENDER_S, LocalSession
from sovereign_pbx.speech.tts.loudness import for_phone

RATE: Final = 24000
BUNDLED: Final = "heart"

_engines: dict[str, Any] = {}
_loading = threading.Lock()
_pool = ThreadPoolExecutor(1, thread_name_prefix="hibari")


def _engine(voice: str) -> Any:
    """The loaded model. Never downloads: a voice that is not here is an error."""
    with _loading:
        if voice not in _engines:
            try:
                package = importlib.import_module("hibari")
                path = importlib.import_module("hibari.voices").voice_path(voice, download_missing=False)
            except ImportError as exc:
                raise ConfigError(
                    "hibari-tts is not installed", remedy='pip install "sovereign-pbx[embedded]"'
                ) from exc
            except (FileNotFoundError, ValueError) as exc:
                raise ConfigError(
                    f"tts_config: voice_id {voice!r} of hibari is not on this machine",
                    key="voice_id",
                    remedy=f'use "{BUNDLED}", or let the package fetch it once: hibari --voice {voice} "hello"',
                ) from exc
            engine = package.Hibari(voice=voice, model=path)
            engine("Yes.")  # the dictionaries are read on first use (0.5 s); a caller should not wait for them
            _engines[voice] = engine
        return _engines[voice]


def _render(voice: str, text: str, speed: float, rate: int) -> bytes:
    # A fixed seed: the same sentence is the same audio, so that the phrase cache and tests can rely on it.
    wave = _engine(voice)(text, speed=speed, seed=0)
    return for_phone((np.clip(wave, -1, 1) * 32767).astype("<i2").tobytes(), RATE, rate)


class Hibari:
    """A configured voice."""

    name = "hibari"

    def __init__(self, *, voice: str = BUNDLED, speed: float = 1.0, render_s: float = RENDER_S) -> None:
        self.key = f"hibari/{voice}/{speed:g}"
        self._voice = voice
        self._speed = speed
        self._render_s = render_s

    @classmethod
    def from_config(cls, block: Mapping[str, Any], provider: Mapping[str, Any]) -> "Hibari":
        """From an assistant's `tts_config` (voice_id, speed) and `[providers.hibari]`."""
        settings = Settings(block, "tts_config")
        language = settings.text("language", "en")
        if not _english(language):
            raise ConfigError(
                f"tts_config: hibari speaks English only, not {language}",
                key="language",
                remedy='use provider "pico" (de, fr, es, it) or "espeak" (nl and many others)',
            )
        return cls(
            voice=settings.text("voice_id", BUNDLED),
            speed=settings.number("speed", 1.0, 0.5, 2.0) or 1.0,
            render_s=Settings(provider, "[providers.hibari]").seconds("render_s", RENDER_S),
        )

    async def open(self, *, rate: int, language: str) -> LocalSession:
        """Load the model on first use (0.8 s)."""
        if not _english(language):
            raise ProviderError("hibari", "tts", "denied", f"it speaks English only, not {language}")
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._render_s):
                await loop.run_in_executor(_pool, _engine, self._voice)
        except ConfigError as exc:
            raise ProviderError("hibari", "tts", "denied", str(exc)) from exc
        except TimeoutError as exc:
            raise ProviderError("hibari", "tts", "stalled", "the voice was not loaded in time") from exc

        async def render(text: str) -> bytes:
            try:
                return await loop.run_in_executor(_pool, _render, self._voice, text, self._speed, rate)
            except Exception as exc:  # the model's own errors have no common root
                raise ProviderError("hibari", "tts", "garbled", f"{type(exc).__name__}: {exc}") from exc

        return LocalSession("hibari", render, self._render_s)

    async def aclose(self) -> None:
        """The model stays for the other calls of the process."""


async def voices(account: Account) -> list[ListedVoice]:
    """Those on this machine; none without the package."""
    return await asyncio.to_thread(_installed)


def _installed() -> list[ListedVoice]:
    try:
        registry = importlib.import_module("hibari.voices")
    except ImportError:
        return []
    return [_listed(name, told) for name, told in registry.VOICES.items() if _is_here(registry, name)]


def _is_here(registry: Any, name: str) -> bool:
    try:
        registry.voice_path(name, download_missing=False)
    except (FileNotFoundError, ValueError):
        return False
    return True


def _listed(name: str, told: Mapping[str, Any]) -> ListedVoice:
    language = str(told.get("language", "en-US"))
    return ListedVoice(
        id=name, name=name.capitalize(), language=language, description=described(language, str(told.get("gender")))
    )


def _english(language: str) -> bool:
    return language.split("-")[0].lower() in ("en", "multi", "auto", "")
