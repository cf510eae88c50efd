"""The truth about an item is the truth about its audio."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest

from scripts.bench_conversation import corpus, words
from scripts.bench_conversation.corpus import Source, turn
from scripts.bench_conversation.item import TURNS, Item, Kind
from scripts.bench_conversation.recipes import HELD_OUT, Voice, able, split_of
from scripts.bench_conversation.recogniser import FINAL_S, transcribed
from scripts.bench_conversation.recordings import activity, cleaned
from scripts.bench_conversation.timeline import Timeline
from scripts.bench_conversation.words import Border
from sovereign_pbx.core.events import Final, Interim
from tests.bench_conversation.synthetic import house, recording, syllables


@pytest.fixture(scope="module")
def source() -> Source:
    return Source(house())


def items(source: Source, kind: Kind, count: int = 6) -> Iterator[Item]:
    voice = next(voice for voice in source.voices["train"] if able(voice, kind))
    return (turn(source, voice, kind, number) for number in range(count))


@pytest.mark.parametrize("kind", TURNS)
def test_speech_is_where_the_spans_are_and_nowhere_else(source: Source, kind: Kind) -> None:
    clean = [item for item in items(source, kind, 12) if item.condition == "clean"]
    assert clean
    for item in clean:
        loud = np.repeat(activity(item.audio, 20.0), 80)
        for start, end in item.spans:
            inside = loud[round(start * 8000) : round(end * 8000)]
            assert inside.mean() > 0.5
            loud[max(0, round(start * 8000) - 240) : round(end * 8000) + 240] = False
        assert not loud.any(), f"{item.name}: sound outside its spans"


@pytest.mark.parametrize("kind", TURNS)
def test_pauses_lie_between_spans_and_the_item_ends_in_silence(source: Source, kind: Kind) -> None:
    for item in items(source, kind):
        assert item.speech_start == pytest.approx(corpus.LEAD_S)
        assert item.audio.size / 8000 - item.speech_end == pytest.approx(corpus.TAIL_S, abs=0.05)
        ends, starts = [end for _, end in item.spans], [start for start, _ in item.spans]
        for pause in (pause for pause in item.pauses if pause.made):
            assert min(abs(pause.start - end) for end in ends) < 1e-6
            assert min(abs(pause.end - start) for start in starts) < 1e-6


def test_pauses_that_are_put_in_last_from_300_to_1500_ms(source: Source) -> None:
    for item in items(source, "paused", 30):
        made = [pause.end - pause.start for pause in item.pauses if pause.made]
        assert made and all(0.299 <= length <= 1.501 for length in made)


def test_the_same_item_is_made_again_to_the_sample(source: Source) -> None:
    voice = next(voice for voice in source.voices["test"] if able(voice, "number"))
    one, other = (turn(source, voice, "number", 3) for _ in range(2))
    assert np.array_equal(one.audio, other.audio) and one.words == other.words
    assert not np.array_equal(one.audio, turn(source, voice, "number", 4).audio)


def test_a_held_out_voice_is_in_no_training_item() -> None:
    held = [recording(f"a sentence number {at} of theirs.", name=f"x/{at}", voice=HELD_OUT[0]) for at in range(30)]
    assert {split_of(one) for one in held} == {"test"}
    voice = Voice(held, "train")
    assert not any(able(voice, kind) for kind in TURNS)


def test_no_sentence_is_in_both_halves(source: Source) -> None:
    halves = [{one.name for voice in source.voices[split] for one in voice.sentences} for split in ("train", "test")]
    assert halves[0] and halves[1] and not halves[0] & halves[1]


def test_a_gap_counts_from_the_last_sound_to_the_next() -> None:
    line = Timeline(0.5, -20)
    line.say(recording("one"))
    line.gap(0.7)
    line.say(recording("two"))
    (_, first_end), (second_start, _) = line.spans
    assert second_start - first_end == pytest.approx(0.7, abs=1e-3)
    assert [round(pause.end - pause.start, 2) for pause in line.pauses] == [0.7]


def test_a_cut_recording_says_all_its_words_in_order_round_the_pause() -> None:
    one = recording("hello there you", syllables(0.4, 0.4, 0.4, gap_s=0.1))
    line = Timeline(0.5, -20)
    line.say(one, [(Border(round(0.88 * 8000), 2), 1.0)])
    assert [word.text for word in line.words] == ["hello", "there", "you"]
    pause = line.pauses[0]
    assert pause.end - pause.start == pytest.approx(1.0, abs=0.01)
    assert line.words[1].end <= pause.start + 0.02 and line.words[2].start >= pause.end - 1e-6


def test_words_begin_where_the_speaker_went_on_after_a_comma() -> None:
    audio = np.concatenate((syllables(0.5, 0.5, gap_s=0.02), np.zeros(2400, "<i2"), syllables(0.4)))
    said = words.timed(audio, "sorry, not")
    assert said[1].start == pytest.approx(1.02 + 0.03 + 0.03 + 0.3 + 0.03, abs=0.05)


def test_a_pause_is_put_between_words_and_not_at_the_end_of_a_sentence() -> None:
    audio = syllables(0.5, 0.5, 0.5, 0.5, gap_s=0.06)
    assert {border.words for border in words.borders(audio, "aaaaa bbbbb ccccc ddddd")} == {1, 2, 3}
    assert {border.words for border in words.borders(audio, "aaaaa bbbbb. Ccccc ddddd")} == {1, 3}


def test_interims_grow_and_become_final_where_the_speaker_stops(source: Source) -> None:
    for item in items(source, "paused", 8):
        said = transcribed(item)
        assert [at for at, _ in said] == sorted(at for at, _ in said)
        finals = [(at, event.text) for at, event in said if isinstance(event, Final)]
        assert " ".join(text for _, text in finals) == item.text
        assert finals[-1][0] == pytest.approx(item.speech_end + FINAL_S, abs=0.01)
        for (_, one), (_, other) in pairwise(said):
            if isinstance(one, Interim) and isinstance(other, Interim):
                assert other.text.startswith(one.text)


def test_a_word_is_not_heard_before_it_was_said(source: Source) -> None:
    for kind in TURNS:
        for item in items(source, kind, 3):
            for at, event in transcribed(item):
                if isinstance(event, Interim) and item.kind != "number":
                    assert at >= min(word.start for word in item.words)


def test_transcripts_lose_their_quotes_and_dots() -> None:
    assert cleaned("“Thank you…”  said  he’s") == "Thank you said he's"
