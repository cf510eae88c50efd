#!/usr/bin/env python3
"""Put callers through on the real Asterisk, in every way and with everything that can come of it, and print the table
of docs/transfers.md.

    .venv/bin/python scripts/draw-transfers.py            print the table
    .venv/bin/python scripts/draw-transfers.py --write    put it into docs/transfers.md

The scenes are those of tests/calls/test_transfer_scenes.py, so the table holds nothing that a test does not assert.
What was heard is read back from both telephones' audio. Exit status 1 when a scene failed; one that had to be played
again (on a busy machine a voice has holes) is named.
"""

import argparse
import sys
from pathlib import Path

HOUSE = Path(__file__).parent.parent
sys.path.insert(0, str(HOUSE))

from sovereign_pbx.testing.asterisk_tree import asterisk_tree  # noqa: E402  found only now
from sovereign_pbx.testing.progress_line import ProgressLine  # noqa: E402  found only now
from tests.calls import test_transfer_scenes as played  # noqa: E402  found only now
from tests.calls.scene_office import CASES  # noqa: E402  found only now
from tests.calls.scene_troupe import Outcome, Troupe, scenes_of  # noqa: E402  found only now

PAGE = HOUSE / "docs" / "transfers.md"
BEGIN, END = "<!-- table: scripts/draw-transfers.py --write -->\n", "<!-- end of table -->\n"
NOTE = """\
Everybody speaks in a scripted voice that is known by the rhythm of its letters, and was read back from what arrived at
both telephones. After each the channels, bridges, calls, tasks and sockets were gone, and row, events and report said
the same. Where somebody answers at once nobody hears it ring; a queue rings on when its member is busy or declines.
"""
HEAD = "| transfer | what happens | outcome | the caller heard | the colleague heard |\n|---|---|---|---|---|"
HAPPENS = {
    "accepted": "somebody takes the caller",
    "declined": "declined",
    "busy": "busy",
    "no_answer": "nobody answers",
    "failed": "nobody to be reached",
    "caller_gone": "the caller hangs up while it rings",
}


def table(outcomes: list[Outcome]) -> str:
    """Markdown, a row for each caller."""
    return "\n".join([NOTE, HEAD, *(row for outcome in outcomes for row in rows(outcome))]) + "\n"


def rows(outcome: Outcome) -> list[str]:
    noted = [note.split(" | ")[1:] for note in outcome.recorded if note.startswith(f"{played.NOTE} | ")]
    noted.sort(key=lambda cells: [str(case) for case in CASES].index(cells[0]))
    return [
        f"| {outcome.title} | {HAPPENS[case]} | `{became}` | {caller} | {colleague} |"
        for case, became, caller, colleague in noted
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help="put the table into docs/transfers.md")
    arguments = parser.parse_args()
    scenes = scenes_of(vars(played).values())
    with Troupe(asterisk_tree(ProgressLine("Asterisk")).root, scenes) as troupe:
        outcomes = [troupe.outcome(one) for one in scenes]
    for title, why in troupe.replayed:
        print(f"played again: {title}: {why}", file=sys.stderr)
    failed = [outcome for outcome in outcomes if outcome.failure]
    for outcome in failed:
        print(f"\n{outcome.title}\n{outcome.failure}", file=sys.stderr)
    text = table(outcomes)
    if arguments.write and not failed:
        before, begin, rest = PAGE.read_text("utf-8").partition(BEGIN)
        if not begin:
            print(f"{PAGE} has no line {BEGIN.strip()}", file=sys.stderr)
            return 1
        PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}", "utf-8")
    elif not arguments.write:
        print(text)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
