"""The voices that assistants may be given: those of this machine, and those of the accounts elsewhere."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog

from sovereign_pbx.core.errors import SovereignError
from sovereign_pbx.speech import catalogue
from sovereign_pbx.speech.tts.listing import Account, ListedVoice

log = structlog.get_logger(__name__)

KEEP_S: Final = 600.0
RETRY_S: Final = 15.0  # a vendor that failed is asked again no sooner

Lister = Callable[[str, Account], Awaitable[list[ListedVoice]]]


@dataclass(frozen=True, slots=True)
class _Known:
    voices: Sequence[ListedVoice]
    account: Account
    until: float


class VoiceBook:
    """All voices by provider. A provider that does not answer costs only its own: its last known ones are shown.

    `accounts` are those of the providers, live: with another key the list is fetched anew.
    """

    def __init__(
        self,
        accounts: Mapping[str, Account],
        *,
        lister: Lister = catalogue.voices_of,
        providers: Sequence[str] = catalogue.voice_lists(),
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._accounts = accounts
        self._lister = lister
        self._now = now
        self._known: dict[str, _Known] = {}
        self._asking = {provider: asyncio.Lock() for provider in providers}

    async def all(self) -> list[dict[str, Any]]:
        """Every voice as the API shows it, provider by provider. Takes as long as the slowest vendor may (5 s)."""
        found = await asyncio.gather(*(self._of(provider) for provider in self._asking))
        return [
            _shown(provider, voice) for provider, voices in zip(self._asking, found, strict=True) for voice in voices
        ]

    async def _of(self, provider: str) -> Sequence[ListedVoice]:
        async with self._asking[provider]:
            account = self._accounts.get(provider, {})
            known = self._known.get(provider)
            if known is None or known.account != account:
                known = _Known((), account, 0.0)
            if self._now() >= known.until:
                known = self._known[provider] = await self._asked(provider, known)
            return known.voices

    async def _asked(self, provider: str, known: _Known) -> _Known:
        try:
            voices = await self._lister(provider, known.account)
        except SovereignError as exc:
            log.warning("voices.not_listed", provider=provider, error=str(exc))
            return _Known(known.voices, known.account, self._now() + RETRY_S)
        return _Known(voices, known.account, self._now() + KEEP_S)


def _shown(provider: str, voice: ListedVoice) -> dict[str, Any]:
    shown: dict[str, Any] = {"id": voice.id, "name": voice.name, "provider": provider}
    if voice.language:
        shown["language"] = voice.language
    if voice.description:
        shown["description"] = dict(voice.description)
    return shown
