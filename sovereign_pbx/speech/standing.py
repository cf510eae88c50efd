"""How providers have been doing lately, over all calls: who is asked first, and who is left alone for a while."""

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from sovereign_pbx.core.errors import ProviderError

Implementation = TypeVar("Implementation")

DENIED_S: Final = 300.0  # a wrong key stays wrong until somebody mends it
FIRST_COOL_DOWN_S: Final = 2.0
MAX_COOL_DOWN_S: Final = 120.0
REMEMBERED: Final = 512


@dataclass(slots=True)
class _Record:
    failures: int = 0
    until: float = 0.0


class Standings:
    """Cool-downs by key: minutes after `denied`, else 2 s doubling to two minutes, until the next success."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._records: OrderedDict[str, _Record] = OrderedDict()

    def failed(self, key: str, fault: ProviderError) -> None:
        """It failed just now."""
        record = self._records.setdefault(key, _Record())
        self._records.move_to_end(key)
        record.failures += 1
        growing_s = min(FIRST_COOL_DOWN_S * 2 ** (record.failures - 1), MAX_COOL_DOWN_S)
        record.until = self._clock() + (DENIED_S if fault.kind == "denied" else growing_s)
        while len(self._records) > REMEMBERED:
            self._records.popitem(last=False)

    def worked(self, key: str) -> None:
        """It gave a result."""
        self._records.pop(key, None)

    def rest_s(self, key: str) -> float:
        """Seconds for which it is to be left alone; 0 when it is well."""
        record = self._records.get(key)
        return max(record.until - self._clock(), 0.0) if record else 0.0


STANDINGS: Final = Standings()


@dataclass(frozen=True, slots=True)
class Choice(Generic[Implementation]):
    """One of several implementations, with the key of its standing."""

    implementation: Implementation
    key: str


class Choices(Generic[Implementation]):
    """Implementations in the administrator's order of preference."""

    def __init__(self, choices: Sequence[Choice[Implementation]], standings: Standings = STANDINGS) -> None:
        if not choices:
            raise ValueError("at least one implementation is needed")
        self.all = tuple(choices)
        self._standings = standings

    def in_order(self) -> list[Choice[Implementation]]:
        """The well ones as preferred, then the others, the soonest rested first: somebody is always asked."""
        return sorted(self.all, key=lambda choice: self._standings.rest_s(choice.key))

    def failed(self, choice: Choice[Implementation], fault: ProviderError) -> None:
        self._standings.failed(choice.key, fault)

    def worked(self, choice: Choice[Implementation]) -> None:
        self._standings.worked(choice.key)
