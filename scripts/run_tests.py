"""`make test`: fetch what the tests need, then run all on this Python and the unit tests on every other one found.

Several runs go on side by side: the scenes of failures and the other live calls in parts, which last as long as calls
do and wait most of that time, and, with less claim to the processor, all the rest. The summary of this Python's tests
comes last, or that of what failed. With arguments there is one run, of this Python's pytest, which gets them.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VERSIONS = ((3, 11), (3, 12), (3, 13))
EXTRAS = ("dev", "embedded", "elevenlabs", "mcp", "plot", "recording", "sip")
UNIT = "not pbx and not speech and not long"
SCENES = "scene"
LIVE = "(pbx or long) and not scene"
PARTS = ("1/3", "2/3", "3/3")  # of the live calls
REST = "not pbx and not long"
YIELDING = ["nice", "-n", "10"]  # a scene is heard by the millisecond: what can wait gives way to it


def main() -> int:
    # a build machine may start us in the background, where shells have SIGINT ignored, by every descendant too
    signal.signal(signal.SIGINT, signal.default_int_handler)
    fetch("the private Asterisk", [sys.executable, "scripts/fetch-asterisk"])
    fetch("sipp, baresip and Kamailio", [sys.executable, "scripts/fetch-telephones"])
    fetch("the speech models", [sys.executable, "-m", "sovereign_pbx", "models", "fetch", "--for", "tests"])
    if sys.argv[1:]:
        return subprocess.run([sys.executable, "-m", "pytest", "-q", *sys.argv[1:]], cwd=ROOT, check=False).returncode
    here = "{}.{}".format(*sys.version_info[:2])
    others = list(other_pythons())
    environments = {name: ROOT / f".venv-{name}/bin/python" for name, python in others if environment(name, python)}
    missing = [f"Python {name}: no environment" for name, _ in others if name not in environments]
    runs = side_by_side(lanes(here, environments))
    failed = missing + [one.name for one in runs if one.code]
    if failed:
        print(f"test: failed: {', '.join(failed)}", file=sys.stderr)
    for one in sorted(runs, key=lambda one: (one.code != 0, one.name.startswith(f"Python {here}"))):
        print(one.summary(), flush=True)
    return 1 if failed else 0


@dataclass(frozen=True, slots=True)
class Run:
    """One pytest that has ended."""

    name: str
    code: int
    output: str

    @property
    def last(self) -> str:
        return (self.output.strip().splitlines() or ["no output"])[-1]

    def summary(self) -> str:
        """The run in a few lines: what was skipped, played again or failed."""
        told = ("SKIPPED", "played again", "FAILED", "ERROR ")
        lines = [line for line in self.output.splitlines() if line.startswith(told)]
        return "\n".join((f"== {self.name}", *lines, self.last))


Lane = list[Callable[[], Run]]


def lanes(here: str, environments: dict[str, Path]) -> list[Lane]:
    """What goes on at the same time, each lane one run after the other."""
    own = [sys.executable]
    live: list[Lane] = [
        [partial(run, f"Python {here}, live calls {part}", own, LIVE, f"--part={part}")] for part in PARTS
    ]
    scenes = partial(run, f"Python {here}, scenes", own, SCENES)
    rest = partial(run, f"Python {here}, all else", [*YIELDING, *own], REST)
    others = [
        partial(run, f"Python {name}, unit tests", [*YIELDING, str(python)], UNIT, "-p", "no:cacheprovider")
        for name, python in sorted(environments.items())
    ]
    return [[scenes, *others[::2]], [rest, *others[1::2]], *live]


def side_by_side(lanes: list[Lane]) -> list[Run]:
    with ThreadPoolExecutor(len(lanes)) as pool:
        return [one for ended in pool.map(lambda lane: [run() for run in lane], lanes) for one in ended]


def run(name: str, python: list[str], marks: str, *options: str) -> Run:
    """Run pytest, telling how far it has come."""
    began = time.monotonic()
    command = [*python, "-m", "pytest", "-q", *options, "-m", marks]
    lines = []
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as pytest:
        assert pytest.stdout is not None
        for line in pytest.stdout:
            lines.append(line)
            if done := re.search(r"\[ *(\d+)%\]$", line):
                print(f"{name}: {done[1]} % [{time.monotonic() - began:.0f} s]", flush=True)
    ended = Run(name, pytest.returncode, "".join(lines))
    print(f"{name}: {ended.last}" if ended.code == 0 else f"{name}:\n{ended.output}", flush=True)
    return ended


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
