"""The lists of voices: what is really there, and clear errors where a vendor does not say."""

import asyncio
import sys
from typing import Any

import pytest

from sovereign_pbx.core.errors import ProviderError
from sovereign_pbx.speech.tts import elevenlabs_voices, espeak, hibari, pico
from sovereign_pbx.speech.tts.listing import Account, ListedVoice
from sovereign_pbx.testing.providers import ScriptedElevenLabs
from sovereign_pbx.testing.providers.faults import FaultKind

# As espeak-ng 1.51 prints them.
ESPEAK_SAYS = """\
Pty Language       Age/Gender VoiceName          File                 Other Languages
 5  af              --/M      Afrikaans          gmw/af
 5  nl              --/M      Dutch              gmw/nl
 2  en-gb           --/M      English_(Great_Britain) gmw/en            (en 2)
"""


def listed(account: Account, within_s: float = 2.0) -> list[ListedVoice]:
    return asyncio.run(elevenlabs_voices.voices(account, within_s=within_s))


def with_vendor(account: Any, fault: FaultKind | None = None, **settings: Any) -> list[ListedVoice]:
    async def run() -> list[ListedVoice]:
        async with ScriptedElevenLabs(**settings) as vendor:
            if fault is not None:
                vendor.faults.arm(fault)
            return await elevenlabs_voices.voices({"base_url": vendor.url, **account}, within_s=0.5)

    return asyncio.run(run())


def test_the_voices_of_an_account_come_with_language_and_description() -> None:
    anna, ben = with_vendor({"api_key": "test-key"})
    assert (anna.id, anna.name, anna.language) == ("anna", "Anna", "nl")
    assert anna.description == {"en": "A calm voice for the telephone."}
    assert ben == ListedVoice(id="ben", name="Ben")


def test_without_a_key_nobody_is_asked() -> None:
    assert listed({"base_url": "http://127.0.0.1:1"}) == []


def test_voices_that_are_none_are_left_out() -> None:
    strange: Any = [{"voice_id": "a"}, {"voice_id": 5}, {"name": "b"}, {"voice_id": "c", "labels": 7, "description": 1}]
    found = with_vendor({"api_key": "test-key"}, voices=strange)
    assert [(voice.id, voice.name) for voice in found] == [("a", "a"), ("c", "c")]


@pytest.mark.parametrize(
    ("account", "fault", "kind"),
    [
        ({"api_key": "wrong"}, None, "denied"),
        ({"api_key": "test-key"}, "stall", "stalled"),
        ({"api_key": "test-key"}, "refuse", "refused"),
        ({"api_key": "test-key"}, "drop", "refused"),
        ({"api_key": "test-key", "base_url": "http://127.0.0.1:9"}, None, "refused"),
    ],
)
def test_a_vendor_that_fails_is_a_provider_error_in_time(account: Any, fault: FaultKind | None, kind: str) -> None:
    with pytest.raises(ProviderError) as caught:
        with_vendor(account, fault)
    assert caught.value.kind == kind
    assert "test-key" not in str(caught.value)


def test_espeak_names_what_its_program_names() -> None:
    command = [sys.executable, "-c", f"print({ESPEAK_SAYS!r})"]
    found = asyncio.run(espeak.voices({"command": command}))
    assert [(voice.id, voice.name) for voice in found] == [
        ("af", "Afrikaans"),
        ("nl", "Dutch"),
        ("en-gb", "English (Great Britain)"),
    ]


def test_a_program_that_is_not_there_has_no_voices_and_one_that_fails_says_so() -> None:
    assert asyncio.run(espeak.voices({"command": "no-such-program"})) == []
    with pytest.raises(ProviderError, match="exit 3"):
        asyncio.run(espeak.voices({"command": [sys.executable, "-c", "raise SystemExit(3)"]}))


def test_the_embedded_voices_are_those_on_this_machine() -> None:
    assert "heart" in {voice.id for voice in asyncio.run(hibari.voices({}))}
    assert {voice.id for voice in asyncio.run(pico.voices({}))} == set(pico.VOICES)
