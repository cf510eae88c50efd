#!/usr/bin/env python3
"""Draw the samples of a soak (`scripts/soak.py --csv`) as a picture (SVG). Needs matplotlib: the extra `plot`."""

import argparse
import csv
import sys
from pathlib import Path
from typing import Any

CURVES = (
    ("calls", "calls in progress", "#0b6e4f"),
    ("tasks", "tasks", "#0b6e4f"),
    ("descriptors", "file descriptors", "#0b6e4f"),
    ("threads", "threads", "#0b6e4f"),
    ("mb", "resident memory, MB", "#c0392b"),
    ("open_rows", "rows without an end", "#c0392b"),
    ("kb_a_row", "database, KB a call", "#d98c2b"),
)

FEW_ROWS = 50  # an empty database and its write-ahead log, shared by so few calls, say nothing


def samples(path: Path) -> list[dict[str, float]]:
    """Every line, numbers only."""
    with path.open(encoding="utf-8", newline="") as file:
        found = [{name: float(value) for name, value in line.items()} for line in csv.DictReader(file)]
    for one in found:
        few = one["rows"] < FEW_ROWS
        one["kb_a_row"] = float("nan") if few else one["database_mb"] * 1000 / one["rows"]
    return found


def picture(found: list[dict[str, float]], before: list[dict[str, float]]) -> Any:
    """The curves below each other, on one axis of time; memory also as it was `before`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.0, 9.5), layout="constrained")
    minutes = [one["at_s"] / 60 for one in found]
    for axes, (name, label, colour) in zip(figure.subplots(len(CURVES), sharex=True), CURVES, strict=True):
        axes.plot(minutes, [one[name] for one in found], color=colour, linewidth=1.0)
        axes.set_title(label, fontsize=9, loc="left")
        if name == "mb" and before:
            axes.plot(
                [one["at_s"] / 60 for one in before], [one[name] for one in before], color="#8a8a8a", linewidth=1.0
            )
        axes.set_ylim(0, axes.get_ylim()[1] * 1.1)
        axes.grid(alpha=0.25)
    axes.set_xlabel("minutes")
    return figure


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--before", type=Path, help="samples of another soak, whose memory is drawn in grey")
    options = parser.parse_args()
    before = samples(options.before) if options.before else []
    try:
        import matplotlib
    except ImportError:
        print("matplotlib is not installed: pip install 'sovereign-pbx[plot]'", file=sys.stderr)
        return 2
    # text stays text and names are the same each time: a picture that has not changed is no change in the repository
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "soak", "font.size": 9}):
        picture(samples(options.table), before).savefig(options.picture, format="svg", metadata={"Date": None})
    return 0


if __name__ == "__main__":
    sys.exit(main())
