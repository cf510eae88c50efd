"""Taking no more calls while the present ones go on: on a stop, or because somebody wants the machine to himself."""

import asyncio
from typing import Any, Final

import structlog

from sovereign_pbx import service
from sovereign_pbx.calls.desk import CallDesk

log = structlog.get_logger(__name__)

CLOSING_S: Final = 60.0  # what the books of calls may take after the last of them, before systemd kills
_EVERY_S: Final = 1.0
_EXTENDED_S: Final = 15.0
_LOGGED_EVERY: Final = 10  # seconds


def progress(calls: int, oldest_s: float) -> str:
    """`3 calls left, the oldest for 2:14`."""
    if not calls:
        return "no calls left"
    minutes, seconds = divmod(int(oldest_s), 60)
    lasted = f"{minutes // 60}:{minutes % 60:02}:{seconds:02}" if minutes >= 60 else f"{minutes}:{seconds:02}"
    return f"1 call left, for {lasted}" if calls == 1 else f"{calls} calls left, the oldest for {lasted}"


def longer(seconds: float) -> str:
    """Has systemd wait with its TimeoutStopSec= (sd_notify(3))."""
    return f"EXTEND_TIMEOUT_USEC={int(seconds * 1_000_000)}"


class Draining:
    """What the API and the command ask for; `run` tells systemd and the log how far it is."""

    def __init__(self, desk: CallDesk) -> None:
        self._desk = desk

    def state(self) -> dict[str, Any]:
        """`draining`, `calls` and `oldest_seconds`."""
        desk = self._desk
        return {
            "draining": desk.admission.draining,
            "calls": desk.active,
            "oldest_seconds": round(desk.oldest_s, 1),
        }

    def begin(self, *, now: bool) -> None:
        """Take no more calls; `now`: give the present ones to the dialplan's fallback. Raises Refused."""
        self._desk.hold_off(True)
        log.info("daemon.draining", calls=self._desk.active, now=now)
        if now:
            self._desk.end_all()

    def cancel(self) -> None:
        """Take calls again. Raises Refused."""
        self._desk.hold_off(False)
        log.info("daemon.taking_calls")

    async def run(self) -> None:
        """Tell, until cancelled."""
        seconds = 0
        while True:
            await asyncio.sleep(_EVERY_S)
            if self._desk.admission.draining:
                self._tell(seconds)
                seconds += 1
            elif seconds:
                service.notify("STATUS=taking calls")
                seconds = 0

    def _tell(self, seconds: int) -> None:
        desk = self._desk
        states = [f"STATUS=taking no more calls, {progress(desk.active, desk.oldest_s)}"]
        service.notify(*states, *([longer(_EXTENDED_S)] if desk.ending else []))
        if seconds % _LOGGED_EVERY == 0:
            log.info("daemon.draining", calls=desk.active, oldest_s=round(desk.oldest_s))
