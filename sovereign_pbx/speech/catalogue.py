"""Which provider is which class, as data; building the configured ones with their fallbacks.

Modules are imported when a provider is first built: an installation without Deepgram never loads it.
"""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from importlib import import_module
from typing import Any, Final, Literal

from sovereign_pbx.core.errors import ConfigError
from sovereign_pbx.speech.hedging import Hedge
from sovereign_pbx.speech.llm import ChatModel
from sovereign_pbx.speech.llm.fallback import LLM_SWITCH_S, FallbackChat
from sovereign_pbx.speech.realtime import providers as realtime
from sovereign_pbx.speech.settings import Settings
from sovereign_pbx.speech.standing import Choice, Choices
from sovereign_pbx.speech.stt import SpeechToText
from sovereign_pbx.speech.stt.fallback import FallbackStt
from sovereign_pbx.speech.tts import Voice
from sovereign_pbx.speech.tts.fallback import TTS_SWITCH_S, FallbackVoice
from sovereign_pbx.speech.tts.listing import ListedVoice
from sovereign_pbx.speech.tts.worded import Worded

SpokenStage = Literal["stt", "llm", "tts"]
Block = Mapping[str, Any]
Providers = Mapping[str, Mapping[str, Any]]

FALLBACKS_LIMIT: Final = 4
_OF_THE_CHAIN: Final = ("fallbacks", "switch_after_s", "hedge", "pronunciation")  # not of one provider
# With a spare at hand a recogniser that was lost is tried once more, which takes three round trips, and not waited for.
# The spare is opened only then: a second connection from the beginning would save these 0.1 to 0.4 s once in thousands
# of calls, and take up twice the vendors' places for connections in each of them.
OUTAGE_WITH_SPARE_S: Final = 0.6


@dataclass(frozen=True, slots=True)
class Entry:
    """A provider's class, and the classes for blocks where a key matches a pattern."""

    target: str
    variants: tuple[tuple[str, str, str], ...] = ()

    def chosen(self, block: Block) -> str:
        for key, pattern, target in self.variants:
            if fnmatchcase(str(block.get(key) or ""), pattern):
                return target
        return self.target


_STT: Final = "sovereign_pbx.speech.stt"
_LLM: Final = "sovereign_pbx.speech.llm"
_TTS: Final = "sovereign_pbx.speech.tts"
_CHAT: Final = Entry(f"{_LLM}.openai:OpenAIChat")
_ELEVENLABS_HTTP: Final = f"{_TTS}.elevenlabs_http:ElevenLabsHttp"

CATALOGUE: Final[Mapping[SpokenStage, Mapping[str, Entry]]] = {
    "stt": {
        "deepgram": Entry(
            f"{_STT}.deepgram:DeepgramNova",
            (("model", "flux-*", f"{_STT}.deepgram_flux:DeepgramFlux"),),
        ),
        "mistral": Entry(f"{_STT}.mistral:MistralStt"),
        "whisper": Entry(f"{_STT}.whisper:Whisper"),
    },
    "llm": {
        "openai": _CHAT,
        "mistral": _CHAT,
        "xai": _CHAT,
        "ollama": _CHAT,
        "vllm": _CHAT,
        "llamacpp": _CHAT,
        "local": Entry(f"{_LLM}.local:LocalModel"),
        "receptionist": Entry(f"{_LLM}.receptionist:Receptionist"),
    },
    "tts": {
        "elevenlabs": Entry(
            f"{_TTS}.elevenlabs:ElevenLabsVoice",
            (("transport", "http", _ELEVENLABS_HTTP), ("model", "eleven_v3", _ELEVENLABS_HTTP)),
        ),
        "inworld": Entry(f"{_TTS}.inworld:InworldVoice"),
        "hibari": Entry(f"{_TTS}.hibari:Hibari"),
        "pico": Entry(f"{_TTS}.pico:Pico"),
        "espeak": Entry(f"{_TTS}.espeak:Espeak"),
    },
}
ALIASES: Final[Mapping[str, str]] = {"11labs": "elevenlabs"}

_VOICE_LISTS: Final[Mapping[str, str]] = {
    "hibari": f"{_TTS}.hibari:voices",
    "pico": f"{_TTS}.pico:voices",
    "espeak": f"{_TTS}.espeak:voices",
    "elevenlabs": f"{_TTS}.elevenlabs_voices:voices",
    "inworld": f"{_TTS}.inworld:voices",
}


def build_stt(block: Block, providers: Providers) -> SpeechToText:
    """The recogniser of a `stt_config`, fallbacks included. Raises ConfigError."""
    engines: Choices[SpeechToText] = _choices("stt", block, providers)
    return FallbackStt(engines)


def build_llm(block: Block, providers: Providers) -> ChatModel:
    """The model of a `llm_config`, fallbacks included. Raises ConfigError."""
    models: Choices[ChatModel] = _choices("llm", block, providers)
    return FallbackChat(models, switch_s=_switch_s("llm", block, LLM_SWITCH_S), hedge=_hedge(block))


def build_voice(block: Block, providers: Providers) -> Voice:
    """The voice of a `tts_config`, fallbacks included, with the spoken form of each text. `pronunciation` in it is the
    list of the assistant's `speech_config`. Raises ConfigError."""
    voices: Choices[Voice] = _choices("tts", block, providers)
    return FallbackVoice(voices, switch_s=_switch_s("tts", block, TTS_SWITCH_S))


def voice_lists() -> tuple[str, ...]:
    """The providers whose voices can be listed."""
    return tuple(_VOICE_LISTS)


async def voices_of(provider: str, account: Block) -> list[ListedVoice]:
    """The voices that a provider has for this account or on this machine; none where it is not set up.

    Raises ProviderError, or ConfigError."""
    list_voices: Callable[[Block], Awaitable[list[ListedVoice]]]
    list_voices = await asyncio.to_thread(_load, _VOICE_LISTS[provider])
    return await list_voices(account)


def preload() -> None:
    """Import every provider's module (not its SDK or models): at start-up, before the loop has a call to serve."""
    for stage in CATALOGUE.values():
        for entry in stage.values():
            for target in (entry.target, *(variant for *_, variant in entry.variants)):
                _load(target)
    for target in _VOICE_LISTS.values():
        _load(target)
    realtime.preload()
    _load(f"{_LLM}.receptionist:phrases")()  # a file, which the first call without a saved assistant would wait for


def validate(stage: SpokenStage, block: Block, providers: Providers) -> None:
    """Build and let go: ConfigError names what is wrong. Connects to nothing and loads no model."""
    if stage == "llm" and realtime.is_realtime(block):
        realtime.build_realtime(block, providers)
        return
    _choices(stage, block, providers)
    if stage != "stt":
        _switch_s(stage, block, 1.0)
    if stage == "llm":
        _hedge(block)


def _choices(stage: SpokenStage, block: Block, providers: Providers) -> Choices[Any]:
    blocks = _blocks(stage, block)
    choices = []
    for place, one in enumerate(blocks):
        if stage == "stt" and place + 1 < len(blocks):
            one = {"outage_s": OUTAGE_WITH_SPARE_S, **one}
        name = str(one["provider"])
        account = providers.get(name, {})
        implementation = _load(_target(stage, one, providers)).from_config(one, account)
        if stage == "tts":
            implementation = Worded.from_config(implementation, one, block.get("pronunciation") or ())
        choices.append(Choice(implementation, _standing_key(stage, one, account)))
    return Choices(choices)


def _blocks(stage: SpokenStage, block: Block) -> list[dict[str, Any]]:
    """The block and its fallbacks, each with its provider's proper name."""
    where = f"{stage}_config"
    fallbacks = block.get("fallbacks") or []
    if not isinstance(fallbacks, list | tuple) or not all(isinstance(item, Mapping) for item in fallbacks):
        raise ConfigError(f"{where}: fallbacks must be a list of blocks like this one", key="fallbacks")
    if len(fallbacks) > FALLBACKS_LIMIT:
        raise ConfigError(f"{where}: no more than {FALLBACKS_LIMIT} fallbacks", key="fallbacks")
    blocks = []
    for one in (block, *fallbacks):
        name = Settings(one, where).required("provider", f"one of {', '.join(CATALOGUE[stage])}")
        plain = {key: value for key, value in one.items() if key not in _OF_THE_CHAIN}
        blocks.append({**plain, "provider": ALIASES.get(name, name)})
    return blocks


def _target(stage: SpokenStage, block: Block, providers: Providers) -> str:
    name = str(block["provider"])
    entry = CATALOGUE[stage].get(name)
    if entry is None and stage == "llm" and providers.get(name, {}).get("base_url"):
        entry = _CHAT  # a server of the administrator's own that speaks OpenAI's chat completions
    if entry is None:
        raise _unknown(stage, name, providers)
    return entry.chosen(block)


def _unknown(stage: SpokenStage, name: str, providers: Providers) -> ConfigError:
    names = [*CATALOGUE[stage], *(ALIASES if stage == "tts" else ())]
    if stage == "llm":
        names += [*realtime.MODULES]
        names += [other for other, account in providers.items() if account.get("base_url") and other not in names]
    near = get_close_matches(name, names, n=1)
    remedy = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(names)}"
    if stage == "llm" and not near:
        remedy += f"; or set base_url of a compatible server in [providers.{name}]"
    return ConfigError(f"{stage}_config: there is no provider {name!r}", key="provider", remedy=remedy)


def _load(target: str) -> Any:
    module, _, name = target.partition(":")
    return getattr(import_module(module), name)


def _switch_s(stage: SpokenStage, block: Block, default: float) -> float:
    return Settings(block, f"{stage}_config").seconds("switch_after_s", default)


def _hedge(block: Block) -> Hedge | None:
    """When a late first word is asked for a second time; None: never."""
    given = block.get("hedge") or {}
    if not isinstance(given, Mapping):
        raise ConfigError("llm_config: hedge must be a table", key="hedge")
    settings, usual = Settings(given, "llm_config.hedge"), Hedge()
    if not settings.flag("enabled", False):
        return None
    floor_s = settings.seconds("floor_s", usual.floor_s, 0.05, 10)
    return Hedge(
        after_s=settings.seconds("after_s", usual.after_s, 0.05, 10),
        floor_s=floor_s,
        ceiling_s=max(floor_s, settings.seconds("ceiling_s", usual.ceiling_s, 0.05, 10)),
        most_share=settings.number("most_share", usual.most_share, 0.01, 1) or usual.most_share,
    )


def _standing_key(stage: SpokenStage, block: Block, account: Mapping[str, Any]) -> str:
    """The same settings with the same account share their standing; a mended key starts afresh."""
    text = json.dumps([stage, block, account], sort_keys=True, default=str)
    return f"{stage}/{block['provider']}/{hashlib.sha256(text.encode()).hexdigest()[:16]}"
