"""What callers of other systems complain about where nobody says anything: a provider that died or is slow, a voice
detector and a recogniser that disagree, a timer that was forgotten.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sovereign_pbx.core import commands as c
from sovereign_pbx.core import events as e
from sovereign_pbx.core.errors import ProviderError
from sovereign_pbx.core.moves.waiting import MOST_FILLERS
from sovereign_pbx.core.plan import Phrases, Plan, SilencePlan
from sovereign_pbx.core.turn import State
from sovereign_pbx.core.values import ToolCall
from tests.core.scripted import WORD_S, Delays, Part, Stage
from tests.core.test_tools import Scripted

ANSWER = "We open at nine."
LONG = "We are open every weekday from nine in the morning until six in the evening."
BOOK = ToolCall("t1", "book", "{}")
PHRASES = Phrases()
LIMIT_S = 2.0
GONE = ProviderError("scripted", "stt", "dropped")


def called(*replies: Sequence[Part], plan: Plan | None = None, delays: Delays | None = None) -> Stage:
    stage = Stage(plan or Plan(), Scripted(*(replies or ([ANSWER],))), delays=delays)
    stage.at(0, e.Answered())
    return stage


def sounds(stage: Stage) -> list[tuple[float, float]]:
    """When the assistant was audible, from and to."""
    starts = [time for time, event in stage.events if isinstance(event, e.PlayoutStarted)]
    ends = [time for time, event in stage.events if isinstance(event, e.PlayoutFinished | e.PlayoutFlushed)]
    return list(zip(starts, ends, strict=False))


def longest_silence(stage: Stage, since: float) -> float:
    edges = [since, *(edge for sound in sounds(stage) if sound[0] > since for edge in sound)]
    return max(edges[at + 1] - edges[at] for at in range(0, len(edges) - 1, 2))


# --- somebody is slow


@pytest.mark.parametrize("late", ["model", "recogniser", "voice", "tool"])
def test_whoever_is_late_the_caller_hears_something_within_two_seconds(late: str) -> None:
    """Engine notes §6: for a call, four to ten seconds of back-off is a dead line."""
    delays = {
        "model": Delays(first_token=4.0),
        "recogniser": Delays(final=3.5),
        "voice": Delays(first_audio=4.0),
        "tool": Delays(tool=4.0),
    }[late]
    stage = called(*([BOOK], ["Done."]) if late == "tool" else ([ANSWER],), delays=delays)
    end = stage.says(1, "when are you open?", interims=False)
    stage.run(20)
    assert sounds(stage)[0][0] - end < LIMIT_S
    fillers = [command for _, command in stage.log if isinstance(command, c.Note) and command.name == "filler"]
    assert fillers[0].values["waiting_for"] == late
    assert ("Done." if late == "tool" else ANSWER) in stage.spoken()


def test_a_filler_for_a_voice_without_sound_goes_before_its_words_and_is_heard_once() -> None:
    """livekit 1229: "speaking", and nothing plays."""
    stage = called(delays=Delays(first_audio=3.0))
    stage.says(1, "when are you open?")
    stage.run(20)
    said = [message.content for message in stage.conversation.history if message.role == "assistant"]
    assert said == [PHRASES.filler, ANSWER]


def test_a_long_wait_is_covered_again_and_again_in_other_words_and_not_for_ever() -> None:
    """The same "one moment, please" thrice is no better than silence."""
    stage = called([BOOK], ["Done."], delays=Delays(tool=120))
    stage.says(1, "book me a table")
    stage.run(60)
    fillers = stage.spoken()
    assert len(fillers) == MOST_FILLERS
    assert all(one != other for one, other in pairwise(fillers))
    gaps = [later[0] - sooner[1] for sooner, later in pairwise(sounds(stage))]
    assert gaps == pytest.approx([Plan().filler_every] * (MOST_FILLERS - 1))


def test_the_next_wait_of_a_call_begins_with_other_words() -> None:
    """The same."""
    stage = called([BOOK], ["Done."], [BOOK], ["Done."], delays=Delays(tool=3))
    stage.says(1, "book me a table")
    stage.says(15, "and another one")
    stage.run(30)
    assert [text for text in stage.spoken() if text != "Done."] == [PHRASES.filler, PHRASES.more_fillers[0]]


def test_a_filler_is_never_on_top_of_other_words() -> None:
    """A filler in the middle of a sentence, or over the caller."""
    stage = called([LONG, BOOK], ["Done."], delays=Delays(tool=12, token=0.3))
    stage.says(1, "when are you open?")
    stage.says(9, "book me a table please", score=0.1)
    stage.run(40)
    for (_, end), (start, _) in pairwise(sounds(stage)):
        assert start >= end
    states = dict(stage.states)
    speaking = [time for time, command in stage.log if isinstance(command, c.Speak) and command.kind == "filler"]
    assert all(states[time] in (State.THINKING, State.SPEAKING) for time in speaking)


def test_a_caller_who_goes_on_while_a_filler_covers_late_words_is_not_talked_over() -> None:
    """pipecat 5240: "I can't hear you", to a talking caller."""
    stage = called(delays=Delays(final=4.0))
    end = stage.says(1, "when are you", interims=False, score=0.95)
    stage.at(end + 2.3, e.SpeechStarted(end + 2.2))
    stage.run(end + 2.4)
    assert stage.line.playing is None
    assert stage.conversation.state is State.LISTENING


def test_no_filler_is_said_where_the_administrator_wants_none() -> None:
    """`filler = ""`."""
    stage = called([BOOK], ["Done."], plan=Plan(phrases=Phrases(filler="")), delays=Delays(tool=20))
    stage.says(1, "book me a table")
    stage.run(40)
    assert stage.spoken() == ["Done."]


# --- somebody is gone


def test_words_that_were_lost_with_the_recogniser_are_asked_for_again() -> None:
    """pipecat 1818, 1113, 471; livekit 2281: no recovery, and nobody says so."""
    stage = called(delays=Delays(final=None))
    end = stage.says(1, "when are you open?", words=False)
    stage.at(end + 4.0, e.HearingFailed(GONE))
    stage.run(12)
    assert PHRASES.apology in stage.spoken()


def test_a_recogniser_that_fails_while_nobody_has_spoken_is_no_reason_to_apologise() -> None:
    """The other way round: an assistant that apologises for what the caller never noticed."""
    stage = called()
    stage.noise(1, 0.2)
    stage.at(30, e.HearingFailed(GONE))
    stage.run(40)
    assert stage.spoken() == []


# --- words without voice, voice without words


@dataclass(frozen=True)
class Act:
    """What the caller does, and which of the two hears it."""

    after: float
    words: int
    vad: bool
    recognised: bool
    interims: bool
    reported: bool


ACTS = st.lists(
    st.builds(
        Act,
        after=st.floats(0.4, 9).map(lambda value: round(value, 2)),
        words=st.integers(0, 4),
        vad=st.booleans(),
        recognised=st.booleans(),
        interims=st.booleans(),
        reported=st.booleans(),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=150, deadline=None)
@given(ACTS, st.sampled_from([0.25, 0.7, None]), st.sampled_from([None, SilencePlan(messages=("Still there?",))]))
def test_however_the_two_disagree_nobody_waits_for_ever_and_the_silence_is_counted(
    acts: list[Act], final: float | None, silence: SilencePlan | None
) -> None:
    """pipecat 5240, 4343, 4124; livekit 4777: turns that stall, and idle timers that die."""
    stage = called(plan=replace(Plan(), silence=silence), delays=Delays(final=final))
    time = 1.0
    for act in acts:
        time += act.after
        if act.words:
            words = " ".join(["word"] * act.words)
            time = stage.says(time, words, vad=act.vad, words=act.recognised, interims=act.interims)
        else:
            time = stage.noise(time, 0.4, reported=act.reported)
    stage.run(time + 20)
    if silence is None:
        assert stage.conversation.state is State.QUIET
    else:
        stage.run(time + 120)
        assert stage.log[-1][1] == c.HangUp("silence_timeout")


def test_speech_in_which_a_recogniser_hears_nothing_ends_by_name() -> None:
    """pipecat 4343."""
    stage = called(delays=Delays(final=None))
    stage.says(1, "when are you open?", words=False)
    stage.run(10)
    assert "nothing_heard" in stage.notes()
    assert stage.conversation.state is State.QUIET


def test_words_that_the_voice_detector_missed_end_by_name() -> None:
    """pipecat 4279, 5240."""
    stage = called()
    end = stage.says(1, "when are you open?", vad=False)
    stage.run(10)
    assert "words_without_speech" in stage.notes()
    assert sounds(stage)[0][0] - end < LIMIT_S


def test_a_recogniser_without_interims_is_waited_for_and_the_wait_is_covered() -> None:
    """Embedded recognisers read whole utterances; on a busy machine for seconds."""
    stage = called(delays=Delays(final=3.0))
    end = stage.says(1, "when are you open?", interims=False)
    stage.run(20)
    assert stage.transcript() == [
        f"assistant: {PHRASES.filler}",  # it was heard before his words were known
        "user: when are you open?",
        f"assistant: {ANSWER}",
    ]
    assert longest_silence(stage, end) < LIMIT_S
    assert sounds(stage)[-1][1] - sounds(stage)[-1][0] == pytest.approx(WORD_S * len(ANSWER.split()))
