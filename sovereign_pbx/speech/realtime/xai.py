"""xAI's realtime voice: `wss://api.x.ai/v1/realtime`. OpenAI's events, with these differences:

turn detection stands at the top of the session, the transcription takes a hint of the language and key terms, linear
PCM comes at the telephone's rates, exact words are an item of their own (`force_message`), instructions for one
response are not documented, and neither is `conversation.item.truncate`, which xAI's own adapter sends all the same.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sovereign_pbx.core.realtime.line import REFUSED
from sovereign_pbx.core.realtime.signals import Complained, Signal
from sovereign_pbx.speech.realtime import Setup
from sovereign_pbx.speech.realtime.code import code_for
from sovereign_pbx.speech.realtime.dialect import ALREADY, NOT_ACTIVE, Dialect, Wire, message_item, tools_of
from sovereign_pbx.speech.realtime.session import Deadlines, Vendor
from sovereign_pbx.speech.settings import Settings

PROVIDER: Final = "xai_realtime"
ACCOUNT: Final = "xai"
BASE_URL: Final = "https://api.x.ai/v1"
MODEL: Final = "grok-voice-think-fast-2.0"
VOICE: Final = "ara"
SESSION_S: Final = 1800.0
MOST_KEYTERMS: Final = 100
LONGEST_KEYTERM: Final = 50

_BENIGN: Final = (("no active response", NOT_ACTIVE), ("already has an active response", ALREADY))


class XaiDialect(Dialect):
    """One session with xAI."""

    started = ("session.created", "conversation.created")  # the newer and the older first event

    def __init__(self, name: str, setup: Setup, rate: int, options: Mapping[str, Any]) -> None:
        super().__init__(name, setup, code_for(rate, rate), rate)
        self._options = options

    def session(self) -> Wire:
        options = self._options
        transcription: Wire = {}
        if self.setup.language and self.setup.language != "multi":
            transcription["language_hint"] = self.setup.language.split("-")[0].lower()
        terms = [term for term in self.setup.keyterms if len(term) <= LONGEST_KEYTERM][:MOST_KEYTERMS]
        if terms:
            transcription["keyterms"] = terms
        spoken: Wire = {"format": self.code.format}
        if options["speed"] is not None:
            spoken["speed"] = options["speed"]
        session: Wire = {
            "instructions": self.setup.instructions,
            "voice": options["voice"],
            "turn_detection": {"type": "server_vad", **options["turn_detection"]},
            "audio": {"input": {"format": self.code.format, "transcription": transcription}, "output": spoken},
            "tools": tools_of(self.setup.tools),
        }
        if options["effort"]:
            session["reasoning"] = {"effort": options["effort"]}
        return session

    def recite(self, text: str) -> list[Wire]:
        item = {"type": "force_message", "content": [{"text": text}], "interruptible": True}
        return [{"type": "conversation.item.create", "item": item}]

    def respond(self, instructions: str) -> list[Wire]:
        told = [message_item("system", instructions)] if instructions else []
        return [*told, {"type": "response.create"}]

    def stop(self, response: str) -> Wire:
        return {"type": "response.cancel"}

    def _error(self, event: Wire) -> Sequence[Signal]:
        """Its complaints are told apart by their words; that it can't truncate is known."""
        _, message = self.complaint(event)
        lowered = message.lower()
        if "truncate" in lowered:
            return ()
        if "force_message" in lowered:
            return (Complained(REFUSED, message),)
        for words, code in _BENIGN:
            if words in lowered:
                return (Complained(code, message),)
        return super()._error(event)


def from_config(block: Mapping[str, Any], provider: Mapping[str, Any]) -> Vendor:
    """From an assistant's `llm_config` and `[providers.xai]`."""
    settings, account = Settings(block, "llm_config"), Settings(provider, "[providers.xai]")
    key = account.required("api_key", 'set api_key = "${env:XAI_API_KEY}"')
    model = settings.text("model", MODEL)
    options = {
        "voice": settings.text("voice", VOICE).lower(),
        "speed": settings.number("speed", None, 0.7, 1.5),
        "effort": settings.choice("reasoning_effort", "", ("", "none", "high")),
        "turn_detection": _turn_detection(settings),
    }
    name = f"{PROVIDER}/{model}"
    return Vendor(
        name,
        account.text("base_url", BASE_URL),
        key,
        where="[providers.xai]",
        model=model,
        session_s=settings.seconds("session_s", SESSION_S, 30.0, SESSION_S),
        dialect=lambda setup, rate: XaiDialect(name, setup, rate, options),
        deadlines=Deadlines.from_settings(settings),
    )


def _turn_detection(settings: Settings) -> dict[str, Any]:
    """The contract's defaults and ranges (§4.3), within what the vendor takes."""
    given = settings.values.get("turn_detection") or {}
    if not isinstance(given, Mapping):
        raise settings.wrong("turn_detection", "must be a table")
    asked = Settings(given, "llm_config.turn_detection")
    threshold = asked.number("threshold", 0.5, 0, 1) or 0.0
    found: dict[str, Any] = {
        "threshold": min(max(threshold, 0.1), 0.9),
        "prefix_padding_ms": int(asked.number("prefix_padding_ms", 300, 0, 2000) or 0),
        "silence_duration_ms": int(asked.number("silence_duration_ms", 200, 100, 2000) or 200),
    }
    idle = asked.number("idle_timeout_ms", None, 0, 30000)
    return {**found, "idle_timeout_ms": int(idle)} if idle else found
