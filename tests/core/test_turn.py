"""The turn machine's table: nothing undecided, nothing misspelt, nothing that the machine does behind its back."""

import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from sovereign_pbx.core.alarms import Alarm
from sovereign_pbx.core.events import Event, Tick
from sovereign_pbx.core.moves import MOVES
from sovereign_pbx.core.turn import ANYWHERE, COLUMNS, TABLE, Column, State, decided

ROOT = Path(__file__).resolve().parents[2]


def test_every_event_and_alarm_is_a_column() -> None:
    assert set(COLUMNS) == (set(get_args(Event)) - {Tick}) | set(Alarm)


def test_events_stay_within_their_limit() -> None:
    assert len(get_args(Event)) <= 28


@pytest.mark.parametrize("state", State)
def test_every_pair_of_state_and_column_is_decided(state: State) -> None:
    undecided = [column for column in COLUMNS if column not in TABLE[state] and column not in ANYWHERE]
    assert not undecided


@pytest.mark.parametrize("state", State)
def test_every_cell_names_a_move_or_a_reason(state: State) -> None:
    for column in COLUMNS:
        cell = decided(state, column)
        assert bool(cell.move) != bool(cell.why), (state, column)
        assert not cell.move or cell.move in MOVES, (state, column)


def test_no_move_is_without_a_cell() -> None:
    named = {decided(state, column).move for state in State for column in COLUMNS}
    assert set(MOVES) == named - {""}


def test_the_end_has_no_way_out() -> None:
    assert all(not decided(State.ENDED, column).move for column in COLUMNS)


def test_every_state_can_be_reached_and_left() -> None:
    reached = {state for origin in State for column in COLUMNS for state in decided(origin, column).to}
    assert reached >= set(State) - {State.RINGING}
    for state in set(State) - {State.ENDED}:
        assert any(set(decided(state, column).to) - {state} for column in COLUMNS), state


def test_no_row_repeats_what_holds_anywhere() -> None:
    repeated = [(s, c) for s, row in TABLE.items() for c, cell in row.items() if ANYWHERE.get(c) == cell]
    assert [(state, column) for state, column in repeated if not _from_a_whole_row(state, column)] == []


def _from_a_whole_row(state: State, column: Column) -> bool:
    return state in (State.RINGING, State.HELD, State.ENDED)


def test_the_diagram_in_the_documentation_is_the_table() -> None:
    script = ROOT / "scripts" / "draw-turn-machine.py"
    subprocess.run([sys.executable, str(script), "--check"], check=True, cwd=ROOT, timeout=30)
