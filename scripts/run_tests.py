"""`make test`: fetch what the tests need, run the unit tests on every other Python found, then everything on this one.

Arguments go to the last run's pytest. The whole run comes last, so that what one reads at the end is its summary.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VERSIONS = ((3, 11), (3, 12), (3, 13))
EXTRAS = ("dev", "embedded", "elevenlabs", "mcp", "plot")
UNIT = ("-m", "not pbx and not speech and not long")


def main() -> int:
    # a build machine may start us in the background, where shells have SIGINT ignored, by every descendant too
    signal.signal(signal.SIGINT, signal.default_int_handler)
    fetch("the private Asterisk", [sys.executable, "scripts/fetch-asterisk"])
    fetch("the speech models", [sys.executable, "-m", "sovereign_pbx", "models", "fetch", "--for", "tests"])
    others = list(other_pythons())
    ready = {name for name, python in others if environment(name, python)}
    with ThreadPoolExecutor() as side_by_side:  # they wait more than they work
        well = set(side_by_side.map(unit_tests, sorted(ready)))
    failed = [name for name, _ in others if name not in well]
    if failed:
        print(f"test: the unit tests failed on Python {', '.join(failed)} (above); so will this run", file=sys.stderr)
    print(f"Python {sys.version.split()[0]}: everything", flush=True)
    whole = subprocess.run([sys.executable, "-m", "pytest", "-q", *sys.argv[1:]], cwd=ROOT, check=False)
    return whole.returncode or (1 if failed else 0)


def fetch(what: str, command: list[str]) -> None:
    """Assets are cached per user. Without them the tests that need them fail, and say so themselves."""
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=False)
    if done.returncode:
        print(f"test: {what} could not be fetched (above); the tests that need it will fail", file=sys.stderr)


def environment(name: str, python: str) -> bool:
    """The environment of another interpreter, with all that the tests need."""
    command = [str(ROOT / "scripts/bootstrap"), "--venv", str(ROOT / f".venv-{name}"), *EXTRAS]
    if subprocess.run(command, env={**os.environ, "PYTHON": python}, check=False).returncode:
        print(f"test: no environment for Python {name} (above)", file=sys.stderr)
        return False
    return True


def unit_tests(name: str) -> str:
    """The tests without marks (no PBX, no models, no whole calls) on another interpreter. Its output is shown only when
    it fails; the name comes back if all went well."""
    began = time.monotonic()
    tests = [str(ROOT / f".venv-{name}" / "bin/python"), "-m", "pytest", "-q", "-p", "no:cacheprovider", *UNIT]
    done = subprocess.run(tests, cwd=ROOT, capture_output=True, text=True, check=False)
    last = (done.stdout.strip().splitlines() or ["no output"])[-1]
    print(f"Python {name}: {last} [{time.monotonic() - began:.0f} s]", flush=True)
    if done.returncode:
        print(done.stdout + done.stderr, flush=True)
    return name if done.returncode == 0 else ""


def other_pythons() -> Iterator[tuple[str, str]]:
    """("3.12", program) for each supported version but our own that is here and runs."""
    for version in VERSIONS:
        name = "{}.{}".format(*version)
        if version != sys.version_info[:2]:
            program = next((path for path in candidates(name) if runs(path, name)), None)
            if program:
                yield name, program


def candidates(name: str) -> Iterator[str]:
    """Where an interpreter may be: on the path, or among those that pyenv and uv keep without a name there."""
    found = shutil.which(f"python{name}")
    if found:
        yield found
    homes = (
        Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions",
        Path(os.environ.get("XDG_DATA_HOME", Path.home() / ".local/share")) / "uv/python",
    )
    for home in homes:
        for folder in sorted(home.glob(f"*{name}.*"), key=patch_number, reverse=True):
            yield str(folder / "bin" / f"python{name}")


def patch_number(folder: Path) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", folder.name)[:3])


def runs(program: str, name: str) -> bool:
    """A shim may stand on the path for a version that is not active: only one that says its version counts."""
    code = "import sys, ssl, sqlite3; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run([program, "-c", code], capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and done.stdout.strip() == name


if __name__ == "__main__":
    sys.exit(main())
