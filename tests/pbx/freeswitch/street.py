"""The same scenes on a played FreeSWITCH and on a real one.

`FREESWITCH_ESL=host:port:password` names the real one. It must have loaded what `sovereign-pbx dialplan freeswitch`
prints by default (the endpoint of these tests listens on 127.0.0.1:5090), and its profile `internal` must be at
FREESWITCH_SIP (127.0.0.1:5060 if not given). Telephones are played by scripted ones, which it calls.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Protocol

from sovereign_pbx.pbx.freeswitch.control import FreeSwitchControl, FreeSwitchSettings
from sovereign_pbx.pbx.freeswitch.esl import Esl
from sovereign_pbx.pbx.sip.sip_pbx import SipPbx, SipSettings
from sovereign_pbx.testing.freeswitch import FreeSwitch
from sovereign_pbx.testing.freeswitch_channel import Channel, Manner, Person
from sovereign_pbx.testing.sip_call import SipCall
from sovereign_pbx.testing.sip_caller import Manner as PhoneManner
from sovereign_pbx.testing.sip_caller import SipPhone
from tests.pbx.desk import ScriptedDesk
from tests.pbx.freeswitch.stage import TIMING, Frames, stage
from tests.waiting import until

WHERE = "FREESWITCH_ESL"
MISSING = f"{WHERE}=host:port:password names no FreeSWITCH to run this against"
SIP_PORT = 5090

_MANNERS: dict[Manner, PhoneManner] = {"answer": "answer", "ring": "ring", "busy": "busy", "decline": "decline"}


class Party(Protocol):
    """A person at a telephone, in a call."""

    async def hang_up(self) -> None: ...

    async def over(self) -> None:
        """Wait until the call has ended."""

    @property
    def up(self) -> bool: ...


class Street(Protocol):
    """`desk` is the daemon's, scripted; `sip` its endpoint."""

    desk: ScriptedDesk
    sip: SipPbx
    control: FreeSwitchControl

    async def caller(self) -> Party:
        """Somebody calls 300 in the context; the assistant has answered when this returns."""

    async def refused(self) -> Party:
        """Somebody calls, who is not answered."""

    async def colleague(self, manner: Manner) -> str:
        """A telephone that does so; its number."""

    async def reached(self) -> Party:
        """The colleague's call, once he has answered."""


class _Played:
    """Somebody at the played FreeSWITCH."""

    def __init__(self, pbx: FreeSwitch, channel: Channel) -> None:
        self._pbx = pbx
        self._channel = channel

    async def hang_up(self) -> None:
        await self._pbx.hang_up(self._channel)

    async def over(self) -> None:
        await asyncio.wait_for(self._channel.over.wait(), 15)

    @property
    def up(self) -> bool:
        return not self._channel.is_gone


class _AtPhone:
    """Somebody at a scripted telephone that the real one calls."""

    def __init__(self, call: SipCall) -> None:
        self._call = call

    async def hang_up(self) -> None:
        await self._call.hang_up()

    async def over(self) -> None:
        await self._call.over(15)

    @property
    def up(self) -> bool:
        return self._call.end is None


class PlayedStreet:
    def __init__(self, pbx: FreeSwitch, desk: ScriptedDesk, sip: SipPbx, control: FreeSwitchControl) -> None:
        self._pbx, self.desk, self.sip, self.control = pbx, desk, sip, control
        self._people: list[Person] = []

    async def caller(self) -> Party:
        party = await self.refused()
        await until(lambda: self.desk.links)
        return party

    async def refused(self) -> Party:
        return _Played(self._pbx, await self._pbx.call("300"))

    async def colleague(self, manner: Manner) -> str:
        self._people.append(Person(manner))
        number = f"sip:colleague{len(self._people)}@127.0.0.1"
        self._pbx.people[f"sofia/internal/{number}"] = self._people[-1]
        return number

    async def reached(self) -> Party:
        await until(lambda: self._people[-1].channels and self._people[-1].channels[-1].up)
        return _Played(self._pbx, self._people[-1].channels[-1])


class RealStreet:
    def __init__(self, esl: Esl, desk: ScriptedDesk, sip: SipPbx, control: FreeSwitchControl) -> None:
        self._esl, self.desk, self.sip, self.control = esl, desk, sip, control
        host, _, port = os.environ.get("FREESWITCH_SIP", "127.0.0.1:5060").rpartition(":")
        self._server = (host, int(port))
        self._phones: list[SipPhone] = []

    async def close(self) -> None:
        for phone in self._phones:
            await phone.close()

    async def caller(self) -> Party:
        party = await self.refused()
        await until(lambda: self.desk.links)
        return party

    async def refused(self) -> Party:
        phone = await self._phone("answer")
        where = f"{{origination_caller_id_number=+31612345678}}sofia/internal/caller@127.0.0.1:{phone.port}"
        await self._esl.background("originate", where, "300", "XML", "sovereign")
        return _AtPhone(await phone.incoming(15))

    async def colleague(self, manner: Manner) -> str:
        phone = await self._phone(_MANNERS[manner])
        return f"sip:colleague@127.0.0.1:{phone.port}"

    async def reached(self) -> Party:
        call = await self._phones[-1].incoming(15)
        await until(lambda: call.answered_at is not None)
        return _AtPhone(call)

    async def _phone(self, manner: PhoneManner) -> SipPhone:
        phone = SipPhone(self._server, user="phone", manner=manner)
        await phone.start()
        self._phones.append(phone)
        return phone


@asynccontextmanager
async def _real() -> AsyncIterator[Street]:
    host, port, password = os.environ[WHERE].split(":", 2)
    settings = FreeSwitchSettings(
        host=host, port=int(port), password=password, timing=TIMING, peers=("0.0.0.0/0",), instance="i-tests"
    )
    control, desk = FreeSwitchControl(settings), ScriptedDesk()
    sip = SipPbx(SipSettings(port=SIP_PORT), [control])
    await sip.start(desk)
    assert control.esl is not None
    street = RealStreet(control.esl, desk, sip, control)
    frames = Frames(desk)
    try:
        await until(lambda: control.esl is not None and control.esl.connected)
        yield street
    finally:
        await street.close()
        await frames.stop()
        await sip.stop()


@asynccontextmanager
async def _played() -> AsyncIterator[Street]:
    async with stage(fallback="") as found:
        yield PlayedStreet(found.pbx, found.desk, found.sip, found.control)


def play(kind: str, scene: Callable[[Street], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with asyncio.timeout(55), _real() if kind == "real" else _played() as street:
            await scene(street)

    asyncio.run(whole())
