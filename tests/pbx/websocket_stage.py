"""A real Asterisk whose calls bring their sound by chan_websocket, a telephone, and the carrier under test."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from sovereign_pbx.core.audio import FRAME_S, frame_bytes
from sovereign_pbx.core.errors import LinkEnded
from sovereign_pbx.media.link import MediaLink
from sovereign_pbx.pbx.asterisk.websocket import VARIABLE, WebSocketCarrier
from sovereign_pbx.pbx.asterisk.websocket_conf import client_section
from sovereign_pbx.testing.asterisk import PrivateAsterisk
from sovereign_pbx.testing.sip_call import SipCall
from sovereign_pbx.testing.sip_caller import SipPhone
from tests.waiting import until

G722 = 9

# The dialled extension is W and the token; afterwards a tone of 1004 Hz.
_PLAN = """
[phones](+)
exten => _W.,1,Answer()
 same => n,Set(_{variable}=${{EXTEN:1}})
 same => n,Dial({dialled},4,gI)
 same => n,Milliwatt()
"""


class Talker:
    """The listener of one link: speaks what it is told, at the pace of the clock, and keeps what it hears."""

    def __init__(self, link: MediaLink, speech: bytes) -> None:
        self.link, self.speech = link, speech
        self.heard = bytearray()
        self.digits: list[str] = []
        self.ends: list[LinkEnded] = []
        link.listener = self

    def digit(self, digit: str) -> None:
        self.digits.append(digit)

    def ended(self, how: LinkEnded) -> None:
        self.ends.append(how)

    def sound(self) -> bytes:
        return bytes(self.heard)

    def tick(self) -> None:
        while (frame := self.link.take()) is not None:
            self.heard += frame
        size = frame_bytes(self.link.rate)
        self.link.put(self.speech[:size].ljust(size, b"\0"))
        self.speech = self.speech[size:]


class Stage:
    """What a test acts with. `speech` is what each call's assistant says from its first tick on."""

    def __init__(self, carrier: WebSocketCarrier, asterisk: PrivateAsterisk, phone: SipPhone, rate: int) -> None:
        self.carrier, self.asterisk, self.phone, self.rate = carrier, asterisk, phone, rate
        self.speech = b""
        self.talkers: dict[str, Talker] = {}
        self.expired: list[str] = []
        carrier.on_connect = lambda token, link: self.talkers.__setitem__(token, Talker(link, self.speech))
        carrier.on_expired = self.expired.append

    async def dial(self, *, within_s: float = 15.0) -> tuple[SipCall, str]:
        token = str(uuid4())
        self.carrier.expect(token, within_s, rate=self.rate)
        call = await self.phone.call("W" + token)
        await call.answered()
        return call, token

    async def call(self) -> tuple[SipCall, Talker]:
        call, token = await self.dial()
        await until(lambda: token in self.talkers)
        return call, self.talkers[token]

    async def tick(self) -> None:
        loop = asyncio.get_running_loop()
        began, number = loop.time(), 0
        while True:
            for talker in tuple(self.talkers.values()):
                talker.tick()
            number = max(number + 1, int((loop.time() - began) / FRAME_S) - 1)  # two frames of catching up at most
            await asyncio.sleep(max(0.0, began + number * FRAME_S - loop.time()))


def tone(hertz: float, seconds: float, rate: int) -> bytes:
    phase = np.arange(int(seconds * rate)) * (2 * np.pi * hertz / rate)
    return np.asarray(8000 * np.sin(phase), "<i2").tobytes()


def share(pcm: bytes, hertz: float, rate: int) -> float:
    """Which part of the last half second's energy lies within 20 Hz of a tone; 0 while there is less, or silence."""
    samples = np.frombuffer(pcm, "<i2").astype(float)[-rate // 2 :]
    if len(samples) < rate // 2 or np.sqrt((samples**2).mean()) < 200:
        return 0.0
    power = abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    near = abs(np.fft.rfftfreq(len(samples), 1 / rate) - hertz) <= 20
    return float(power[near].sum() / power.sum())


def is_loud(pcm: bytes) -> bool:
    """Whether it is more than comfort noise."""
    return bool(pcm) and int(abs(np.frombuffer(pcm, "<i2").astype(int)).max()) > 1000


async def hears(sound: Callable[[], bytes], hertz: float, rate: int = 8000) -> None:
    """Wait until the last half second of `sound` is this tone."""
    await until(lambda: share(sound(), hertz, rate) > 0.95)


@asynccontextmanager
async def staged(root: Path, rate: int, codecs: Sequence[int], **options: Any) -> AsyncIterator[Stage]:
    carrier = WebSocketCarrier("127.0.0.1", 0, connection="sovereign", username="asterisk", password="x:y", **options)
    await carrier.start()
    host, port = carrier.address
    plan = _PLAN.format(variable=VARIABLE, dialled=carrier.dial_string("${EXTEN:1}", rate))
    section = client_section(connection="sovereign", address=f"{host}:{port}", username="asterisk", password="x:y")
    try:
        async with (
            PrivateAsterisk(root, dialplan=plan, extra={"websocket_client.conf": section}) as asterisk,
            SipPhone(asterisk.sip_address, port=asterisk.caller_port, codecs=codecs) as phone,
        ):
            yield Stage(carrier, asterisk, phone, rate)
    finally:
        await carrier.close()


def perform(
    root: Path,
    script: Callable[[Stage], Awaitable[None]],
    *,
    rate: int = 8000,
    codecs: Sequence[int] = (0,),
    **options: Any,
) -> None:
    """Run `script` on a stage. Afterwards no channel and no connection may be left."""

    async def body() -> None:
        async with staged(root, rate, codecs, **options) as stage:
            ticking = asyncio.create_task(stage.tick())
            try:
                await script(stage)
                await stage.asterisk.wait_for_channels(0)
                await until(lambda: stage.carrier.statistics()["connections"] == 0)
            finally:
                ticking.cancel()
                await asyncio.gather(ticking, return_exceptions=True)

    asyncio.run(body())
