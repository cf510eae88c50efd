"""The curves as a picture. Needs matplotlib (the extra `plot`), imported only when one is drawn."""

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.bench_conversation.outcome import Point
from scripts.bench_conversation.turns import DELAYS, MODEL, OURS, OURS_DEAF, USUAL, VAD
from sovereign_pbx.core.errors import ConfigError

_COLOURS = {OURS: "#0b6e4f", OURS_DEAF: "#7bbf9f", VAD: "#8a8a8a", MODEL: "#c0392b", DELAYS: "#d98c2b"}
_GOAL_MS, _GOAL_SHARE = 600.0, 5.0
_LONGEST_MS = 2000.0


def draw_curves(curves: Mapping[str, Sequence[Point]], path: Path) -> None:
    """Write the picture of the turn policies (SVG). Raises ConfigError without matplotlib."""
    # text stays text and names are the same each time: a picture that has not changed is no change in the repository
    with _matplotlib().rc_context({"svg.fonttype": "none", "svg.hashsalt": "turns", "font.size": 10}):
        picture(curves).savefig(path, format="svg", metadata={"Date": None})


def picture(curves: Mapping[str, Sequence[Point]]) -> Any:
    """The curves as a matplotlib figure."""
    figure = importlib.import_module("matplotlib.figure").Figure(figsize=(8.0, 5.0), layout="constrained")
    axes = figure.subplots()
    for policy, points in curves.items():
        _draw(axes, policy, points)
    axes.fill_between([0, _GOAL_MS], 0, _GOAL_SHARE, color=_COLOURS[OURS], alpha=0.12, linewidth=0)
    axes.annotate("goal", (12, 1.6), color=_COLOURS[OURS])
    axes.set_xlim(0, _LONGEST_MS)
    axes.set_ylim(0, 70)
    axes.set_xlabel("median wait from the last sample of speech, ms")
    axes.set_ylabel("pauses inside turns that are talked into, %")
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    return figure


def _draw(axes: Any, policy: str, points: Sequence[Point]) -> None:
    colour = _COLOURS[policy]
    line = {"color": colour, "linewidth": 2.4 if policy == OURS else 1.4, "label": policy}
    axes.plot([each.p50 * 1000 for each in points], [each.cut_offs for each in points], marker=".", **line)
    for each in points:
        if each.setting == USUAL[policy]:
            axes.plot(each.p50 * 1000, each.cut_offs, marker="o", markersize=9, color=colour)


def _matplotlib() -> Any:
    try:
        return importlib.import_module("matplotlib")
    except ImportError as exc:
        raise ConfigError("matplotlib is not installed", remedy="pip install 'sovereign-pbx[plot]'") from exc
