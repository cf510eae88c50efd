"""What callers of other systems complain about in how things are said: sentences torn at abbreviations, markup and
stage directions read aloud, figures stumbled over, a line that sounds dropped, a first word and then nothing.
"""

import numpy as np
import pytest

from sovereign_pbx.core import events as e
from sovereign_pbx.core.clauses import Clauses
from sovereign_pbx.core.heard import estimate_ms
from sovereign_pbx.core.plan import Plan
from sovereign_pbx.core.speakable import speakable, tagged
from sovereign_pbx.core.spoken import lexicon_of, say
from sovereign_pbx.media.background import Background, loop
from sovereign_pbx.media.levels import samples_of, window_dbfs
from sovereign_pbx.media.line import Line
from tests.core.scripted import Stage
from tests.media.scripted import Diary, ScriptedLink

RATE = 8000
SILENCE_S = 0.5  # from the last token of one clause to the first sound of the next, at most


def pieces(text: str, size: int = 4) -> list[str]:
    clauses = Clauses()
    found = [piece for at in range(0, len(text), size) for piece in clauses.feed(text[at : at + size])]
    return found + clauses.flush()


@pytest.mark.parametrize(
    "sentence",
    [
        "Ask for Dr. Smith at approx. 9 a.m. in room no. 12 on Main St. please.",
        "Vraag om ca. 9 uur naar dhr. Jansen i.v.m. uw afspraak, d.w.z. de tweede.",
        "Fragen Sie z. B. am 20. November nach Fr. Meier bzw. Hr. Braun in Nr. 12 bitte.",
        "Demandez M. Dupont, p. ex. vers 9 h, au 12 av. Foch, 3e étage.",
        "It costs 1,250.50 euros; see www.example.com/a.b or mail j.smith@example.org today.",
    ],
)
def test_no_sentence_is_torn_at_an_abbreviation_a_number_or_an_address(sentence: str) -> None:
    """A voice that gets "Ask for Dr." lets its pitch fall, and begins "Smith" as a new sentence."""
    for size in (1, 3, 7):
        torn = pieces("First of all. " + sentence + " Good.", size)
        assert torn == ["First of all.", sentence, "Good."]


@pytest.mark.parametrize("text", ["[laughs] Sure.", "Well, [in a whisper] yes.", "[excited, fast] Now!", "A [sighs] B"])
def test_stage_directions_are_not_read_aloud(text: str) -> None:
    assert "[" not in speakable(text)
    assert "[" in tagged(text)


def test_markup_links_and_emoji_are_not_read_aloud() -> None:
    text = "## Hours\n* **Mon**: 9-17 😀\nSee [our site](https://example.com/x_y) or `call`."
    assert speakable(text) == "Hours Mon: 9-17 See our site or call."


def test_stage_directions_are_not_in_what_the_caller_is_said_to_have_heard() -> None:
    stage = Stage(Plan(first_message="[warmly] Good day. [sighs]"))
    stage.at(0, e.Answered())
    stage.run(5)
    assert stage.transcript() == ["assistant: Good day."]


@pytest.mark.parametrize("language", ["nl", "en", "de", "fr"])
def test_no_voice_is_left_alone_with_figures_and_addresses(language: str) -> None:
    text = "1,5 % 12.50 3 km 9:30 20-11-2026 06 12345678 info@example.nl https://www.example.com/contact € 5"
    said = say(text, lexicon_of(language)).text
    assert not any(char.isdigit() or char in "@/:€%" for char in said), said


@pytest.mark.parametrize(
    "answer",
    [
        "Ja, dat kan. Ik kijk het voor u na.",
        "Yes, I can do that. Let me see.",
        "Ja, gern. Ich sehe nach.",
        "Oui, bien sûr. Je regarde.",
        "Hm, wel, dat is lastig, denk ik.",
    ],
)
def test_no_answer_begins_with_a_word_that_is_over_before_the_next_is_ready(answer: str) -> None:
    first, *others = pieces(answer)
    assert not others or estimate_ms(first) / 1000 > SILENCE_S
    assert len(first.split()) > 1


@pytest.mark.parametrize("clip", ["", "office", "city", "forest", "crowded_room"])
def test_a_line_on_which_nobody_speaks_does_not_sound_dropped(clip: str) -> None:
    """Digital silence does: every 20 ms carries some sound, with a room or without."""
    link = ScriptedLink(RATE)
    line = Line(link, Diary())
    if clip:
        line.background = Background(loop(clip, 0.3, RATE), RATE)
    for _ in range(500):
        line.take()
        line.put()
    heard = samples_of(b"".join(link.sent))[RATE:]
    level = window_dbfs(heard, RATE, 20)
    assert level.min() > -75
    assert level.max() < -25
    assert np.abs(heard).max() > 0


def test_an_interruption_does_not_stop_the_room() -> None:
    link = ScriptedLink(RATE)
    line = Line(link, Diary())
    line.background = Background(loop("city", 0.3, RATE), RATE)
    for _ in range(60):
        line.put()
    line.playout.open(1)
    line.playout.add(1, (np.sin(np.arange(RATE) / 3) * 8000).astype("<i2").tobytes())
    for _ in range(20):
        line.put()
    line.playout.flush()
    for _ in range(50):
        line.put()
    after = samples_of(b"".join(link.sent[-49:]))
    assert window_dbfs(after, RATE, 20).min() > -52
