"""Every dialog there is, found by the messages that belong to it; and what all of them are made with."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

import structlog

from sovereign_pbx.pbx.sip.endpoint import Endpoint
from sovereign_pbx.pbx.sip.leg import Leg
from sovereign_pbx.pbx.sip.refusal import CAUSE_FALLBACK
from sovereign_pbx.pbx.sip.rtp_ports import RtpPorts
from sovereign_pbx.pbx.sip.sound import Sound, SoundSettings
from sovereign_pbx.wire.sip import Request, tag_of

log = structlog.get_logger(__name__)

STOP_S: Final = 2.0


class Legs:
    """Owns their tasks."""

    def __init__(
        self, endpoint: Endpoint, ports: RtpPorts, sound: SoundSettings, *, session_expires_s: int = 1800
    ) -> None:
        self.endpoint = endpoint
        self.session_expires_s = session_expires_s
        self._ports = ports
        self._sound = sound
        self._legs: dict[tuple[str, str], Leg] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._legs)

    async def open_sound(self, host: str) -> Sound:
        """For a call whose other end reaches us at `host`. Raises Refused (`too_many_calls`)."""
        return await Sound.open(self._sound, self._ports, host)

    def add(self, leg: Leg) -> None:
        self._legs[leg.dialog.key] = leg

    def remove(self, leg: Leg) -> None:
        if self._legs.get(leg.dialog.key) is leg:
            del self._legs[leg.dialog.key]

    def of(self, request: Request) -> Leg | None:
        """The dialog that a request is of, by Call-ID and our tag."""
        return self._legs.get((request.headers.get("Call-ID"), tag_of(request.headers, "To")))

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """A task that ends with everything else here. What it raises is logged."""
        task = asyncio.get_running_loop().create_task(_guarded(work, name), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: work.close())  # of a task that was cancelled before its first step

    async def close(self) -> None:
        """Every call is hung up so that its PBX goes on with its dialplan: two seconds for that, and no longer."""
        leaving = [asyncio.ensure_future(leg.hang_up(CAUSE_FALLBACK)) for leg in tuple(self._legs.values())]
        if leaving:
            await asyncio.wait(leaving, timeout=STOP_S)
        for task in (*leaving, *self._tasks):
            task.cancel()
        await asyncio.gather(*leaving, *self._tasks, return_exceptions=True)


async def _guarded(work: Coroutine[Any, Any, None], name: str) -> None:
    try:
        await work
    except Exception:
        log.exception("sip_task_failed", task=name)
