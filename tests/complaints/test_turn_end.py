"""What callers of other systems complain about where their turn ends: one-word answers that are lost or answered five
seconds late, a voice detector and a recogniser that disagree until the call stalls, sentences talked into, and waits
that nobody can explain. In virtual time.
"""

import pytest

from sovereign_pbx.core import commands as c
from sovereign_pbx.core import events as e
from sovereign_pbx.core.plan import Plan, SilencePlan, TurnTaking
from sovereign_pbx.core.turn import State
from tests.core.scripted import WORD_S, Delays, Stage

QUESTION = "Shall I book the table by the window for you?"
ARE_YOU_THERE = SilencePlan(messages=("Are you there?",))


def asked(
    question: str = QUESTION,
    *,
    delays: Delays | None = None,
    limits: TurnTaking | None = None,
    silence: SilencePlan | None = None,
    language: str = "en",
) -> Stage:
    """The question has been heard to its end."""
    plan = Plan(first_message=question, turn_taking=limits or TurnTaking(), silence=silence, language=language)
    stage = Stage(plan, lambda think: ["Very well then."], delays=delays)
    stage.at(0, e.Answered())
    return stage.run(WORD_S * len(question.split()) + 0.1)


def thought(stage: Stage) -> list[tuple[float, str]]:
    return [(time, think.messages[-1].content) for time, think in stage.log if isinstance(think, c.Think)]


def answered_at(stage: Stage) -> float:
    """When the first answer to the caller became audible."""
    return [time for time, event in stage.events if isinstance(event, e.PlayoutStarted)][1]


# one-word answers are lost, or answered five seconds late


@pytest.mark.parametrize("word", ["yes", "no", "okay", "sure", "stop"])
@pytest.mark.parametrize("score", [0.02, 0.5, 0.98])
def test_a_one_word_answer_is_answered_within_the_second_whatever_the_turn_model_makes_of_it(
    word: str, score: float
) -> None:
    """pipecat 3643: a "yes" that the turn model calls incomplete waits for its three-second timeout"""
    stage = asked()
    end = stage.says(stage.now + 0.3, word, score=score)
    stage.run(end + 8)
    assert [text for _, text in thought(stage)] == [word]
    assert answered_at(stage) - end <= 0.9


@pytest.mark.parametrize(("language", "word"), [("nl", "ja"), ("nl", "oké"), ("de", "genau"), ("fr", "d'accord")])
def test_with_the_shortest_delays_a_one_word_answer_takes_no_longer_than_its_recognition(
    language: str, word: str
) -> None:
    """pipecat 3643; the rivals measured took 847 to 3094 ms for it"""
    stage = asked(limits=TurnTaking(endpointing_min_delay=0.1), language=language)
    end = stage.says(stage.now + 0.3, word, score=0.3)
    stage.run(end + 8)
    assert answered_at(stage) - end <= 0.25 + 0.3 + 0.03 + 0.15


@pytest.mark.parametrize("interims", [True, False])
def test_a_one_word_answer_too_short_for_the_voice_detector_is_answered(interims: bool) -> None:
    """pipecat 4279: a transcript without VAD is never a turn"""
    stage = asked()
    end = stage.says(stage.now + 0.3, "yes", vad=False, interims=interims)
    stage.run(end + 8)
    assert [text for _, text in thought(stage)] == ["yes"]
    assert thought(stage)[0][0] - end <= 0.7
    assert "words_without_speech" in stage.notes()


def test_a_one_word_answer_whose_text_comes_after_the_turn_was_given_up_is_answered_at_once() -> None:
    """pipecat 984: the transcript arrives after the aggregation was closed, and is dropped"""
    stage = asked(delays=Delays(final=2.9))
    end = stage.says(stage.now + 0.3, "yes", interims=False)
    stage.run(end + 8)
    assert [text for _, text in thought(stage)] == ["yes"]
    assert thought(stage)[0][0] == pytest.approx(end + 2.9)


def test_a_one_word_answer_over_the_last_word_of_the_question_is_answered() -> None:
    """pipecat 984: it counts as an interruption too short to be one"""
    plan = Plan(first_message=QUESTION, turn_taking=TurnTaking(interruption_min_words=3))
    stage = Stage(plan, lambda think: ["Very well then."])
    stage.at(0, e.Answered())
    stage.says(WORD_S * len(QUESTION.split()) - 0.35, "yes")
    stage.run(10)
    assert [text for _, text in thought(stage)] == ["yes"]


# the voice detector and the recogniser disagree


@pytest.mark.parametrize("text", ["when are you open on sunday?", "I would like a table", "yes"])
def test_a_voice_detector_that_never_falls_silent_does_not_stall_the_turn(text: str) -> None:
    """pipecat 5240; livekit 4777: background talk holds the turn open until the caller hangs up"""
    stage = asked()
    begin = stage.now + 0.3
    stage.at(begin + 0.08, e.SpeechStarted(begin))
    end = stage.says(begin, text, vad=False)
    stage.run(end + 10)
    assert [said for _, said in thought(stage)] == [text]
    assert thought(stage)[0][0] - end <= 2.5


def test_a_television_that_comes_and_goes_does_not_stall_the_turn() -> None:
    """pipecat 5240: each sound begins the wait anew"""
    stage = asked()
    end = stage.says(stage.now + 0.3, "I would like to book a table for", score=0.5)
    for number in range(30):
        stage.noise(end + 0.4 + 0.6 * number, 0.25, reported=False)
    stage.run(end + 10)
    assert thought(stage)[0][0] - end <= 4.0


def test_speech_without_a_word_of_it_ends_in_a_named_outcome_and_the_silence_is_watched_again() -> None:
    """pipecat 4343: the idle timer dies with a turn that has no transcript"""
    stage = asked(silence=ARE_YOU_THERE)
    end = stage.noise(stage.now + 0.5, 0.6, reported=False)
    stage.run(end + 12)
    assert "nothing_heard" in stage.notes()
    assert "Are you there?" in stage.spoken()


def test_a_caller_whom_the_voice_detector_does_not_hear_is_not_told_that_he_is_silent() -> None:
    """pipecat 4343: the bot says "I can't hear you" to a talking caller"""
    stage = asked(silence=ARE_YOU_THERE)
    end = stage.says(stage.now + 2.0, "I would like to know whether you are open on sunday morning", vad=False)
    stage.run(end)
    assert "Are you there?" not in stage.spoken()


@pytest.mark.parametrize("words", [0, 2])
def test_a_line_that_goes_mute_in_mid_speech_leaves_no_turn_open(words: int) -> None:
    """pipecat 4124: the end of speech never comes"""
    stage = asked()
    begin = stage.now + 0.3
    stage.at(begin + 0.08, e.SpeechStarted(begin))
    if words:
        stage.at(begin + 0.8, e.Interim("when are"))
    stage.run(begin + 45)
    assert stage.conversation.state is State.QUIET
    assert [text for _, text in thought(stage)] == (["when are"] if words else [])


def test_a_recogniser_that_sends_no_interims_is_waited_for_and_one_that_does_is_not() -> None:
    """livekit 4777: no words yet and no words at all look the same"""
    slow = asked(delays=Delays(final=2.2))
    end = slow.says(slow.now + 0.3, "tomorrow at nine", interims=False)
    slow.run(end + 8)
    assert thought(slow) == [(pytest.approx(end + 2.2), "tomorrow at nine")]  # type: ignore[comparison-overlap]  # approx compares


@pytest.mark.parametrize("vad", [True, False])
def test_the_wait_of_a_turn_is_measured_from_his_last_sound_whoever_heard_it(vad: bool) -> None:
    """livekit 2606, 5669, 6093: delays of 203 s, from a last speaking time that was not kept up"""
    stage = asked()
    stage.says(stage.now + 0.3, "when are you open?")
    stage.run(100)
    stage.says(200, "and on sunday?", vad=vad)
    stage.run(220)
    timing = stage.turns()[-1].turn.timing
    assert timing is not None
    assert 0 < timing.total_ms < 2000


# turns that end in mid-sentence, and hidden waits


@pytest.mark.parametrize("pause", [0.5, 0.7, 0.9, 1.1])
@pytest.mark.parametrize(
    ("language", "sentence"),
    [
        ("en", "I would like to {} book a table"),
        ("en", "my name is {} Ada"),
        ("en", "well um {} a table"),
        ("en", "we are four people and {} a dog"),
        ("nl", "ik wil graag met {} meneer Jansen spreken"),
        ("de", "ich hätte gern einen {} Termin am Montag"),
        ("fr", "je voudrais parler avec {} monsieur Martin"),
    ],
)
def test_a_sentence_that_cannot_end_there_is_not_talked_into(language: str, sentence: str, pause: float) -> None:
    """pipecat 4950 (29 of 59 handovers were false), even where the turn model is sure of the end"""
    stage = asked("How can I help you?", language=language)
    stage.says(stage.now + 0.3, sentence.format(f"[{pause}]"), score=0.9)
    stage.run(stage.now + 15)
    assert len(thought(stage)) == 1


def test_of_pauses_of_700_ms_inside_ordinary_sentences_at_most_one_in_ten_is_talked_into() -> None:
    """pipecat 4950; the rivals measured talk into 9 of 10 and 12 of 15. Scores as measured for such pauses."""
    sentences = [
        "I would like to book [0.7] a table for tomorrow",
        "can you tell me [0.7] what time you open",
        "I have a question about [0.7] my last order",
        "my number is zero six [0.7] one two three four five six seven eight",
        "I was there yesterday and [0.7] I left my bag",
        "we need a room for [0.7] eight people",
        "it is about the [0.7] blue one",
        "I think it was [0.7] last week",
        "hello [0.7] I would like to speak to someone",
        "a table [0.7] for two",
    ]
    scores = [0.05, 0.6, 0.9, 0.9, 0.3, 0.05, 0.4, 0.7, 0.5, 0.3]
    cut = 0
    for sentence, score in zip(sentences, scores, strict=True):
        stage = asked("How can I help you?")
        stage.says(stage.now + 0.3, sentence, score=score)
        stage.run(stage.now + 12)
        cut += len(thought(stage)) > 1
    assert cut <= 1


def test_a_turn_talked_into_is_taken_up_again_as_one_turn_if_nothing_was_heard_of_the_answer() -> None:
    """pipecat 4950: the rest of the sentence becomes a turn of its own, and half a question is answered"""
    stage = asked("How can I help you?")
    end = stage.says(stage.now + 0.3, "I would like to have the big table by the window", score=0.98)
    stage.says(end + 0.65, "for eight people", score=0.98)
    stage.run(end + 15)
    said = [line for line in stage.transcript() if line.startswith("user")]
    assert said == ["user: I would like to have the big table by the window for eight people"]
    assert len(stage.turns()) == 2


@pytest.mark.parametrize("least", [0.1, 0.3, 0.8])
def test_the_configured_delay_is_all_there_is_and_counts_from_the_last_sound(least: float) -> None:
    """pipecat 1319 (+1 s undocumented); livekit 4325 (delays that add up)"""
    stage = asked(limits=TurnTaking(endpointing_min_delay=least))
    end = stage.says(stage.now + 0.3, "when are you open?")
    stage.run(end + 8)
    assert thought(stage)[0][0] == pytest.approx(end + max(least, 0.25))
    timing = stage.turns()[-1].turn.timing
    assert timing is not None
    assert timing.total_ms == pytest.approx((answered_at(stage) - end) * 1000)


def test_why_a_turn_ended_when_it_did_can_be_read_afterwards() -> None:
    """pipecat 1319: nobody could tell where the second went"""
    stage = asked("How can I help you?")
    end = stage.says(stage.now + 0.3, "I would like to book a table for", score=0.4)
    stage.run(end + 8)
    (why,) = [note.values for _, note in stage.log if isinstance(note, c.Note) and note.name == "turn_decided"]
    assert why["silence"] == pytest.approx(thought(stage)[0][0] - end, abs=1e-3)
    assert why["shape"] == "loose"
    assert sum(why["weights"].values()) < 0
