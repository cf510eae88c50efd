"""What an assistant has that its configuration does not mention."""

from dataclasses import astuple
from pathlib import Path
from typing import Any

import pytest

from sovereign_pbx.assistants.model import Assistant
from sovereign_pbx.assistants.phrases import phrases_for
from sovereign_pbx.assistants.plan import plan_for
from sovereign_pbx.config import load
from sovereign_pbx.core.errors import ConfigError
from sovereign_pbx.speech import catalogue


def test_an_assistant_with_only_a_name_hears_thinks_and_speaks_on_this_machine() -> None:
    bare = Assistant.parse({"name": "Front desk"}, where="it")
    assert [block["provider"] for block in (bare.stt_config, bare.llm_config, bare.tts_config)] == [
        "whisper",
        "local",
        "hibari",
    ]
    catalogue.validate("stt", bare.stt_config, {})
    catalogue.validate("llm", bare.llm_config, {})
    catalogue.validate("tts", bare.tts_config, {})


def test_receivers_are_told_who_it_is_that_speaks() -> None:
    told = Assistant.parse({"name": "Front desk"}, where="it").to_public()
    assert told["tts_config"]["provider"] == "hibari"


def test_instructions_and_a_language_leave_the_provider_open() -> None:
    blocks = {"llm_config": {"messages": [{"role": "system", "content": "S"}]}, "stt_config": {"language": "nl"}}
    assistant = Assistant.parse(blocks, where="it")
    assert assistant.llm_config["provider"] == "local"
    assert assistant.llm_config["messages"][0]["content"] == "S"
    assert (assistant.stt_config["provider"], assistant.stt_config["language"]) == ("whisper", "nl")


@pytest.mark.parametrize(
    ("stage", "name", "block"),
    [("tts", "tts_config", {"voice_id": "anna"}), ("llm", "llm_config", {"model": "gpt-5.4"})],
)
def test_a_model_or_a_voice_without_its_provider_is_a_mistake(stage: Any, name: str, block: dict[str, Any]) -> None:
    assistant = Assistant.parse({name: block}, where="it")
    with pytest.raises(ConfigError, match="provider is missing"):
        catalogue.validate(stage, getattr(assistant, name), {})


def test_an_override_of_a_block_replaces_it_whole() -> None:
    saved = Assistant.parse({"name": "Front desk"}, where="it")
    assert saved.merged({"tts_config": {"provider": "espeak"}}).tts_config == {"provider": "espeak"}


@pytest.mark.parametrize("language", ["nl", "de", "fr"])
def test_no_sentence_falls_back_to_english_in_a_language_that_is_spoken(language: str) -> None:
    english = {text for text in astuple(phrases_for("en")) if text}
    assert not english & set(astuple(phrases_for(language)))


def test_the_sentence_for_what_was_not_understood_may_be_ones_own() -> None:
    assistant = Assistant.parse({"phrases": {"unheard": "Pardon?"}}, where="it")
    assert plan_for(assistant).phrases.unheard == "Pardon?"


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ('speech_config = { pronunciation = [{ from = "SIP", to = "sip" }] }', False),
        ("speech_config = { background_audio = { enabled = true } }", False),
        ("gdpr_mode = true", True),
    ],
)
def test_what_is_accepted_and_does_nothing_yet_is_said_by_check(tmp_path: Path, setting: str, told: bool) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f"[assistants.desk]\n{setting}\n")
    file.chmod(0o600)
    assert any("not in this release" in str(warning) for warning in load(file).warnings) == told


@pytest.mark.parametrize(("decide_s", "told"), [(8.0, 0), (7.0, 1)])
def test_ringing_that_ends_with_a_late_webhook_is_said_by_check(tmp_path: Path, decide_s: float, told: int) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f"[asterisk.agi]\ndecide_timeout_seconds = {decide_s}\n")
    file.chmod(0o600)
    assert len([warning for warning in load(file).warnings if "no time to get ready" in str(warning)]) == told
