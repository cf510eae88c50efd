"""Realtime sessions over the strict scripted vendor, in both dialects: settings, orders, signals, faults, bounds."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.core.errors import ConfigError, ProviderError
from sovereign_pbx.core.realtime import signals as s
from sovereign_pbx.core.values import Message, ToolCall
from sovereign_pbx.speech import catalogue
from sovereign_pbx.speech.llm import ToolSpec
from sovereign_pbx.speech.realtime import RealtimeSession, Setup
from sovereign_pbx.speech.realtime.code import Linear, Ulaw, code_for
from sovereign_pbx.speech.realtime.openai import OpenAIDialect
from sovereign_pbx.speech.realtime.providers import build_realtime
from sovereign_pbx.speech.realtime.session import FRAMES_LIMIT, ORDERS_LIMIT
from sovereign_pbx.speech.realtime.xai import XaiDialect
from sovereign_pbx.testing.providers.openai import Answer
from sovereign_pbx.testing.providers.realtime import RealtimeDialect, ScriptedRealtime
from sovereign_pbx.testing.providers.realtime_rules import complaint
from tests.calls.house import QUESTION
from tests.speech.running import eventually, run_clean

DIALECTS: tuple[RealtimeDialect, ...] = ("openai", "xai")
BLOCKS: dict[str, dict[str, Any]] = {"openai": {"provider": "openai_live"}, "xai": {"provider": "xai_realtime"}}
TOOL = ToolSpec("look_up", "Look something up.", {"type": "object", "properties": {}})
SETUP = Setup(instructions="You answer the telephone.", language="nl-NL", keyterms=("Asterisk",), tools=(TOOL,))
HISTORY = (
    Message("user", "Is there a table?"),
    Message("assistant", "One moment.", (ToolCall("c1", "look_up", "{}"),)),
    Message("tool", "Yes.", tool_call_id="c1"),
)

both = pytest.mark.parametrize("dialect", DIALECTS)


def accounts(server: ScriptedRealtime, **changes: Any) -> dict[str, dict[str, Any]]:
    account = {"api_key": "test-key", "base_url": server.base_url, **changes}
    return {"openai": account, "xai": account}


@asynccontextmanager
async def session(
    server: ScriptedRealtime, setup: Setup = SETUP, account: Any = None, **block: Any
) -> AsyncIterator[RealtimeSession]:
    model = build_realtime({**BLOCKS[server.dialect], **block}, account or accounts(server))
    try:
        opened = await model.open(setup, rate=8000)
        try:
            yield opened
        finally:
            await opened.close()
    finally:
        await model.aclose()


async def until(opened: RealtimeSession, kind: type) -> list[s.Signal]:
    """Signals up to the first of a kind."""
    found: list[s.Signal] = []
    async with asyncio.timeout(5):
        async for signal in opened:
            found.append(signal)
            if isinstance(signal, kind):
                return found
    raise AssertionError(f"no {kind.__name__} among {found}")


@both
def test_a_session_is_accepted_with_the_assistants_settings_and_knows_what_was_said(dialect: RealtimeDialect) -> None:
    async def main() -> None:
        async with ScriptedRealtime(dialect=dialect) as server:
            setup = Setup(instructions="Be kind.", language="nl-NL", keyterms=("Asterisk",), history=HISTORY)
            async with session(server, setup, voice="Ara" if dialect == "xai" else "cedar", speed=1.1) as opened:
                opened.tell(s.Recite("Hello."))
                await until(opened, s.ResponseEnded)
            (seen,) = server.sessions
            assert seen.errors == []
            wire = seen.events[0]["session"]
            audio = wire["audio"]
            assert wire["instructions"] == "Be kind."
            assert audio["input"]["format"] == audio["output"]["format"] == {"type": "audio/pcmu"}
            if dialect == "openai":
                heard = {"model": "gpt-transcribe", "language": "nl", "keywords": ["Asterisk"]}
                assert (audio["output"]["voice"], audio["input"]["transcription"]) == ("cedar", heard)
            else:
                heard = {"language_hint": "nl", "keyterms": ["Asterisk"]}
                assert (wire["voice"], audio["input"]["transcription"]) == ("ara", heard)
                assert wire["turn_detection"]["silence_duration_ms"] == 200  # contract §4.3
            items = [event["item"]["type"] for event in seen.of("conversation.item.create")][:4]
            assert items == ["message", "message", "function_call", "function_call_output"]

    run_clean(main())


@both
def test_a_turn_is_heard_written_down_and_answered(dialect: RealtimeDialect) -> None:
    async def main() -> None:
        async with ScriptedRealtime(["Yes."], dialect=dialect, transcript_ms=10) as server:
            async with session(server, turn_detection={"silence_duration_ms": 300}) as opened:
                silence = bytes(320)
                for start in range(0, len(QUESTION), 320):
                    opened.send(QUESTION[start : start + 320].ljust(320, b"\0"))
                for _ in range(40):
                    opened.send(silence)
                signals = await until(opened, s.ResponseEnded)
            kinds = [type(signal) for signal in signals]
            for kind in (s.CallerStarted, s.CallerStopped, s.CallerSaid, s.ResponseBegun, s.Sound, s.SoundEnded):
                assert kind in kinds
            spoken = "".join(signal.text for signal in signals if isinstance(signal, s.Spoken))
            assert spoken == "Yes."
            sound = sum(signal.ms for signal in signals if isinstance(signal, s.Sound))
            assert sound == pytest.approx(240)
            ended = signals[-1]
            assert isinstance(ended, s.ResponseEnded)
            assert ended.usage == {
                "input_tokens": 50,
                "cached_tokens": 10,
                "output_tokens": 20,
                "audio_input_tokens": 30,
                "audio_output_tokens": 15,
            }

    run_clean(main())


@both
def test_a_tool_is_asked_for_by_name_and_answered(dialect: RealtimeDialect) -> None:
    async def main() -> None:
        async with ScriptedRealtime([Answer("", (("look_up", '{"a": 1}'),)), "Done."], dialect=dialect) as server:
            async with session(server) as opened:
                opened.tell(s.Respond())
                signals = await until(opened, s.ResponseEnded)
                (asked,) = [signal for signal in signals if isinstance(signal, s.ToolAsked)]
                assert (asked.call.name, asked.call.arguments) == ("look_up", '{"a": 1}')
                opened.tell(s.AnswerTool(asked.call.id, "One."))
                opened.tell(s.Respond("Be short."))
                await until(opened, s.ResponseEnded)
            assert server.sessions[0].errors == []

    run_clean(main())


@both
def test_what_can_not_be_done_is_a_complaint_and_the_session_goes_on(dialect: RealtimeDialect) -> None:
    async def main() -> None:
        async with ScriptedRealtime(dialect=dialect) as server, session(server) as opened:
            opened.tell(s.StopResponse(""))
            (complained,) = await until(opened, s.Complained)
            assert isinstance(complained, s.Complained)
            assert complained.code == "response_cancel_not_active"
            opened.tell(s.Respond())
            opened.tell(s.Respond())
            again = (await until(opened, s.Complained))[-1]
            assert isinstance(again, s.Complained)
            assert again.code == "conversation_already_has_active_response"
            await until(opened, s.ResponseEnded)

    run_clean(main())


def test_an_item_is_truncated_where_the_caller_stopped_hearing_it() -> None:
    async def main() -> None:
        async with ScriptedRealtime() as server, session(server) as opened:
            opened.tell(s.Recite("Good morning."))
            signals = await until(opened, s.ResponseEnded)
            item = next(signal.item for signal in signals if isinstance(signal, s.Sound))
            opened.tell(s.Truncate(item, 300))
            opened.tell(s.Truncate(item, 10**6))
            complained = (await until(opened, s.Complained))[-1]
            assert isinstance(complained, s.Complained)
            assert server.sessions[0].truncated == [(item, 300)]

    run_clean(main())


@both
@pytest.mark.parametrize(
    ("fault", "at", "kind"),
    [
        ("refuse", "connect", "refused"),
        ("deny", "connect", "denied"),
        ("stall", "connect", "stalled"),
        ("stall", "first", "stalled"),
        ("stall", "middle", "stalled"),
        ("drop", "first", "dropped"),
        ("garbage", "middle", "garbled"),
    ],
)
def test_a_session_that_is_not_accepted_says_why_in_time(
    dialect: RealtimeDialect, fault: Any, at: Any, kind: str
) -> None:
    async def main() -> None:
        async with ScriptedRealtime(dialect=dialect) as server:
            server.faults.arm(fault, at)
            began = asyncio.get_running_loop().time()
            with pytest.raises(ProviderError) as caught:
                async with session(server, open_s=0.4):
                    pass
            assert (caught.value.kind, caught.value.stage) == (kind, "realtime")
            assert "test-key" not in str(caught.value)
            assert asyncio.get_running_loop().time() - began < 3.0
            await eventually(lambda: server.open_requests == 0, "the socket was let go")

    run_clean(main())


@pytest.mark.parametrize(
    ("block", "account", "kind"),
    [({}, {"api_key": "wrong"}, "denied"), ({"model": "missing"}, {}, "denied"), ({"voice": "nobody"}, {}, "denied")],
)
def test_what_the_vendor_will_never_take_is_denied(block: Any, account: Any, kind: str) -> None:
    async def main() -> None:
        async with ScriptedRealtime(dialect="xai") as server:
            with pytest.raises(ProviderError) as caught:
                async with session(server, account=accounts(server, **account), **block):
                    pass
            assert caught.value.kind == kind

    run_clean(main())


def test_a_session_that_is_lost_says_so_behind_what_it_said() -> None:
    async def main() -> None:
        async with ScriptedRealtime() as server, session(server) as opened:
            opened.tell(s.Recite("Good morning."))
            await until(opened, s.ResponseEnded)
            server.faults.arm("drop", "now")
            opened.tell(s.Respond())
            with pytest.raises(ProviderError) as caught:
                await until(opened, s.ResponseEnded)
            assert caught.value.kind == "dropped"

    run_clean(main())


def test_a_peer_that_takes_nothing_costs_bounded_memory() -> None:
    async def main() -> None:
        async with ScriptedRealtime() as server, session(server) as opened:
            for _ in range(FRAMES_LIMIT + 50):  # without letting the writer in between
                opened.send(bytes(320))
            assert opened.frames_dropped == 50  # type: ignore[attr-defined]  # of the implementation, for operators
            for _ in range(ORDERS_LIMIT + 1):
                opened.tell(s.ForgetInput())
            with pytest.raises(ProviderError) as caught:
                await until(opened, s.ResponseEnded)
            assert caught.value.kind == "stalled"

    run_clean(main())


def test_a_spare_takes_over_where_the_first_can_not_be_had() -> None:
    async def main() -> None:
        async with ScriptedRealtime() as dead, ScriptedRealtime(dialect="xai") as spare:
            dead.faults.arm("refuse", "connect")
            known = {"openai": accounts(dead)["openai"], "xai": accounts(spare)["xai"]}
            model = build_realtime({"provider": "openai_realtime", "fallbacks": [{"provider": "xai_realtime"}]}, known)
            opened = await model.open(SETUP, rate=8000)
            assert opened.name == "xai_realtime/grok-voice-think-fast-2.0"
            await opened.close()
            await model.aclose()

    run_clean(main())


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ({"provider": "google_realtime"}, "no realtime model that this daemon speaks to"),
        ({"provider": "openai_live", "model": "gpt-live-1"}, "Live API"),
        ({"provider": "openai_live", "voice": 7}, "voice"),
        ({"provider": "xai_realtime", "reasoning_effort": "some"}, "reasoning_effort"),
        ({"provider": "xai_realtime", "fallbacks": [{"provider": "openai"}]}, "no realtime model"),
        ({"provider": "xai_realtime", "fallbacks": ["openai_live"]}, "fallbacks"),
    ],
)
def test_what_is_wrong_with_the_configuration_is_said(block: dict[str, Any], words: str) -> None:
    account = {"api_key": "k"}
    with pytest.raises(ConfigError, match=words):
        catalogue.validate("llm", block, {"openai": account, "xai": account})


def test_without_a_key_it_is_the_account_that_is_wrong() -> None:
    with pytest.raises(ConfigError, match=r"^\[providers\.xai\]: api_key is missing"):
        catalogue.validate("llm", {"provider": "xai_realtime"}, {})


def test_the_telephones_code_is_used_as_it_is_and_any_other_rate_is_resampled() -> None:
    assert isinstance(code_for(8000, 24000), Ulaw)
    wide = code_for(16000, 24000)
    assert isinstance(wide, Linear)
    assert wide.format == {"type": "audio/pcm", "rate": 24000}
    coded = wide.encode(QUESTION[:640])
    assert len(wide.decode(coded)) == pytest.approx(640, abs=64)
    with pytest.raises(ValueError, match="base64"):
        wide.decode("no base64!")


@pytest.mark.parametrize(
    ("dialect", "event"),
    [
        ("openai", {"type": "input_audio_buffer.append", "audio": "", "extra": 1}),
        ("openai", {"type": "session.update", "session": {"type": "realtime", "turn_detection": {}}}),
        ("openai", {"type": "session.update", "session": {"type": "realtime", "temperature": 0.7}}),
        ("xai", {"type": "session.update", "session": {"type": "realtime"}}),
        ("xai", {"type": "conversation.item.truncate", "item_id": "i", "content_index": 0, "audio_end_ms": 1}),
        ("openai", {"type": "conversation.item.create", "item": {"type": "force_message"}}),
        ("openai", {"no": "type"}),
        ("openai", []),
    ],
)
def test_the_scripted_vendor_refuses_what_the_real_one_refuses(dialect: str, event: Any) -> None:
    assert complaint(dialect, event) is not None
    assert complaint(dialect, json.loads(json.dumps({"type": "input_audio_buffer.clear"}))) is None


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.sampled_from(["i1", "r1", "AAAA", "completed"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "type", "item_id", "error", "usage", "status", "name"]), inner, max_size=4
        )
    ),
    max_leaves=8,
)
_KINDS = [
    "input_audio_buffer.committed",
    "conversation.item.input_audio_transcription.completed",
    "response.created",
    "response.output_item.added",
    "response.output_audio.delta",
    "response.output_audio_transcript.delta",
    "response.function_call_arguments.done",
    "response.done",
    "error",
    "unheard.of",
]
_FIELDS = ["response", "response_id", "item_id", "item", "delta", "call_id", "name", "arguments", "transcript", "error"]


@both
@given(
    kind=st.sampled_from(_KINDS) | st.text(max_size=10),
    fields=st.dictionaries(st.sampled_from(_FIELDS), _JSON, max_size=6),
)
def test_whatever_a_vendor_sends_is_understood_or_an_error_of_ours(
    dialect: RealtimeDialect, kind: str, fields: dict[str, Any]
) -> None:
    reader = (OpenAIDialect if dialect == "openai" else XaiDialect)("x/m", Setup(), 8000, {})
    try:
        _, signals = reader.read(json.dumps({"type": kind, **fields}))
    except ProviderError as exc:
        assert exc.kind in ("garbled", "dropped")
    else:
        assert all(isinstance(signal, s.Signal) for signal in signals)


@both
@given(st.binary(max_size=60) | st.text(max_size=60))
def test_what_is_no_event_is_garbled(dialect: RealtimeDialect, raw: bytes | str) -> None:
    reader = (OpenAIDialect if dialect == "openai" else XaiDialect)("x/m", Setup(), 8000, {})
    with pytest.raises(ProviderError):
        reader.read(raw)
