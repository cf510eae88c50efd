"""The assistant: fields, defaults, every problem at once, merging, and what may be shown."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sovereign_pbx.assistants.model import ASSISTANT, Assistant, identifier_of
from sovereign_pbx.assistants.problem import InvalidSettings
from sovereign_pbx.core.errors import ConfigError

FULL: dict[str, Any] = {
    "id": "497f6eca-6276-4993-bfeb-53cbbbba6f08",
    "name": "Front desk",
    "business_name": "Bakery",
    "notification_email": "a@example.com",
    "notification_emails": ["b@example.com"],
    "first_message": "Hello",
    "is_active": True,
    "max_duration_seconds": 300,
    "autonomous_silence_handling": True,
    "silence_timeout_seconds": 8,
    "voicemail_detection": True,
    "voicemail_message": "Call us back",
    "gdpr_mode": False,
    "recording_consent": {"enabled": False, "message": "May we record?"},
    "webhook_url": "https://example.com/hook",
    "webhook_secret": "s3cret-s3cret",
    "webhook_events": ["assistant-request", "tool-calls"],
    "webhook_dialect": "camel",
    "analysis_plan": {"structured_data_plan": {"enabled": True, "schema": {"type": "object"}, "messages": []}},
    "stt_config": {"provider": "deepgram", "model": "nova-3", "language": "nl", "vendor_knob": 3},
    "llm_config": {
        "provider": "openai",
        "messages": [{"role": "system", "content": "Be kind."}],
        "tools": [
            {"name": "look", "description": "Look.", "server": {"url": "https://t.example", "secret": "t00lsecret"}}
        ],
    },
    "tts_config": {"provider": "11labs", "voice_id": "x", "api_key": "k3y-k3y-k3y"},
    "speech_config": {"turn_taking": {"endpointing_min_delay": 0.5, "false_interruption_timeout": None}},
    "phrases": {"filler": "Hmm."},
    "digits": {"collectors": [{"name": "card", "description": "The card's number.", "mask": True}], "send": True},
    "recording": {"pause_tools": True, "pause_for_keys": False},
    "metadata": {"crm_id": "12345", "firstMessage": "mine"},
    "created_at": "2026-11-20T07:32:00Z",
    "updated_at": "2026-11-20T07:32:00Z",
}


def problems_of(data: dict[str, Any], *, strict: bool = False) -> list[str]:
    with pytest.raises(InvalidSettings) as caught:
        Assistant.parse(data, where="it", strict=strict)
    return [str(problem) for problem in caught.value.problems]


def test_an_assistant_needs_nothing_but_may_have_all_fields() -> None:
    assert set(FULL) == set(ASSISTANT.keys)
    full = Assistant.parse(FULL, where="it", strict=True)
    assert full.tts_config["provider"] == "elevenlabs"
    assert full.stt_config["vendor_knob"] == 3
    bare = Assistant.parse({}, where="it")
    assert bare.is_active and bare.max_duration_seconds is None and bare.webhook_events is None


def test_every_problem_is_found_in_one_run() -> None:
    found = problems_of(
        {
            "first_mesage": "Hello",
            "is_active": "yes",
            "notification_emails": ["a@b.c"] * 6,
            "llm_config": {"temperature": 3, "messages": [{"role": "robot", "content": "x"}, {"role": "user"}]},
            "speech_config": {"silence": {"messages": ["x" * 301]}, "background_audio": {"volume": 2}},
        },
        strict=True,
    )
    assert [text.partition(":")[0] for text in found] == [
        "first_mesage",
        "is_active",
        "notification_emails",
        "llm_config.temperature",
        "llm_config.messages[0].role",
        "llm_config.messages[1]",
        "speech_config.silence.messages[0]",
        "speech_config.background_audio.volume",
    ]


def test_a_misspelt_key_of_a_file_is_an_error_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match='did you mean "first_message"'):
        Assistant.parse({"first_mesage": "Hello"}, where="it", strict=True)


def test_a_misspelt_key_of_a_webhook_is_kept_echoed_and_warned_about() -> None:
    assistant = Assistant.parse({"first_mesage": "Hello", "crm": {"a": 1}}, where="it")
    assert assistant.to_public()["first_mesage"] == "Hello"
    assert assistant.to_public()["crm"] == {"a": 1}
    assert len(assistant.warnings) == 1 and "first_mesage" in assistant.warnings[0]


@pytest.mark.parametrize(
    ("block", "good", "bad"),
    [
        ("endpointing_min_delay", 0.1, 0.09),
        ("endpointing_max_delay", 5, 5.1),
        ("interruption_min_duration", 0.05, 0.04),
        ("interruption_min_words", 10, 11),
        ("false_interruption_timeout", None, 0.1),
    ],
)
def test_turn_taking_keeps_the_ranges_of_the_contract(block: str, good: Any, bad: Any) -> None:
    Assistant.parse({"speech_config": {"turn_taking": {block: good}}}, where="it")
    assert block in problems_of({"speech_config": {"turn_taking": {block: bad}}})[0]


def test_a_turn_may_not_end_before_it_may_end() -> None:
    turn = {"endpointing_min_delay": 3}
    assert "must not be below" in problems_of({"speech_config": {"turn_taking": turn}})[0]


def test_realtime_turn_detection_out_of_range_is_clamped() -> None:
    block = {"turn_detection": {"threshold": 7, "silence_duration_ms": 1}}
    assistant = Assistant.parse({"llm_config": block}, where="it")
    assert assistant.llm_config["turn_detection"] == {"threshold": 1, "silence_duration_ms": 100}


def test_end_call_phrases_need_two_letters_or_digits() -> None:
    Assistant.parse({"speech_config": {"end_call_phrases": ["Ok!", "à."[0] + " b"]}}, where="it")
    assert problems_of({"speech_config": {"end_call_phrases": ["!?."]}})


def test_analysis_without_a_schema_is_refused() -> None:
    assert "schema" in problems_of({"analysis_plan": {"structured_data_plan": {"enabled": True}}})[0]


def test_camel_case_is_accepted_at_every_known_level_and_nowhere_else() -> None:
    assistant = Assistant.parse(
        {
            "firstMessage": "Hello",
            "ttsConfig": {"voiceId": "x"},
            "analysisPlan": {"structuredDataPlan": {"enabled": False}, "minMessagesThreshold": 3},
            "metadata": {"firstMessage": "mine"},
        },
        where="it",
        strict=True,
    )
    assert assistant.first_message == "Hello"
    assert assistant.tts_config == {"voice_id": "x"}
    assert assistant.analysis_plan == {"structured_data_plan": {"enabled": False}, "min_messages_threshold": 3}
    assert assistant.metadata == {"firstMessage": "mine"}


def test_an_override_replaces_whole_blocks_and_null_clears() -> None:
    saved = Assistant.parse(FULL, where="it")
    merged = saved.merged({"ttsConfig": {"voice_id": "other"}, "voicemailMessage": None, "id": "else", "own": 1})
    assert merged.tts_config == {"voice_id": "other"}
    assert merged.voicemail_message is None
    assert merged.id == saved.id
    assert merged.extra == {"own": 1}
    assert merged.stt_config == saved.stt_config
    assert merged.webhook_secret == "s3cret-s3cret"
    assert merged.tools[0].secret == "t00lsecret"


def test_an_override_that_makes_the_assistant_invalid_is_refused() -> None:
    with pytest.raises(InvalidSettings, match="temperature"):
        Assistant.parse(FULL, where="it").merged({"llm_config": {"temperature": 9}})


def test_nothing_public_holds_a_secret() -> None:
    assistant = Assistant.parse(FULL, where="it")
    public = json.dumps(assistant.to_public())
    for secret in ("s3cret", "t00lsecret", "k3y-k3y"):
        assert secret not in public
        assert secret not in repr(assistant)
        assert secret not in repr((assistant.given, assistant.tools))
    assert "vendor_knob" in public and "crm_id" in public


def test_the_public_form_is_resolved_and_can_be_read_again() -> None:
    public = Assistant.parse(FULL, where="it").to_public()
    assert public["metadata"] == FULL["metadata"]
    again = Assistant.parse(public, where="it", strict=True).to_public()
    assert again == public
    assert Assistant.parse({}, where="it").to_public()["is_active"] is True


def test_events_are_the_usual_ones_until_somebody_lists_them() -> None:
    assert not Assistant.parse({}, where="it").wants("assistant-request")
    assert Assistant.parse({}, where="it").wants("end-of-call-report")
    assert Assistant.parse({"webhook_events": []}, where="it").wants("status-update") is False


def test_consent_is_asked_where_it_is_enabled() -> None:
    assert not Assistant.parse({}, where="it").asks_consent
    assert not Assistant.parse({"recording_consent": {"enabled": False}}, where="it").asks_consent
    assert Assistant.parse({"recording_consent": {"enabled": True, "message": "?"}}, where="it").asks_consent


def test_an_assistant_of_enormous_size_is_refused() -> None:
    assert "too large" in problems_of({"metadata": {str(index): index for index in range(30_000)}})[0]


def test_a_derived_identifier_is_the_same_on_every_start() -> None:
    assert identifier_of("reception") == identifier_of("reception") != identifier_of("other")


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from([*ASSISTANT.keys, "else"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["tools", "messages", "server", "type", "x"]), inner)
            ),
            max_leaves=8,
        ),
    )
)
def test_hostile_data_is_either_an_assistant_or_a_config_error(data: dict[str, Any]) -> None:
    try:
        assistant = Assistant.parse(data, where="it")
    except ConfigError as error:
        assert str(error)
    else:
        json.dumps(assistant.to_public())
