#!/usr/bin/env python3
"""Write docs/openapi.json from the operations themselves; with --check only say whether that is needed."""

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from sovereign_pbx.rest import described  # noqa: E402 - the script runs from a checkout that need not be installed

FILE = ROOT / "docs" / "openapi.json"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the file is out of date")
    wanted = json.dumps(described(), indent=1, ensure_ascii=False) + "\n"
    if not parser.parse_args().check:
        FILE.write_text(wanted, encoding="utf-8")
        return 0
    if FILE.is_file() and FILE.read_text(encoding="utf-8") == wanted:
        return 0
    print("docs/openapi.json is out of date: run scripts/draw-openapi.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
