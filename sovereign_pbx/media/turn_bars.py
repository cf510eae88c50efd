"""Where the time of every answer went: a row a turn, the parts of its wait one after the other, to one scale.

The parts are those of `TurnTiming` and sum to the whole, so a bar's length is what the caller waited.
"""

from collections.abc import Sequence
from typing import Any, Final

from sovereign_pbx.core.values import TurnRecord, TurnTiming

PARTS: Final = (
    ("endpointing_ms", "end of turn", "#f3d250"),
    ("stt_ms", "last words", "#5fb3b3"),
    ("llm_ms", "model", "#8e6bbf"),
    ("tool_ms", "tools", "#4a73b8"),
    ("clause_ms", "first clause", "#c79bd8"),
    ("tts_ms", "voice", "#6aa84f"),
    ("link_ms", "line", "#9aa5b1"),
)
"""Field of TurnTiming, what it is called in a picture, and its colour; in the order of time."""

ROW_IN: Final = 0.21
EDGES_IN: Final = 0.68  # title and legend above, scale below
_MOST_ROWS: Final = 80  # a page; of a longer call the slowest turns are shown
_INK: Final = "#1f2933"
_FAINT: Final = "#7b8794"
_RULE: Final = "#e4e7eb"
_LONGEST_LABEL: Final = 46


def shown(turns: Sequence[TurnRecord]) -> list[TurnRecord]:
    """The turns that get a row: all that were answered, or the slowest of them, in order."""
    answered = [turn for turn in turns if turn.timing is not None]
    slowest = sorted(answered, key=lambda turn: -_timing(turn).total_ms)[:_MOST_ROWS]
    return sorted(slowest, key=lambda turn: turn.number)


def height_in(turns: Sequence[TurnRecord]) -> float:
    """Inches that the rows and what is round them need; 0 where no turn was answered."""
    rows = len(shown(turns))
    return rows * ROW_IN + EDGES_IN if rows else 0.0


def spans(timing: TurnTiming) -> list[tuple[float, float, str]]:
    """(begin, length, colour) of each part in milliseconds from the caller's last sample."""
    found, at = [], 0.0
    for field, _, colour in PARTS:
        length = getattr(timing, field)
        if length > 0:
            found.append((at, length, colour))
            at += length
    return found


def draw_bars(axes: Any, turns: Sequence[TurnRecord]) -> None:
    """Draw a row for each of `shown(turns)`, the first one on top."""
    rows = shown(turns)
    longest = max(_timing(turn).total_ms for turn in rows)
    for place, turn in enumerate(rows):
        timing = _timing(turn)
        for begin, length, colour in spans(timing):
            axes.barh(place, length, left=begin, height=0.72, color=colour, linewidth=0)
        axes.text(
            timing.total_ms + longest * 0.006, place, f"{timing.total_ms:.0f} ms", fontsize=7.5, va="center", color=_INK
        )
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(0, longest * 1.08)
    axes.set_yticks(range(len(rows)), [_label(turn) for turn in rows])
    axes.tick_params(axis="both", colors=_FAINT, labelsize=7.5, length=0)
    axes.grid(axis="x", color=_RULE, linewidth=0.6)
    axes.set_axisbelow(True)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.set_xlabel("milliseconds from the caller's last sound to the assistant's first", fontsize=8, color=_FAINT)
    _legend(axes, rows)


def _legend(axes: Any, rows: Sequence[TurnRecord]) -> None:
    used = [part for part in PARTS if any(getattr(_timing(turn), part[0]) >= 0.5 for turn in rows)]
    for _, label, colour in used:
        axes.barh(0, 0, color=colour, label=label)
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=len(PARTS),
        fontsize=8,
        frameon=False,
        handlelength=0.9,
        borderaxespad=0,
    )


def _label(turn: TurnRecord) -> str:
    said = " ".join(turn.said.split())
    words = said if len(said) <= _LONGEST_LABEL else said[: _LONGEST_LABEL - 1] + "…"
    return f"{turn.number}  {words}".strip().replace("$", r"\$")  # a dollar sign would begin a formula


def _timing(turn: TurnRecord) -> TurnTiming:
    assert turn.timing is not None
    return turn.timing
