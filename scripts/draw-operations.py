#!/usr/bin/env python3
"""Put the table of all operations into docs/api.md; with --check only say whether that is needed."""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from sovereign_pbx.api.operation import Operation  # noqa: E402 - the script runs from a checkout that need not be installed
from sovereign_pbx.rest import declared  # noqa: E402 - likewise

PAGE = ROOT / "docs" / "api.md"
BEGIN = "<!-- drawn by scripts/draw-operations.py: begin -->\n"
END = "<!-- drawn by scripts/draw-operations.py: end -->\n"


def table() -> str:
    """A row an operation; those that can't be here stand last."""
    rows = sorted(declared(), key=lambda operation: operation.status == 501)
    lines = ["| operation | scope | what it does |", "|---|---|---|", *map(row, rows)]
    return "\n".join(lines) + "\n"


def row(operation: Operation) -> str:
    """One operation, with its older paths."""
    place, *older = operation.paths
    names = f"`{operation.method} {place.removeprefix('/api/v1')}`" + "".join(
        f" (also `{path.removeprefix('/api/v1')}`)" for path in older
    )
    summary = "501: not on a PBX of one's own." if operation.status == 501 else operation.summary
    return f"| {names} | {operation.scope or 'no key'} | {summary} |"


def drawn(page: str) -> str:
    """The page with the table as it has to be."""
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n{table()}\n{END}{tail}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the table is out of date")
    present = PAGE.read_text(encoding="utf-8")
    if not parser.parse_args().check:
        PAGE.write_text(drawn(present), encoding="utf-8")
        return 0
    if drawn(present) == present:
        return 0
    print("docs/api.md is out of date: run scripts/draw-operations.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
