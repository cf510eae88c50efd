"""A played FreeSWITCH with the printed dialplan, our SIP endpoint with the control of its calls, a scripted desk."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from sovereign_pbx.media.link import MediaLink
from sovereign_pbx.pbx.control_login import LoginTiming
from sovereign_pbx.pbx.freeswitch.control import FreeSwitchControl, FreeSwitchSettings
from sovereign_pbx.pbx.freeswitch.dialplan import render
from sovereign_pbx.pbx.link import DialOrder, NextStep
from sovereign_pbx.pbx.sip.sip_pbx import SipPbx, SipSettings
from sovereign_pbx.testing.freeswitch import FreeSwitch
from sovereign_pbx.testing.freeswitch_channel import Channel
from sovereign_pbx.testing.freeswitch_esl import PASSWORD
from sovereign_pbx.testing.freeswitch_leg import SipLeg, SipLegs
from tests.pbx.desk import ScriptedDesk
from tests.waiting import until

FRAME_S = 0.02

# What an administrator has: a queue as the fallback, which answers; telephones that may be dialled; a way in a circle.
OTHERS = """<include>
  <context name="default">
    <extension name="queue"><condition field="destination_number" expression="^600$">
      <action application="answer"/><action application="set" data="park_timeout=60:NORMAL_CLEARING"/>
      <action application="park"/>
    </condition></extension>
    <extension name="circle"><condition field="destination_number" expression="^circle$">
      <action application="transfer" data="300 XML sovereign"/>
    </condition></extension>
  </context>
  <context name="sovereign-dial">
    <extension name="telephones"><condition field="destination_number" expression="^(1\\d\\d)$">
      <action application="bridge" data="user/$1"/>
    </condition></extension>
  </context>
</include>"""

TIMING = LoginTiming(ping_every_s=0.2, reconnect_min_s=0.02, reconnect_max_s=0.05)


class Frames:
    """The clock's part for a scripted desk: a frame in, a frame out, from now until `stop`."""

    def __init__(self, desk: ScriptedDesk) -> None:
        self._desk = desk
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            for link in (*self._desk.links.values(), *self._desk.briefing_links):
                if link.ended is None:
                    link.take()
                    link.put(bytes(link.rate // 50 * 2))
            await asyncio.sleep(FRAME_S)


class Stage:
    """`pbx` is the FreeSWITCH, `sip` ours."""

    def __init__(self, pbx: FreeSwitch, control: FreeSwitchControl) -> None:
        self.pbx = pbx
        self.control = control
        self.desk = ScriptedDesk()
        self.sip = SipPbx(SipSettings(port=0), [control])
        self.frames: Frames | None = None

    async def start(self, fallback: str) -> None:
        await self.sip.start(self.desk)
        host, port = self.sip.endpoint.address("udp")
        address = f"{host}:{port}"
        printed = await asyncio.to_thread(render, sip=address, fallback=fallback)
        self.pbx.load(printed, OTHERS, address=address, legs=SipLegs((host, port)))
        self.frames = Frames(self.desk)
        await until(lambda: self.control.esl is None or self.control.esl.connected)

    async def stop(self) -> None:
        await self.sip.stop()
        if self.frames is not None:
            await self.frames.stop()

    async def talking(self, extension: str = "300", **variables: str) -> Channel:
        """A caller whom the assistant has answered; `variables` of his user."""
        known = len(self.desk.links)
        caller = await self.pbx.call(extension, **variables)
        await until(lambda: len(self.desk.links) > known)
        await until(lambda: caller.up)
        return caller

    def call_id(self) -> str:
        return self.desk.offers[-1].call_id

    def link(self) -> MediaLink:
        """Of the call that was connected last."""
        return list(self.desk.links.values())[-1]

    def say_goodbye(self, *steps: NextStep) -> None:
        """The assistant's conversation ends; these steps follow, then hanging up."""
        self.desk.steps.extend(steps)
        self.link().close()

    def leg(self, channel: Channel) -> SipLeg:
        assert isinstance(channel.leg, SipLeg)
        return channel.leg


@asynccontextmanager
async def stage(*, fallback: str = "600 XML default", password: str = PASSWORD) -> AsyncIterator[Stage]:
    async with FreeSwitch() as pbx:
        settings = FreeSwitchSettings(
            port=pbx.esl.port, password=password, timing=TIMING, instance="i0123456789", audit_s=0.0
        )
        found = Stage(pbx, FreeSwitchControl(settings))
        try:
            await found.start(fallback)
            yield found
        finally:
            await found.stop()
    pbx.check()


def play(scenario: Callable[[Stage], Awaitable[None]], *, fallback: str = "600 XML default") -> None:
    async def whole() -> None:
        async with asyncio.timeout(50), stage(fallback=fallback) as found:
            await scenario(found)

    asyncio.run(whole())


def dial(destination: str = "100", **more: Any) -> NextStep:
    return NextStep("dial", destination, **more)


def order(destination: str = "+31201234567", **more: Any) -> DialOrder:
    return DialOrder(call_id="c0ffee00-0000-4000-8000-000000000001", destination=destination, **more)
