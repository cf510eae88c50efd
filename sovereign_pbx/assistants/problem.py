"""What is wrong with a configuration: one `Problem` each, all of them collected in one run.

An administrator who mends a file wants the whole list, so nothing here stops at the first fault. Input may be
hostile (a webhook's answer), so the list and the search for a nearest name are bounded.
"""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from sovereign_pbx.core.errors import ConfigError

Path = tuple[str | int, ...]
Severity = Literal["error", "warning"]

MOST_PROBLEMS = 200
"""Beyond this the list helps nobody, and a hostile body could make it endless."""

MOST_ENTRIES = 10_000
"""Keys and list items that data from outside may have in all: checking them takes about 20 ms of the media loop."""

MOST_GUESSES = 40
"""Nearest-name searches a report makes; each costs about 0.1 ms."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault at one key. `path` uses the names as they were written, so that their place can be found."""

    path: Path
    message: str
    remedy: str = ""
    severity: Severity = "error"

    def __str__(self) -> str:
        where = dotted(self.path)
        return f"{where}: {self.message}" if where else self.message


@dataclass(eq=False)
class InvalidSettings(ConfigError):
    """A ConfigError that carries every problem found, not only the first."""

    problems: tuple[Problem, ...] = field(default=())

    def __str__(self) -> str:
        return "\n".join([super().__str__(), *(f"  {_with_remedy(problem)}" for problem in self.problems)])


class Report:
    """Collects problems. `strict`: an unknown key in a closed table is an error (files), else it is kept (webhooks).

    `entries` bounds the size of what is checked; None for the administrator's own files.
    """

    def __init__(self, *, strict: bool = False, entries: int | None = None) -> None:
        self.strict = strict
        self.problems: list[Problem] = []
        self._guesses = 0
        self._entries = entries

    def error(self, path: Path, message: str, remedy: str = "") -> None:
        self._add(Problem(path, message, remedy))

    def warn(self, path: Path, message: str, remedy: str = "") -> None:
        self._add(Problem(path, message, remedy, "warning"))

    def guess(self, name: str, known: Iterable[str]) -> str | None:
        """The known name nearest to `name`, until the bound on guesses is used up."""
        if self._guesses >= MOST_GUESSES:
            return None
        self._guesses += 1
        return nearest(name, known)

    def affords(self, path: Path, entries: int) -> bool:
        """May `entries` more be checked? The first refusal is reported."""
        if self._entries is None:
            return True
        if entries <= self._entries:
            self._entries -= entries
            return True
        if self._entries >= 0:
            self.error(path, "is too large: there are too many keys and values")
        self._entries = -1
        return False

    @property
    def is_full(self) -> bool:
        """Would another problem be dropped?"""
        return len(self.problems) >= MOST_PROBLEMS

    @property
    def errors(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.problems if problem.severity == "error")

    @property
    def warnings(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.problems if problem.severity == "warning")

    def _add(self, problem: Problem) -> None:
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(problem)


def dotted(path: Sequence[str | int]) -> str:
    """`("numbers", 0, "name")` as `numbers[0].name`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{shown(part)}" if text else shown(part)
    return text


def shown(name: str) -> str:
    """A key as it may be printed: bounded, and without control characters that would act on a terminal."""
    clean = "".join(letter if letter.isprintable() else "?" for letter in name[:65])
    return clean if len(name) <= 64 else f"{clean[:64]}…"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The name that was probably meant, or None. Case and dashes do not count as differences."""
    if len(name) > 64:
        return None
    candidates = {candidate.lower(): candidate for candidate in known}
    wanted = name.lower().replace("-", "_")
    if wanted in candidates:
        return candidates[wanted]
    found = difflib.get_close_matches(wanted, candidates, n=1, cutoff=0.75)
    return candidates[found[0]] if found else None


def _with_remedy(problem: Problem) -> str:
    return f"{problem} ({problem.remedy})" if problem.remedy else str(problem)
