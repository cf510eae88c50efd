"""Run every check that needs no call: quiet when all is well, the tool's own words and a remedy when not."""

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent

CHECKS: list[tuple[str, list[str | Path], str]] = [
    ("style", [BIN / "ruff", "check", "."], "make fmt mends most of it"),
    ("format", [BIN / "ruff", "format", "--check", "."], "make fmt"),
    ("types", [BIN / "mypy"], ""),
    ("types of the scripts", [BIN / "mypy", *sorted((ROOT / "scripts").glob("*.py"))], ""),
    ("sizes", [sys.executable, "scripts/sizes.py"], "split what is too long along its sense"),
    ("import arrows", [sys.executable, "-m", "pytest", "-q", "tests/test_architecture.py"], "see CONTRIBUTING.md"),
    ("licences", [sys.executable, "scripts/licences.py"], "another package, or an entry with its reason in KNOWN"),
]


def main() -> int:
    failed = 0
    for name, command, remedy in CHECKS:
        began = time.monotonic()
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        print(f"{'ok  ' if done.returncode == 0 else 'FAIL'} {name} ({time.monotonic() - began:.1f} s)", flush=True)
        if done.returncode:
            failed += 1
            print((done.stdout + done.stderr).rstrip(), flush=True)
            print(f"  remedy: {remedy}\n" if remedy else "", flush=True)
    if failed:
        print(f"check: {failed} of {len(CHECKS)} failed", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
