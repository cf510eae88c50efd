"""A `SipPbx` on loopback before a scripted desk, and somebody who calls it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, MutableMapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import uvloop
from structlog.testing import capture_logs

from sovereign_pbx.core.audio import frame_bytes
from sovereign_pbx.media.link import MediaLink
from sovereign_pbx.pbx.link import Decision
from sovereign_pbx.pbx.sip.control import Control
from sovereign_pbx.pbx.sip.sip_pbx import SipPbx, SipSettings
from sovereign_pbx.testing.sip_caller import SipPhone
from tests.pbx.desk import ScriptedDesk
from tests.pbx.sip.ua import Ua
from tests.waiting import until


def play(scene: Coroutine[Any, Any, None]) -> None:
    """Run a scene on the loop that the daemon runs on."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scene)


@dataclass
class Stage:
    """What takes part in a scene."""

    pbx: SipPbx
    desk: ScriptedDesk
    ua: Ua
    phone: SipPhone
    logs: list[MutableMapping[str, Any]]

    async def link(self) -> MediaLink:
        """The sound of the only call, once the desk has it."""
        await until(lambda: self.desk.links)
        return next(iter(self.desk.links.values()))

    async def connected(self) -> MediaLink:
        """A caller who has been answered, by hand."""
        call = self.ua.call()
        await call.answered()
        return await self.link()

    async def over(self, calls: int = 1) -> None:
        """Wait until nothing is left, and the desk knows, once of each call."""
        await until(lambda: len(self.desk.gone_calls) >= calls)
        await until(lambda: not self.pbx.call_ids() and not len(self.pbx.legs))
        assert len(self.desk.gone_calls) == calls


@asynccontextmanager
async def stage(
    decision: Decision | Exception | None = None,
    *,
    controls: Sequence[Control] = (),
    settings: Callable[[SipSettings], SipSettings] = lambda usual: usual,
) -> AsyncIterator[Stage]:
    desk = ScriptedDesk(decision)
    pbx = SipPbx(settings(SipSettings(port=0, transports=("udp",))), controls)
    async with AsyncExitStack() as stack:
        await pbx.start(desk)
        stack.push_async_callback(pbx.stop)
        address = pbx.endpoint.address("udp")
        ua = await stack.enter_async_context(Ua(address))
        phone = await stack.enter_async_context(SipPhone(address))
        try:
            yield Stage(pbx, desk, ua, phone, stack.enter_context(capture_logs()))
        finally:
            await pbx.stop()  # while there is somebody to answer a BYE


def tick(link: MediaLink, frames: int = 1) -> list[bytes]:
    """What the clock does with a link: take, and put exactly one frame."""
    taken = []
    for _ in range(frames):
        frame = link.take()
        if frame is not None:
            taken.append(frame)
        link.put(bytes(frame_bytes(link.rate)))
    return taken
