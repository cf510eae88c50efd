#!/usr/bin/env python3
"""Play every behaviour of tests/pbx/test_links.py over every link, on the real Asterisk, and draw them as a table.

    .venv/bin/python scripts/draw-links.py            print the table
    .venv/bin/python scripts/draw-links.py --write    put it into docs/links.md
    .venv/bin/python scripts/draw-links.py --only briefing    only the behaviours whose titles hold that word; print

The behaviours are tests, so the table holds nothing that a test does not assert. Exit status 1 when one failed.
"""

import argparse
import contextlib
import io
import sys
import tempfile
import traceback
from pathlib import Path

HOUSE = Path(__file__).parent.parent
sys.path.insert(0, str(HOUSE))

from sovereign_pbx.testing.asterisk_tree import asterisk_tree  # noqa: E402  found only now
from sovereign_pbx.testing.progress_line import ProgressLine  # noqa: E402  found only now
from tests.pbx.links import LINKS, Link, over  # noqa: E402  found only now
from tests.pbx.test_links import BEHAVIOURS, Behaviour  # noqa: E402  found only now

PAGE = HOUSE / "docs" / "links.md"
BEGIN, END = "<!-- table: scripts/draw-links.py --write -->\n", "<!-- end of table -->\n"
WORKS, FAILED = "✓", "**failed**"
TRIES = 2  # a live call on a machine that others share, where a stall of half a second is the machine's doing


def outcome(behaviour: Behaviour, link: Link, root: Path) -> str:
    """One cell."""
    for _ in range(TRIES):
        try:
            with tempfile.TemporaryDirectory() as folder, over(link), contextlib.redirect_stdout(io.StringIO()):
                behaviour.see(root, Path(folder))
        except Exception:
            failure = traceback.format_exc()
        else:
            return WORKS
    print(failure, file=sys.stderr)
    return FAILED


def table(cells: dict[tuple[str, str], list[str]]) -> str:
    """Markdown: a row for each behaviour, a column for each link."""
    lines = ["| behaviour | " + " | ".join(link.name for link in LINKS) + " |", "|---|" + "---|" * len(LINKS)]
    last = ""
    for (group, title), row in cells.items():
        if group != last:
            last = group
            lines.append(f"| **{group}** |" + " |" * len(LINKS))
        lines.append(f"| {title} | " + " | ".join(row) + " |")
    return "\n".join([*lines, ""])


def write(text: str) -> None:
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}{text}{END}{after}", "utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help="put the table into docs/links.md")
    parser.add_argument("--only", metavar="TEXT", default="", help="behaviours whose title holds this; prints only")
    arguments = parser.parse_args()
    root = asterisk_tree(ProgressLine("Asterisk")).root
    wanted = [one for one in BEHAVIOURS if arguments.only in one.title]
    cells: dict[tuple[str, str], list[str]] = {}
    for behaviour in wanted:
        cells[behaviour.group, behaviour.title] = [outcome(behaviour, link, root) for link in LINKS]
        print(f"{behaviour.title}: {' '.join(cells[behaviour.group, behaviour.title])}", file=sys.stderr)
    drawn = table(cells)
    if arguments.write and not arguments.only:
        write(drawn)
    else:
        print(drawn)
    return 1 if any(FAILED in row for row in cells.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
