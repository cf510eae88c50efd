"""The realtime models by their providers' names, as data; building a configured one with its fallbacks."""

import asyncio
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, Final

import structlog

from sovereign_pbx.core.errors import ConfigError, ProviderError
from sovereign_pbx.speech.realtime import RealtimeModel, RealtimeSession, Setup
from sovereign_pbx.speech.settings import Settings

log = structlog.get_logger(__name__)

Block = Mapping[str, Any]

MODULES: Final[Mapping[str, tuple[str, str]]] = {
    "openai_live": ("sovereign_pbx.speech.realtime.openai", "openai"),
    "xai_realtime": ("sovereign_pbx.speech.realtime.xai", "xai"),
}
"""By provider: the module with its `from_config`, and whose account it is."""

ALIASES: Final[Mapping[str, str]] = {"openai_realtime": "openai_live"}
NOT_HERE: Final = frozenset({"google_realtime"})
FALLBACKS_LIMIT: Final = 4


def is_realtime(block: Block) -> bool:
    """Does the block name a model that hears and speaks itself, here or elsewhere?"""
    name = _name(block)
    return name in MODULES or name in NOT_HERE


def account_of(block: Block) -> str:
    """The `[providers.NAME]` that the block's provider uses."""
    return MODULES[_name(block)][1] if _name(block) in MODULES else _name(block)


def build_realtime(block: Block, providers: Mapping[str, Block]) -> RealtimeModel:
    """The model of a `llm_config`, fallbacks included. Raises ConfigError."""
    fallbacks = block.get("fallbacks") or []
    if not isinstance(fallbacks, list | tuple) or not all(isinstance(item, Mapping) for item in fallbacks):
        raise ConfigError("llm_config: fallbacks must be a list of blocks like this one", key="fallbacks")
    if len(fallbacks) > FALLBACKS_LIMIT:
        raise ConfigError(f"llm_config: no more than {FALLBACKS_LIMIT} fallbacks", key="fallbacks")
    models = [_build(one, providers) for one in (block, *fallbacks)]
    return models[0] if len(models) == 1 else Spares(models)


def preload() -> None:
    """Import the modules, before the loop has a call to serve."""
    for module, _ in MODULES.values():
        import_module(module)


def _build(block: Block, providers: Mapping[str, Block]) -> RealtimeModel:
    name = _name(block)
    if name not in MODULES:
        what = f"llm_config: {name!r} is no realtime model that this daemon speaks to"
        raise ConfigError(what, key="provider", remedy=f"known here: {', '.join(MODULES)}")
    Settings(block, "llm_config").required("provider", "")
    module, account = MODULES[name]
    model: RealtimeModel = import_module(module).from_config(block, providers.get(account, {}))
    return model


def _name(block: Block) -> str:
    name = str(block.get("provider") or "")
    return ALIASES.get(name, name)


class Spares:
    """Several models, asked in turn."""

    def __init__(self, models: Sequence[RealtimeModel]) -> None:
        self.name = models[0].name
        self._models = models

    async def open(self, setup: Setup, *, rate: int) -> RealtimeSession:
        """A session of the first that gives one. Raises the last one's ProviderError."""
        fault: ProviderError | None = None
        for model in self._models:
            try:
                return await model.open(setup, rate=rate)
            except ProviderError as exc:
                log.warning("realtime.not_opened", model=model.name, error=str(exc))
                fault = exc
        assert fault is not None  # there is at least one model
        raise fault

    async def aclose(self) -> None:
        await asyncio.gather(*(model.aclose() for model in self._models))
