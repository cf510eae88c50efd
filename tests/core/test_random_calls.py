"""Long random walks through the turn machine, aimed at what is open, so that they get deep into it."""

import random
from collections.abc import Callable

import pytest

from sovereign_pbx.core import events as e
from sovereign_pbx.core.alarms import Alarm
from sovereign_pbx.core.conversation import Conversation
from sovereign_pbx.core.plan import Phrases, Plan, SilencePlan, SpeculationPlan, ToolMessage, Transfer, TurnTaking
from sovereign_pbx.core.turn import NOT_PENDING, State, decided
from sovereign_pbx.core.values import Message, ToolCall
from tests.core.test_conversation_properties import DENIED, OPENINGS, PASSING, TEXTS, Watch

STEPS = 150
NAMES = ("lookup", "lookup", "lookup", "end_call", "transfer_call", "on", "on", "look", "look", "hand", "end")
ARGUMENTS = ("", "{}", "[]", '{"destination": "100"}')


def common(dice: random.Random, now: float) -> e.Event:
    reply, segment = dice.choice((0, 0, 0, 1, -7)), dice.choice((0, 0, 0, 1, 2, -7))
    text = dice.choice(TEXTS)
    makers: list[Callable[[], e.Event]] = [
        lambda: e.SpeechStarted(now - dice.choice((0.02, 0.1))),
        lambda: e.SpeechStopped(now - 0.2),
        lambda: e.Interim(text),
        lambda: e.Final(text),
        e.UtteranceEnded,
        e.NothingHeard,
        e.Tick,
        e.Tick,
        e.Tick,
        lambda: e.TurnScored(dice.random(), now - 0.2),
        lambda: e.ReplyText(reply, text),
        lambda: e.ReplyTool(reply, ToolCall(dice.choice(("", "a", "b")), dice.choice(NAMES), dice.choice(ARGUMENTS))),
        lambda: e.ReplyDone(reply, {"output_tokens": 3}),
        lambda: e.ToolFinished(dice.choice("001"), "result", dice.random() < 0.3),
        lambda: e.SpeechAudio(segment, dice.uniform(0, 3000)),
        lambda: e.SpeechDone(segment),
        lambda: e.PlayoutStarted(segment),
        lambda: e.PlayoutStarted(segment),
        lambda: e.PlayoutFinished(segment),
        lambda: e.PlayoutFinished(segment),
        lambda: e.PlayoutFlushed(segment, dice.uniform(0, 3000)),
    ]
    return dice.choice(makers)()


def rare(dice: random.Random) -> e.Event:
    segment, reply, text = dice.choice((0, 0, 1)), 0, dice.choice(("", "One moment."))
    makers: list[Callable[[], e.Event]] = [
        lambda: e.HoldChanged(True),
        lambda: e.HoldChanged(False),
        lambda: e.HoldChanged(False),
        lambda: e.DigitPressed(dice.choice("0159*#Ax")),
        lambda: e.SpeechFailed(segment, PASSING),
        lambda: e.TransferEnded("no_answer"),
        lambda: e.ReplyFailed(reply, PASSING),
        lambda: e.Instructed("say", text, dice.random() < 0.1),
        lambda: e.Instructed("inject", text, dice.random() < 0.5),
        lambda: e.HearingFailed(PASSING if dice.random() < 0.9 else DENIED),
        lambda: e.Instructed("end" if dice.random() < 0.5 else "transfer", text, destination="100"),
        e.Answered,
    ]
    weights = [1.0] * (len(makers) - 2) + [0.1, 0.1]
    return dice.choices(makers, weights)[0]()


def plan(dice: random.Random) -> Plan:
    quiet = Phrases(filler="", apology="", unwell="", goodbye="Bye bye.", unheard="")
    return Plan(
        first_message=dice.choice(("", "Hello there.")),
        messages=(Message("system", "Be brief."),),
        turn_taking=TurnTaking(
            endpointing_min_delay=dice.choice((0.1, 0.4)),
            interruption_min_words=dice.choice((0, 2)),
            false_interruption_timeout=dice.choice((None, 1.5)),
        ),
        speculation=dice.choice((None, SpeculationPlan())),
        silence=dice.choice((None, SilencePlan(), SilencePlan(messages=("Still there?",), final_message="Bye."))),
        phrases=dice.choice((Phrases(), quiet)),
        end_call_phrases=dice.choice(((), ("goodbye",))),
        max_duration=dice.choice((None, None, 60.0)),
        tool_filler_after=dice.choice((0.0, 1.5)),
        max_tool_rounds=dice.choice((0, 1, 5)),
        failures_before_handover=dice.choice((1, 2, 50)),
        transfers=(Transfer("100", dice.choice(("", "I will connect you."))),),
        tool_messages=dice.choice(((), (ToolMessage("lookup", "I am looking it up."),))),
        **dice.choice(OPENINGS),
    )


@pytest.mark.parametrize("seed", range(0, 300, 25))
def test_a_random_call_keeps_every_promise(seed: int) -> None:
    for number in range(seed, seed + 25):
        walk(random.Random(number))


def walk(dice: random.Random) -> None:
    conversation, watch, now = Conversation(plan(dice)), Watch(), 0.0
    for step in range(STEPS):
        event: e.Event = e.Answered() if step == 3 else rare(dice) if dice.random() < 0.1 else common(dice, now)
        if step == STEPS - 1:
            event = e.HungUp()
        step_through(conversation, watch, watch.aim(event), now)
        if conversation.state is State.ENDED:
            break
        now += dice.choice((0.0, 0.02, 0.1, 0.3, 1.0))
    watch.at_the_end()
    assert not list(conversation._talk.ledger)
    assert not conversation._talk.closing


def step_through(conversation: Conversation, watch: Watch, event: e.Event, now: float) -> None:
    before = conversation.state
    watch.event(event)
    for command in conversation.feed(event, now):
        watch.command(command)
    assert tuple(watch.remembered) == conversation.history
    if isinstance(event, e.Tick):
        assert conversation.deadline is None or conversation.deadline > now
    no_alarm_out_of_place(conversation)
    if not isinstance(event, e.Tick) and conversation.state is not before:
        assert conversation.state in decided(before, type(event)).to, (before, event)


def no_alarm_out_of_place(conversation: Conversation) -> None:
    """Where the table says that an alarm is cleared on the way, it is."""
    talk = conversation._talk
    state = talk.beneath if talk.state is State.HELD else talk.state
    left = [alarm for alarm in Alarm if talk.alarms.is_set(alarm) and decided(state, alarm) is NOT_PENDING]
    assert not left, (state, left)
