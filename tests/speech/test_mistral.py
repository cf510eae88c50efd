"""Mistral's recogniser over the scripted server."""

from typing import Any

import pytest

from sovereign_pbx.core.errors import ConfigError, ProviderError
from sovereign_pbx.speech.catalogue import build_stt
from sovereign_pbx.speech.stt.mistral import AT_ONCE, MistralStt
from sovereign_pbx.testing.providers.mistral import ScriptedMistral
from tests.calls.house import QUESTION
from tests.speech.hearing import Hearing, hearing
from tests.speech.running import eventually, run_clean

SILENCE = bytes(320)


def engine(server: ScriptedMistral, account: dict[str, Any] | None = None, **block: Any) -> MistralStt:
    known = {"api_key": "test-key", "base_url": server.base_url, **(account or {})}
    return MistralStt.from_config({"provider": "mistral", **block}, known)


def say(heard: Hearing, pcm: bytes = QUESTION, before: int = 50) -> None:
    """Silence, then an utterance as the voice detector marks it."""
    for _ in range(before):
        heard.stream.send(SILENCE)
    for start in range(0, len(pcm), 320):
        if start == 3200:  # it is sure after 0.2 s
            heard.stream.speech(True)
        heard.stream.send(pcm[start : start + 320].ljust(320, b"\0"))
    heard.stream.speech(False)


def test_an_utterance_is_sent_whole_when_the_caller_falls_silent() -> None:
    async def main() -> None:
        async with ScriptedMistral(answer_ms=5) as server, hearing(engine(server), language="nl-NL") as heard:
            say(heard)
            await eventually(lambda: heard.finals == ["What time do you open?"], "the words came")
            (got,) = server.heard
            assert (got.rate, got.model, got.language) == (8000, "voxtral-mini-latest", "nl")
            assert got.seconds == pytest.approx(
                len(QUESTION) / 16000 + 0.3, abs=0.05
            )  # what lies before its first sound

    run_clean(main())


def test_answers_come_in_the_order_in_which_the_caller_spoke() -> None:
    async def main() -> None:
        async with ScriptedMistral(["One.", "Two."], answer_ms=400) as server, hearing(engine(server)) as heard:
            say(heard)
            await eventually(lambda: len(server.heard) == 1, "the first was sent")
            server.answer_ms = 1
            say(heard)
            await eventually(lambda: len(heard.finals) == 2, "both came")
            assert heard.finals == ["Two.", "One."]  # the second was answered first

    run_clean(main())


def test_a_cough_has_no_words_and_that_is_said() -> None:
    async def main() -> None:
        async with ScriptedMistral(answer_ms=5) as server, hearing(engine(server)) as heard:
            say(heard, bytes(6400))
            await eventually(lambda: heard.finals == [""], "the answer came")
            heard.stream.finalize()
            await eventually(lambda: heard.finals == ["", ""], "nothing is waited for")

    run_clean(main())


def test_what_fails_once_is_tried_again_in_time() -> None:
    async def main() -> None:
        async with ScriptedMistral(answer_ms=5) as server, hearing(engine(server)) as heard:
            server.faults.arm("refuse", "connect", times=1)
            say(heard)
            await eventually(lambda: heard.finals == ["What time do you open?"], "the words came")

    run_clean(main())


@pytest.mark.parametrize(
    ("fault", "at", "kind"),
    [
        ("refuse", "connect", "refused"),
        ("deny", "connect", "denied"),
        ("stall", "connect", "stalled"),
        ("stall", "first", "stalled"),
        ("drop", "first", "dropped"),
        ("garbage", "first", "garbled"),
    ],
)
def test_every_fault_has_its_name(fault: Any, at: Any, kind: str) -> None:
    async def main() -> None:
        async with ScriptedMistral(answer_ms=5) as server, hearing(engine(server, answer_s=0.4)) as heard:
            server.faults.arm(fault, at)
            say(heard)
            await eventually(lambda: heard.error is not None, "the failure was told")
            assert heard.error is not None
            assert (heard.error.kind, heard.error.stage) == (kind, "stt")
            await eventually(lambda: server.open_requests == 0, "the request was let go")

    run_clean(main())


def test_a_vendor_that_answers_nothing_is_given_up_before_memory_is() -> None:
    async def main() -> None:
        async with ScriptedMistral(answer_ms=60000) as server, hearing(engine(server, answer_s=30)) as heard:
            for _ in range(AT_ONCE + 3):
                say(heard, bytes(6400), before=1)
            await eventually(lambda: heard.error is not None, "that was told")
            assert heard.error is not None
            assert heard.error.kind == "stalled"

    run_clean(main())


def test_a_wrong_key_is_known_before_the_call_is_answered() -> None:
    async def main() -> None:
        async with ScriptedMistral() as server:
            recogniser = engine(server, {"api_key": "wrong"})
            with pytest.raises(ProviderError) as caught:
                await recogniser.open(rate=8000, language="en")
            assert caught.value.kind == "denied"
            await recogniser.aclose()

    run_clean(main())


def test_it_can_be_chosen_and_needs_a_key() -> None:
    assert build_stt({"provider": "mistral"}, {"mistral": {"api_key": "k"}}).name == "mistral/voxtral-mini-latest"
    with pytest.raises(ConfigError, match="api_key is missing"):
        build_stt({"provider": "mistral"}, {})
