"""A provider refuses, stalls or drops: what the caller hears, on a real Asterisk."""

import asyncio

import pytest

from tests.calls.house import GREETING, assistant
from tests.calls.scene_hearing import FALLBACK
from tests.calls.scene_stage import ANSWER, LONG_ANSWER, PLAIN, Stage
from tests.calls.scene_troupe import scene
from tests.waiting import until

pytestmark = [pytest.mark.pbx, pytest.mark.timeout(240)]

RING_S = 6.0  # connecting and a greeting, both in vain, on a busy machine


async def kept_by_the_dialplan(stage: Stage, provider: str) -> None:
    """A call that the assistant does not take: the fallback has it, and nobody is told of a conversation."""
    person = await stage.answered()
    tone = await person.hears(FALLBACK)
    assert tone.start - person.call.invited_at < RING_S
    await person.hang_up()
    row = await stage.row()
    assert row.started_at is None
    assert (row.status, row.end_reason) == ("failed", "error")
    assert provider in (row.error or "")


async def answers_again(stage: Stage) -> None:
    """All is well again: another question gets its answer."""
    person = stage.people[-1]
    stage.openai.faults.clear()
    asked = await person.ask()
    await person.hears(ANSWER, after=asked)
    await person.hang_up()


async def given_back(stage: Stage, kind: str) -> None:
    """The caller is told, and goes to the fallback; the books say why."""
    person = stage.people[-1]
    unwell = await person.hears(PLAIN.unwell)
    tone = await person.hears_fallback()
    assert tone.start - unwell.end < 1.5
    stage.openai.faults.clear()
    await person.hang_up()
    row = await stage.until_row(lambda row: row.ended_at is not None)
    assert (row.status, row.end_reason) == ("failed", "error")
    assert kind in (row.error or "")


@scene("0", "Nothing fails (for comparison)", bounded="")
async def test_a_call_without_a_failure(stage: Stage) -> None:
    person = await stage.greeted()
    asked = await person.ask()
    await person.hears(ANSWER, after=asked)
    await person.hang_up()
    await stage.check_nothing_left()
    row = await stage.row()
    assert (row.status, row.end_reason) == ("ended", "user_hangup")
    greeting, question, answer = await stage.said()
    assert (greeting, answer) == (("assistant", GREETING), ("assistant", ANSWER))
    assert "What time do you open?" in question[1]  # a machine that stumbles may have made two utterances of it


# --- before the answer


@scene("7", "Before the answer: the recogniser refuses connections", bounded="the connection, 2 s")
async def test_a_recogniser_that_is_down_leaves_the_call_to_the_dialplan(stage: Stage) -> None:
    port = stage.deepgram.port
    await stage.deepgram.stop()
    await kept_by_the_dialplan(stage, "deepgram")
    await stage.deepgram.start(port)


@scene("7", "Before the answer: the recogniser denies the key (401)", bounded="never tried twice")
async def test_a_recogniser_that_denies_leaves_the_call_to_the_dialplan(stage: Stage) -> None:
    stage.deepgram.faults.arm("deny")
    await kept_by_the_dialplan(stage, "deepgram")


@scene("7", "Before the answer: the recogniser does not answer", bounded="`stt_config.connect_s`, 2 s")
async def test_a_recogniser_that_stalls_leaves_the_call_to_the_dialplan(stage: Stage) -> None:
    stage.deepgram.faults.arm("stall")
    await kept_by_the_dialplan(stage, "deepgram")


@scene("7", "Before the answer: the voice refuses (503)", bounded="the connection, 2 s")
async def test_a_voice_that_refuses_leaves_the_call_to_the_dialplan(stage: Stage) -> None:
    stage.elevenlabs.faults.arm("refuse")
    await kept_by_the_dialplan(stage, "elevenlabs")


@scene("7", "Before the answer: the voice connects and makes no sound", bounded="the greeting's first sound, 2.5 s")
async def test_a_voice_without_sound_leaves_the_call_to_the_dialplan(stage: Stage) -> None:
    stage.elevenlabs.faults.arm("stall", "first")
    await kept_by_the_dialplan(stage, "elevenlabs")


@scene("7", "Before the answer: the voice drops the connection", bounded="one reconnection, then the fallback")
async def test_a_voice_that_drops_leaves_the_call_to_the_dialplan(stage: Stage) -> None:
    stage.elevenlabs.faults.arm("drop", "first")
    await kept_by_the_dialplan(stage, "elevenlabs")


@scene(
    "7",
    "Before the answer: the language model's address answers nothing, and works later",
    bounded="warming, 3 s of ringing; the call is taken all the same",
)
async def test_a_model_that_is_slow_to_warm_does_not_keep_the_call(stage: Stage) -> None:
    held: list[asyncio.StreamWriter] = []
    port = stage.openai.port
    await stage.openai.stop()
    hole = await asyncio.start_server(lambda _, writer: held.append(writer), "127.0.0.1", port)
    person = await stage.greeted()
    hole.close()
    for writer in held:
        writer.transport.abort()
    await stage.openai.start(port)
    await answers_again(stage)
    assert held, "the model was to be warmed"
    assert person.call.answered_at is not None
    assert person.call.answered_at - person.call.invited_at < 5.0


# --- the language model


@scene("7", "The language model refuses once (503)", bounded="one quick retry")
async def test_a_model_that_refuses_once_is_asked_again(stage: Stage) -> None:
    person = await stage.greeted()
    stage.openai.faults.arm("refuse", times=1)
    asked = await person.ask()
    await person.hears(ANSWER, after=asked)
    await person.hang_up()


@scene("7", "The language model refuses (503), then works", bounded="one quick retry, then the cached apology")
async def test_a_model_that_refuses_is_apologised_for(stage: Stage) -> None:
    person = await stage.greeted()
    stage.openai.faults.arm("refuse")
    asked = await person.ask()
    await person.hears(PLAIN.apology, after=asked)
    await answers_again(stage)


@scene("7", "The language model is overloaded (429), then works", bounded="the cached apology at once")
async def test_a_model_that_is_overloaded_is_apologised_for(stage: Stage) -> None:
    person = await stage.greeted()
    stage.openai.faults.arm("refuse", status=429)
    asked = await person.ask()
    await person.hears(PLAIN.apology, after=asked)
    await answers_again(stage)


@scene("7", "The language model is not there any more, then works", bounded="one quick retry, then the cached apology")
async def test_a_model_that_is_gone_is_apologised_for(stage: Stage) -> None:
    person = await stage.greeted()
    port = stage.openai.port
    await stage.openai.stop()
    asked = await person.ask()
    await person.hears(PLAIN.apology, after=asked)
    await stage.openai.start(port)
    await answers_again(stage)


@scene(
    "7",
    "The language model takes the question and says nothing, then works",
    bounded="the filler (`reply_filler_after`), `llm_config.first_s` 4.5 s, then the cached apology",
)
async def test_a_model_that_stalls_is_covered_and_apologised_for(stage: Stage) -> None:
    person = await stage.greeted()
    stage.openai.faults.arm("stall", "first")
    asked = await person.ask()
    await person.hears(PLAIN.filler, after=asked)
    await person.hears(PLAIN.apology, after=asked)
    await answers_again(stage)


@scene(
    "7",
    "The language model stalls behind its first word, then works",
    bounded="the filler, `llm_config.gap_s` 2 s, the model once more for the rest, then the cached apology",
)
async def test_a_model_that_stalls_in_mid_stream_is_covered_and_apologised_for(stage: Stage) -> None:
    person = await stage.greeted()
    stage.openai.faults.arm("stall", "middle")
    asked = await person.ask()
    await person.hears(PLAIN.apology, after=asked)
    await answers_again(stage)


@scene(
    "7",
    "The language model drops the connection in mid-stream, then works",
    bounded="the model once more for the rest, then the cached apology",
)
async def test_a_model_that_drops_in_mid_stream_is_apologised_for(stage: Stage) -> None:
    person = await stage.greeted()
    stage.openai.faults.arm("drop", "middle")
    asked = await person.ask()
    await person.hears(PLAIN.apology, after=asked)
    await answers_again(stage)


@scene("7", "The language model sends garbage, then works", bounded="one quick retry, then the cached apology")
async def test_a_model_that_sends_garbage_is_apologised_for(stage: Stage) -> None:
    person = await stage.greeted()
    stage.openai.faults.arm("garbage", "first")
    asked = await person.ask()
    await person.hears(PLAIN.apology, after=asked)
    await answers_again(stage)


@scene(
    "7", "The language model fails twice in a row", bounded="two failures, then the cached good-bye and the fallback"
)
async def test_a_model_that_fails_twice_gives_the_caller_back(stage: Stage) -> None:
    person = await stage.greeted()
    stage.openai.faults.arm("refuse")
    asked = await person.ask()
    await person.hears(PLAIN.apology, after=asked)
    await person.ask()
    await given_back(stage, "openai")


@scene(
    "7",
    "The language model refuses, and another one stands by (`fallbacks`)",
    bounded="at once",
    assistants={
        "reception": assistant(
            llm_config={
                **assistant()["llm_config"],
                "fallbacks": [{"provider": "openai", "model": "spare"}],
            }
        )
    },
)
async def test_another_model_takes_over(stage: Stage) -> None:
    person = await stage.greeted()
    stage.openai.faults.arm("refuse", times=2)
    asked = await person.ask()
    await person.hears(ANSWER, after=asked)
    await person.hang_up()


# --- the voice


async def is_gone_on(stage: Stage) -> None:
    """The sentence is heard and remembered to its end, and nobody apologises.

    What was played the report tells; the ear of these scenes may take a piece of a sentence for another's.
    """
    person = stage.people[-1]
    clock = asyncio.get_running_loop().time
    await until(lambda: clock() - person.heard()[-1].end > 3.0, 20.0)
    await person.hang_up()
    await stage.check_nothing_left()
    told = [content for role, content in await stage.said() if role == "assistant"]
    assert told == [GREETING, LONG_ANSWER]
    assert PLAIN.apology not in [one.what for one in person.heard()]


@scene(
    "7",
    "The voice drops the connection in mid-sentence, then works",
    bounded="the rest of the sentence on a new connection, at once",
    wait_s=5.0,  # the quiet at the end counts, should the ear take the sentence for cut
)
async def test_a_voice_that_drops_in_mid_sentence_goes_on(stage: Stage) -> None:
    await stage.rehearse()
    stage.elevenlabs.real_time_factor = 0.9
    person = await stage.greeted()
    stage.openai.script = (LONG_ANSWER,)
    asked = await person.ask()
    await person.hears_beginning(after=asked)
    await asyncio.sleep(1.0)
    stage.elevenlabs.faults.arm("drop", "now", times=1)
    await is_gone_on(stage)


@scene(
    "7",
    "The voice stalls in mid-sentence, then works",
    bounded="1 s behind the last sound, then the rest on a new connection",
    wait_s=5.0,  # the quiet at the end counts, should the ear take the sentence for cut
)
async def test_a_voice_that_stalls_in_mid_sentence_goes_on(stage: Stage) -> None:
    await stage.rehearse()
    stage.elevenlabs.real_time_factor = 0.9
    person = await stage.greeted()
    stage.openai.script = (LONG_ANSWER,)
    asked = await person.ask()
    await person.hears_beginning(after=asked)
    await asyncio.sleep(1.0)
    stage.elevenlabs.faults.arm("stall", "now", times=1)
    await is_gone_on(stage)


@scene("7", "The voice is gone for good in mid-sentence", bounded="two failures; apology and good-bye are cached")
async def test_a_voice_that_is_gone_gives_the_caller_back(stage: Stage) -> None:
    await stage.rehearse()
    stage.elevenlabs.real_time_factor = 0.9
    person = await stage.greeted()
    stage.openai.script = (LONG_ANSWER, ANSWER)
    asked = await person.ask()
    await person.hears_beginning(after=asked)
    await asyncio.sleep(1.0)
    port = stage.elevenlabs.port
    await stage.elevenlabs.stop()
    await person.hears(PLAIN.apology, after=asked)
    await person.ask()
    await given_back(stage, "elevenlabs")
    await stage.elevenlabs.start(port)


@scene(
    "7",
    "The voice takes the answer and makes no sound, twice",
    bounded="the filler, before the words that wait; `tts_config.first_s` 2.5 s, then the cached apology",
    phrases=[PLAIN.more_fillers[0]],
)
async def test_a_voice_without_sound_gives_the_caller_back(stage: Stage) -> None:
    await stage.rehearse()
    person = await stage.greeted()
    stage.elevenlabs.faults.arm("stall", "now", times=1)
    stage.elevenlabs.faults.arm("stall", "first")
    asked = await person.ask()
    await person.hears(PLAIN.apology, after=asked)
    await person.ask()
    await given_back(stage, "elevenlabs")


# --- the recogniser


@scene("7", "The recogniser drops the connection while the caller speaks", bounded="reconnection, and the audio again")
async def test_a_recogniser_that_drops_costs_the_caller_nothing(stage: Stage) -> None:
    person = await stage.greeted()
    stage.deepgram.faults.arm("drop", "now", times=1)
    asked = await person.ask()
    await person.hears(ANSWER, after=asked)
    assert len(stage.deepgram.connections) == 2
    await person.hang_up()


@scene(
    "7",
    "The recogniser stalls while the caller speaks",
    bounded="`stt_config.answer_s` 1.5 s, then the audio again",
)
async def test_a_recogniser_that_stalls_is_replaced(stage: Stage) -> None:
    person = await stage.greeted()
    stage.deepgram.faults.arm("stall", "now", times=1)
    asked = await person.ask()
    await person.hears(ANSWER, after=asked)
    await person.hang_up()


@scene(
    "7",
    "The recogniser is gone for good while the caller speaks",
    bounded="`stt_config.outage_s` 5 s; what was said is asked for again, then the good-bye and the fallback",
)
async def test_a_recogniser_that_is_gone_gives_the_caller_back(stage: Stage) -> None:
    person = await stage.greeted()
    port = stage.deepgram.port
    await stage.deepgram.stop()
    await person.ask()
    await given_back(stage, "")
    await stage.deepgram.start(port)


@scene("7", "The recogniser withdraws the key in mid-call (401)", bounded="never tried twice: good-bye and fallback")
async def test_a_recogniser_that_denies_in_mid_call_gives_the_caller_back(stage: Stage) -> None:
    person = await stage.greeted()
    stage.deepgram.faults.arm("deny")
    stage.deepgram.faults.arm("drop", "now", times=1)
    await person.ask()
    await given_back(stage, "deepgram")
