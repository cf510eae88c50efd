"""The picture of where each answer's time went."""

from pathlib import Path

import pytest

from sovereign_pbx.core.errors import ConfigError
from sovereign_pbx.core.values import TurnRecord, TurnTiming
from sovereign_pbx.media.picture import draw
from sovereign_pbx.media.turn_bars import PARTS, height_in, shown, spans
from tests.media.test_picture import recording, size_of, turn

TIMING = TurnTiming(endpointing_ms=400, stt_ms=50, llm_ms=230, tts_ms=120, link_ms=12)


def answered(number: int, timing: TurnTiming = TIMING, said: str = "Hello?") -> TurnRecord:
    return turn(number, said, timing=timing)


def test_the_parts_follow_each_other_without_a_gap_and_sum_to_the_wait() -> None:
    found = spans(TIMING)
    assert [begin for begin, _, _ in found] == [0, 400, 450, 680, 800]
    assert sum(length for _, length, _ in found) == TIMING.total_ms


def test_every_part_of_a_turn_has_a_name_and_a_colour_of_its_own() -> None:
    fields = set(TurnTiming.__dataclass_fields__)
    assert {field for field, _, _ in PARTS} == fields
    assert len({colour for _, _, colour in PARTS}) == len({label for _, label, _ in PARTS}) == len(fields)


def test_a_long_call_shows_its_slowest_turns_in_order() -> None:
    turns = [answered(number, TurnTiming(llm_ms=number % 100)) for number in range(300)]
    rows = shown(turns)
    assert [each.number for each in rows] == sorted(each.number for each in rows)
    assert min(each.timing.total_ms for each in rows if each.timing) >= 73
    assert height_in(turns) < 20


def test_a_call_without_a_recording_is_drawn_by_its_turns_alone(tmp_path: Path) -> None:
    turns = [answered(0, said="$x_1$ costs $5"), turn(1), answered(2, said="word " * 100)]
    draw(None, turns, tmp_path / "bars.png", "A call")
    draw(recording(tmp_path), turns, tmp_path / "both.png", "A call")
    assert size_of(tmp_path / "bars.png")[1] < size_of(tmp_path / "both.png")[1]


def test_a_call_with_neither_sound_nor_answers_has_no_picture(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no recording and no answered turn"):
        draw(None, [turn(1)], tmp_path / "call.png", "A call")
