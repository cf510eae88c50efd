"""The configured providers, built once and shared: a model loaded twice is memory and seconds lost."""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

import structlog

from sovereign_pbx.speech import catalogue
from sovereign_pbx.speech.llm import ChatModel
from sovereign_pbx.speech.stt import SpeechToText
from sovereign_pbx.speech.tts import Voice

log = structlog.get_logger(__name__)

_CLOSE_S = 5.0


class _Closable(Protocol):
    async def aclose(self) -> None: ...


T = TypeVar("T", bound=_Closable)
Blocks = Mapping[str, Any]


class Providers:
    """Speech and language providers by their configuration block. `providers` is `[providers.*]`, secrets resolved."""

    def __init__(self, providers: Mapping[str, Mapping[str, Any]]) -> None:
        self._providers = providers
        self._built: dict[tuple[str, str], _Closable] = {}

    def stt(self, block: Mapping[str, Any]) -> SpeechToText:
        """The recogniser of an assistant's `stt_config`. Raises ConfigError."""
        return self._build("stt", block, catalogue.build_stt)

    def llm(self, block: Mapping[str, Any]) -> ChatModel:
        """The model of an assistant's `llm_config`. Raises ConfigError."""
        plain = {key: value for key, value in block.items() if key not in ("messages", "tools")}
        return self._build("llm", plain, catalogue.build_llm)

    def voice(self, block: Mapping[str, Any]) -> Voice:
        """The voice of an assistant's `tts_config`. Raises ConfigError."""
        return self._build("tts", block, catalogue.build_voice)

    async def aclose(self) -> None:
        """Close everything that was built."""
        built, self._built = list(self._built.values()), {}
        try:
            async with asyncio.timeout(_CLOSE_S):
                await asyncio.gather(*(thing.aclose() for thing in built), return_exceptions=True)
        except TimeoutError:
            log.warning("providers.close_timeout", seconds=_CLOSE_S)

    def _build(self, stage: str, block: Mapping[str, Any], build: Callable[[Blocks, Mapping[str, Blocks]], T]) -> T:
        key = (stage, json.dumps(block, sort_keys=True, default=str))
        found: Any = self._built.get(key)
        if found is None:
            found = self._built[key] = build(block, self._providers)
        return found  # type: ignore[no-any-return]  # keyed by stage, so it is what `build` makes
