"""The bad network of `scripts.impairment` is as bad as it says, and words are counted right."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from scripts.impairment.path import LEAST_S, Condition
from scripts.impairment.path import Path as Way
from scripts.impairment.phone import Phone
from scripts.impairment.speech import GAP_S, LEAD_S, SENTENCES, programme, word_errors, words
from sovereign_pbx.media.mos import mos
from sovereign_pbx.wire.g711 import pcm_to_ulaw

DRAWING = Path(__file__).resolve().parent.parent / "scripts" / "draw-impairment.py"


def sent(condition: Condition, count: int = 2000) -> tuple[Way, list[float | None]]:
    """When each of so many datagrams arrives that are sent 20 ms apart."""
    way = Way(condition, seed=1)
    return way, [way.due(number * 0.02) for number in range(count)]


def drawing() -> ModuleType:
    spec = importlib.util.spec_from_file_location("draw_impairment", DRAWING)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_good_line_passes_everything_at_the_same_pace() -> None:
    way, arrivals = sent(Condition())
    assert arrivals == pytest.approx([number * 0.02 + LEAST_S for number in range(2000)])
    assert (way.lost, way.overtaken) == (0, 0)


@pytest.mark.parametrize("percent", [1.0, 3.0, 5.0])
def test_as_much_is_lost_as_the_condition_says(percent: float) -> None:
    way, arrivals = sent(Condition(loss_percent=percent), 20000)
    assert way.lost_percent == pytest.approx(percent, abs=0.4)
    assert arrivals.count(None) == way.lost


def test_jitter_delays_by_up_to_twice_its_size_and_keeps_the_order() -> None:
    _, arrivals = sent(Condition(jitter_ms=60.0))
    came = [at for at in arrivals if at is not None]
    delays = [at - number * 0.02 - LEAST_S for number, at in enumerate(came)]
    assert came == sorted(came)
    assert 0.11 < max(delays) <= 0.1201 and min(delays) < 0.03


def test_re_ordered_datagrams_overtake_each_other() -> None:
    way, arrivals = sent(Condition(jitter_ms=60.0, reordered=True))
    came = [at for at in arrivals if at is not None]
    assert came != sorted(came)
    assert way.overtaken == sum(at < max(came[: number + 1]) for number, at in enumerate(came))


def test_the_same_seed_is_the_same_line() -> None:
    condition = Condition(loss_percent=5.0, jitter_ms=20.0)
    assert sent(condition)[1] == sent(condition)[1]


def test_sentences_follow_each_other_with_silence_between() -> None:
    made = programme([("One.", b"\1\0" * 8000), ("Two.", b"\1\0" * 4000)])
    assert [(said.start_s, said.end_s) for said in made.said] == [
        (LEAD_S, LEAD_S + 1),
        (LEAD_S + 1 + GAP_S, LEAD_S + 1.5 + GAP_S),
    ]
    assert made.seconds == pytest.approx(LEAD_S + 1.5 + 2 * GAP_S)


@pytest.mark.parametrize(
    ("said", "heard", "errors"),
    [("Yes, please.", "yes please", 0), ("a b c", "a x c", 1), ("a b c", "a c", 1), ("a", "a b c", 2), ("a b", "", 2)],
)
def test_words_that_are_wrong_missing_or_made_up_are_errors(said: str, heard: str, errors: int) -> None:
    assert word_errors(words(said), words(heard)) == errors


def test_no_sentence_has_a_number_in_it() -> None:
    assert not any(character.isdigit() for character in "".join(SENTENCES))


@pytest.mark.parametrize("loss", [0.0, 1.0, 5.0, 20.0])
def test_the_curve_that_is_drawn_is_the_e_model_that_calls_are_judged_by(loss: float) -> None:
    assert drawing().e_model(loss, 60.0) == pytest.approx(mos(loss, 1.0, 60.0), abs=0.01)


def test_the_telephone_plays_what_comes_in_time_at_its_own_place() -> None:
    phone, frame = Phone(Way(Condition(), 1), Way(Condition(), 2)), pcm_to_ulaw(b"\0\x20" * 160)
    lates = [
        0.0,
        0.02,
        0.03,
        0.02,
        0.25,
        0.0,
        0.15,
        0.15,
    ]  # nobody waits for a quarter of a second; but then for 150 ms
    phone._heard = {n: (100 + n * 0.02 + late, n * 160, frame) for n, late in enumerate(lates) if n != 3}
    pcm, missing = phone.heard(100.0, 0.16)
    loud = [any(pcm[at : at + 320]) for at in range(0, len(pcm), 320)]
    assert loud == [True, True, True, False, False, True, False, True]
    assert missing == pytest.approx(100 * 3 / 8)
