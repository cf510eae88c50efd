"""What a voice must not read aloud."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.core.speakable import speakable


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("**Bold** and *soft* and __both__.", "Bold and soft and both."),
        ("Use `make test` now.", "Use make test now."),
        ("# Opening hours", "Opening hours"),
        ("- bread\n- milk", "bread milk"),
        ("See [our site](https://example.com/a_b).", "See our site."),
        ("Lovely! 😀👍🏽", "Lovely!"),
        ("[laughs] Of course.", "Of course."),
        ("Well, [in a whisper] yes.", "Well, yes."),
        ('Wait <break time="1s"/> here.', "Wait here."),
        ("half **of a pair", "half of a pair"),
    ],
)
def test_what_is_for_the_eye_is_not_spoken(written: str, spoken: str) -> None:
    assert speakable(written) == spoken


@pytest.mark.parametrize(
    "text",
    [
        "snake_case_name stays",
        "3 * 4 is twelve",
        "Is 5 < 6? Yes, and 7 > 6.",
        "It's [1] of 3",
        "100% sure – €3.50, café",
    ],
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert speakable(text) == text


@pytest.mark.parametrize("text", ["", "  ", "🙂", "***", "[laughs]", "---", "..."])
def test_what_has_no_sound_becomes_nothing(text: str) -> None:
    assert speakable(text) == ""


@given(st.text(max_size=200))
def test_nothing_is_ever_added(text: str) -> None:
    spoken = speakable(text)
    assert len(spoken) <= len(text)
    assert spoken == spoken.strip()


@given(st.text(alphabet="abc xyz'", max_size=100))
def test_plain_words_survive(text: str) -> None:
    assert speakable(text).split() == (text.split() if any(character.isalnum() for character in text) else [])
