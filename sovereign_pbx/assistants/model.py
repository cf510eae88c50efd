"""The assistant: one voice on the telephone, as contract §4 describes it.

The same fields stand in the administrator's TOML, in the answers of webhooks and in the REST object. Provider
blocks stay the dicts they were (validated); what nobody knows is kept in `extra` and echoed.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from sovereign_pbx.assistants import blocks
from sovereign_pbx.assistants.digits import DIGITS, check_digits, digit_tools
from sovereign_pbx.assistants.problem import MOST_ENTRIES, InvalidSettings, Path, Report
from sovereign_pbx.assistants.public import without_secrets
from sovereign_pbx.assistants.realtime import is_realtime
from sovereign_pbx.assistants.recording import RECORDING, check_recording, recording_tools
from sovereign_pbx.assistants.secret import NO_SECRET
from sovereign_pbx.assistants.shape import Choice, Flag, Opaque, Real, Text, Url, Whole
from sovereign_pbx.assistants.table import ListOf, Table, keys_of, setting
from sovereign_pbx.assistants.tools import Tool, read_tools, with_end_call

EVENTS = ("assistant-request", "tool-calls", "status-update", "end-of-call-report")

USUAL_EVENTS = EVENTS[1:]
"""Sent when `webhook_events` is left out. `assistant-request` must be asked for: it lengthens the ringing."""

EMBEDDED: Mapping[str, Mapping[str, Any]] = {
    "stt_config": {"provider": "whisper"},
    "llm_config": {"provider": "local", "fallbacks": ({"provider": "receptionist"},)},
    "tts_config": {"provider": "hibari", "fallbacks": ({"provider": "pico"},)},
}
"""Who hears, thinks and speaks where a block names nobody (contract §26.18): what needs no account, and sends nothing
anywhere."""

IDENTIFIER = Text(1, 64, pattern=r"[A-Za-z0-9][A-Za-z0-9_.-]*", what="an identifier (letters, digits, _, - and .)")
EMAIL = Text(3, 254, pattern=r"[^@\s]+@[^@\s]+", what="an e-mail address")

_NAMESPACE = uuid.UUID("8d1f3a52-6f0e-5a5b-9c83-0b6d8d6e4a11")


def identifier_of(name: str) -> str:
    """The id of what the file only names: the same on every start, so that webhooks can refer to it."""
    return str(uuid.uuid5(_NAMESPACE, name))


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Assistant:
    """One assistant, validated. Make it with `parse` or `read`; change it with `merged`."""

    id: str = setting("", IDENTIFIER, "Identifier; without it one is derived from the name.", example="reception")
    name: str = setting(
        "", Text(1, 200), "Name that people see; without it the name of the table.", example="Front desk"
    )
    business_name: str | None = setting(None, Text(0, 200), "Business the assistant speaks for.", example="Bakery")
    notification_email: str | None = setting(
        None, EMAIL, "Who gets the end-of-call report by mail.", example="desk@example.com"
    )
    notification_emails: tuple[str, ...] = setting((), ListOf(EMAIL, most=5), "The same for several, 5 at most.")
    first_message: str | None = setting(
        None,
        Text(),
        "Greeting, rendered while the call rings; empty: the caller speaks first.",
        example="Hello, how can I help you?",
    )
    is_active: bool = setting(True, Flag(), "Off: its calls go to the dialplan's fallback.")
    max_duration_seconds: int | None = setting(
        None, Whole(1, 86400), "Longest call; without it [limits] decides.", example=300
    )
    autonomous_silence_handling: bool = setting(False, Flag(), "Ask a silent caller, and hang up in the end.")
    silence_timeout_seconds: float | None = setting(
        None, Real(1, 60), "Older name of speech_config.silence.first_check_seconds, which wins.", example=8
    )
    voicemail_detection: bool = setting(False, Flag(), "Outbound: listen for an answering machine.")
    voicemail_message: str | None = setting(
        None, Text(), "What to say to an answering machine; empty: hang up.", example="Please call us back."
    )
    gdpr_mode: bool = setting(False, Flag(), "Kept and echoed; the contract does not say what it does.")
    recording_consent: Mapping[str, Any] | None = setting(None, blocks.RECORDING_CONSENT, "Consent to be recorded.")
    webhook_url: str | None = setting(
        None,
        Url(),
        "Where this assistant's events go; without it [webhook] url.",
        example="https://example.com/sovereign",
    )
    webhook_secret: str = setting(
        NO_SECRET, Text(secret=True), "Signs this assistant's webhooks.", example="${credential:webhook-secret}"
    )
    webhook_events: tuple[str, ...] | None = setting(
        None,
        ListOf(Choice(EVENTS), most=16),
        f"Events to send; without it {', '.join(USUAL_EVENTS)}.",
        example=[*EVENTS],
    )
    webhook_dialect: Literal["snake", "camel"] | None = setting(
        None,
        Choice(("snake", "camel")),
        "Spelling of webhook bodies (camel: the older generation); without it [webhook] dialect.",
    )
    analysis_plan: Mapping[str, Any] | None = setting(None, blocks.ANALYSIS_PLAN, "What to find out after the call.")
    stt_config: Mapping[str, Any] = setting({}, blocks.STT_CONFIG, "Speech to text.")
    llm_config: Mapping[str, Any] = setting({}, blocks.LLM_CONFIG, "The language model, its instructions and tools.")
    tts_config: Mapping[str, Any] = setting({}, blocks.TTS_CONFIG, "Text to speech.")
    speech_config: Mapping[str, Any] = setting({}, blocks.SPEECH_CONFIG, "How the conversation is held.")
    phrases: Mapping[str, Any] = setting(
        {}, blocks.PHRASES, "Sentences said without the model, in the caller's language."
    )
    digits: Mapping[str, Any] = setting({}, DIGITS, "What becomes of the caller's keys, and tones that are sent.")
    recording: Mapping[str, Any] = setting({}, RECORDING, "Whether its calls are recorded, and who may pause that.")
    metadata: Mapping[str, Any] = setting({}, Opaque(), "Your own data, echoed in every event.")
    created_at: str | None = setting(None, Text(0, 64), "When it was made (REST).", example="2026-11-20T07:32:00.000Z")
    updated_at: str | None = setting(
        None, Text(0, 64), "When it was last changed (REST).", example="2026-11-20T07:32:00.000Z"
    )

    given: Mapping[str, Any] = field(default_factory=dict)
    """What was written, canonical: the ground that overrides are merged on. Holds secrets."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    tools: tuple[Tool, ...] = ()
    warnings: tuple[str, ...] = field(default=(), compare=False)

    @classmethod
    def parse(cls, data: Mapping[str, Any], *, where: str, strict: bool = False) -> Self:
        """The assistant in `data` (either spelling), or InvalidSettings that lists all its problems.

        `strict` refuses unknown keys: right for a file somebody typed, wrong for a webhook's own data.
        """
        report = Report(strict=strict, entries=2 * MOST_ENTRIES)  # an override comes on top of what is saved
        assistant = cls.read(data, (), report)
        if assistant is None:
            raise InvalidSettings(f"{where} is not a valid assistant", problems=report.errors)
        return assistant

    @classmethod
    def read(cls, data: Any, path: Path, report: Report) -> Self | None:
        """The same, reporting to `report`; None when there were errors."""
        before = len(report.problems)
        checked = ASSISTANT.check(data, path, report)
        given = checked if isinstance(checked, dict) else {}
        tools = read_tools(given.get("llm_config", {}).get("tools", ()), (*path, "llm_config", "tools"), report)
        _cross_check(given, path, report)
        check_digits(given, tools, path, report)
        check_recording(given, tools, path, report)
        found = report.problems[before:]
        if any(problem.severity == "error" for problem in found):
            return None
        return cls._from(given, tools, tuple(str(problem) for problem in found))

    @classmethod
    def _from(cls, given: Mapping[str, Any], tools: tuple[Tool, ...], warnings: tuple[str, ...]) -> Self:
        known = {name: value for name, value in given.items() if name in ASSISTANT.keys}
        usual_blocks = {} if is_realtime(known.get("llm_config", {})) else EMBEDDED  # it needs nobody else
        known |= {
            name: {**usual, **known.get(name, {})} for name, usual in usual_blocks.items() if _is_open(known, name)
        }
        extra = {name: value for name, value in given.items() if name not in ASSISTANT.keys}
        usable = with_end_call(tools) if known.get("autonomous_silence_handling") else tools
        usable += digit_tools(known.get("digits", {})) + recording_tools(known.get("recording", {}))
        return cls(**known, given=given, extra=extra, tools=usable, warnings=warnings)

    def merged(self, override: Mapping[str, Any], *, where: str = "the override") -> Self:
        """This assistant with each top-level key of `override` replacing the whole block (contract §9: shallow).

        null clears a key. The id stays. Raises InvalidSettings when the result is not a valid assistant.
        """
        renamed = {ASSISTANT.canonical(name, override): value for name, value in override.items()}
        kept = {"id": self.id} if self.id else {}
        return self.parse({**self.given, **renamed, **kept}, where=where)

    def to_public(self) -> dict[str, Any]:
        """The full resolved configuration for webhooks and storage: defaults filled in, secrets left out.

        What nobody knows at the top level is the user's own and echoed untouched.
        """
        resolved = {name: getattr(self, name) for name in ASSISTANT.keys}
        if is_realtime(self.llm_config) and not self.tts_config:
            resolved["tts_config"] = None  # contract §4.1
        return {**without_secrets(ASSISTANT, resolved), "id": self.id or None, **self.extra}

    @property
    def silence_first_check(self) -> float:
        """Seconds of silence before the first question; the older single knob counts where the newer is not set."""
        silence = self.speech_config.get("silence", {})
        return float(silence.get("first_check_seconds", self.silence_timeout_seconds or 3.0))

    @property
    def asks_consent(self) -> bool:
        """Must the caller agree, by a key, before his call is processed (contract §4.1 `recording_consent`)?"""
        return bool((self.recording_consent or {}).get("enabled", False))

    def wants(self, event: str) -> bool:
        """Is `event` to be sent for this assistant's calls?"""
        return event in (USUAL_EVENTS if self.webhook_events is None else self.webhook_events)

    def __repr__(self) -> str:
        return f"<Assistant {self.name!r} {self.id}>"


ASSISTANT = Table(*keys_of(Assistant))


def _is_open(known: Mapping[str, Any], name: str) -> bool:
    """Whether the block leaves it to us who does it: a voice or a model without its provider is a mistake instead."""
    return not {"provider", "model", "voice_id"} & set(known.get(name, {}))


def _cross_check(given: Mapping[str, Any], path: Path, report: Report) -> None:
    turn = given.get("speech_config", {}).get("turn_taking", {})
    least, most = turn.get("endpointing_min_delay", 0.4), turn.get("endpointing_max_delay", 2.0)
    if most < least:
        key = (*path, "speech_config", "turn_taking", "endpointing_max_delay")
        report.error(key, f"must not be below endpointing_min_delay ({least:g})")
    plan = given.get("analysis_plan", {}).get("structured_data_plan", {})
    if plan.get("enabled") and plan.get("schema") is None and not plan.get("template_id"):
        report.error((*path, "analysis_plan", "structured_data_plan"), 'is enabled but has no "schema"')
