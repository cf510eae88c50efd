#!/usr/bin/env python3
"""Draw what bad networks do to calls (`python -m scripts.impairment`), as SVG. Needs matplotlib: the extra `plot`."""

import argparse
import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

COLOURS = {0.0: "#0b6e4f", 20.0: "#d98c2b", 60.0: "#c0392b"}  # by jitter
GREY = "#6a6a6a"
# ITU-T G.107 with its defaults, G.113 for G.711 with concealment: no impairment of its own, robustness 25.1
DEFAULT_R, ROBUSTNESS = 93.2, 25.1
PACING_MS = 30.0  # a packet's own length, and the wait for a tick

Row = dict[str, Any]


def rows_of(path: Path) -> list[Row]:
    """Every line, numbers as numbers; what is empty is None."""
    with path.open(encoding="utf-8", newline="") as file:
        return [{name: _value(value) for name, value in line.items()} for line in csv.DictReader(file)]


def _value(text: str) -> Any:
    if text in ("True", "False", ""):
        return {"True": True, "False": False, "": None}[text]
    try:
        return float(text)
    except ValueError:
        return text


def e_model(loss_percent: float, delay_ms: float) -> float:
    """MOS for random loss."""
    rating = DEFAULT_R - 0.024 * delay_ms - 0.11 * max(0.0, delay_ms - 177.3)
    rating -= 95 * loss_percent / (loss_percent + ROBUSTNESS)
    return 1 + 0.035 * rating + rating * (rating - 60) * (100 - rating) * 7e-6


def together(rows: Sequence[Row]) -> list[Row]:
    """The rounds of each line as one: words and errors added up, the MOS and the delay on average."""
    found: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        line = (row["direction"], row["loss_percent"], row["jitter_ms"], row["reordered"])
        found.setdefault(line, []).append(row)
    sums, means = ("words", "errors"), ("mos", "delay_ms", "round_trip_ms")
    return [
        {
            **each[0],
            **{name: sum(row[name] for row in each) for name in sums},
            **{name: sum(row[name] for row in each) / len(each) for name in means},
        }
        for each in found.values()
    ]


def errors_percent(row: Row) -> float:
    return float(100 * row["errors"] / row["words"])


def curves(axes: Any, rows: Sequence[Row], value: Any) -> None:
    """A line for each jitter, a cross for what was re-ordered."""
    for jitter, colour in COLOURS.items():
        here = [row for row in rows if row["jitter_ms"] == jitter]
        ordered = sorted((row for row in here if not row["reordered"]), key=lambda row: float(row["loss_percent"]))
        where, height = [row["loss_percent"] for row in ordered], [value(row) for row in ordered]
        axes.plot(where, height, color=colour, marker="o", markersize=4, linewidth=1.2, label=f"jitter {jitter:g} ms")
        for row in here:
            if row["reordered"]:
                label = f"jitter {jitter:g} ms, re-ordered"
                axes.plot([row["loss_percent"]], [value(row)], color=colour, marker="x", linestyle="", label=label)
    axes.set_xlabel("packets lost, %")
    axes.grid(alpha=0.25)


def picture(rows: Sequence[Row]) -> Any:
    """What we understand, what callers hear, and the MOS that is told beside the E-model's."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.5, 3.9), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    titles = {"understood": "what the assistant understands", "heard": "what a plain telephone hears"}
    top = max(map(errors_percent, rows)) * 1.08
    for axes, direction in ((left, "understood"), (middle, "heard")):
        curves(axes, [row for row in rows if row["direction"] == direction], errors_percent)
        axes.set_title(titles[direction], fontsize=9, loc="left")
        axes.set_ylabel("word error rate, %")
        axes.set_ylim(0, top)
    ours = [row for row in rows if row["direction"] == "understood"]
    steps = [step / 10 for step in range(1 + 10 * round(max(row["loss_percent"] for row in ours)))]
    delay = min(row["delay_ms"] + PACING_MS + row["round_trip_ms"] / 2 for row in ours)
    right.plot(
        steps,
        [e_model(step, delay) for step in steps],
        color=GREY,
        linestyle="--",
        linewidth=2.5,
        label="E-model, no jitter",
    )
    curves(right, ours, lambda row: row["mos"])
    right.set_title("MOS as the call tells it", fontsize=9, loc="left")
    right.set_ylim(1, 4.5)
    handles, labels = right.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    return figure


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    parser.add_argument("picture", type=Path)
    options = parser.parse_args()
    try:
        import matplotlib
    except ImportError:
        print("matplotlib is not installed: pip install 'sovereign-pbx[plot]'", file=sys.stderr)
        return 2
    # text stays text and names are the same each time: a picture that has not changed is no change in the repository
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "impairment", "font.size": 9}):
        picture(together(rows_of(options.table))).savefig(options.picture, format="svg", metadata={"Date": None})
    return 0


if __name__ == "__main__":
    sys.exit(main())
