"""A played FreeSWITCH that parks its calls, the printed dialplan for it, the PBX under test, a scripted desk."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Literal

from sovereign_pbx.core.audio import FRAME_S
from sovereign_pbx.media.link import MediaLink
from sovereign_pbx.pbx.freeswitch.control import FreeSwitchControl, FreeSwitchSettings
from sovereign_pbx.pbx.freeswitch.parked_dialplan import render
from sovereign_pbx.pbx.freeswitch.parked_pbx import ParkedPbx, ParkedSettings
from sovereign_pbx.pbx.link import NextStep
from sovereign_pbx.testing.freeswitch_audio_fork import Fork, ForkSwitch
from sovereign_pbx.testing.freeswitch_channel import Channel
from sovereign_pbx.testing.freeswitch_esl import PASSWORD
from sovereign_pbx.testing.freeswitch_leg import SipLegs
from sovereign_pbx.testing.freeswitch_parked import ParkedSwitch
from sovereign_pbx.testing.freeswitch_unicast import UnicastSwitch
from tests.pbx.desk import ScriptedDesk
from tests.pbx.freeswitch.stage import OTHERS, TIMING
from tests.waiting import until

SPEECH = bytes([9]) * 320  # the assistant's every frame
CALLER = bytes([7]) * 320


class Stage:
    """`switch` is the FreeSWITCH, `pbx` ours. The clock runs: frames go both ways on every link."""

    def __init__(self, switch: ParkedSwitch, **settings: object) -> None:
        esl = FreeSwitchSettings(
            port=switch.esl.port, password=PASSWORD, timing=TIMING, instance="i0123456789", audit_s=0.0
        )
        self.switch = switch
        self.media: Literal["unicast", "audio_fork"] = "audio_fork" if isinstance(switch, ForkSwitch) else "unicast"
        self.desk = ScriptedDesk()
        self.control = FreeSwitchControl(esl)
        more: dict[str, Any] = {"media": self.media, "media_port": 0, **settings}
        self.pbx = ParkedPbx(ParkedSettings(**more), self.control)
        self.heard: dict[int, bytearray] = {}
        self._clock: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self.pbx.start(self.desk)
        text = await asyncio.to_thread(render, fallback="600 XML default", media=self.media)
        self.switch.load(text, OTHERS, address="", legs=SipLegs(("127.0.0.1", 1)))
        self._clock = asyncio.get_running_loop().create_task(self._tick())
        await until(lambda: self.control.esl is not None and self.control.esl.connected)

    async def stop(self) -> None:
        await self.pbx.stop()
        if self._clock is not None:
            self._clock.cancel()
            await asyncio.gather(self._clock, return_exceptions=True)

    async def talking(self, extension: str = "300") -> Channel:
        """A caller whom the assistant has answered, and who hears him."""
        known = len(self.desk.links)
        caller = await self.switch.call(extension)
        await until(lambda: len(self.desk.links) > known)
        await until(lambda: SPEECH in self.played(caller))
        return caller

    def played(self, channel: Channel) -> bytes:
        """What the person at a channel hears in the sound that runs."""
        sound: UnicastSwitch | Fork | None = self.switch.sounds.get(channel.uuid)
        if isinstance(self.switch, ForkSwitch):
            sound = self.switch.forks.get(channel.uuid)
        return bytes(sound.played) if sound is not None else b""

    def hears(self, link: MediaLink) -> bytes:
        return bytes(self.heard.get(id(link), b""))

    @property
    def call_id(self) -> str:
        return self.desk.offers[-1].call_id

    def link(self) -> MediaLink:
        """Of the call that was connected last."""
        return list(self.desk.links.values())[-1]

    def say_goodbye(self, *steps: NextStep) -> None:
        self.desk.steps.extend(steps)
        self.link().close()

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            for link in (*self.desk.links.values(), *self.desk.briefing_links):
                if link.ended is None:
                    while (frame := link.take()) is not None:
                        self.heard.setdefault(id(link), bytearray()).extend(frame)
                    link.put(SPEECH)
            due = max(due + FRAME_S, loop.time() - FRAME_S)
            await asyncio.sleep(max(0.0, due - loop.time()))


@asynccontextmanager
async def stage(*, fork: bool = False, faster: float = 1.0, **settings: object) -> AsyncIterator[Stage]:
    async with (ForkSwitch if fork else ParkedSwitch)(faster=faster) as switch:
        found = Stage(switch, **settings)
        try:
            await found.start()
            yield found
        finally:
            await found.stop()
    switch.check()


def play(
    scenario: Callable[[Stage], Awaitable[None]], *, fork: bool = False, faster: float = 1.0, **settings: object
) -> None:
    """Afterwards nothing of what the real one would not bear may have happened."""

    async def whole() -> None:
        async with asyncio.timeout(50), stage(fork=fork, faster=faster, **settings) as found:
            await scenario(found)

    asyncio.run(whole())
