"""Deepgram Nova over the scripted server."""

import asyncio
from typing import Any

import pytest

from sovereign_pbx.core.errors import ConfigError, ProviderError
from sovereign_pbx.speech.stt import Heard
from sovereign_pbx.speech.stt.deepgram import DeepgramNova
from sovereign_pbx.speech.stt.live import Patience
from sovereign_pbx.testing.providers import ScriptedDeepgram, Utterance
from tests.speech.hearing import hearing
from tests.speech.running import SOON_S, UNHURRIED_S, eventually, run_clean
from tests.speech.sounds import loud, quiet, talk

QUICK = Patience(answer_s=0.3, outage_s=0.6, idle_s=4.0)


def nova(server: ScriptedDeepgram, **settings: Any) -> DeepgramNova:
    return DeepgramNova(**{"api_key": "test-key", "base_url": server.url, "patience": QUICK, **settings})


def test_an_utterance_gives_interims_its_final_words_and_its_end() -> None:
    async def main() -> None:
        async with ScriptedDeepgram(["I would like to book a table."], final_ms=20) as server:
            async with hearing(nova(server)) as heard:
                await talk(heard.stream, 1200, 400)
                await eventually(lambda: heard.overs == 1, "the utterance is over")
            assert heard.finals == ["I would like to book a table."]
            assert heard.interims[0].startswith("I")
            final = next(e for e in heard.events if isinstance(e, Heard) and e.final)
            assert [word.text for word in final.words] == ["I", "would", "like", "to", "book", "a", "table."]
            assert final.words[-1].end == pytest.approx(1.2, abs=0.05)

    run_clean(main())


def test_the_telephones_own_rate_and_linear16_go_over_the_wire_with_every_keyterm() -> None:
    async def main() -> None:
        async with ScriptedDeepgram() as server:
            engine = nova(server, keyterms=("Asterisk",), language="nl")
            async with hearing(engine, rate=16000, keyterms=("Van den Berg", "Asterisk")) as heard:
                heard.stream.send(quiet(16000))
                await eventually(lambda: server.connections[0].audio_bytes == 640, "the frame arrived")
            seen = server.connections[0]
            assert seen.values("encoding") == ["linear16"]
            assert seen.values("sample_rate") == ["16000"]
            assert seen.values("language") == ["nl"]
            assert seen.values("keyterm") == ["Asterisk", "Van den Berg"]

    run_clean(main())


def test_segments_of_one_utterance_arrive_as_several_finals_before_one_end() -> None:
    async def main() -> None:
        async with ScriptedDeepgram([Utterance(("Good morning.", "This is Ann."))], final_ms=20) as server:
            async with hearing(nova(server)) as heard:
                await talk(heard.stream, 400, 1600)
                await eventually(lambda: heard.overs == 1, "the utterance is over")
                await asyncio.sleep(0.1)
            assert heard.finals == ["Good morning.", "This is Ann."]
            assert heard.overs == 1  # speech_final and the UtteranceEnd a second later are the same end

    run_clean(main())


def test_utterance_end_alone_ends_an_utterance_that_had_no_speech_final() -> None:
    async def main() -> None:
        async with ScriptedDeepgram([Utterance(("Hello?",), speech_final=False)], final_ms=20) as server:
            async with hearing(nova(server)) as heard:
                await talk(heard.stream, 400, 1600)
                await eventually(lambda: heard.overs == 1, "UtteranceEnd was understood")
            assert heard.finals == ["Hello?"]

    run_clean(main())


def test_finalize_brings_the_words_at_once_and_an_empty_final_when_there_are_none() -> None:
    async def main() -> None:
        async with ScriptedDeepgram(["Yes."], final_ms=60_000) as server, hearing(nova(server)) as heard:
            await talk(heard.stream, 300, 0)
            heard.stream.finalize()
            await eventually(lambda: heard.finals == ["Yes."], "the final text came")
            heard.stream.finalize()
            await eventually(lambda: heard.finals == ["Yes.", ""], "an empty final came")

    run_clean(main())


def test_silence_is_not_reported_as_empty_finals() -> None:
    async def main() -> None:
        async with ScriptedDeepgram() as server:
            async with hearing(nova(server)) as heard:
                await talk(heard.stream, 0, 8000, pace=0.0)
                await eventually(lambda: server.connections[0].audio_bytes == 400 * 320, "the silence arrived")
            assert heard.events == []

    run_clean(main())


def test_a_line_without_audio_is_kept_alive_and_closing_says_goodbye() -> None:
    async def main() -> None:
        async with ScriptedDeepgram(net_0001_s=0.5) as server:
            patience = Patience(answer_s=5, outage_s=1, idle_s=0.1)
            async with hearing(nova(server, patience=patience)) as heard:
                await asyncio.sleep(0.8)
                assert heard.error is None
            seen = server.connections[0]
            assert len(server.connections) == 1
            assert seen.texts[0] == {"type": "KeepAlive"}
            assert seen.texts[-1] == {"type": "CloseStream"}
            await eventually(lambda: server.open_requests == 0, "the vendor's side has ended")

    run_clean(main())


def test_after_a_drop_the_unfinalised_audio_is_replayed_and_its_times_go_on() -> None:
    async def main() -> None:
        async with ScriptedDeepgram(["First.", "Second."], final_ms=20, keep_audio=True) as server:
            async with hearing(nova(server)) as heard:
                await talk(heard.stream, 400, 200)
                await eventually(lambda: heard.finals == ["First."], "the first utterance came")
                server.script = (Utterance(("Second.",)),)
                port = server.port
                await server.stop()
                await talk(heard.stream, 600, 0)  # said while the vendor is away
                await server.start(port)
                await talk(heard.stream, 0, 400)
                await eventually(lambda: heard.overs == 2, "the second utterance came")
            assert heard.finals == ["First.", "Second."]
            assert loud() * 30 in bytes(server.connections[1].audio)
            final = [event for event in heard.events if isinstance(event, Heard) and event.final][-1]
            assert final.words[0].start == pytest.approx(0.6, abs=0.06)

    run_clean(main())


def test_a_key_that_is_refused_is_denied_at_once() -> None:
    async def main() -> None:
        async with ScriptedDeepgram() as server:
            engine = nova(server, api_key="wrong")
            with pytest.raises(ProviderError) as caught:
                await engine.open(rate=8000, language="en")
            assert caught.value.kind == "denied"
            assert "wrong" not in str(caught.value)
            await engine.aclose()

    run_clean(main())


def test_a_parameter_the_vendor_does_not_take_is_denied_with_the_vendors_words() -> None:
    async def main() -> None:
        async with ScriptedDeepgram() as server:
            engine = nova(server, model="enhanced")
            with pytest.raises(ProviderError, match="no such model for this endpoint") as caught:
                await engine.open(rate=8000, language="en")
            assert caught.value.kind == "denied"
            await engine.aclose()

    run_clean(main())


@pytest.mark.parametrize(("fault", "kind"), [("refuse", "refused"), ("stall", "stalled"), ("drop", "refused")])
def test_a_vendor_that_cannot_be_reached_is_noticed_within_the_deadline(fault: Any, kind: str) -> None:
    async def main() -> None:
        async with ScriptedDeepgram() as server:
            server.faults.arm(fault)
            engine = nova(server, connect_s=0.2 if fault == "stall" else UNHURRIED_S)
            began = asyncio.get_running_loop().time()
            with pytest.raises(ProviderError) as caught:
                await engine.open(rate=8000, language="en")
            assert caught.value.kind == kind
            assert asyncio.get_running_loop().time() - began < SOON_S
            await engine.aclose()

    run_clean(main())


@pytest.mark.parametrize("at", ["first", "middle"])
@pytest.mark.parametrize("fault", ["stall", "drop", "garbage"])
def test_one_bad_connection_is_replaced_and_the_utterance_is_still_heard(fault: Any, at: Any) -> None:
    async def main() -> None:
        async with ScriptedDeepgram(["Are you open on Sunday?"], final_ms=20) as server:
            server.faults.arm(fault, at, times=1)
            async with hearing(nova(server)) as heard:
                heard.stream.speech(True)
                await talk(heard.stream, 800, 300)
                heard.stream.speech(False)
                await eventually(lambda: heard.overs == 1, "the utterance is over")
            assert heard.finals == ["Are you open on Sunday?"]
            assert len(server.connections) == 2

    run_clean(main())


@pytest.mark.parametrize("fault", ["stall", "drop", "garbage"])
def test_a_vendor_that_stays_broken_is_reported_after_the_outage_limit(fault: Any) -> None:
    async def main() -> None:
        async with ScriptedDeepgram(final_ms=20) as server:
            server.faults.arm(fault, "first")
            # Only silence is measured by time: a machine that stands still for a moment makes no silence of the others
            patience = QUICK if fault == "stall" else Patience(answer_s=15.0, outage_s=0.6, idle_s=4.0)
            async with hearing(nova(server, patience=patience)) as heard:
                heard.stream.speech(True)
                await talk(heard.stream, 700, 100)
                heard.stream.speech(False)
                await eventually(lambda: heard.error is not None, "the loss is reported")
            assert heard.error is not None
            assert heard.error.kind == {"stall": "stalled", "drop": "dropped", "garbage": "garbled"}[fault]

    run_clean(main())


def test_a_reconnection_cut_short_by_the_outage_limit_does_not_hide_what_had_happened() -> None:
    async def main() -> None:
        async with ScriptedDeepgram(final_ms=20) as server:
            server.faults.arm("drop", "first", times=1)
            server.faults.arm("stall")
            async with hearing(nova(server)) as heard:
                await talk(heard.stream, 400, 100)
                await eventually(lambda: heard.error is not None, "the loss is reported")
            assert heard.error is not None
            assert heard.error.kind == "dropped"
            assert server.faults.happened == 2

    run_clean(main())


def test_an_outage_longer_than_its_limit_is_reported_as_refused() -> None:
    async def main() -> None:
        async with ScriptedDeepgram() as server, hearing(nova(server)) as heard:
            heard.stream.send(quiet())
            await eventually(lambda: bool(server.connections), "connected")
            began = asyncio.get_running_loop().time()
            await server.stop()
            await eventually(lambda: heard.error is not None, "the loss is reported")
            assert heard.error is not None
            assert heard.error.kind == "refused"
            assert asyncio.get_running_loop().time() - began < 1.5

    run_clean(main())


def test_a_key_that_expires_during_a_call_ends_the_stream_without_further_tries() -> None:
    async def main() -> None:
        async with ScriptedDeepgram(final_ms=20) as server:
            server.faults.arm("drop", "first", times=1)
            server.faults.arm("deny")
            async with hearing(nova(server)) as heard:
                await talk(heard.stream, 400, 100)
                await eventually(lambda: heard.error is not None, "the loss is reported")
            assert heard.error is not None
            assert heard.error.kind == "denied"
            assert server.faults.happened == 2

    run_clean(main())


def test_closing_while_nobody_listens_ends_the_iterator() -> None:
    async def main() -> None:
        async with ScriptedDeepgram() as server:
            engine = nova(server)
            stream = await engine.open(rate=8000, language="en")
            await stream.close()
            assert [event async for event in stream] == []
            await engine.aclose()

    run_clean(main())


@pytest.mark.parametrize(
    ("block", "key"),
    [
        ({"endpointing_ms": 3}, "endpointing_ms"),
        ({"utterance_end_ms": 500}, "utterance_end_ms"),
        ({"keyterms": "Asterisk"}, "keyterms"),
        ({"smart_format": "yes"}, "smart_format"),
        ({"model": 3}, "model"),
    ],
)
def test_a_bad_setting_is_named(block: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        DeepgramNova.from_config(block, {"api_key": "k"})
    assert caught.value.key == key


def test_a_missing_key_is_an_error_that_says_where_it_belongs() -> None:
    with pytest.raises(ConfigError, match=r"\[providers.deepgram\]: api_key is missing"):
        DeepgramNova.from_config({}, {})
