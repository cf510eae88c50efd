"""An AMI client against the fake server, with short waits."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

from sovereign_pbx.pbx.asterisk.ami import Ami
from sovereign_pbx.pbx.asterisk.ami_message import AmiMessage
from sovereign_pbx.pbx.control_login import LoginTiming
from tests.pbx.ami_server import SECRET, FakeAmi
from tests.waiting import until

TIMING = LoginTiming(
    connect_s=1, request_s=1, ping_every_s=60, ping_s=0.2, reconnect_min_s=0.02, reconnect_max_s=0.1, refused_min_s=60
)


class AmiRig:
    """The client, the server, and what the client was told."""

    def __init__(self, server: FakeAmi, secret: str, timing: LoginTiming) -> None:
        self.server = server
        self.ami = Ami("127.0.0.1", server.port, "sovereign", secret, timing=timing)
        self.events: list[AmiMessage] = []
        self.states: list[bool] = []
        self.ami.on_event(self.events.append)
        self.ami.on_state(self.states.append)

    async def connect(self) -> None:
        await self.ami.start()
        await until(lambda: self.ami.connected)


@asynccontextmanager
async def ami_rig(secret: str = SECRET, **timing: float) -> AsyncIterator[AmiRig]:
    server = FakeAmi()
    await server.start()
    rig = AmiRig(server, secret, replace(TIMING, **timing))
    try:
        yield rig
    finally:
        await rig.ami.stop()
        await server.stop()


def run(scenario: Callable[[AmiRig], Awaitable[None]], *, secret: str = SECRET, **timing: float) -> None:
    """Run a scenario; afterwards nothing of it may be left."""

    async def body() -> None:
        async with ami_rig(secret, **timing) as rig:
            await scenario(rig)
        await asyncio.sleep(0.02)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(body())
