"""The playout ledger and the stop-watch."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.core.ledger import Ledger, Segment
from sovereign_pbx.core.timeline import Part, Timeline
from sovereign_pbx.core.values import Word

TEXT = "one two three four"
WORDS = tuple(Word(word, 0.5 * i, 0.5 * (i + 1)) for i, word in enumerate(TEXT.split()))


def playing(ledger: Ledger) -> Segment:
    segment = ledger.add(TEXT, "reply", 1)
    segment.ms, segment.words, segment.complete = 2000.0, WORDS, True
    ledger.start(segment, 10.0)
    return segment


def test_segments_are_numbered_and_queued_in_order() -> None:
    ledger = Ledger()
    assert [ledger.add(text, "reply", 1).number for text in "ab"] == [1, 2]
    assert [segment.text for segment in ledger.queue] == ["a", "b"]


def test_a_finished_segment_was_heard_whole() -> None:
    ledger = Ledger()
    segment = playing(ledger)
    ledger.finish(segment)
    assert segment.heard == TEXT
    assert not ledger.queue
    assert ledger.find(segment.number) is None


def test_a_cut_segment_was_heard_as_far_as_it_was_played() -> None:
    ledger = Ledger()
    segment = playing(ledger)
    ledger.cut(segment, 1100)
    assert segment.heard == "one two"


def test_what_is_ordered_off_the_link_is_counted_by_the_clock_until_the_link_reports() -> None:
    ledger = Ledger()
    segment = playing(ledger)
    ledger.flush(11.1)
    assert segment.heard == "one two"
    assert not ledger.queue
    assert list(ledger) == [segment]
    ledger.cut(segment, 600)
    assert segment.heard == "one"


def test_a_pause_does_not_count_as_played() -> None:
    ledger = Ledger()
    segment = playing(ledger)
    ledger.pause(10.5)
    assert ledger.position_ms(segment, 14.0) == pytest.approx(500)
    ledger.resume(14.0)
    assert ledger.position_ms(segment, 14.25) == pytest.approx(750)


def test_the_word_that_playout_was_held_in_is_played_again_and_counts_once() -> None:
    ledger = Ledger()
    segment = playing(ledger)
    ledger.pause(10.75)
    assert ledger.left_s(11.0) == pytest.approx(1.5)
    ledger.resume(11.0)
    assert ledger.position_ms(segment, 11.0) == pytest.approx(500)
    assert ledger.position_ms(segment, 11.5) == pytest.approx(1000)


def test_the_link_knows_better_where_playout_goes_on() -> None:
    ledger = Ledger()
    segment = playing(ledger)
    ledger.pause(10.75)
    ledger.resume(11.0)
    ledger.start(segment, 11.0, 1040.0)  # it had finished the syllable, and with it the word
    assert ledger.position_ms(segment, 11.1) == pytest.approx(1140)
    ledger.start(segment, 11.2)
    assert ledger.position_ms(segment, 11.2) == pytest.approx(1240)


def test_held_between_two_words_nothing_is_played_again() -> None:
    ledger = Ledger()
    segment = playing(ledger)
    ledger.pause(10.49)  # the word has 10 ms to go: it counts as heard
    ledger.resume(11.0)
    assert ledger.position_ms(segment, 11.0) == pytest.approx(490)


def test_what_was_heard_and_what_is_still_to_come_are_told_apart() -> None:
    ledger = Ledger()
    first, second = playing(ledger), ledger.add("five six", "reply", 1)
    assert ledger.spoken((first, second), 11.1) == ("one two", "three four five six")
    ledger.finish(first)
    assert ledger.spoken((first, second), 12.1) == (TEXT, "five six")
    ledger.flush(12.1)
    assert ledger.spoken((first, second), 12.1) == (TEXT, "")


def test_how_much_is_left_is_not_known_before_the_voice_has_delivered_it() -> None:
    ledger = Ledger()
    playing(ledger)
    assert ledger.left_s(11.0) == pytest.approx(1.0)
    ledger.add("five six", "reply", 1)
    assert ledger.left_s(11.0) is None


def test_no_more_is_played_than_there_is() -> None:
    ledger = Ledger()
    assert ledger.position_ms(playing(ledger), 99) == 2000


def test_what_never_began_was_not_played() -> None:
    ledger = Ledger()
    segment = ledger.add(TEXT, "reply", 1)
    assert ledger.position_ms(segment, 99) == 0
    ledger.cut(segment, 0)
    assert segment.heard == ""


PARTS: list[Part] = ["endpointing", "stt", "llm", "tool", "clause", "tts", "link"]


@given(st.lists(st.tuples(st.sampled_from(PARTS), st.floats(0, 5)), max_size=20))
def test_the_parts_of_a_timeline_sum_to_the_whole(steps: list[tuple[Part, float]]) -> None:
    timeline, now = Timeline(100.0), 100.0
    for part, seconds in steps:
        now += seconds
        timeline.enter(part, now)
    now += 0.25
    timeline.end(now)
    timing = timeline.timing()
    assert timing is not None
    assert timing.total_ms == pytest.approx((now - 100.0) * 1000)


def test_a_timeline_without_an_answer_has_no_timing() -> None:
    assert Timeline(1.0).timing() is None


def test_nothing_is_counted_after_the_first_sample() -> None:
    timeline = Timeline(1.0)
    timeline.end(2.0)
    timeline.enter("tool", 3.0)
    timeline.end(9.0)
    timing = timeline.timing()
    assert timing is not None
    assert timing.total_ms == pytest.approx(1000)
