"""OpenAI's Realtime API: `wss://api.openai.com/v1/realtime` (event reference of the API's general availability).

`gpt-realtime…` models. `gpt-live…` models speak another protocol at another address, without turns or truncation.
"""

from collections.abc import Mapping
from typing import Any, Final

from sovereign_pbx.core.errors import ConfigError
from sovereign_pbx.speech.realtime import Setup
from sovereign_pbx.speech.realtime.code import code_for
from sovereign_pbx.speech.realtime.dialect import Dialect, Wire, tools_of
from sovereign_pbx.speech.realtime.session import Deadlines, Vendor
from sovereign_pbx.speech.settings import Settings

PROVIDER: Final = "openai_live"
ACCOUNT: Final = "openai"
BASE_URL: Final = "https://api.openai.com/v1"
MODEL: Final = "gpt-realtime-2.1"
VOICE: Final = "marin"
TRANSCRIBER: Final = "gpt-transcribe"
PCM_RATE: Final = 24000  # the only one for linear PCM
SESSION_S: Final = 3600.0
MOST_TOKENS: Final = 4096

RECITE: Final = (
    "Say the words between the lines exactly as they stand, in the language they are written in. Add nothing, leave"
    " nothing out, and do not answer them.\n---\n{text}\n---"
)


class OpenAIDialect(Dialect):
    """One session with OpenAI. `options`: what the assistant set, in the API's own names and ranges."""

    def __init__(self, name: str, setup: Setup, rate: int, options: Mapping[str, Any]) -> None:
        super().__init__(name, setup, code_for(rate, PCM_RATE), rate)
        self._options = options

    def session(self) -> Wire:
        options = self._options
        heard: Wire = {
            "format": self.code.format,
            "transcription": self._transcription(),
            "turn_detection": {
                "type": "server_vad",
                **options["turn_detection"],
                "create_response": True,
                "interrupt_response": True,
            },
        }
        spoken: Wire = {"format": self.code.format, "voice": options["voice"]}
        if options["speed"] is not None:
            spoken["speed"] = options["speed"]
        session: Wire = {
            "type": "realtime",
            "output_modalities": ["audio"],
            "instructions": self.setup.instructions,
            "audio": {"input": heard, "output": spoken},
            "tools": tools_of(self.setup.tools),
            "tool_choice": "auto",
        }
        if options["most_tokens"] is not None:
            session["max_output_tokens"] = options["most_tokens"]
        if options["effort"]:
            session["reasoning"] = {"effort": options["effort"]}
        return session

    def _transcription(self) -> Wire:
        model = self._options["transcriber"]
        wire: Wire = {"model": model}
        language = self.setup.language.split("-")[0].lower()
        if len(language) == 2:
            wire["language"] = language
        if self.setup.keyterms and model in ("gpt-transcribe", "gpt-live-transcribe"):
            wire["keywords"] = list(self.setup.keyterms)
        return wire

    def recite(self, text: str) -> list[Wire]:
        """There is no way to hand words to the voice: the model is asked to say them, which it mostly does."""
        wanted = {"instructions": RECITE.format(text=text), "tool_choice": "none"}
        return [{"type": "response.create", "response": wanted}]

    def respond(self, instructions: str) -> list[Wire]:
        """Instructions of one response stand in place of the session's, so these are given again."""
        if not instructions:
            return [{"type": "response.create"}]
        whole = f"{self.setup.instructions}\n\n{instructions}".strip()
        return [{"type": "response.create", "response": {"instructions": whole}}]


def from_config(block: Mapping[str, Any], provider: Mapping[str, Any]) -> Vendor:
    """From an assistant's `llm_config` and `[providers.openai]`."""
    settings, account = Settings(block, "llm_config"), Settings(provider, "[providers.openai]")
    key = account.required("api_key", 'set api_key = "${env:OPENAI_API_KEY}"')
    model = settings.text("model", MODEL)
    if model.startswith("gpt-live"):
        raise ConfigError(
            f"llm_config: {model} is a model of OpenAI's Live API, which this daemon does not speak",
            key="model",
            remedy=f'use a Realtime model, such as model = "{MODEL}"',
        )
    options = {
        "voice": settings.text("voice", VOICE),
        "speed": settings.number("speed", None, 0.25, 1.5),
        "most_tokens": _most_tokens(settings),
        "effort": settings.text("reasoning_effort"),
        "transcriber": settings.text("transcription_model", TRANSCRIBER),
        "turn_detection": _turn_detection(settings),
    }
    name = f"{PROVIDER}/{model}"
    return Vendor(
        name,
        account.text("base_url", BASE_URL),
        key,
        where="[providers.openai]",
        model=model,
        session_s=settings.seconds("session_s", SESSION_S, 30.0, SESSION_S),
        dialect=lambda setup, rate: OpenAIDialect(name, setup, rate, options),
        deadlines=Deadlines.from_settings(settings),
    )


def _most_tokens(settings: Settings) -> int | None:
    """The contract lets 32768 be stored; the API takes 4096."""
    asked = settings.whole("max_output_tokens", None, 1, 32768)
    asked = asked if asked is not None else settings.whole("max_completion_tokens", None, 1, 32768)
    return None if asked is None else min(asked, MOST_TOKENS)


def _turn_detection(settings: Settings) -> dict[str, Any]:
    """What is set; the API's own defaults otherwise. It takes idle time-outs from 5 s to 30 s."""
    given = settings.values.get("turn_detection") or {}
    if not isinstance(given, Mapping):
        raise settings.wrong("turn_detection", "must be a table")
    asked = Settings(given, "llm_config.turn_detection")
    threshold = asked.number("threshold", None, 0, 1)
    padding = asked.number("prefix_padding_ms", None, 0, 2000)
    silence = asked.number("silence_duration_ms", None, 100, 2000)
    idle = asked.number("idle_timeout_ms", None, 0, 30000)
    found = {
        "threshold": threshold,
        "prefix_padding_ms": None if padding is None else int(padding),
        "silence_duration_ms": None if silence is None else int(silence),
        "idle_timeout_ms": None if not idle else int(max(5000, idle)),
    }
    return {name: value for name, value in found.items() if value is not None}
