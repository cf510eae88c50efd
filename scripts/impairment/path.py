"""A network that is not good: every datagram is lost, delayed, or overtaken by later ones, always by the same dice."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass

LEAST_S = 0.010  # one way, when nothing is wrong


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """`loss_percent` of the datagrams are lost, each by chance; the others take up to twice `jitter_ms` longer than the
    quickest, evenly spread. They queue up behind each other, as in one router, unless `reordered`: then each goes its
    own way, and is overtaken."""

    loss_percent: float = 0.0
    jitter_ms: float = 0.0
    reordered: bool = False

    def __str__(self) -> str:
        order = ", re-ordered" if self.reordered else ""
        return f"{self.loss_percent:g} % lost, jitter {self.jitter_ms:g} ms{order}"


class Path:
    """One direction. `lost`, `overtaken` and `passed` count datagrams."""

    def __init__(self, condition: Condition, seed: int) -> None:
        self.lost = self.overtaken = self.passed = 0
        self._condition = condition
        self._dice = random.Random(seed)
        self._latest = 0.0

    def due(self, now: float) -> float | None:
        """When a datagram that is sent now arrives; None: never."""
        condition = self._condition
        chance, delay_s = self._dice.random(), self._dice.random() * 2 * condition.jitter_ms / 1000
        if chance * 100 < condition.loss_percent:
            self.lost += 1
            return None
        at = now + LEAST_S + delay_s
        self.passed += 1
        self.overtaken += at < self._latest
        if not condition.reordered:
            at = max(at, self._latest)
        self._latest = max(at, self._latest)
        return at

    def send(self, deliver: Callable[[], None]) -> None:
        """Have `deliver` called when it arrives."""
        loop = asyncio.get_running_loop()
        at = self.due(loop.time())
        if at is not None:
            loop.call_at(at, deliver)

    @property
    def lost_percent(self) -> float:
        """Really lost, in the end."""
        return 100 * self.lost / max(1, self.lost + self.passed)
