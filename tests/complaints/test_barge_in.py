"""What callers of other systems complain about where both speak: an assistant that falls silent after a cough, that
interrupts itself, that takes "mm-hm" for a question, or that talks on. In virtual time.
"""

import numpy as np
import pytest

from sovereign_pbx.core import commands as c
from sovereign_pbx.core import events as e
from sovereign_pbx.core.plan import Plan, TurnTaking
from sovereign_pbx.core.turn import State
from sovereign_pbx.media.clock import MediaClock
from sovereign_pbx.media.line import Line
from sovereign_pbx.media.vad import EnergyDetector
from tests.core.scripted import WORD_S, Delays, Stage
from tests.media.scripted import Diary, ScriptedLink
from tests.media.test_echo import FRAME, RATE, Signal, returned, voice
from tests.media.test_echo import frames as coded

LONG = "We are open every weekday from nine in the morning until six in the evening. On Saturday we close at four."
QUESTION = (
    "Good afternoon. Shall I book a table for you? We still have one by the window and two in the garden outside."
)


def speaking(
    text: str = LONG, turn_taking: TurnTaking | None = None, language: str = "en", delays: Delays | None = None
) -> Stage:
    """The assistant is audible from 0 on with `text`, a word every 0.3 s."""
    stage = Stage(Plan(first_message=text, turn_taking=turn_taking or TurnTaking(), language=language), delays=delays)
    stage.at(0, e.Answered())
    return stage


def heard_whole(stage: Stage, text: str = LONG) -> bool:
    return stage.transcript() == [f"assistant: {text}"] and not stage.conversation.history[0].interrupted


def silence_while_speaking(stage: Stage) -> float:
    """The longest time in state SPEAKING with nothing playing and nothing held."""
    return max((later - at for (at, state), (later, _) in zip(stage.states, stage.states[1:], strict=False)
                if state is State.SPEAKING and stage.line.paused), default=0.0)  # fmt: skip


# silence after a false interruption, while the state says "speaking"


@pytest.mark.parametrize("length", [0.07, 0.2, 0.45, 1.2, 4.0])
@pytest.mark.parametrize("reported", [True, False], ids=["told nothing heard", "told nothing"])
@pytest.mark.parametrize("timeout", [0.2, 1.5, 5.0])
def test_after_a_sound_without_words_the_assistant_goes_on_to_its_end(
    length: float, reported: bool, timeout: float
) -> None:
    """livekit 3418, 4413, 4039, 1229; pipecat 4308, 2941"""
    stage = speaking(turn_taking=TurnTaking(false_interruption_timeout=timeout))
    end = stage.noise(2, length, reported=reported)
    stage.run(40)
    assert heard_whole(stage)
    resumed = [time for time, _ in stage.commands(c.Resume)]
    assert all(time - end <= max(timeout, 0.6) + 1e-6 for time in resumed)
    assert stage.conversation.state is State.QUIET


@pytest.mark.parametrize("count", [2, 5, 9])
def test_one_cough_after_another_silences_nobody(count: int) -> None:
    """livekit 4413: the second false interruption during the first one's timer was never resumed"""
    stage = speaking()
    for number in range(count):
        stage.noise(1.5 + 0.5 * number, 0.15, reported=False)
    stage.run(60)
    assert heard_whole(stage)
    assert not stage.line.paused


def test_speaking_always_means_that_something_is_heard() -> None:
    """livekit 3418: state "speaking", and nothing plays"""
    stage = speaking()
    for number in range(6):
        stage.noise(1 + 1.1 * number, 0.1 + 0.15 * number, reported=number % 2 == 0)
    stage.says(7.5, "mm-hm")
    playing_while = []
    feed = stage.feed

    def watched(event: e.Event) -> None:
        feed(event)
        if stage.conversation.state is State.SPEAKING:
            playing_while.append(not stage.line.paused and bool(stage.line.queue))

    stage.feed = watched  # type: ignore[method-assign]  # a watch on every event
    stage.run(40)
    assert playing_while
    assert all(playing_while)


def test_what_was_held_in_a_word_goes_on_with_that_word_and_is_remembered_once() -> None:
    """Half a word goes on with its second half: nobody understands it; a word said twice is no word more."""
    stage = speaking()
    stage.noise(2.1, 0.2)
    stage.run(40)
    (resume,) = [command for _, command in stage.log if isinstance(command, c.Resume)]
    assert resume.words
    held_at = stage.commands(c.Pause)[0][0]
    finished = next(time for time, event in stage.events if isinstance(event, e.PlayoutFinished))
    word_began = int(held_at / WORD_S) * WORD_S
    pause = stage.commands(c.Resume)[0][0] - held_at
    assert finished == pytest.approx(WORD_S * len(LONG.split()) + pause + held_at - word_began)
    assert heard_whole(stage)


def test_a_caller_who_interrupts_after_going_on_gets_a_history_that_ends_where_he_stopped_it() -> None:
    stage = speaking()
    stage.noise(2.1, 0.2)
    stage.run(2.8)
    assert stage.conversation.state is State.SPEAKING
    stage.says(4.0, "I want bread")
    stage.run(20)
    held_at, resumed_at = stage.commands(c.Pause)[0][0], stage.commands(c.Resume)[0][0]
    cut_at = stage.commands(c.Pause)[1][0]
    played = int(held_at / WORD_S) * WORD_S + cut_at - resumed_at
    words = LONG.split()[: int((played + 0.02) / WORD_S)]
    assert stage.transcript()[0] == "assistant: " + " ".join(words)


# backchannels


@pytest.mark.parametrize(
    ("language", "word"),
    [("en", "mm-hm"), ("en", "yeah okay"), ("nl", "ja precies"), ("de", "genau"), ("fr", "d'accord"), ("en", "hahaha")],
)
@pytest.mark.parametrize("interims", [True, False])
@pytest.mark.parametrize("least", [0, 3])
def test_a_backchannel_neither_interrupts_nor_becomes_a_turn(
    language: str, word: str, interims: bool, least: int
) -> None:
    """bolna 223 ("hmm", "yes" counted as turns); livekit 6033 (backchannels where nothing is hosted)"""
    stage = speaking(language=language, turn_taking=TurnTaking(interruption_min_words=least))
    stage.says(2, word, interims=interims)
    stage.run(40)
    assert heard_whole(stage)
    assert not stage.commands(c.Think)
    assert stage.notes().count("backchannel") == 1


def test_the_assistant_goes_on_as_soon_as_the_backchannel_is_over() -> None:
    stage = speaking()
    end = stage.says(2, "yeah")
    stage.run(20)
    assert stage.commands(c.Resume)[0][0] - end <= stage.delays.vad_hangover + 0.1


@pytest.mark.parametrize("at", [5 * WORD_S, 7 * WORD_S, 9.5 * WORD_S])
def test_yes_to_a_question_is_an_answer_even_though_the_assistant_talks_on(at: float) -> None:
    stage = speaking(QUESTION, TurnTaking(interruption_min_words=3))
    stage.says(at + 1.2, "yes")
    stage.run(20)
    assert "user: yes" in stage.transcript()
    assert stage.conversation.history[0].interrupted


def test_yes_long_after_the_question_is_a_backchannel() -> None:
    stage = speaking(QUESTION)
    stage.says(18 * WORD_S, "okay")
    stage.run(20)
    assert heard_whole(stage, QUESTION)


def test_assent_over_the_very_last_word_is_answered() -> None:
    stage = speaking()
    stage.says(WORD_S * len(LONG.split()) - 0.3, "okay")
    stage.run(20)
    assert stage.transcript() == [f"assistant: {LONG}", "user: okay", "assistant: All right."]


def test_yes_but_is_no_backchannel() -> None:
    stage = speaking()
    stage.says(2, "yeah but what about sunday")
    stage.run(20)
    assert "user: yeah but what about sunday" in stage.transcript()


# barge-in that does not work or is late


@pytest.mark.parametrize(("language", "word"), [("en", "stop"), ("en", "oh wait"), ("nl", "wacht"), ("fr", "non")])
@pytest.mark.parametrize("least", [0, 5, 10])
def test_an_order_stops_the_assistant_at_its_first_word_whatever_number_is_asked_for(
    language: str, word: str, least: int
) -> None:
    """AVA 466, 351, 403; bolna 295; dograh 296 ("keeps talking like a robot")"""
    stage = speaking(language=language, turn_taking=TurnTaking(interruption_min_words=least))
    stage.says(2, word)
    stage.run(20)
    assert stage.commands(c.Pause)[0][0] == pytest.approx(2 + stage.delays.vad_onset)
    assert stage.commands(c.Flush)[0][0] <= 2 + WORD_S * len(word.split()) + 0.25
    assert f"user: {word}" in stage.transcript()


def test_an_order_that_the_voice_detector_missed_stops_the_assistant_too() -> None:
    """AVA 466: the energy never reached the threshold"""
    stage = speaking(turn_taking=TurnTaking(interruption_min_words=4))
    stage.says(2, "stop", vad=False)
    stage.run(20)
    assert "user: stop" in stage.transcript()


def test_with_going_on_switched_off_a_backchannel_does_not_even_hold() -> None:
    stage = speaking(turn_taking=TurnTaking(false_interruption_timeout=None, interruption_min_words=2))
    stage.says(2, "mm-hm")
    stage.run(40)
    assert not stage.commands(c.Pause) + stage.commands(c.Flush)
    assert heard_whole(stage)


# the assistant's own voice


def test_its_own_words_from_the_recogniser_do_not_interrupt_the_assistant() -> None:
    """AVA 467; streamcore 48; SiphonAI PR 173: telephony has no echo canceller"""
    stage = speaking()
    stage.at(3.0, e.Interim("every weekday"))
    stage.at(3.4, e.Interim("every weekday from nine in"))
    stage.at(4.5, e.Final("Every weekday from nine in the morning."))
    stage.run(40)
    assert heard_whole(stage)
    assert "own_words" in stage.notes()


def test_its_own_words_with_a_sound_on_the_line_do_not_either() -> None:
    """livekit 315, 3758: an echo that the voice detector took for the caller"""
    stage = speaking()
    stage.noise(2.6, 1.5, reported=False)
    stage.at(4.6, e.Final("every weekday from nine in the"))
    stage.run(40)
    assert heard_whole(stage)


def test_a_caller_who_repeats_two_words_to_ask_for_them_interrupts() -> None:
    stage = speaking()
    stage.says(3.2, "from nine")
    stage.run(40)
    assert "user: from nine" in stage.transcript()


class People:
    """A room full of people behind the assistant."""

    def __init__(self, talk: Signal) -> None:
        self._frames = iter(range(0, talk.size, FRAME))
        self._talk = talk

    def mix(self, speech: bytes | None) -> bytes:
        start = next(self._frames)
        mixed = self._talk[start : start + FRAME] + np.frombuffer(speech or bytes(2 * FRAME), "<i2")
        pcm: bytes = np.clip(mixed, -32768, 32767).astype("<i2").tobytes()
        return pcm


def telephone(far: Signal, near: Signal, loss_db: float, delay_ms: float, behind: Signal | None = None) -> Diary:
    """A line that returns what is played; `far` plays from the first tick on, over `behind`."""
    link, diary, far_heard = ScriptedLink(), Diary(), far
    line = Line(link, diary)
    if behind is not None:
        line.background = People(behind)  # type: ignore[assignment]  # it mixes, which is all that is asked of it
        far_heard = far + behind[: far.size]
    clock = MediaClock(EnergyDetector(), now=lambda: 0.0)
    clock.add(line)
    line.playout.open(1)
    line.playout.add(1, np.clip(far, -32768, 32767).astype("<i2").tobytes())
    echo = returned(np.concatenate((far_heard, np.zeros(RATE))), loss_db, delay_ms)
    for number, frame in enumerate(coded(echo[: near.size] + near)):
        link.incoming.append(frame)
        clock.tick((number + 1) * FRAME / RATE)
    clock.remove(line)
    return diary


@pytest.mark.parametrize("loss_db", [6, 12, 20])
@pytest.mark.parametrize("delay_ms", [20, 130, 300])
def test_the_assistant_does_not_hear_itself(loss_db: float, delay_ms: float) -> None:
    """AVA 467 (a clean FreePBX 17: replies cut after one or two seconds)"""
    far = voice(21, 5.0)
    assert telephone(far, np.zeros_like(far), loss_db, delay_ms).told[1:] == []


def test_a_room_behind_the_assistant_does_not_come_back_as_a_caller() -> None:
    far, people = voice(24, 5.0), voice(25, 7.0) * 0.5
    assert telephone(far, np.zeros_like(far), 8, 100, people).told[1:] == []


@pytest.mark.parametrize("loss_db", [6, 20])
def test_a_caller_is_heard_over_the_assistants_echo(loss_db: float) -> None:
    """AVA 466: guarded so well that nobody gets through"""
    far, near = voice(22, 5.0), np.zeros(5 * RATE)
    near[3 * RATE : 4 * RATE] = voice(23, 1.0)
    told = [at for name, at in telephone(far, near, loss_db, 100).told if name == "speech_started"]
    assert len(told) >= 1
    assert isinstance(told[0], float)
    assert 2.95 < told[0] < 3.2
