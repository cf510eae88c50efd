"""A real Asterisk with our dialplan, the PBX under test, a desk that does as it is told, and telephones."""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np

from sovereign_pbx.core.audio import FRAME_S, frame_bytes, frame_samples
from sovereign_pbx.media.link import MediaLink
from sovereign_pbx.pbx.asterisk.asterisk import AmiSettings, AsteriskPbx, AsteriskSettings
from sovereign_pbx.pbx.asterisk.audiosocket_link import AudioSocketLink
from sovereign_pbx.pbx.asterisk.dialplan import render
from sovereign_pbx.pbx.asterisk.websocket import WebSocketCarrier
from sovereign_pbx.pbx.asterisk.websocket_link import WebSocketLink
from sovereign_pbx.pbx.control_login import LoginTiming
from sovereign_pbx.pbx.link import Decision
from sovereign_pbx.pbx.sip.rtp_link import RtpLink
from sovereign_pbx.pbx.sip.rtp_session import RtpSession
from sovereign_pbx.pbx.sip.sip_carrier import SipCarrier
from sovereign_pbx.testing.asterisk import PrivateAsterisk
from sovereign_pbx.testing.sip_call import SipCall
from sovereign_pbx.testing.sip_caller import SipPhone
from tests.pbx.desk import ScriptedDesk
from tests.pbx.links import Laid, laid, together
from tests.waiting import until

ASSISTANT_HZ = 400
FALLBACK_HZ = 1004  # Milliwatt()
CALLER_HZ = 700

PLAN = """
[phones](+)
include => sovereign
[sovereign-fallback]
exten => s,1,Answer()
 same => n,Milliwatt()
[sovereign-dial]
exten => _1XX,1,Dial(PJSIP/agent)
exten => uri,1,Dial(PJSIP/agent/${SOVEREIGN_DEST})
"""

# What docs/asterisk.md tells an administrator to grant
AMI_READ, AMI_WRITE = "call,dtmf", "call,reporting"

_TIMING = LoginTiming(reconnect_min_s=0.05, reconnect_max_s=0.2)


class TalkingDesk(ScriptedDesk):
    """Speaks a tone on every link, at the pace of the clock, unless `silent`. What is `heard` on a link is kept at
    8 kHz, `wide` as it came."""

    def __init__(self) -> None:
        super().__init__(Decision("answer"))
        self.heard: dict[MediaLink, bytearray] = {}
        self.wide: dict[MediaLink, bytearray] = {}
        self.silent = False
        self.hertz = ASSISTANT_HZ

    def connected(self, call_id: str, link: MediaLink) -> None:
        super().connected(call_id, link)
        self.heard[link] = bytearray()

    def tick(self, number: int) -> None:
        """20 ms of every call."""
        for link, heard in self.heard.items():
            while (frame := link.take()) is not None:
                heard += frame if link.rate == 8000 else narrow(frame)
                self.wide.setdefault(link, bytearray()).extend(frame)
            link.put(bytes(frame_bytes(link.rate)) if self.silent else tone_frame(number, self.hertz, link.rate))

    async def talk(self) -> None:
        """Tick for ever."""
        loop = asyncio.get_running_loop()
        began, number = loop.time(), 0
        while True:
            self.tick(number)
            number += 1
            await asyncio.sleep(max(0.0, began + number * FRAME_S - loop.time()))


class Stage:
    """What a test acts with."""

    def __init__(self, asterisk: PrivateAsterisk, pbx: AsteriskPbx, phone: SipPhone, agent: SipPhone) -> None:
        self.asterisk, self.pbx, self.phone, self.agent = asterisk, pbx, phone, agent
        self.desk = TalkingDesk()

    async def cut(self) -> None:
        """Break every connection that brings sound, as a network does; what SIP agreed on sends no more."""
        for link in tuple(self.desk.links.values()):
            if isinstance(link, AudioSocketLink):
                link._transport.abort()
            elif isinstance(link, WebSocketLink):
                link._channel.abort()
            elif isinstance(link, RtpLink) and isinstance(link._sound, RtpSession):
                link._sound._socket.close()

    def forget(self) -> None:
        """All that a daemon knows of its calls, as after a fault of its own; Asterisk has them still."""
        for line in self.pbx._lines:
            self.pbx._lines.close(line, None)
        for connection in self.pbx._audiosocket._connections:
            connection.call_id = ""
        for carrier in (self.pbx._websocket, self.pbx._sip_carrier):
            if isinstance(carrier, WebSocketCarrier | SipCarrier):
                carrier._links.clear()
        if self.pbx._originator is not None:
            self.pbx._originator.close()

    async def call(self, extension: str = "8000") -> SipCall:
        return await self.phone.call(extension)

    async def talk(self, extension: str = "8000") -> tuple[SipCall, str]:
        """A call that the assistant has answered, and its id."""
        known = len(self.desk.links)
        call = await self.call(extension)
        await call.answered()
        await until(lambda: len(self.desk.links) > known)
        return call, self.desk.offers[-1].call_id


async def hears(call: SipCall, hertz: int, within_s: float = 10.0) -> None:
    """Wait until the last 200 ms that a phone heard are this tone. TimeoutError when they do not become it."""
    await until(lambda: loudest(call.ear.heard.audio()[-3200:]) == hertz, within_s)


def loudest(pcm: bytes) -> int:
    """The tone of these tests that `pcm` holds, 0 for silence or none of them."""
    samples = np.frombuffer(pcm, "<i2").astype(float)
    if len(samples) < 1600 or np.sqrt((samples**2).mean()) < 500:
        return 0
    spectrum = abs(np.fft.rfft(samples[-1600:] * np.hanning(1600)))
    peak = int(spectrum.argmax()) * 5
    return next((hertz for hertz in (ASSISTANT_HZ, FALLBACK_HZ, CALLER_HZ) if abs(peak - hertz) <= 10), 0)


def narrow(frame: bytes) -> bytes:
    """16 kHz at 8: the tones of these tests are far below 4."""
    return np.frombuffer(frame, "<i2")[::2].tobytes()


def tone_frame(number: int, hertz: int = ASSISTANT_HZ, rate: int = 8000) -> bytes:
    """Frame `number` of an endless tone."""
    samples = frame_samples(rate)
    phase = np.arange(number * samples, (number + 1) * samples) * (2 * math.pi * hertz / rate)
    return np.asarray(8000 * np.sin(phase), "<i2").tobytes()


@asynccontextmanager
async def telephones(
    root: Path, codecs: Sequence[int] = (0,), **options: Any
) -> AsyncIterator[tuple[PrivateAsterisk, SipPhone, SipPhone]]:
    """An Asterisk with the rights that the documentation asks for, a caller and an agent."""
    async with (
        PrivateAsterisk(root, **{"ami_read": AMI_READ, "ami_write": AMI_WRITE, **options}) as asterisk,
        SipPhone(asterisk.sip_address, port=asterisk.caller_port, codecs=codecs) as phone,
        SipPhone(asterisk.sip_address, user="agent", port=asterisk.agent_port) as agent,
    ):
        yield asterisk, phone, agent


def settings(asterisk: PrivateAsterisk, *, ami: bool, ami_port: int = 0, **options: Any) -> AsteriskSettings:
    account = asterisk.ami
    login = AmiSettings(
        port=ami_port or asterisk.ami_port, username=account.user, secret=account.secret, timing=_TIMING
    )
    return AsteriskSettings(**{"agi_port": 0, "audiosocket_port": 0, "ami": login if ami else None, **options})


def dialplan(pbx: AsteriskPbx, plan: str = PLAN, **values: Any) -> str:
    """Our dialplan for where `pbx` listens, and the administrator's own."""
    agi, audiosocket = pbx.agi_address, pbx.audiosocket_address
    addresses = {"agi": f"{agi[0]}:{agi[1]}", "audiosocket": f"{audiosocket[0]}:{audiosocket[1]}"}
    return render(**{**addresses, **values}) + plan


def perform(
    root: Path,
    script: Callable[[Stage], Awaitable[None]],
    *,
    ami: bool = True,
    plan: str = PLAN,
    edit: Callable[[str], str] = lambda text: text,
    rendered: dict[str, Any] | None = None,
    ami_write: str = AMI_WRITE,
    extra: Mapping[str, str] | None = None,
    codecs: Sequence[int] = (),
    **options: Any,
) -> None:
    """Run `script` on a stage with the chosen link. Afterwards no channel and no line may be left."""

    async def body(laid: Laid) -> None:
        files = together(extra, laid.extra)
        async with telephones(root, codecs or laid.codecs, ami_write=ami_write, extra=files) as telephone:
            asterisk, phone, agent = telephone
            pbx = AsteriskPbx(
                settings(asterisk, ami=ami, **{**laid.options, **options}), laid.sip.carrier if laid.sip else None
            )
            stage = Stage(asterisk, pbx, phone, agent)
            if laid.sip is not None:
                await laid.sip.start(stage.desk)
            await pbx.start(stage.desk)
            talking = asyncio.create_task(stage.desk.talk())
            try:
                text = await asyncio.to_thread(dialplan, pbx, plan, **(rendered or {}))
                await asterisk.replace_dialplan(edit(text))
                if pbx.ami is not None:
                    await until(lambda: pbx.ami is not None and pbx.ami.connected)
                await script(stage)
                await asterisk.wait_for_channels(0)
                if pbx.health()["status"] == "down":  # the script has stopped it
                    return
                await until(lambda: pbx.health()["calls"] == 0)
                assert pbx.health()["audiosocket"]["connections"] == 0
                assert pbx.health()["agi"]["connections"] == 0
            finally:
                talking.cancel()
                await asyncio.gather(talking, return_exceptions=True)
                await pbx.stop()
                if laid.sip is not None:
                    await laid.sip.stop()

    with laid() as link:
        asyncio.run(body(link))
