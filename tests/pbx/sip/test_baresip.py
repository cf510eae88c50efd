"""Interoperation with baresip, a telephone written by others: it calls and is called, hears, is heard, presses keys."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from sovereign_pbx.media.link import MediaLink
from sovereign_pbx.pbx.link import DialOrder, NextStep
from sovereign_pbx.pbx.sip.outgoing import SipControl, SipControlSettings
from sovereign_pbx.pbx.sip.outgoing_way import Way
from sovereign_pbx.testing.baresip import Baresip
from sovereign_pbx.testing.baresip_tree import PrivateBaresip, baresip_tree
from sovereign_pbx.testing.progress_line import ProgressLine
from tests.pbx.sip.stage import Stage, play, stage
from tests.pbx.sip.tones import HEARD, best, strength, tone
from tests.waiting import until

pytestmark = pytest.mark.pbx

PHONE_HZ, ASSISTANT_HZ = 700, 1100
NARROW, WIDE = "PCMU/8000/1", "G722/16000/1"
CALL_ID = "1d0a4e2c-5f0b-4d0e-9a51-3f2b7c9d8e10"


@pytest.fixture(scope="module")
def baresip() -> PrivateBaresip:
    return baresip_tree(ProgressLine("baresip"))


class Talker:
    """The assistant's end of a link: says one tone, and keeps what it hears."""

    def __init__(self, link: MediaLink) -> None:
        self.link = link
        self.heard = bytearray()
        self._says = tone(ASSISTANT_HZ, 60.0, link.rate)
        self._task = asyncio.ensure_future(self._talk())

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _talk(self) -> None:
        size = self.link.rate // 25
        began = asyncio.get_running_loop().time()
        for number in range(len(self._says) // size):
            while (frame := self.link.take()) is not None:
                self.heard += frame
            self.link.put(self._says[number * size : (number + 1) * size])
            await asyncio.sleep(max(0.0, began + 0.02 * (number + 1) - asyncio.get_running_loop().time()))


@asynccontextmanager
async def talking(link: MediaLink) -> AsyncIterator[Talker]:
    talker = Talker(link)
    try:
        yield talker
    finally:
        await talker.close()
        link.close()


@asynccontextmanager
async def telephone(
    baresip: PrivateBaresip, codec: str = NARROW
) -> AsyncIterator[tuple[Stage, Baresip, dict[str, Way]]]:
    rate = 16000 if codec == WIDE else 8000
    ways: dict[str, Way] = {}
    control = SipControl(SipControlSettings(trunks=lambda: ways))
    async with AsyncExitStack() as stack:
        s = await stack.enter_async_context(stage(controls=[control]))
        phone = await stack.enter_async_context(Baresip(baresip, says=tone(PHONE_HZ, 60.0, rate), codec=codec))
        ways["phone"] = Way(name="baresip", host="127.0.0.1", port=phone.sip_port)
        yield s, phone, ways


async def talk_and_press(s: Stage, phone: Baresip) -> None:
    """Both are heard, and the keys; then the assistant hangs up."""
    async with talking(await s.link()) as talker:
        rate = talker.link.rate
        await until(lambda: strength(bytes(talker.heard), PHONE_HZ, rate) > HEARD)
        await phone.press("12#")
        await until(lambda: s.desk.digits == ["1", "2", "#"])
    played, samples = await phone.heard()
    assert best(samples.astype("<i2").tobytes(), ASSISTANT_HZ, played) > HEARD


@pytest.mark.parametrize("codec", [NARROW, WIDE])
def test_baresip_calls_hears_and_is_heard(baresip: PrivateBaresip, codec: str) -> None:
    async def scene() -> None:
        async with telephone(baresip, codec) as (s, phone, _):
            host, port = s.pbx.endpoint.address("udp")
            await phone.dial(f"sip:100@{host}:{port}")
            await phone.happened("CALL_ESTABLISHED")
            link = await s.link()
            assert link.rate == (16000 if codec == WIDE else 8000)
            await talk_and_press(s, phone)
            await s.over()

    play(scene())


def test_baresip_is_called_hears_and_is_heard(baresip: PrivateBaresip) -> None:
    async def scene() -> None:
        async with telephone(baresip) as (s, phone, _):
            await s.pbx.originate(DialOrder(call_id=CALL_ID, destination=phone.uri))
            await talk_and_press(s, phone)
            await s.over()

    play(scene())


def test_baresip_hangs_up(baresip: PrivateBaresip) -> None:
    async def scene() -> None:
        async with telephone(baresip) as (s, phone, _):
            host, port = s.pbx.endpoint.address("udp")
            await phone.dial(f"sip:100@{host}:{port}")
            await s.link()
            await phone.hang_up()
            await s.over()

    play(scene())


def test_baresip_holds_and_comes_back(baresip: PrivateBaresip) -> None:
    async def scene() -> None:
        async with telephone(baresip) as (s, phone, _):
            host, port = s.pbx.endpoint.address("udp")
            await phone.dial(f"sip:100@{host}:{port}")
            await s.link()
            await phone.hold()
            await until(lambda: s.desk.holds == [True])
            await phone.resume()
            await until(lambda: s.desk.holds == [True, False])

    play(scene())


def test_two_baresips_are_put_through_to_each_other_here(baresip: PrivateBaresip) -> None:
    async def scene() -> None:
        says = tone(ASSISTANT_HZ, 60.0)
        async with (
            telephone(baresip) as (s, phone, ways),
            Baresip(baresip, says=says, user="anna") as colleague,
        ):
            ways["colleague"] = Way(name="colleague", host="127.0.0.1", port=colleague.sip_port)
            host, port = s.pbx.endpoint.address("udp")
            await phone.dial(f"sip:100@{host}:{port}")
            s.desk.steps = [NextStep("dial", "anna", "colleague"), NextStep("hangup")]
            (await s.link()).close()
            await until(lambda: s.desk.through)
            await colleague.happened("CALL_ESTABLISHED")
            await asyncio.sleep(1.0)  # to have heard something
            await colleague.hang_up()
            await s.over()
            for who, hertz in ((phone, ASSISTANT_HZ), (colleague, PHONE_HZ)):
                rate, samples = await who.heard()
                assert best(samples.astype("<i2").tobytes(), hertz, rate) > HEARD

    play(scene())
