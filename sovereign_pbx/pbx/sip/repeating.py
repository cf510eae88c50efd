"""Sending something again until somebody says stop: the pause doubles, up to a limit."""

import asyncio
from collections.abc import Callable


class Repeating:
    """Calls `send` after `first_s`, then after twice that, and so on up to `longest_s`, until `stop`."""

    __slots__ = ("_longest_s", "_pause_s", "_send", "_timer")

    def __init__(self, send: Callable[[], None], first_s: float, longest_s: float) -> None:
        self._send = send
        self._pause_s = first_s
        self._longest_s = longest_s
        self._timer: asyncio.TimerHandle | None = asyncio.get_running_loop().call_later(first_s, self._again)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def slow_down(self) -> None:
        """From now on at the longest pause (RFC 3261 §17.1.2.2, after a provisional answer)."""
        self._pause_s = self._longest_s

    def _again(self) -> None:
        self._pause_s = min(2 * self._pause_s, self._longest_s)
        self._timer = asyncio.get_running_loop().call_later(self._pause_s, self._again)
        self._send()
