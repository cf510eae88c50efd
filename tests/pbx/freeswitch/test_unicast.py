"""Unicast against FreeSWITCH's strict double: its clock paces us, and nothing of what breaks it is ever sent."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import pytest

from sovereign_pbx.core.audio import FRAME_S, frame_bytes
from sovereign_pbx.core.errors import BadInput, LinkBroken, LinkClosed, LinkEnded
from sovereign_pbx.pbx.freeswitch import unicast
from sovereign_pbx.pbx.freeswitch.esl import Esl
from sovereign_pbx.pbx.freeswitch.paced import PacedLink
from sovereign_pbx.pbx.freeswitch.unicast import UnicastSession, UnicastSound, is_private
from sovereign_pbx.testing.freeswitch_unicast import UnicastSwitch
from tests.waiting import until

LOCAL = "127.0.0.1"


class Rig:
    def __init__(self, session: UnicastSession, switch: UnicastSwitch) -> None:
        self.session, self.switch = session, switch
        self.lost = 0
        session.on_lost = self.count

    def count(self) -> None:
        self.lost += 1

    async def begin(self) -> None:
        self.session.expect()
        await self.switch.begin(self.session.request())
        async with asyncio.timeout(15):
            await self.session.heard.wait()


def run(scenario: Callable[[Rig], Awaitable[None]], rate: int = 8000) -> None:
    async def body() -> None:
        session = await UnicastSession.open(LOCAL, rate, LOCAL)
        rig = Rig(session, UnicastSwitch(rate))
        try:
            await rig.begin()
            await scenario(rig)
        finally:
            await rig.switch.end()
            session.close(LinkClosed("the test is over"))

    asyncio.run(body())


async def converse(link: PacedLink, frames: int, frame: bytes, burst_at: int = -1) -> bytes:
    """The clock for so many frames; before `burst_at` it stands still for half a second and then hurries."""
    heard = bytearray()
    loop = asyncio.get_running_loop()
    due = loop.time()
    for number in range(frames):
        if number == burst_at:
            await asyncio.sleep(0.5)
        while (piece := link.take()) is not None:
            heard += piece
        link.put(frame)
        due += FRAME_S
        await asyncio.sleep(max(0.0, due - loop.time()))
    return bytes(heard)


@pytest.mark.parametrize("rate", [8000, 16000])
def test_both_sides_hear_each_other_without_a_queue_growing(rate: int) -> None:
    async def scenario(rig: Rig) -> None:
        size = frame_bytes(rate)
        rig.switch.speech = bytes([7]) * size * 200
        link = rig.session.link()
        heard = await converse(link, 50, bytes([9]) * size)
        assert heard.count(bytes([7]) * size) >= 10
        await until(lambda: bytes([9]) * size * 10 in bytes(rig.switch.played))
        assert rig.switch.faults == []

    run(scenario, rate)


def test_after_a_stall_nothing_is_caught_up_with() -> None:
    """A burst would be played at 20 ms a frame behind everything that follows, for the rest of the call."""

    async def scenario(rig: Rig) -> None:
        link = rig.session.link()
        await converse(link, 60, bytes([9]) * 320, burst_at=10)
        assert rig.switch.faults == []
        assert rig.switch.depth <= 4
        assert link.statistics()["frames_skipped"] > 5

    run(scenario)


def test_a_frame_of_another_size_and_an_empty_one_are_never_sent() -> None:
    async def scenario(rig: Rig) -> None:
        link = rig.session.link()
        for wrong in (b"", b"\0", bytes(321), bytes(640)):
            link.put(wrong)
        await converse(link, 10, bytes([9]) * 320)
        assert rig.switch.faults == []
        assert link.statistics()["frames_skipped"] >= 4

    run(scenario)


def test_without_a_link_the_caller_hears_it_ring_at_the_pace_of_the_switch() -> None:
    async def scenario(rig: Rig) -> None:
        rig.session.play_ringing()
        await until(lambda: any(rig.switch.played[-1600:]))
        before = rig.session.sent
        await until(lambda: rig.session.sent > before + 20)
        assert rig.switch.faults == []
        assert abs(rig.session.sent - rig.session.frames_received) <= 3

    run(scenario)


def test_silence_of_more_than_200_ms_is_a_loss_and_told_once() -> None:
    async def scenario(rig: Rig) -> None:
        link = rig.session.link()
        await rig.switch.end()
        for _ in range(60):
            link.put(bytes(320))
            await asyncio.sleep(FRAME_S / 2)
        assert rig.lost == 1
        assert link.ended is None  # it may come back

    run(scenario)


def test_sound_that_comes_back_goes_on_over_the_same_link() -> None:
    async def scenario(rig: Rig) -> None:
        link = rig.session.link()
        await rig.switch.end()
        rig.session.rest()
        rig.switch = UnicastSwitch()
        rig.switch.speech = bytes([7]) * 320 * 200
        await rig.begin()
        heard = await converse(link, 30, bytes([9]) * 320)
        assert bytes([7]) * 320 in heard
        assert bytes([9]) * 320 in bytes(rig.switch.played)

    run(scenario)


def test_only_the_first_peer_and_only_from_where_the_switch_is_is_heard() -> None:
    async def scenario(rig: Rig) -> None:
        link = rig.session.link()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for _ in range(5):
                stranger.sendto(bytes([66]) * 320, (LOCAL, rig.session.port))
        heard = await converse(link, 10, bytes(320))
        assert bytes([66]) * 320 not in heard
        assert link.statistics()["strangers"] == 5

    run(scenario)


def test_hostile_datagrams_do_no_harm() -> None:
    async def scenario(rig: Rig) -> None:
        link = rig.session.link()
        for size in (0, 1, 319, 321, 8192):
            rig.session.datagram_received(bytes(size), (LOCAL, rig.session._peer[1] if rig.session._peer else 1))
        link.take()
        assert link.statistics()["frames_odd"] == 5
        assert link.ended is None

    run(scenario)


def test_a_session_that_closes_ends_its_link_and_is_told_once() -> None:
    async def scenario(rig: Rig) -> None:
        link = rig.session.link()
        ends: list[LinkEnded] = []
        link.on_ended = ends.append
        rig.session.close(LinkBroken("gone"))
        rig.session.close(LinkClosed("again"))
        link.close()
        link.put(bytes(320))
        assert [type(how) for how in ends] == [LinkBroken]

    run(scenario)


def test_a_second_conversation_takes_the_first_ones_place() -> None:
    async def scenario(rig: Rig) -> None:
        rig.session.link().close()
        second = rig.session.link()
        assert bytes([7]) * 320 not in await converse(second, 5, bytes([9]) * 320)
        with pytest.raises(AssertionError):
            rig.session.link()

    run(scenario)


@pytest.mark.parametrize(
    ("host", "private"),
    [
        ("127.0.0.1", True),
        ("10.1.2.3", True),
        ("192.168.0.9", True),
        ("0.0.0.0", False),
        ("8.8.8.8", False),
        ("::1", False),
        ("pbx.local", False),
    ],
)
def test_only_loopback_and_private_networks_will_do(host: str, private: bool) -> None:
    assert is_private(host) is private


def test_an_open_address_and_a_rate_of_opus_are_refused() -> None:
    async def body() -> None:
        for host, rate, peer in (("0.0.0.0", 8000, LOCAL), (LOCAL, 8000, "8.8.8.8"), (LOCAL, 48000, LOCAL)):
            with pytest.raises(BadInput):
                await UnicastSession.open(host, rate, peer)

    asyncio.run(body())


def test_the_request_leaves_the_port_to_freeswitch() -> None:
    async def scenario(rig: Rig) -> None:
        request = rig.session.request()
        assert request["local-port"] == "0"
        assert request["remote-port"] == str(rig.session.port)
        assert request["transport"] == "udp"
        assert "flags" not in request

    run(scenario)


@dataclass
class Parked:
    """A channel, as a sound knows it."""

    uuid: str = "11111111-1111-4111-8111-111111111111"
    rate: int = 0
    parks: int = 1


class Socket(Esl):
    """An event socket that queues whatever it is told, and has FreeSWITCH do it."""

    def __init__(self, switch: UnicastSwitch | None) -> None:
        super().__init__(LOCAL, 1, "")
        self.switch = switch
        self.told: list[str] = []

    async def message(self, uuid: str, call_command: str, headers: Mapping[str, str]) -> str:
        self.told.append(call_command)
        if self.switch is not None:
            await self.switch.begin(headers)
        return "+OK"


def test_unicast_is_asked_for_once_a_park_and_never_before_there_is_media() -> None:
    async def body() -> None:
        switch = UnicastSwitch()
        esl, channel = Socket(switch), Parked()
        sound = UnicastSound(esl, LOCAL, LOCAL)
        try:
            with pytest.raises(BadInput, match="crash"):
                await sound.bring(channel)
            channel.rate = 8000
            await sound.bring(channel)
            with pytest.raises(BadInput, match="already"):
                await sound.bring(channel)
            assert esl.told == ["unicast"]
        finally:
            await switch.end()
            sound.close(LinkClosed("the test is over"))

    asyncio.run(body())


def test_a_command_that_is_queued_and_comes_to_nothing_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unicast, "FIRST_S", 0.05)

    async def body() -> None:
        sound = UnicastSound(Socket(None), LOCAL, LOCAL)
        with pytest.raises(LinkBroken, match="sends no sound"):
            await sound.bring(Parked(rate=8000))
        sound.close(LinkClosed("the test is over"))

    asyncio.run(body())
