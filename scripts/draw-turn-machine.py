#!/usr/bin/env python3
"""Draw the turn machine from its own table into docs/turn-machine.md; with --check only say whether that is needed."""

import argparse
import re
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from sovereign_pbx.core import turn  # noqa: E402 - the script runs from a checkout that need not be installed
from sovereign_pbx.core.alarms import Alarm  # noqa: E402

PAGE = ROOT / "docs" / "turn-machine.md"
# These lead to nearly every state from nearly every state: told in words, or the drawing would be a black square.
EVERYWHERE = ("HungUp", "HoldChanged", "DigitPressed", "HearingFailed", "Instructed", "DIGITS", "LIMIT")


def name(column: turn.Column) -> str:
    return column.name if isinstance(column, Alarm) else column.__name__


def theory() -> str:
    return (turn.__doc__ or "").split("Rules\n-----")[1].strip()


def diagram() -> str:
    ways: dict[tuple[str, str], list[str]] = defaultdict(list)
    for state in turn.State:
        for column in turn.COLUMNS:
            if name(column) in EVERYWHERE or state is turn.State.HELD:
                continue
            for target in turn.decided(state, column).to:
                if target is not state:
                    ways[state.name, target.name].append(name(column))
    lines = ["stateDiagram-v2", "    [*] --> RINGING"]
    lines += [f"    {state.name}: {state.name}\\n{state.value.replace(';', ',')}" for state in turn.State]
    lines += [f"    {origin} --> {target}: {', '.join(columns)}" for (origin, target), columns in ways.items()]
    return "\n".join([*lines, "    ENDED --> [*]"])


def table() -> str:
    states = list(turn.State)
    lines = ["| | " + " | ".join(state.name for state in states) + " |", "|---" * (len(states) + 1) + "|"]
    for column in turn.COLUMNS:
        cells = (turn.decided(state, column).move.replace("_", " ") or "·" for state in states)
        lines.append(f"| {name(column)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def reasons() -> str:
    why: dict[tuple[str, str], list[str]] = defaultdict(list)
    for column in turn.COLUMNS:
        for state in turn.State:
            cell = turn.decided(state, column)
            if not cell.move and state not in (turn.State.RINGING, turn.State.ENDED):
                why[name(column), cell.why].append(state.name)
    return "\n".join(f"- {column}: {reason} ({', '.join(states)})" for (column, reason), states in why.items())


def page() -> str:
    prose = re.sub(r"Theory of operation\n-+\n", "## Theory of operation\n\n", theory()).replace(
        "`alarms.Alarm`", "`Alarm`"
    )
    alarms = "\n".join(f"- {alarm.name}: {alarm.value}" for alarm in Alarm)
    return f"""# The turn machine

Drawn by `scripts/draw-turn-machine.py` from `sovereign_pbx/core/turn.py`; a test fails when the two differ.

## Rules

{prose}

## The states and the ways between them

Left out, because they lead almost anywhere from almost anywhere: {", ".join(EVERYWHERE)}, and the ways out of HELD,
which goes back to the state that it lies over.

```mermaid
{diagram()}
```

## The alarms

{alarms}

## The whole table

The name of what is done (`sovereign_pbx/core/moves/`); a dot: nothing, for the reason given below.

{table()}

## Where nothing is done, and why

RINGING hears nothing yet and ENDED nothing more. For the rest:

{reasons()}
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail when the page is not what the table says")
    if not parser.parse_args().check:
        PAGE.write_text(page(), encoding="utf-8")
        return 0
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == page():
        return 0
    print(f"{PAGE.relative_to(ROOT)} is not what the table says: run scripts/draw-turn-machine.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
