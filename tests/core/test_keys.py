"""Keys that a tool collects, keys that nobody asked for, masks, and tones that are sent."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.core import commands as c
from sovereign_pbx.core import events as e
from sovereign_pbx.core.digits import LONGEST, Digits, key_of
from sovereign_pbx.core.errors import ProviderError
from sovereign_pbx.core.plan import Collector, Plan, SilencePlan
from sovereign_pbx.core.turn import State
from sovereign_pbx.core.values import ToolCall
from tests.core.scripted import Part, Stage
from tests.core.test_silence import pressed

CARD = Collector(name="card", prompt="Please key in your card number.", least=4, most=6, first_within=5.0)
ASKED_S = 6 * 0.3  # the prompt
COLLECT = ToolCall("c1", "card", "{}")
TONES = ToolCall("t1", "send_digits", '{"digits": "1w2"}')


def conversation(collector: Collector = CARD, *, first: Part = COLLECT, **plan: Any) -> Stage:
    """The caller says that he wants to pay; the model uses a tool, and says "Thank you." to whatever comes of it."""

    def model(think: c.Think) -> list[Part]:
        asked = any(message.tool_calls for message in think.messages)
        return ["Thank you."] if asked else [first]

    stage = Stage(Plan(collectors=(collector,), tone_tools=("send_digits",), **plan), model)
    stage.at(0, e.Answered())
    stage.says(1, "I want to pay")
    return stage


def prompted(stage: Stage) -> float:
    """When the prompt had been heard."""
    (number,) = [speak.segment for _, speak in stage.log if isinstance(speak, c.Speak) and speak.kind == "prompt"]
    return next(t for t, event in stage.events if isinstance(event, e.PlayoutFinished) and event.segment == number)


def results(stage: Stage) -> list[dict[str, Any]]:
    stage.conversation.feed(e.HungUp(), stage.now)
    return [json.loads(message.content) for message in stage.conversation.history if message.role == "tool"]


def thinks(stage: Stage) -> list[float]:
    return [time for time, _ in stage.commands(c.Think)]


# entries


def test_an_entry_of_its_full_length_is_the_tools_result_at_once() -> None:
    stage = conversation()
    pressed(stage, 6, "123456")
    stage.run(12)
    assert results(stage) == [{"outcome": "complete", "digits": "123456"}]
    assert thinks(stage)[1] == pytest.approx(6 + 5 * 0.3)
    assert stage.spoken() == ["Please key in your card number.", "Thank you."]


def test_the_finish_key_completes_an_entry() -> None:
    stage = conversation()
    pressed(stage, 6, "1234#")
    assert results(stage.run(12)) == [{"outcome": "complete", "digits": "1234"}]


def test_a_pause_completes_an_entry_that_is_long_enough() -> None:
    stage = conversation()
    pressed(stage, 6, "1234")
    stage.run(20)
    assert thinks(stage)[1] == pytest.approx(6.9 + CARD.between)
    assert results(stage) == [{"outcome": "complete", "digits": "1234"}]


@pytest.mark.parametrize("keys", ["12", "12#", "#"])
def test_too_few_keys_are_too_short(keys: str) -> None:
    stage = conversation()
    pressed(stage, 6, keys)
    assert results(stage.run(20)) == [{"outcome": "too_short", "digits": keys.rstrip("#")}]


def test_an_entry_may_be_empty_where_none_is_needed() -> None:
    stage = conversation(Collector(name="card", least=0))
    pressed(stage, 6, "#")
    assert results(stage.run(12)) == [{"outcome": "complete", "digits": ""}]


def test_without_a_finish_key_it_is_a_key_like_others() -> None:
    stage = conversation(Collector(name="card", finish="", most=3))
    pressed(stage, 6, "1#2")
    assert results(stage.run(12)) == [{"outcome": "complete", "digits": "1#2"}]


def test_the_callers_time_runs_from_the_end_of_the_prompt() -> None:
    stage = conversation().run(30)
    assert thinks(stage)[1] == pytest.approx(prompted(stage) + CARD.first_within)
    assert results(stage) == [{"outcome": "timed_out", "digits": ""}]


def test_one_model_turn_an_entry_and_none_a_key() -> None:
    stage = conversation()
    pressed(stage, 6, "123456")
    stage.run(20)
    assert len(thinks(stage)) == 2


def test_speech_instead_of_keys_is_for_the_model_to_decide() -> None:
    stage = conversation()
    pressed(stage, 6, "12")
    stage.says(7.5, "I do not have it here")
    stage.run(20)
    assert results(stage) == [{"outcome": "cancelled", "digits": "12"}]
    assert "user: I do not have it here" in stage.transcript()


def test_a_cough_does_not_disturb_an_entry() -> None:
    stage = conversation()
    pressed(stage, 6, "12")
    stage.noise(6.7, 0.5)
    pressed(stage, 8, "3456")
    assert results(stage.run(20)) == [{"outcome": "complete", "digits": "123456"}]


def test_a_caller_who_hangs_up_leaves_a_typed_result() -> None:
    stage = conversation()
    pressed(stage, 6, "12")
    stage.at(7, e.HungUp())
    stage.run(8)
    assert results(stage) == [{"outcome": "hung_up", "digits": "12"}]


def test_an_entry_after_a_prompt_that_failed_is_still_answered() -> None:
    stage = conversation()
    stage.run(4.0)
    (prompt,) = [speak.segment for _, speak in stage.log if isinstance(speak, c.Speak)]
    stage.at(4.1, e.SpeechFailed(prompt, ProviderError("voice", "tts", "dropped")))
    pressed(stage, 9, "123456")
    stage.run(15)
    assert stage.spoken()[-1] == "Thank you."


def test_hold_stops_the_callers_time() -> None:
    stage = conversation()
    stage.at(6, e.HoldChanged(True))
    stage.at(106, e.HoldChanged(False))
    pressed(stage, 107, "123456")
    assert results(stage.run(115)) == [{"outcome": "complete", "digits": "123456"}]


def test_no_filler_is_said_while_the_caller_keys_in() -> None:
    stage = conversation(tool_filler_after=0.5, reply_filler_after=5.0).run(30)
    assert stage.spoken() == ["Please key in your card number.", "Thank you."]


def test_silence_is_not_handled_while_the_caller_keys_in() -> None:
    stage = conversation(silence=SilencePlan(first_check=1.5, messages=("Still there?",)))
    stage.run(7)
    assert "Still there?" not in stage.spoken()


def test_a_second_collector_at_the_same_time_is_told_to_wait() -> None:
    both = [COLLECT, ToolCall("c2", "card", "{}")]
    stage = Stage(Plan(collectors=(CARD,)), lambda think: ["Good."] if len(think.messages) > 1 else list(both))
    stage.at(0, e.Answered())
    stage.says(1, "I want to pay")
    pressed(stage, 6, "123456")
    stage.run(12)
    told = [message.content for message in stage.conversation.history if message.role == "tool"]
    assert told[0].startswith('{"outcome": "complete"')
    assert told[1].startswith("Not used")


# barge-in by key, and keys that come early


def test_the_first_key_stops_the_prompt() -> None:
    stage = conversation()
    stage.run(4.0)
    assert stage.conversation.state is State.SPEAKING
    pressed(stage, 4.2, "123456")
    stage.run(12)
    assert stage.commands(c.Flush)[0][0] == pytest.approx(4.2)
    assert results(stage) == [{"outcome": "complete", "digits": "123456"}]


def test_a_prompt_that_must_be_heard_is_heard_and_the_keys_are_kept() -> None:
    stage = conversation(Collector(name="card", prompt="Please key in your card number.", most=6, interrupt=False))
    pressed(stage, 4.0, "123456")
    stage.run(12)
    assert not stage.commands(c.Flush)
    assert results(stage) == [{"outcome": "complete", "digits": "123456"}]


def test_keys_pressed_before_the_tool_asks_are_not_lost() -> None:
    stage = conversation()
    pressed(stage, 2.3, "1234")  # the model thinks from 2.6 s on
    pressed(stage, 4.0, "56")
    stage.run(12)
    assert results(stage) == [{"outcome": "complete", "digits": "123456"}]
    assert "Please key in your card number." not in stage.spoken()


def test_a_key_pressed_over_the_models_own_words_is_for_the_tool_that_follows() -> None:
    long = "Certainly, then please key in the number of your card on your telephone now."

    def model(think: c.Think) -> list[Part]:
        return ["Thank you."] if think.messages[-1].role == "tool" else [f"{long} {long} {long}", COLLECT]

    stage = Stage(Plan(collectors=(Collector(name="card", most=6, mask=True),)), model)
    stage.delays = stage.delays.__class__(token=0.1)
    stage.at(0, e.Answered())
    stage.says(1, "I want to pay")
    pressed(stage, 5.0, "123456")  # while the reply still streams
    stage.run(20)
    assert stage.conversation.keyed("card") == "123456"
    assert all("123456" not in message.content for message in stage.conversation.history)
    assert [speak.text for time, speak in stage.log if isinstance(speak, c.Speak) and time > 5.0] == ["Thank you."]


def test_the_finish_key_behind_a_full_entry_means_nothing() -> None:
    stage = conversation()
    pressed(stage, 6, "123456#")
    stage.run(20)
    assert not [line for line in stage.transcript() if "DTMF" in line]


def test_keys_beyond_the_entry_are_an_entry_of_their_own() -> None:
    stage = conversation()
    pressed(stage, 6, "12345678")
    stage.run(20)
    assert "user: DTMF: 78" in stage.transcript()


def test_the_first_key_that_nobody_asked_for_stops_the_assistant_too() -> None:
    stage = Stage(Plan(first_message="For sales press one, for all else please stay on the line."))
    stage.at(0, e.Answered())
    pressed(stage, 1, "1")
    stage.run(1.5)
    assert stage.commands(c.Flush)[0][0] == pytest.approx(1.0)
    assert not stage.commands(c.Think)
    stage.run(6)
    assert stage.commands(c.Think)[0][0] == pytest.approx(3.0)


def test_where_keys_must_not_interrupt_they_wait() -> None:
    plan = Plan(first_message="For sales press one, for all else stay.", keys=Collector(between=2.0, interrupt=False))
    stage = Stage(plan)
    stage.at(0, e.Answered())
    pressed(stage, 1, "1")
    stage.run(2.5)
    assert not stage.commands(c.Flush)


# masks


def test_a_masked_entry_is_told_to_nobody() -> None:
    stage = conversation(Collector(name="card", most=16, mask=True))
    pressed(stage, 6, "4111111111111111")
    stage.run(20)
    assert results(stage) == [{"outcome": "complete", "digits": "card-1", "count": 16}]
    assert stage.conversation.keyed("card") == "4111111111111111"
    assert not [1 for _, command in stage.log if "4111" in str(command)]
    assert "4111" not in repr(stage.conversation)


def test_nor_is_one_that_came_to_nothing() -> None:
    stage = conversation(Collector(name="card", least=16, most=16, mask=True))
    pressed(stage, 6, "4111")
    stage.run(20)
    assert results(stage) == [{"outcome": "too_short", "digits": "••••", "count": 4}]
    assert stage.conversation.keyed("card") == ""


def test_masked_keys_that_nobody_asked_for_are_a_turn_without_them() -> None:
    stage = Stage(Plan(keys=Collector(between=2.0, mask=True)))
    stage.at(0, e.Answered())
    pressed(stage, 1, "1234#")
    stage.run(10)
    assert stage.transcript()[0] == "user: DTMF: •••• (entry-1)"
    assert stage.conversation.keyed("entry") == "1234"


def test_entries_are_numbered_and_the_last_one_counts() -> None:
    digits, pin = Digits(), Collector(name="pin", mask=True)
    assert "pin-1" in digits.result(pin, "complete", "1111")
    assert "pin-2" in digits.result(pin, "complete", "2222")
    assert digits.kept("pin") == "2222"
    assert "2222" not in repr(digits)


# tones


def test_tones_are_sent_and_the_menu_is_waited_for() -> None:
    stage = conversation(first=TONES)
    stage.at(4, e.ToolFinished("t1", "Sent."))
    stage.run(10)
    assert [command for _, command in stage.commands(c.SendDigits)] == [c.SendDigits("1w2", "t1")]
    assert len(thinks(stage)) == 1
    assert stage.spoken() == []  # no apology for an answer without words
    assert stage.conversation.state is State.QUIET
    stage.says(11, "you have reached the sales department")
    assert stage.run(20).spoken() == ["Thank you."]


def test_no_filler_is_said_over_tones() -> None:
    stage = conversation(first=TONES, tool_filler_after=0.5, reply_filler_after=5.0)
    stage.at(7, e.ToolFinished("t1", "Sent."))
    assert stage.run(12).spoken() == []


def test_tones_that_could_not_be_sent_are_told_to_the_model() -> None:
    stage = conversation(first=TONES)
    stage.at(4, e.ToolFinished("t1", "Not sent: the call is gone", failed=True))
    assert stage.run(10).spoken() == ["Thank you."]


@pytest.mark.parametrize("written", ["", "call me", "1" * 33, "www", "1;2"])
def test_what_is_no_tone_is_not_sent(written: str) -> None:
    stage = conversation(first=ToolCall("t1", "send_digits", json.dumps({"digits": written})))
    stage.run(10)
    assert not stage.commands(c.SendDigits)
    assert any(message.content.startswith("Not sent") for message in stage.conversation.history)


def test_a_tool_of_that_name_sends_nothing_where_it_is_not_allowed() -> None:
    stage = Stage(Plan(), lambda think: ["Well."] if len(think.messages) > 1 else [TONES])
    stage.at(0, e.Answered())
    stage.says(1, "press one")
    assert not stage.run(10).commands(c.SendDigits)


# any keys at all


@given(st.text(max_size=3))
def test_a_key_is_one_of_sixteen(text: str) -> None:
    assert (key_of(text) != "") == (len(text.upper()) == 1 and text.upper() in set("0123456789*#ABCD"))


@given(
    st.text("0123456789*#ABCD", max_size=100),
    st.integers(1, 70),
    st.sampled_from(["", "#", "*"]),
)
def test_no_key_is_counted_twice_and_no_entry_too_long(keys: str, most: int, finish: str) -> None:
    digits, collector = Digits(), Collector(most=most, finish=finish)
    entries = []
    for key in keys:
        digits.press(key)
        while (entry := digits.complete(collector)) is not None:
            entries.append(entry)
    rest = digits.take()
    bound = min(most, LONGEST)
    assert all(len(entry) <= bound for entry in entries)
    assert len(rest) < bound
    told = "".join(entries) + rest
    assert (told.replace(finish, "") if finish else told) == (keys.replace(finish, "") if finish else keys)


# the recording


def concealed(stage: Stage) -> list[bool]:
    return [command.on for _, command in stage.commands(c.Conceal) if isinstance(command, c.Conceal)]


def test_the_recording_is_told_when_masked_keys_begin_and_when_they_end() -> None:
    stage = conversation(replace(CARD, mask=True))
    stage.run(5)
    assert concealed(stage) == [True]
    pressed(stage, 6, "123456")
    assert concealed(stage.run(12)) == [True, False]


@pytest.mark.parametrize("end", ["nothing is keyed in", "something is said instead"])
def test_the_recording_goes_on_however_a_masked_entry_ends(end: str) -> None:
    stage = conversation(replace(CARD, mask=True))
    if end == "something is said instead":
        stage.says(6, "I do not have it here")
    assert concealed(stage.run(25)) == [True, False]


def test_keys_that_everybody_may_know_conceal_nothing() -> None:
    stage = conversation()
    pressed(stage, 6, "123456")
    assert concealed(stage.run(12)) == []
