"""Ten minutes on the telephone in a fraction of a second, and the same again."""

import random
import time

from sovereign_pbx.core import commands as c
from sovereign_pbx.core import events as e
from sovereign_pbx.core.plan import Plan, SilencePlan
from sovereign_pbx.core.turn import State
from sovereign_pbx.core.values import Message, ToolCall
from tests.core.scripted import Delays, Part, Stage

TEN_MINUTES = 600.0
QUESTIONS = (
    "what time do you open?",
    "I would like [0.8] two loaves of bread",
    "and a cake with [0.6] strawberries please",
    "my number is [0.7] 020 555 [0.6] 12 34",
    "can you look up my order?",
    "yes",
    "um [0.9] let me think [1.2] the big one",
)
ANSWERS = (
    "We open at nine, and we close at six. On Saturday until four.",
    "Of course, I have put that on the list for you. Would you like anything with it?",
    "That will be ready tomorrow, at ten in the morning, if that suits you. Shall I note it down?",
)


def model(think: c.Think) -> list[Part]:
    """Looks something up every fourth time."""
    if think.messages[-1].role == "tool":
        return ["I have found it: it is ready for you."]
    if think.reply % 4 == 0:
        return ["Let me look.", ToolCall(f"call-{think.reply}", "lookup", '{"order": 7}')]
    return [ANSWERS[think.reply % len(ANSWERS)]]


def script(stage: Stage, seed: int) -> None:
    """Questions, words cut by pauses, barge-ins, coughs and silence, for ten minutes."""
    chance = random.Random(seed)
    at = 3.0
    while at < TEN_MINUTES - 40:
        end = stage.says(at, chance.choice(QUESTIONS), score=chance.choice([0.2, 0.6, 0.95]))
        kind = chance.choice(["listen", "barge-in", "cough", "silence", "continue"])
        if kind == "barge-in":
            end = stage.says(end + chance.uniform(1.2, 3.0), "no wait I meant tomorrow")
        elif kind == "cough":
            end = stage.noise(end + chance.uniform(0.3, 3.0), chance.uniform(0.1, 0.9), reported=chance.random() < 0.5)
        elif kind == "continue":
            end = stage.says(end + 0.55, "and for two people")
        at = round(end + (25.0 if kind == "silence" else chance.uniform(5.0, 9.0)), 2)


def call(seed: int) -> Stage:
    plan = Plan(
        first_message="Good morning, this is the bakery. How can I help you?",
        messages=(Message("system", "You are a baker."),),
        silence=SilencePlan(messages=("Are you still there?",), final_message="Goodbye.", max_attempts=5),
    )
    stage = Stage(plan, model, delays=Delays(tool=2.0))
    stage.at(0, e.Answered())
    script(stage, seed)
    stage.at(TEN_MINUTES, e.HungUp())
    return stage.run(TEN_MINUTES)


def test_ten_minutes_take_less_than_a_second_and_are_the_same_twice() -> None:
    began = time.process_time()
    one = call(7)
    spent = time.process_time() - began
    two = call(7)
    assert spent < 1.0
    assert one.log == two.log
    assert one.events == two.events


def test_ten_minutes_hold_everything_that_happens_on_a_telephone() -> None:
    stage = call(2)
    assert stage.conversation.state is State.ENDED
    notes = set(stage.notes())
    assert {"interrupted", "false_interruption", "silence_prompt", "filler", "turn_decided"} <= notes
    assert len(stage.turns()) > 40
    assert len(stage.commands(c.UseTool)) > 3
    assert any(turn.turn.interrupted for turn in stage.turns())


def test_ten_minutes_leave_a_sound_history() -> None:
    for seed in range(5):
        stage = call(seed)
        history = stage.conversation.history
        users = " ".join(message.content for message in history if message.role == "user").split()
        turns = " ".join(turn.turn.said for turn in stage.turns()).split()
        assert users == turns
        assert [message.tool_call_id for message in history if message.role == "tool"] == [
            call.id for message in history for call in message.tool_calls
        ]


def test_the_timing_of_every_turn_sums_to_what_the_caller_waited() -> None:
    for command in call(7).turns():
        turn = command.turn
        if turn.timing is None or turn.speech_ended_at is None or turn.reply_started_at is None:
            continue
        waited_ms = (turn.reply_started_at - turn.speech_ended_at) * 1000
        assert abs(turn.timing.total_ms - waited_ms) < 1e-3
