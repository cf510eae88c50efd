"""The configured providers, built once and shared: a model loaded twice is memory and seconds lost."""

import asyncio
import hashlib
import json
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeVar

import structlog

from sovereign_pbx.assistants.model import Assistant
from sovereign_pbx.assistants.plan import language_of, plan_for
from sovereign_pbx.calls.backdrop import make_rooms
from sovereign_pbx.calls.toolbox import specs
from sovereign_pbx.core.audio import PHONE_RATE
from sovereign_pbx.core.errors import SovereignError
from sovereign_pbx.speech import catalogue
from sovereign_pbx.speech.llm import ChatModel
from sovereign_pbx.speech.realtime import RealtimeModel
from sovereign_pbx.speech.realtime.providers import account_of, build_realtime
from sovereign_pbx.speech.stt import SpeechToText
from sovereign_pbx.speech.tts import Voice

log = structlog.get_logger(__name__)

_CLOSE_S = 5.0
LOCAL: Final = frozenset({"whisper", "local", "receptionist", "hibari", "pico", "espeak"})
"""Providers that run on this machine, and take seconds to load."""


class _Closable(Protocol):
    async def aclose(self) -> None: ...


T = TypeVar("T", bound=_Closable)
Blocks = Mapping[str, Any]


@dataclass(slots=True, eq=False)
class _Built:
    thing: Any  # of the stage's own interface
    stage: str
    block: Blocks
    editions: "set[Providers]"  # whose accounts it fits
    used_at: float = 0.0


@dataclass(slots=True, eq=False)
class _Shop:
    """What all editions share."""

    built: "OrderedDict[tuple[str, str], _Built]" = field(default_factory=OrderedDict)  # the longest unused first
    closing: set[asyncio.Task[None]] = field(default_factory=set)
    loading: list[str] = field(default_factory=list)


def _local_blocks(assistant: Assistant) -> list[tuple[str, Mapping[str, Any]]]:
    blocks = (("stt", assistant.stt_config), ("tts", assistant.tts_config), ("llm", assistant.llm_config))
    return [(stage, block) for stage, block in blocks if block.get("provider") in LOCAL]


class Providers:
    """Speech and language providers by their configuration block. `providers` is `[providers.*]`, secrets resolved.

    It may change: with another key a provider is built anew, and calls that have begun keep the one they began with.
    With another file there is another edition (`successor`), which shares what is built, and so the loaded models.
    """

    def __init__(
        self,
        providers: Mapping[str, Mapping[str, Any]],
        *,
        most: int = 64,
        idle_s: float = 7260.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._providers = providers
        self._most = most
        self._idle_s = idle_s
        self._now = now
        self._shop = _Shop()

    def successor(self, providers: Mapping[str, Mapping[str, Any]], *, idle_s: float) -> "Providers":
        """The next edition, with other accounts. What fits them is kept; call `leave` on the older one when nobody uses
        it any more, and `aclose` on any of them in the end."""
        fresh = Providers(providers, most=self._most, idle_s=idle_s, now=self._now)
        fresh._shop = self._shop
        for key, built in self._shop.built.items():
            if fresh._key(built.stage, built.block) == key:
                built.editions.add(fresh)
        return fresh

    async def leave(self) -> None:
        """Close what fits no later edition: connections opened with accounts that are not used any more."""
        for key, built in list(self._shop.built.items()):
            built.editions.discard(self)
            if not built.editions:
                self._close(key)
        await self._closed_all()

    @property
    def loading(self) -> list[str]:
        """What `preload` is still about."""
        return self._shop.loading

    @property
    def accounts(self) -> Mapping[str, Mapping[str, Any]]:
        """The accounts at the providers, live."""
        return self._providers

    def stt(self, block: Mapping[str, Any]) -> SpeechToText:
        """The recogniser of an assistant's `stt_config`, whose terms are given to `open`. Raises ConfigError."""
        plain = {key: value for key, value in block.items() if key != "keyterms"}
        return self._build("stt", plain, catalogue.build_stt)

    def llm(self, block: Mapping[str, Any]) -> ChatModel:
        """The model of an assistant's `llm_config`. Raises ConfigError."""
        plain = {key: value for key, value in block.items() if key not in ("messages", "tools")}
        return self._build("llm", plain, catalogue.build_llm)

    def voice(self, block: Mapping[str, Any], speech: Mapping[str, Any] | None = None) -> Voice:
        """The voice of a `tts_config`, with the pronunciation of the `speech_config`. Raises ConfigError."""
        listed = [dict(entry) for entry in (speech or {}).get("pronunciation") or ()]
        block = {**block, "pronunciation": listed} if listed else block
        return self._build("tts", block, catalogue.build_voice)

    def realtime(self, block: Mapping[str, Any]) -> RealtimeModel:
        """The model that hears and speaks itself, of an assistant's `llm_config`. Raises ConfigError."""
        plain = {key: value for key, value in block.items() if key not in ("messages", "tools")}
        return self._build("realtime", plain, build_realtime)

    async def preload(self, assistants: Iterable[Assistant]) -> None:
        """Load what runs on this machine before the first caller waits for it; what can't be loaded is logged.

        Vendors elsewhere are left alone: a connection opened now would be closed again long before a call.
        """
        assistants = list(assistants)
        wanted = [(assistant, *block) for assistant in assistants for block in _local_blocks(assistant)]
        self._shop.loading = sorted({str(block["provider"]) for _, _, block in wanted})
        try:
            for assistant, stage, block in wanted:
                await self._try_to_load(stage, block, assistant)
        finally:  # whoever gives it up as well: health must not say for ever that something is being loaded
            self._shop.loading = []
        await make_rooms(assistants)

    async def _try_to_load(self, stage: str, block: Mapping[str, Any], assistant: Assistant) -> None:
        try:
            await self._load(stage, block, assistant)
        except SovereignError as exc:
            log.warning("provider.not_loaded", assistant=assistant.name, stage=stage, error=str(exc))

    async def _load(self, stage: str, block: Mapping[str, Any], assistant: Assistant) -> None:
        language = language_of(assistant)
        if stage == "stt":
            await (await self.stt(block).open(rate=PHONE_RATE, language=language)).close()
        elif stage == "tts":
            await (await self.voice(block, assistant.speech_config).open(rate=PHONE_RATE, language=language)).close()
        else:
            await self.llm(block).warm(plan_for(assistant).messages, specs(assistant.tools))

    async def aclose(self) -> None:
        """Close everything that was built."""
        for key in list(self._shop.built):
            self._close(key)
        await self._closed_all()

    async def _closed_all(self) -> None:
        """Each has its own deadline."""
        if closing := set(self._shop.closing):
            await asyncio.wait(closing)

    def _build(self, stage: str, block: Mapping[str, Any], build: Callable[[Blocks, Mapping[str, Blocks]], T]) -> T:
        key, shelf = self._key(stage, block), self._shop.built
        if key not in shelf:
            shelf[key] = _Built(build(block, self._providers), stage, block, set())
        found = shelf[key]
        found.editions.add(self)
        found.used_at = self._now()
        shelf.move_to_end(key)
        self._let_go()
        return found.thing  # type: ignore[no-any-return]  # keyed by stage, so it is what `build` makes

    def _key(self, stage: str, block: Blocks) -> tuple[str, str]:
        return stage, json.dumps(block, sort_keys=True, default=str) + self._accounts_of(block)

    def _accounts_of(self, block: Blocks) -> str:
        """Which accounts the block is built with, in a word that tells none of their keys."""
        blocks = (block, *(one for one in block.get("fallbacks") or () if isinstance(one, Mapping)))
        names = [account_of(one) for one in blocks]
        accounts = [self._providers.get(catalogue.ALIASES.get(name, name)) for name in names]
        return hashlib.sha256(json.dumps(accounts, sort_keys=True, default=str).encode()).hexdigest()

    def _let_go(self) -> None:
        """Webhooks may send another block with every call. Beyond `most` those are closed that no call can still be
        using, which is so when the longest call has gone by."""
        while len(self._shop.built) > self._most:
            key, oldest = next(iter(self._shop.built.items()))
            if self._now() - oldest.used_at < self._idle_s:
                return
            self._close(key)

    def _close(self, key: tuple[str, str]) -> None:
        thing = self._shop.built.pop(key).thing
        closing = asyncio.get_running_loop().create_task(_closed(thing), name="provider-close")
        self._shop.closing.add(closing)
        closing.add_done_callback(self._shop.closing.discard)


async def _closed(thing: _Closable) -> None:
    try:
        async with asyncio.timeout(_CLOSE_S):
            await thing.aclose()
    except Exception as exc:
        log.warning("provider.close_failed", error=str(exc) or type(exc).__name__)
