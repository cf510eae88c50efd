"""Whom nobody may call, whoever asks for it: the numbers in files of the administrator's and those on the kept list.

Files are read once and again when they have changed. A million numbers are eight megabytes, and one is found in a
microsecond.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import structlog

from sovereign_pbx.assistants.dialling import normal
from sovereign_pbx.core.errors import ConfigError, Refused, SovereignError
from sovereign_pbx.store.do_not_call import Listed

log = structlog.get_logger(__name__)

_LOOK_S: Final = 10.0  # how soon a changed file counts
_CHUNK: Final = 500
_MOST_BYTES: Final = 512 << 20

Stamp = tuple[tuple[str, int, int], ...]


class Kept(Protocol):
    """As much of the store as is needed."""

    async def listed_of(self, numbers: Sequence[str]) -> set[str]:
        """Which of these numbers have an entry."""

    async def listed(self, number: str) -> Listed | None:
        """The entry of this number, in the form of `in_full`."""


def in_full(number: str, country: str = "") -> str:
    """The one form in which numbers are compared: with `+` where the country is told; "" for what is none."""
    plain = normal(number)
    if not plain.lstrip("+").isdigit():
        return ""
    return f"+{country}{plain[1:]}" if country and plain.startswith("0") else plain


class Numbers:
    """Many numbers in little room."""

    def __init__(self, numbers: Iterable[str]) -> None:
        whole, rest = [], set()
        for number in numbers:
            digits = number[1:]
            if number.startswith("+") and len(digits) <= 18:  # no country code begins with 0, so digits tell them apart
                whole.append(int(digits))
            else:
                rest.add(number)
        self._whole = np.unique(np.array(whole, dtype=np.uint64))
        self._rest = frozenset(rest)

    def __len__(self) -> int:
        return len(self._whole) + len(self._rest)

    def __contains__(self, number: str) -> bool:
        if not number.startswith("+") or len(number) > 19:
            return number in self._rest
        wanted = np.uint64(int(number[1:]))
        at = int(np.searchsorted(self._whole, wanted))
        return at < len(self._whole) and bool(self._whole[at] == wanted)


class DoNotCall:
    """`check` is asked right before somebody is called. `country`: whose numbers are also written with a 0 in front."""

    def __init__(
        self,
        kept: Kept,
        files: Sequence[Path] = (),
        country: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kept = kept
        self._files = tuple(files)
        self._country = country
        self._clock = clock
        self._numbers = Numbers(())
        self._stamp: Stamp = ()
        self._looked_at = 0.0

    async def load(self) -> None:
        """Read the files. Raises ConfigError for one that can't be read."""
        self._stamp = await asyncio.to_thread(_stamp, self._files)
        self._numbers = await asyncio.to_thread(read_files, self._files, self._country)
        self._looked_at = self._clock()

    async def check(self, destination: str) -> None:
        """Raises Refused: `do_not_call`, and `store_slow` where the kept list can't be asked now."""
        number = in_full(destination, self._country)
        if not number:
            return
        await self._refresh()
        if number in self._numbers:
            raise Refused("do_not_call", f"{number} is in a file of [dialling] do_not_call")
        try:
            found = await self._kept.listed(number)
        except SovereignError as exc:
            raise Refused("store_slow", "the do-not-call list can't be read now") from exc
        if found is not None:
            why = f" ({found.reason})" if found.reason else ""
            raise Refused("do_not_call", f"{number} is on the do-not-call list since {found.added_at[:10]}{why}")

    async def among(self, numbers: Sequence[str]) -> set[str]:
        """Which of these, in the form of `in_full`, nobody may call. Raises StoreError."""
        await self._refresh()
        found = {number for number in numbers if number in self._numbers}
        for at in range(0, len(numbers), _CHUNK):
            found |= await self._kept.listed_of(numbers[at : at + _CHUNK])
        return found

    async def _refresh(self) -> None:
        """A file that can't be read any more counts as it was: nobody is called because of a mistake in a script."""
        if not self._files or self._clock() - self._looked_at < _LOOK_S:
            return
        self._looked_at = self._clock()
        try:
            stamp = await asyncio.to_thread(_stamp, self._files)
            if stamp != self._stamp:
                self._numbers = await asyncio.to_thread(read_files, self._files, self._country)
                self._stamp = stamp
                log.info("do_not_call.read", numbers=len(self._numbers))
        except ConfigError as exc:
            log.error("do_not_call.not_read", error=str(exc))


def read_files(files: Sequence[Path], country: str) -> Numbers:
    """The numbers of all files: one in a line, what follows `#`, `;` or `,` is a remark. Blocks. Raises ConfigError."""
    return Numbers(number for file in files for number in read_file(file, country))


def read_file(file: Path, country: str) -> list[str]:
    """Raises ConfigError with the line that is no number."""
    found = []
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise ConfigError("the file is larger than 512 MB", file=str(file))
        with file.open(encoding="utf-8-sig", errors="replace") as lines:
            for at, line in enumerate(lines, 1):
                text = line.partition("#")[0].replace(";", ",").partition(",")[0].strip().strip('"')
                number = in_full(text, country)
                if number:
                    found.append(number)
                elif text and at > 1:  # the first may be a heading
                    raise ConfigError(
                        f"line {at} is no telephone number: {text[:40]!r}",
                        file=str(file),
                        remedy="one number in a line, like +31612345678; a remark begins with #",
                    )
    except OSError as exc:
        remedy = "[dialling] do_not_call names it: nobody is called while it can't be read"
        raise ConfigError(f"the do-not-call file can't be read: {exc.strerror}", file=str(file), remedy=remedy) from exc
    return found


def _stamp(files: Sequence[Path]) -> Stamp:
    """What changes when a file does. Raises ConfigError."""
    try:
        return tuple((str(file), (found := file.stat()).st_mtime_ns, found.st_size) for file in files)
    except OSError as exc:
        raise ConfigError(f"the do-not-call file can't be read: {exc.strerror}", file=str(exc.filename)) from exc
