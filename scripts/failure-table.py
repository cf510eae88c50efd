#!/usr/bin/env python3
"""Play every failure on the real Asterisk and print the table of docs/failures.md.

    .venv/bin/python scripts/failure-table.py            print the table
    .venv/bin/python scripts/failure-table.py --write    put it into docs/failures.md
    .venv/bin/python scripts/failure-table.py --only voice --write    only the rows whose cases hold that word

The scenes are those of tests/calls/test_failures_*.py, so the table holds nothing that a test does not assert.
Exit status 1 when a scene failed.
"""

import argparse
import importlib
import re
import sys
from pathlib import Path

HOUSE = Path(__file__).parent.parent
sys.path.insert(0, str(HOUSE))

from sovereign_pbx.testing.asterisk_tree import asterisk_tree  # noqa: E402  found only now
from sovereign_pbx.testing.progress_line import ProgressLine  # noqa: E402  found only now
from tests.calls.scene_troupe import Outcome, Scene, Troupe, scenes_of  # noqa: E402  found only now

PAGE = HOUSE / "docs" / "failures.md"
BEGIN, END = "<!-- table: scripts/failure-table.py --write -->\n", "<!-- end of table -->\n"
HEADINGS = {
    "0": "For comparison",
    "1": "The daemon is down",
    "2": "The daemon hangs",
    "3": "The daemon is killed",
    "4": "The daemon is stopped",
    "5": "AudioSocket",
    "6": "The manager interface, and Asterisk itself",
    "7": "Providers",
    "8": "Webhooks and tools",
    "9": "The caller hangs up",
    "10": "Hold",
    "11": "Keys",
    "12": "A call that lasts too long",
    "13": "More calls than are allowed",
    "14": "Disks",
    "15": "A caller who says nothing",
    "16": "Decisions, as the telephone sees them",
}


def scenes() -> list[Scene]:
    """Every scene there is, in the order of the headings."""
    names = sorted(path.stem for path in (HOUSE / "tests" / "calls").glob("test_failures_*.py"))
    modules = [importlib.import_module(f"tests.calls.{name}") for name in names]
    found = [one for module in modules for one in scenes_of(vars(module).values())]
    return sorted(found, key=lambda one: list(HEADINGS).index(one.number))


def table(outcomes: list[Outcome]) -> str:
    """Markdown, a section for each number."""
    lines: list[str] = []
    last = ""
    for outcome in outcomes:
        if outcome.number != last:
            last = outcome.number
            lines += [
                "",
                f"### {HEADINGS[last]}",
                "",
                "| case | what the caller heard | what was recorded | bounded by |",
            ]
            lines += ["|---|---|---|---|"]
        lines.append(row(outcome))
    return "\n".join(lines[1:]) + "\n"


def row(outcome: Outcome) -> str:
    heard = "<br>".join(merged(outcome.heard)) or "nobody calls"
    recorded = "<br>".join(merged(outcome.recorded)) or "nothing"
    bounded = "; ".join(filter(None, (outcome.bounded, outcome.remark))) or "–"
    return "| " + " | ".join(cell(text) for text in (outcome.title, heard, recorded, bounded)) + " |"


def replace_rows(outcomes: list[Outcome]) -> None:
    """Put them where the page has their cases; one that it does not have is only printed."""
    lines = PAGE.read_text("utf-8").split("\n")
    for outcome in outcomes:
        fresh = row(outcome)
        begin = f"| {cell(outcome.title)} |"
        places = [place for place, line in enumerate(lines) if line.startswith(begin)]
        if len(places) == 1:
            lines[places[0]] = fresh
        else:
            print(f"not in the table, run without --only: {fresh}", file=sys.stderr)
    PAGE.write_text("\n".join(lines), "utf-8")


def merged(texts: list[str]) -> list[str]:
    """Equal lines once, with their number."""
    counted = {text: texts.count(text) for text in texts}
    return [text if number == 1 else f"{number} × {text}" for text, number in counted.items()]


def cell(text: str) -> str:
    """Without what differs from run to run, and what Markdown would take for its own."""
    text = re.sub(r"127\.0\.0\.1(:|', )\d+", "…", text)
    return text.replace("|", "\\|").replace("\n", " ")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help="put the table into docs/failures.md")
    parser.add_argument(
        "--only", metavar="TEXT", default="", help="scenes whose title holds this; the others' rows stay"
    )
    arguments = parser.parse_args()
    wanted = [one for one in scenes() if arguments.only in one.title]
    outcomes: list[Outcome] = []
    with Troupe(asterisk_tree(ProgressLine("Asterisk")).root, wanted) as troupe:
        for number, one in enumerate(wanted, 1):
            outcomes.append(troupe.outcome(one))
            mark = "FAILED" if outcomes[-1].failure else "ok"
            print(f"{number}/{len(wanted)} {mark}: {one.number} {one.title}", file=sys.stderr)
    failed = [outcome for outcome in outcomes if outcome.failure]
    for outcome in failed:
        print(f"\n{outcome.title}\n{outcome.failure}", file=sys.stderr)
    text = table(outcomes)
    if arguments.write and arguments.only:
        replace_rows([outcome for outcome in outcomes if not outcome.failure])
    elif arguments.write and not failed:
        before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}", "utf-8")
    elif not arguments.write:
        print(text)
    longest = max((outcome.longest_wait_s for outcome in outcomes), default=0.0)
    print(f"{len(outcomes)} scenes, {len(failed)} failed; longest silence owed: {longest:.1f} s", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
