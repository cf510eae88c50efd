"""Which provider is which class, and what an assistant's blocks build."""

import subprocess
import sys
from typing import Any

import pytest

from sovereign_pbx.core.errors import ConfigError
from sovereign_pbx.speech import catalogue
from sovereign_pbx.speech.catalogue import CATALOGUE, build_llm, build_stt, build_voice, validate

KEYS = {
    "deepgram": {"api_key": "dg"},
    "openai": {"api_key": "oa"},
    "elevenlabs": {"api_key": "el"},
    "ours": {"base_url": "http://127.0.0.1:9/v1"},
}


def targets() -> list[str]:
    entries = [entry for stage in CATALOGUE.values() for entry in stage.values()]
    return sorted({target for entry in entries for target in (entry.target, *(last for *_, last in entry.variants))})


@pytest.mark.parametrize("target", targets())
def test_every_class_that_the_catalogue_names_exists(target: str) -> None:
    assert hasattr(catalogue._load(target), "from_config")


def test_preloading_loads_no_vendors_sdk() -> None:
    code = "import sys; from sovereign_pbx.speech.catalogue import preload; preload(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "sovereign_pbx.speech.llm.openai" in loaded
    assert not {"openai", "elevenlabs", "deepgram", "faster_whisper", "onnxruntime"} & set(loaded)


@pytest.mark.parametrize(
    ("block", "name"),
    [
        ({"provider": "deepgram"}, "DeepgramNova"),
        ({"provider": "deepgram", "model": "nova-3"}, "DeepgramNova"),
        ({"provider": "deepgram", "model": "flux-general-en"}, "DeepgramFlux"),
    ],
)
def test_the_model_chooses_between_nova_and_flux(block: dict[str, Any], name: str) -> None:
    assert type(catalogue._choices("stt", block, KEYS).all[0].implementation).__name__ == name


@pytest.mark.parametrize(
    ("more", "name"),
    [({}, "ElevenLabsVoice"), ({"transport": "http"}, "ElevenLabsHttp"), ({"model": "eleven_v3"}, "ElevenLabsHttp")],
)
@pytest.mark.parametrize("provider", ["elevenlabs", "11labs"])
def test_a_voice_goes_over_http_where_the_socket_does_not_serve_it(
    provider: str, more: dict[str, Any], name: str
) -> None:
    block = {"provider": provider, "voice_id": "Ann", **more}
    assert type(catalogue._choices("tts", block, KEYS).all[0].implementation.voice).__name__ == name


def test_any_provider_with_an_address_speaks_chat_completions() -> None:
    assert build_llm({"provider": "ours", "model": "qwen"}, KEYS).name == "ours/qwen"


def test_fallbacks_are_built_in_their_order_and_give_the_first_one_less_time() -> None:
    block = {"provider": "deepgram", "fallbacks": [{"provider": "deepgram", "model": "nova-2"}]}
    first, second = (choice.implementation for choice in catalogue._choices("stt", block, KEYS).all)
    assert (first.name, second.name) == ("deepgram/nova-3", "deepgram/nova-2")
    assert (first._patience.outage_s, second._patience.outage_s) == (catalogue.OUTAGE_WITH_SPARE_S, 5.0)
    assert build_stt(block, KEYS).name == "deepgram/nova-3"


def test_the_standing_of_a_provider_is_its_accounts_and_settings_own() -> None:
    def key(block: dict[str, Any], keys: dict[str, Any]) -> str:
        return catalogue._choices("stt", block, keys).all[0].key

    block = {"provider": "deepgram"}
    assert key(block, KEYS) == key(dict(block), dict(KEYS))
    assert key(block, KEYS) != key(block, {"deepgram": {"api_key": "mended"}})
    assert "dg" not in key(block, KEYS).split("/")[2]


@pytest.mark.parametrize(
    ("stage", "block", "remedy"),
    [
        ("stt", {"provider": "deepgramm"}, "did you mean 'deepgram'?"),
        ("llm", {"provider": "open-ai"}, "did you mean 'openai'?"),
        ("llm", {"provider": "our"}, "did you mean 'ours'?"),
        ("llm", {"provider": "zzzz"}, r"set base_url of a compatible server in \[providers.zzzz\]"),
        ("tts", {"provider": "elevenlab", "voice_id": "x"}, "did you mean 'elevenlabs'?"),
        ("tts", {"provider": "zzzz"}, "known here: elevenlabs, inworld, hibari, pico, espeak, 11labs"),
        ("tts", {}, "one of elevenlabs, inworld, hibari, pico, espeak"),
    ],
)
def test_an_unknown_provider_is_an_error_with_the_nearest_right_name(
    stage: Any, block: dict[str, Any], remedy: str
) -> None:
    with pytest.raises(ConfigError, match=remedy):
        validate(stage, block, KEYS)


@pytest.mark.parametrize(
    ("stage", "block", "key"),
    [
        ("stt", {"provider": "deepgram", "fallbacks": "whisper"}, "fallbacks"),
        ("stt", {"provider": "deepgram", "fallbacks": [{"provider": "deepgram"}] * 5}, "fallbacks"),
        ("stt", {"provider": "deepgram", "fallbacks": [{"model": "tiny"}]}, "provider"),
        ("llm", {"provider": "openai", "switch_after_s": "soon"}, "switch_after_s"),
        ("tts", {"provider": "elevenlabs"}, "voice_id"),
    ],
)
def test_a_bad_block_is_an_error_that_names_the_key(stage: Any, block: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        validate(stage, block, KEYS)
    assert caught.value.key == key


def test_a_voice_and_its_fallbacks_are_known_to_the_phrase_cache_by_the_first_ones_key() -> None:
    block = {
        "provider": "elevenlabs",
        "voice_id": "Ann",
        "fallbacks": [{"provider": "elevenlabs", "voice_id": "Bob", "transport": "http"}],
    }
    assert build_voice(block, KEYS).key.startswith("elevenlabs/Ann/eleven_flash_v2_5/{}/")
