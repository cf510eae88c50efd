"""What `check` says of assistants whose model hears and speaks itself."""

from pathlib import Path

from sovereign_pbx.config import examine

FILE = """
[providers.xai]
api_key = "k"

[assistants.live]
voicemail_detection = true
recording_consent = { enabled = true }

[assistants.live.stt_config]
provider = "whisper"

[assistants.live.llm_config]
provider = "xai_realtime"

[assistants.live.speech_config]
turn_taking = { endpointing_min_delay = 0.3, interruption_min_duration = 0.4 }

[assistants.live.digits]
collectors = [{ name = "ask_pin", description = "Ask for the PIN." }]

[recording]
enabled = true
"""


def findings(folder: Path, text: str) -> list[str]:
    file = folder / "config.toml"
    file.write_text(text)
    file.chmod(0o600)
    return [str(finding) for finding in examine(file).findings]


def test_each_setting_that_a_realtime_model_does_not_know_is_named(tmp_path: Path) -> None:
    found = findings(tmp_path, FILE)
    for words in (
        "stt_config.provider: is not asked",
        "voicemail_detection: is not done with a realtime model",
        "turn_taking: endpointing_min_delay: a realtime model takes turns by itself",
        "recording_consent: is asked by the realtime model",
        "digits: ask_pin: not offered to a realtime model",
    ):
        assert any(words in line for line in found), (words, found)


def test_an_assistant_that_asks_nothing_of_the_kind_is_well(tmp_path: Path) -> None:
    text = '[providers.openai]\napi_key = "k"\n[assistants.live.llm_config]\nprovider = "openai_realtime"\n'
    assert not [line for line in findings(tmp_path, text) if "assistants.live" in line]


def test_a_realtime_model_can_not_sum_up(tmp_path: Path) -> None:
    found = findings(tmp_path, '[post_call]\nprovider = "openai_live"\n')
    assert any("post_call.provider: is a model that speaks" in line for line in found), found
