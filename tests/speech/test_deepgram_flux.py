"""Deepgram Flux over the scripted server, and its dialect by itself."""

import asyncio
import json
from typing import Any

import pytest

from sovereign_pbx.core.errors import ConfigError, ProviderError
from sovereign_pbx.speech.sockets import Sockets
from sovereign_pbx.speech.stt import Heard, UtteranceOver
from sovereign_pbx.speech.stt.deepgram_flux import DeepgramFlux, FluxDialect
from sovereign_pbx.speech.stt.live import Patience
from sovereign_pbx.testing.providers import ScriptedDeepgram
from tests.speech.hearing import hearing
from tests.speech.running import eventually, run_clean
from tests.speech.sounds import talk


def flux(server: ScriptedDeepgram, **settings: Any) -> DeepgramFlux:
    quick = Patience(answer_s=0.3, outage_s=0.6)
    return DeepgramFlux(**{"api_key": "test-key", "base_url": server.url, "patience": quick, **settings})


def turn(event: str, transcript: str) -> str:
    return json.dumps({"type": "TurnInfo", "event": event, "transcript": transcript, "audio_window_end": 2.0})


def test_a_turn_gives_updates_as_interims_and_its_end_as_final_and_over() -> None:
    async def main() -> None:
        async with ScriptedDeepgram(["I need a plumber."], final_ms=20) as server:
            async with hearing(flux(server)) as heard:
                await talk(heard.stream, 1000, 400)
                await eventually(lambda: heard.overs == 1, "the turn is over")
            assert heard.finals == ["I need a plumber."]
            assert heard.interims

    run_clean(main())


def test_audio_goes_out_in_whole_80_ms_chunks() -> None:
    async def main() -> None:
        async with ScriptedDeepgram() as server:
            async with hearing(flux(server)) as heard:
                await talk(heard.stream, 0, 1000)
                await eventually(lambda: server.connections[0].audio_bytes >= 12 * 1280, "the audio arrived")
            assert all(size % 1280 == 0 for size in server.connections[0].message_bytes)

    run_clean(main())


def test_finalize_forces_the_end_of_an_open_turn_only() -> None:
    async def main() -> None:
        async with ScriptedDeepgram(["Yes."], final_ms=60_000) as server, hearing(flux(server)) as heard:
            heard.stream.finalize()
            await asyncio.sleep(0.05)
            await talk(heard.stream, 400, 0)
            await eventually(lambda: bool(heard.interims), "the turn is open")
            heard.stream.finalize()
            await eventually(lambda: heard.finals == ["Yes."], "the final text came")
            assert [text["type"] for text in server.connections[0].texts] == ["ForceEndTurn"]

    run_clean(main())


def test_a_line_without_audio_is_kept_alive_with_silence() -> None:
    async def main() -> None:
        async with ScriptedDeepgram(net_0001_s=0.5) as server:
            patience = Patience(answer_s=5, outage_s=1, idle_s=0.1)
            async with hearing(flux(server, patience=patience)) as heard:
                await eventually(lambda: server.connections[0].audio_bytes >= 5 * 1280, "silence arrived")
                assert heard.error is None
            assert [text["type"] for text in server.connections[0].texts] == ["CloseStream"]

    run_clean(main())


def test_a_language_hint_goes_to_the_multilingual_model_only() -> None:
    async def main() -> None:
        async with ScriptedDeepgram() as server:
            async with hearing(flux(server, model="flux-general-multi", eot_threshold=0.8), language="nl-NL"):
                pass
            async with hearing(flux(server), language="en"):
                pass
            multi, english = server.connections
            assert multi.values("language_hint") == ["nl"]
            assert multi.values("eot_threshold") == ["0.8"]
            assert english.values("language_hint") == []

    run_clean(main())


@pytest.mark.parametrize("fault", ["stall", "drop", "garbage"])
def test_one_bad_connection_is_replaced_and_the_turn_is_still_heard(fault: Any) -> None:
    async def main() -> None:
        async with ScriptedDeepgram(["Is anybody there?"], final_ms=20) as server:
            server.faults.arm(fault, "middle", times=1)
            async with hearing(flux(server)) as heard:
                heard.stream.speech(True)
                await talk(heard.stream, 800, 400)
                heard.stream.speech(False)
                await eventually(lambda: heard.overs == 1, "the turn is over")
            assert heard.finals == ["Is anybody there?"]

    run_clean(main())


def test_an_eager_end_and_its_resumption_are_interims_and_end_nothing() -> None:
    dialect = FluxDialect(Sockets("deepgram", "stt", "ws://127.0.0.1:1", {}), [])
    events = [
        event
        for name in ("StartOfTurn", "Update", "EagerEndOfTurn", "TurnResumed", "EndOfTurn")
        for event in dialect.read(turn(name, "book a table")).events
    ]
    assert [isinstance(event, Heard) and event.final for event in events] == [False, False, False, False, True, False]
    assert events[-1] == UtteranceOver(judged=True)


def test_messages_of_unknown_types_are_passed_over() -> None:
    dialect = FluxDialect(Sockets("deepgram", "stt", "ws://127.0.0.1:1", {}), [])
    assert dialect.read('{"type":"SomethingNew","event":7}').events == ()


@pytest.mark.parametrize("message", ["{", "[]", '{"type":5}', '{"type":"TurnInfo"}', b"\xff\x00"])
def test_messages_that_make_no_sense_are_garbled(message: Any) -> None:
    dialect = FluxDialect(Sockets("deepgram", "stt", "ws://127.0.0.1:1", {}), [])
    with pytest.raises(ProviderError) as caught:
        dialect.read(message)
    assert caught.value.kind == "garbled"


def test_a_threshold_out_of_range_is_named() -> None:
    with pytest.raises(ConfigError, match=r"eot_threshold must be a number from 0.5 to 1"):
        DeepgramFlux.from_config({"model": "flux-general-en", "eot_threshold": 0.2}, {"api_key": "k"})
