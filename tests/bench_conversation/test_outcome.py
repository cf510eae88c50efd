"""What counts as a cut-off, what as a wait, and where the numbers are written."""

import numpy as np
import pytest

from scripts.bench_conversation import page
from scripts.bench_conversation.hearing import Told
from scripts.bench_conversation.item import Item, Pause
from scripts.bench_conversation.ours import Call, Decision
from scripts.bench_conversation.outcome import NEVER_S, Point, heard, point, wait_at
from scripts.bench_conversation.rivals import decisions, silence
from scripts.bench_conversation.words import Word
from sovereign_pbx.core.errors import BadInput
from sovereign_pbx.core.plan import TurnTaking
from sovereign_pbx.media.vad_state import VadEvent

ITEM = Item(
    name="train-paused-000-x",
    kind="paused",
    split="train",
    language="en",
    voice="x",
    condition="clean",
    audio=np.zeros(9 * 8000, "<i2"),
    text="i want to book and a table",
    words=(
        *(Word(word, 0.8 + 0.2 * at, 1.0 + 0.2 * at) for at, word in enumerate(("i", "want", "to", "book", "and"))),
        Word("a", 3.0, 3.3),
        Word("table", 3.3, 4.0),
    ),
    spans=((0.8, 2.0), (3.0, 4.0)),
    pauses=(Pause(2.0, 3.0, True),),
    asked="How can I help you?",
)
TOLD: list[Told] = [
    (0.9, VadEvent("started", 0.8)),
    (2.1, VadEvent("stopped", 2.0)),
    (3.1, VadEvent("started", 3.0)),
    (4.1, VadEvent("stopped", 4.0)),
]


class FixedScores:
    """Says what it is told to say, whatever the audio."""

    def __init__(self, value: float) -> None:
        self.value = value

    def score(self, item: Item, at_s: float) -> float:
        return self.value


def test_a_decision_in_a_pause_is_a_cut_off_and_one_after_the_end_a_wait() -> None:
    result = heard(ITEM, [Decision(2.6), Decision(4.5)])
    assert (result.cut, result.elsewhere, result.wait) == ((True,), 0, 0.5)


def test_a_decision_just_before_the_detector_hears_him_go_on_is_one_in_the_pause() -> None:
    assert heard(ITEM, [Decision(3.05)]).cut == (True,)
    assert heard(ITEM, [Decision(3.5)]).elsewhere == 1


def test_a_turn_that_nobody_ended_took_the_longest_wait_unless_it_had_been_cut() -> None:
    assert heard(ITEM, []).wait == NEVER_S
    assert heard(ITEM, [Decision(2.6)]).wait is None


def test_shares_are_of_pauses_and_turns() -> None:
    results = [heard(ITEM, [Decision(2.6), Decision(4.4)]), heard(ITEM, [Decision(4.6)]), heard(ITEM, [Decision(4.8)])]
    figures = point(1.0, results)
    assert figures.cut_offs == pytest.approx(100 / 3) and figures.turns_cut == pytest.approx(100 / 3)
    assert figures.p50 == pytest.approx(0.6)


def test_the_wait_at_a_share_lies_on_the_line_between_two_points() -> None:
    curve = [Point(1, 10, 0, 0.4, 0.9), Point(2, 2, 0, 0.8, 1.3)]
    assert wait_at(curve, 6) == pytest.approx(0.6)
    assert wait_at(curve, 6, p90=True) == pytest.approx(1.1)
    assert wait_at(curve, 1) is None and wait_at(curve, 11) is None


def test_silence_alone_ends_a_turn_after_its_threshold_and_not_in_shorter_pauses() -> None:
    assert [decision.at for decision in decisions(ITEM, TOLD, silence(0.5))] == [2.5, 4.5]
    assert [decision.at for decision in decisions(ITEM, TOLD, silence(1.5))] == [5.5]
    assert [decision.at for decision in decisions(ITEM, TOLD, silence(0.05))] == [2.1, 4.1]  # not before it is known


def test_our_policy_is_the_conversation_itself_and_waits_behind_an_and() -> None:
    call = Call(ITEM, TOLD, FixedScores(0.9), TurnTaking(), words=True)
    found = call.run()
    assert [decision.at > 4.0 for decision in found] == [True]
    assert found[0].why["silence"] == pytest.approx(found[0].at - 4.0, abs=0.01)


def test_without_words_our_policy_has_only_the_sound() -> None:
    sure = Call(ITEM, TOLD, FixedScores(0.99), TurnTaking(), words=False).run()
    unsure = Call(ITEM, TOLD, FixedScores(0.01), TurnTaking(), words=False).run()
    assert not any(decision.at < 3.0 for decision in unsure)
    assert sure[-1].at < unsure[-1].at


def test_numbers_go_between_the_markers_and_nowhere_else() -> None:
    before = (
        "a\n<!-- turns: x -->\nold\n<!-- end of turns -->\nb\n<!-- turns by: y -->\nkeep\n<!-- end of turns by -->\n"
    )
    after = page.filled(before, "turns", "new \\1\n")
    assert after == before.replace("old", "new \\1")
    with pytest.raises(BadInput, match="no markers for speed"):
        page.filled(before, "speed", "x")
