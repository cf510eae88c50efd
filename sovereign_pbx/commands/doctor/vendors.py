"""The providers that the assistants name, each asked for a little of what a call asks of it."""

import json
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sovereign_pbx.assistants.model import Assistant
from sovereign_pbx.assistants.plan import language_of
from sovereign_pbx.assistants.realtime import is_realtime
from sovereign_pbx.commands.doctor.machine import blocks_of
from sovereign_pbx.commands.doctor.patient import Patient
from sovereign_pbx.commands.doctor.result import Look, Result, failed, ok, skipped, warning
from sovereign_pbx.config import Config
from sovereign_pbx.core.audio import PHONE_RATE
from sovereign_pbx.core.errors import ProviderError
from sovereign_pbx.core.realtime.signals import Recite, Sound
from sovereign_pbx.core.values import Message
from sovereign_pbx.speech import catalogue
from sovereign_pbx.speech.fallback import closing
from sovereign_pbx.speech.realtime import Setup
from sovereign_pbx.speech.realtime.providers import account_of, build_realtime

LIMIT_S: Final = 30.0
WORD: Final = "Yes."
QUESTION: Final = "Answer with the word yes."
MOST_TOKENS: Final = 16  # the first one is all we wait for; what a vendor computes beyond it is paid

_KINDS: Final = {
    "refused": "can't be reached, or is out of order",
    "denied": "turned us down for good",
    "stalled": "did not answer in time",
    "dropped": "dropped the connection",
    "garbled": "can't be understood",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """One provider as one kind of assistant uses it. `spare`: only when another one has failed."""

    stage: catalogue.SpokenStage
    block: Mapping[str, Any]
    language: str
    spare: bool
    used_by: str

    @property
    def name(self) -> str:
        model = self.block.get("model") or self.block.get("voice_id")
        provider = str(self.block.get("provider", "?"))
        return f"{self.stage} {provider}" + (f" {model}" if model else "")


def looks(patient: Patient) -> list[Look]:
    """One for every provider that an active assistant may use, the same settings once."""
    found: dict[str, Asked] = {}
    for key, assistant in patient.config.assistants.items():
        if assistant.is_active:
            for asked in _asked_by(key, assistant):
                same = json.dumps([asked.stage, asked.block, asked.language], sort_keys=True, default=str)
                found.setdefault(same, asked)
    return [Look(asked.name, _examining(asked, patient.config), LIMIT_S) for asked in found.values()]


def _asked_by(key: str, assistant: Assistant) -> Iterator[Asked]:
    spoken = language_of(assistant)
    stages: tuple[tuple[catalogue.SpokenStage, Mapping[str, Any], str], ...] = (
        ("stt", assistant.stt_config, str(assistant.stt_config.get("language") or spoken)),
        ("llm", {k: v for k, v in assistant.llm_config.items() if k not in ("messages", "tools")}, ""),
        ("tts", assistant.tts_config, spoken),
    )
    live = is_realtime(assistant.llm_config)
    for stage, config, language in stages:
        if live and (stage == "stt" or (stage == "tts" and not config.get("provider"))):
            continue
        for place, block in enumerate(blocks_of(config)):
            plain = {name: value for name, value in block.items() if name not in ("messages", "tools")}
            yield Asked(stage, plain, language, place > 0, key)


def _examining(asked: Asked, config: Config) -> Callable[[], Awaitable[Result]]:
    async def examine() -> Result:
        if asked.block.get("provider") == "local":
            return skipped("runs inside the daemon: the test call shows how it answers")
        try:
            if is_realtime(asked.block):
                return await _realtime(asked, config)
            return await _WAYS[asked.stage](asked, config)
        except ImportError as exc:
            extra = "deepgram, elevenlabs or embedded"
            return failed(f"needs the package {exc.name}", f"install sovereign-pbx with its extra ({extra})")
        except ProviderError as exc:
            return _fault(asked, exc)

    return examine


def _fault(asked: Asked, exc: ProviderError) -> Result:
    provider = account_of(asked.block)
    detail = f"{_KINDS[exc.kind]}" + (f": {exc.detail}" if exc.detail else "")
    permanent = exc.kind == "denied"
    if permanent:
        place = f"{asked.stage}_config of {asked.used_by}"
        remedy = f"it won't pass by itself: check api_key in [providers.{provider}], and {place}"
    else:
        remedy = f"may pass by itself; check base_url in [providers.{provider}], and this machine's way out"
    facts = {"kind": exc.kind, "permanent": permanent, "assistant": asked.used_by}
    return (warning if asked.spare else failed)(detail + (" (a fallback)" if asked.spare else ""), remedy, **facts)


async def _recogniser(asked: Asked, config: Config) -> Result:
    engine = catalogue.build_stt(asked.block, config.accounts)
    try:
        began = time.monotonic()
        stream = await engine.open(rate=PHONE_RATE, language=asked.language)
        opened_ms = _since(began)
        await stream.close()
    finally:
        await engine.aclose()
    return ok(f"stream opened after {opened_ms:.0f} ms", assistant=asked.used_by, open_ms=opened_ms)


async def _model(asked: Asked, config: Config) -> Result:
    block = {**asked.block}
    key = "max_tokens" if "max_tokens" in block else "max_completion_tokens"
    block[key] = min(int(block.get(key) or MOST_TOKENS), MOST_TOKENS)
    model = catalogue.build_llm(block, config.accounts)
    question = [Message("user", QUESTION)]
    try:
        await model.warm(question)  # as while a call rings: the vendor's package is loaded, the connection made
        began = time.monotonic()
        async with closing(model.reply(question)) as events:
            async for _ in events:
                first_ms = _since(began)
                return ok(f"first word after {first_ms:.0f} ms", assistant=asked.used_by, first_ms=first_ms)
    finally:
        await model.aclose()
    return failed("ended its reply without a word", "try another model", assistant=asked.used_by)


async def _realtime(asked: Asked, config: Config) -> Result:
    model = build_realtime({key: value for key, value in asked.block.items() if key != "fallbacks"}, config.accounts)
    try:
        began = time.monotonic()
        session = await model.open(Setup(instructions=QUESTION), rate=PHONE_RATE)
        opened_ms = _since(began)
        try:
            began = time.monotonic()
            session.tell(Recite(WORD))
            async with closing(aiter(session)) as signals:
                async for signal in signals:
                    if isinstance(signal, Sound):
                        first_ms = _since(began)
                        times = f"session accepted after {opened_ms:.0f} ms, first sound {first_ms:.0f} ms later"
                        return ok(times, assistant=asked.used_by, open_ms=opened_ms, first_ms=first_ms)
        finally:
            await session.close()
    finally:
        await model.aclose()
    return failed("spoke a word without a sound", "try another voice", assistant=asked.used_by)


async def _voice(asked: Asked, config: Config) -> Result:
    voice = catalogue.build_voice(asked.block, config.accounts)
    try:
        began = time.monotonic()
        session = await voice.open(rate=PHONE_RATE, language=asked.language)
        opened_ms = _since(began)
        try:
            began = time.monotonic()
            async with closing(session.speak(WORD)) as chunks:
                async for chunk in chunks:
                    if chunk.pcm:
                        first_ms = _since(began)
                        times = f"connected after {opened_ms:.0f} ms, first sound {first_ms:.0f} ms later"
                        return ok(times, assistant=asked.used_by, open_ms=opened_ms, first_ms=first_ms)
        finally:
            await session.close()
    finally:
        await voice.aclose()
    return failed("spoke a word without a sound", "try another voice", assistant=asked.used_by)


def _since(began: float) -> float:
    return round((time.monotonic() - began) * 1000, 1)


_WAYS: Final[Mapping[str, Callable[[Asked, Config], Awaitable[Result]]]] = {
    "stt": _recogniser,
    "llm": _model,
    "tts": _voice,
}
