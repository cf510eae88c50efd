"""The scripted servers refuse what the vendors refuse. Plain clients here: ours never send such things."""

import asyncio
import json
import signal
import sys
from typing import Any

import aiohttp
import pytest

from sovereign_pbx.testing.providers import Faults, ScriptedDeepgram, ScriptedElevenLabs, ScriptedOpenAI
from sovereign_pbx.testing.providers.deepgram_query import complaint
from sovereign_pbx.testing.providers.ear import Ear
from sovereign_pbx.testing.providers.openai_rules import FLAVOURS, refusal
from sovereign_pbx.testing.providers.voice_sound import Sound
from tests.speech.running import run_clean
from tests.speech.sounds import loud, quiet

TOKEN = {"Authorization": "Token test-key"}
NOVA = "/v1/listen?model=nova-3&encoding=linear16&sample_rate=8000"
FLUX = "/v2/listen?model=flux-general-en&encoding=linear16&sample_rate=8000"


async def last_words(
    url: str, headers: dict[str, str], *frames: str | bytes
) -> tuple[list[dict[str, Any]], int | None]:
    """Send frames and read until the server closes: its messages and the close code."""
    messages = []
    async with aiohttp.ClientSession() as session, session.ws_connect(url, headers=headers) as ws:
        for frame in frames:
            await (ws.send_str(frame) if isinstance(frame, str) else ws.send_bytes(frame))
        async with asyncio.timeout(5):
            async for message in ws:
                messages.append(json.loads(message.data))  # noqa: PERF401 - async comprehensions cannot time out half-way
        return messages, ws.close_code


@pytest.mark.parametrize(
    ("path", "frame", "code"),
    [
        (NOVA, "not json", 1008),
        (NOVA, '{"type":"Hello"}', 1008),
        (NOVA, "[]", 1008),
        (NOVA, b"", 1008),
        (FLUX, '{"type":"KeepAlive"}', 1008),
        (FLUX, '{"type":"Finalize"}', 1008),
        (NOVA, '{"type":"CloseStream"}', 1000),
        (FLUX, '{"type":"CloseStream"}', 1000),
    ],
)
def test_deepgram_takes_only_the_text_frames_of_each_generation(path: str, frame: Any, code: int) -> None:
    async def main() -> None:
        async with ScriptedDeepgram() as server:
            messages, closed = await last_words(server.url + path, TOKEN, frame)
            assert closed == code
            if code == 1000 and path == NOVA:
                assert messages[-1]["type"] == "Metadata"

    run_clean(main())


def test_deepgram_closes_with_net_0001_after_its_time_without_audio() -> None:
    async def main() -> None:
        async with ScriptedDeepgram(net_0001_s=0.1) as server:
            _, closed = await last_words(server.url + NOVA, TOKEN, quiet())
            assert closed == 1011

    run_clean(main())


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/v1/listen", {"model": "nova-3", "encoding": "linear16"}),
        ("/v1/listen", {"model": "nova-3", "encoding": "opus", "sample_rate": "8000"}),
        ("/v1/listen", {"model": "flux-general-en", "encoding": "linear16", "sample_rate": "8000"}),
        ("/v1/listen", {"model": "nova-3", "encoding": "linear16", "sample_rate": "8000", "language": ""}),
        ("/v1/listen", {"model": "nova-3", "encoding": "linear16", "sample_rate": "8000", "utterance_end_ms": "1000"}),
        ("/v1/listen", {"model": "nova-3", "encoding": "linear16", "sample_rate": "8000", "eot_threshold": "0.7"}),
        ("/v2/listen", {"model": "nova-3", "encoding": "linear16", "sample_rate": "8000"}),
        ("/v2/listen", {"model": "flux-general-en", "encoding": "linear16", "sample_rate": "8000", "language": "en"}),
        ("/v2/listen", {"model": "flux-general-en", "encoding": "mulaw", "sample_rate": "8000", "eot_threshold": "2"}),
    ],
)
def test_deepgram_turns_wrong_queries_down(path: str, query: dict[str, str]) -> None:
    assert complaint(path, list(query.items())) is not None


@pytest.mark.parametrize("rate", [8000, 16000])
@pytest.mark.parametrize("cut", [1, 7, 320, 5000])
def test_the_ear_tells_speech_from_silence_however_the_audio_is_cut(rate: int, cut: int) -> None:
    ear = Ear("linear16", rate)
    audio = quiet(rate) * 10 + loud(rate) * 10 + quiet(rate) * 10
    heard = [is_loud for start in range(0, len(audio), cut) for is_loud in ear.slices(audio[start : start + cut])]
    assert heard == [False] * 10 + [True] * 10 + [False] * 10
    assert ear.position_s == pytest.approx(0.6)


def test_the_ear_hears_mulaw_too() -> None:
    silence, speech = b"\xff" * 160, b"\x00\x80" * 80  # µ-law's zero and its loudest codes
    assert list(Ear("mulaw", 8000).slices(silence + speech)) == [False, True]


def test_the_scripted_voice_is_loud_enough_for_the_scripted_ear() -> None:
    heard = list(Ear("linear16", 8000).slices(Sound(8000).of("Hello there")))
    assert heard.count(True) > len(heard) * 0.6
    assert not any(Ear("linear16", 8000).slices(Sound(8000).of(" . ")))


USER = {"role": "user", "content": "Hi"}
CALL = {"id": "call00000", "type": "function", "function": {"name": "f", "arguments": "{}"}}
ASKED = {"role": "assistant", "content": "", "tool_calls": [CALL]}


@pytest.mark.parametrize(
    ("flavour", "body", "status"),
    [
        ("openai", {"model": "gpt-5.4", "messages": [USER], "max_tokens": 5}, 400),
        ("openai", {"model": "gpt-5-mini", "messages": [USER], "temperature": 0.2}, 400),
        ("openai", {"model": "gpt-5.4", "messages": [USER], "volume": 11}, 400),
        ("openai", {"model": "gpt-5.4", "messages": []}, 400),
        ("openai", {"model": "gpt-5.4", "messages": [USER, ASKED, USER]}, 400),
        ("openai", {"model": "gpt-5.4", "messages": [{"role": "tool", "tool_call_id": "x", "content": "y"}]}, 400),
        ("mistral", {"model": "m", "messages": [USER], "stream_options": {"include_usage": True}}, 422),
        ("mistral", {"model": "m", "messages": [USER], "max_completion_tokens": 5}, 422),
        ("mistral", {"model": "m", "messages": [USER, {"role": "assistant", "content": "Hi"}]}, 400),
        ("mistral", {"model": "m", "messages": [USER, {**ASKED, "tool_calls": [{**CALL, "id": "long-one-1"}]}]}, 400),
        ("llamacpp", {"model": "m", "messages": [USER, {"role": "system", "content": "Late."}]}, 500),
        ("vllm", {"model": "m", "messages": [USER, {"role": "assistant", "content": ""}]}, 400),
    ],
)
def test_each_flavour_turns_down_what_its_vendor_does(flavour: str, body: dict[str, Any], status: int) -> None:
    refused = refusal(FLAVOURS[flavour], body)
    assert refused is not None
    assert refused.status == status


def test_a_whole_reply_is_given_where_no_stream_is_asked_for() -> None:
    async def main() -> None:
        async with ScriptedOpenAI(["Yes."], first_token_ms=1) as server, aiohttp.ClientSession() as session:
            body = {"model": "gpt-5.4", "messages": [USER]}
            headers = {"Authorization": "Bearer test-key"}
            async with session.post(f"{server.base_url}/chat/completions", json=body, headers=headers) as answer:
                assert (await answer.json())["choices"][0]["message"]["content"] == "Yes."
            async with session.post(f"{server.url}/nobody/v1/chat/completions", json=body, headers=headers) as answer:
                assert answer.status == 404

    run_clean(main())


VOICE = "/v1/text-to-speech/Ann/multi-stream-input?output_format=pcm_8000&model_id=eleven_flash_v2_5"
KEY = {"xi-api-key": "test-key"}


def opening(number: int, **more: Any) -> str:
    return json.dumps({"text": "Hello ", "context_id": f"c{number}", **more})


@pytest.mark.parametrize(
    ("frames", "error"),
    [
        ([opening(number) for number in range(6)], "max_active_conversations"),
        (["{"], "invalid_message"),
        ([b"\0\0"], "invalid_message"),
        (['{"speak":"Hello"}'], "invalid_message"),
        (['{"text":"Hello "}'], "missing_context_id"),
        ([opening(1, voice_settings={"speed": 3})], "invalid_voice_settings"),
        ([opening(1), opening(1, voice_settings={"speed": 1})], "invalid_message"),
        ([opening(1), '{"context_id":"c1","close_context":true}', opening(1)], "invalid_message"),
    ],
)
def test_elevenlabs_closes_with_1008_what_its_protocol_does_not_allow(frames: list[Any], error: str) -> None:
    async def main() -> None:
        async with ScriptedElevenLabs(first_audio_ms=500) as server:
            messages, code = await last_words(server.url + VOICE, KEY, *frames)
            assert code == 1008
            assert messages[-1]["error"] == error

    run_clean(main())


def test_elevenlabs_sends_is_final_only_for_contexts_that_are_closed() -> None:
    async def main() -> None:
        async with ScriptedElevenLabs(first_audio_ms=1, real_time_factor=0.01, inactivity_s=0.3) as server:
            frames = [opening(1, flush=True), opening(2, flush=True), '{"context_id":"c2","close_context":true}']
            messages, _ = await last_words(server.url + VOICE, KEY, *frames)
            assert [message["contextId"] for message in messages if message["isFinal"]] == ["c2"]
            assert {message["contextId"] for message in messages} == {"c1", "c2"}

    run_clean(main())


@pytest.mark.parametrize(
    ("kind", "at"), [("explode", "connect"), ("deny", "first"), ("garbage", "connect"), ("drop", "?")]
)
def test_a_fault_that_cannot_happen_cannot_be_armed(kind: Any, at: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        Faults().arm(kind, at)


def test_the_process_prints_its_addresses_takes_faults_and_ends_on_sigterm() -> None:
    async def main() -> None:
        arguments = (sys.executable, "-m", "sovereign_pbx.testing.providers", "--port", "0", "--first-token-ms", "1")
        process = await asyncio.create_subprocess_exec(*arguments, stdout=asyncio.subprocess.PIPE)
        assert process.stdout is not None
        addresses = json.loads(await process.stdout.readline())
        body = {"model": "gpt-5.4", "messages": [USER], "stream": True}
        headers = {"Authorization": "Bearer test-key"}
        async with aiohttp.ClientSession() as session:
            faults = f"{addresses['control']}/faults"
            async with session.post(faults, json={"vendor": "openai", "kind": "refuse", "times": 1}) as answer:
                assert answer.status == 200
            async with session.post(faults, json={"vendor": "openai", "kind": "explode"}) as answer:
                assert answer.status == 400
            statuses = []
            for _ in range(2):
                chat = f"{addresses['openai']}/chat/completions"
                async with session.post(chat, json=body, headers=headers) as answer:
                    statuses.append(answer.status)
                    await answer.read()
            assert statuses == [503, 200]
            async with session.get(addresses["control"]) as answer:
                assert (await answer.json())["openai"]["finished"] == 1
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0

    asyncio.run(main())
