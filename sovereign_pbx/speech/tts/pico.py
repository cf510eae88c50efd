"""Text to speech in six voices of five languages on this machine: SVOX Pico through py-nanotts, 16 kHz.

The engine is C code from 2009 that holds the interpreter's lock while it speaks (24 ms for a sentence) and reads
whatever a model wrote: it works in a process of its own, where it can neither delay a call nor take one down.
"""

import asyncio
import importlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from importlib.util import find_spec
from typing import Any, Final

from sovereign_pbx.core.errors import ConfigError, ProviderError
from sovereign_pbx.speech.settings import Settings
from sovereign_pbx.speech.tts.listing import Account, ListedVoice, described
from sovereign_pbx.speech.tts.local_session import RENDER_S, LocalSession
from sovereign_pbx.speech.tts.loudness import for_phone

RATE: Final = 16000
VOICES: Final = ("en-US", "en-GB", "de-DE", "fr-FR", "es-ES", "it-IT")
_VOLUME: Final = 0.5  # at 1.0 the engine clips
_CONTROL: Final = dict.fromkeys(range(32), " ") | {ord("<"): " ", ord(">"): " "}  # Pico reads markup in < >
START_S: Final = 10.0


def voice_for(language: str, voice: str = "") -> str:
    """The voice for a language such as "fr" or "en-GB"; empty when Pico has none."""
    if voice:
        return voice if voice in VOICES else ""
    if language in VOICES:
        return language
    code = language.split("-")[0].lower() or "en"
    return next((known for known in VOICES if known.startswith(code + "-")), "")


class _Workers:
    """The process, started on first use and started again if it dies; ended with the last voice."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pool: ProcessPoolExecutor | None = None
        self._users = 0

    def lease(self) -> None:
        with self._lock:
            self._users += 1

    def release(self) -> None:
        with self._lock:
            self._users -= 1
            pool = None
            if self._users == 0:
                pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(cancel_futures=True)

    def submit(self, text: str, voice: str, speed: float, rate: int) -> "Future[bytes]":
        """Hand over one piece of text. Blocks while a process is started."""
        with self._lock:
            if self._pool is None:
                # spawn: a fork of a process with threads and an event loop may inherit a locked lock
                spawn = multiprocessing.get_context("spawn")
                self._pool = ProcessPoolExecutor(1, mp_context=spawn, initializer=_start)
            try:
                return self._pool.submit(_render, text, voice, speed, rate)
            except BrokenProcessPool:
                self._pool = None
                raise

    def forget(self) -> None:
        """The process died: the next piece of text starts another one."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(cancel_futures=True)


_workers = _Workers()


def _start() -> None:
    """In the worker: the terminal's Ctrl-C is for the daemon, which ends its workers itself."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_daemon, daemon=True).start()
    importlib.import_module("py_nanotts")


def _end_with_the_daemon() -> None:
    """A killed daemon can't end its worker: the worker watches it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _render(text: str, voice: str, speed: float, rate: int) -> bytes:
    """In the worker: one piece of text as PCM for the link."""
    engine = importlib.import_module("py_nanotts").NanoTTS()
    return for_phone(engine.speak(text.translate(_CONTROL), voice=voice, speed=speed, volume=_VOLUME), RATE, rate)


class Pico:
    """A configured voice."""

    name = "pico"

    def __init__(self, *, voice: str = "", language: str = "", speed: float = 1.0, render_s: float = RENDER_S) -> None:
        self.key = f"pico/{voice or language}/{speed:g}"
        self._voice = voice
        self._language = language
        self._speed = speed
        self._render_s = render_s
        self._leased = False

    @classmethod
    def from_config(cls, block: Mapping[str, Any], provider: Mapping[str, Any]) -> "Pico":
        """From an assistant's `tts_config` (voice_id, language, speed) and `[providers.pico]`."""
        settings = Settings(block, "tts_config")
        voice, language = settings.text("voice_id"), settings.text("language")
        if voice and voice not in VOICES:
            raise settings.wrong("voice_id", f"must be one of {', '.join(VOICES)}")
        if language and not voice_for(language):
            raise ConfigError(
                f"tts_config: pico has no voice for {language}",
                key="language",
                remedy='it speaks en, de, fr, es and it; use provider "espeak" for others',
            )
        return cls(
            voice=voice,
            language=language,
            speed=settings.number("speed", 1.0, 0.5, 2.0) or 1.0,
            render_s=Settings(provider, "[providers.pico]").seconds("render_s", RENDER_S),
        )

    async def open(self, *, rate: int, language: str) -> LocalSession:
        """Start the worker on first use (about 0.5 s) and prove that the voice speaks."""
        wanted = self._language or ("" if language in ("multi", "auto") else language)
        voice = voice_for(wanted, self._voice)
        if not voice:
            raise ProviderError("pico", "tts", "denied", f"it has no voice for {wanted}")
        if not self._leased:
            self._leased = True
            _workers.lease()

        async def render(text: str) -> bytes:
            return await self._run(text, voice, rate)

        try:
            async with asyncio.timeout(START_S):
                await render("")
        except TimeoutError as exc:
            raise ProviderError("pico", "tts", "stalled", "its process did not start in time") from exc
        return LocalSession("pico", render, self._render_s)

    async def aclose(self) -> None:
        """The last voice ends the process."""
        if self._leased:
            self._leased = False
            await asyncio.to_thread(_workers.release)

    async def _run(self, text: str, voice: str, rate: int) -> bytes:
        try:
            rendering = await asyncio.to_thread(_workers.submit, text, voice, self._speed, rate)
            return await asyncio.wrap_future(rendering)
        except BrokenProcessPool as exc:
            await asyncio.to_thread(_workers.forget)
            raise ProviderError("pico", "tts", "dropped", "its process died; it is started again") from exc
        except ImportError as exc:
            raise ProviderError(
                "pico", "tts", "denied", 'py-nanotts is not installed: pip install "sovereign-pbx[embedded]"'
            ) from exc
        except Exception as exc:  # the extension's own errors have no common root
            raise ProviderError("pico", "tts", "garbled", f"{type(exc).__name__}: {exc}") from exc


async def voices(account: Account) -> list[ListedVoice]:
    """All six; none without the package."""
    if await asyncio.to_thread(find_spec, "py_nanotts") is None:
        return []
    return [
        ListedVoice(id=voice, name=f"Pico {voice}", language=voice, description=described(voice, "female"))
        for voice in VOICES
    ]
