"""Which of Whisper's texts are believed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.speech.stt.whisper_judge import Draft, believed, cleaned, doubtful, loops, unlooped


@pytest.mark.parametrize(
    ("text", "logprob", "no_speech"),
    [  # measured on real short words at telephone quality
        ("Thank you.", -0.16, 0.08),
        ("Yes.", -0.69, 0.42),
        ("7.", -0.65, 0.13),
        ("new", -1.04, 0.08),
        ("A.", -1.11, 0.39),
        ("Zero", -0.92, 0.10),
    ],
)
def test_short_words_of_a_caller_are_believed(text: str, logprob: float, no_speech: float) -> None:
    assert believed(Draft(text, logprob, no_speech)) == text


@pytest.mark.parametrize(
    ("text", "logprob", "no_speech"),
    [  # measured on silence, noise, tones, music, clicks, breath
        (" .", -1.12, 0.94),
        (" You", -1.46, 0.83),
        (" Okay.", -1.53, 0.69),
        (" I'm not going to be able to do it.", -1.75, 0.87),
        (" Beep Beep Beep Beep Beep Beep Beep Beep Beep Beep Beep", -0.09, 0.75),
        (" I", -2.36, 0.58),
        (" You", -2.15, 0.47),
        (" Oh", -1.31, 0.61),
        (" Ooooooooooooooooooooooooooooooooooooooooooooooooooo", -0.18, 0.52),
        (" Thank you.", -0.95, 0.55),
        (" Thank you very much for calling.", -0.5, 0.75),
    ],
)
def test_what_the_model_invents_on_noise_is_not_believed(text: str, logprob: float, no_speech: float) -> None:
    assert believed(Draft(text, logprob, no_speech)) == ""
    assert doubtful(Draft(text, logprob, no_speech)) or logprob > -1.0


def test_a_loop_on_real_speech_is_cut_to_its_first_round() -> None:
    looped = Draft(" Hello? Hello? Hello? Hello? Hello? Hello? Hello? Hello? Hello?", -0.23, 0.08)
    assert doubtful(looped)
    assert believed(looped) == "Hello?"


def test_digits_said_over_and_over_are_not_a_loop() -> None:
    assert not loops("0 0 0 0 7 7 7 7")
    assert believed(Draft("0 0 0 0", -0.3, 0.1)) == "0 0 0 0"


@pytest.mark.parametrize("text", ["[BLANK_AUDIO]", "(music playing)", "♪♪♪", "...", " . ", "*sighs*", "♪ la la ♪"])
def test_annotations_are_not_words(text: str) -> None:
    assert cleaned(text) == ""


def test_an_annotation_within_speech_leaves_the_speech() -> None:
    assert cleaned("Hello [noise] there.") == "Hello there."


@given(st.text(max_size=200), st.floats(-10, 0), st.floats(0, 1))
def test_judging_never_fails_and_never_adds_words(text: str, logprob: float, no_speech: float) -> None:
    kept = believed(Draft(text, logprob, no_speech))
    assert len(kept) <= len(text)
    assert not kept or any(char.isalnum() for char in kept)


@given(st.text(alphabet="ab c", min_size=1, max_size=20), st.integers(4, 12))
def test_unlooping_makes_a_repetition_shorter(unit: str, times: int) -> None:
    assert len(unlooped(unit * times)) < len(unit * times)


@given(st.lists(st.integers(0, 10**6), unique=True, max_size=30))
def test_text_without_repetition_is_no_loop(numbers: list[int]) -> None:
    assert not loops(" ".join(map(str, numbers)))
