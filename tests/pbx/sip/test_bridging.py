"""Two calls joined: what one party says the other hears, in the next tick at the latest."""

import asyncio

import pytest

from sovereign_pbx.core.audio import frame_bytes
from sovereign_pbx.core.errors import LinkBroken, LinkClosed, LinkEnded, LinkFinished
from sovereign_pbx.media.link import LinkKind, LinkListener
from sovereign_pbx.pbx.sip.bridging import Bridge, Bridges, Side
from tests.waiting import until


class Party:
    """A link with what was said into it and what came out; `fails` makes it raise."""

    kind: LinkKind = "scripted"

    def __init__(self, rate: int = 8000) -> None:
        self.rate = rate
        self.listener: LinkListener | None = None
        self.says: list[bytes] = []
        self.hears: list[bytes] = []
        self.pressed: list[str] = []
        self.fails = False
        self._ended: LinkEnded | None = None

    def take(self) -> bytes | None:
        return self.says.pop(0) if self.says else None

    def put(self, frame: bytes) -> None:
        if self.fails:
            raise RuntimeError("broken")
        self.hears.append(frame)

    def flush(self) -> None: ...

    def quality(self) -> None: ...

    def close(self) -> None:
        if self._ended is None:
            self.end(LinkClosed("closed by us"))

    def end(self, how: LinkEnded) -> None:
        self._ended = how
        if self.listener is not None:
            self.listener.ended(how)

    @property
    def ended(self) -> LinkEnded | None:
        return self._ended

    def statistics(self) -> dict[str, int]:
        return {}

    @property
    def side(self) -> Side:
        return Side(self, self.pressed.append)


def frame(number: int, rate: int = 8000) -> bytes:
    return bytes([number]) * frame_bytes(rate)


def joined(bridges: Bridges) -> tuple[Party, Party, Bridge]:
    one, other = Party(), Party()
    return one, other, bridges.join(one.side, other.side)


def test_what_one_says_the_other_hears_in_order_and_both_ways() -> None:
    async def run() -> None:
        bridges = Bridges()
        one, other, bridge = joined(bridges)
        one.says, other.says = [frame(1)], [frame(2)]
        bridge.tick()
        assert (one.hears, other.hears) == ([frame(2)], [frame(1)])
        bridges.close()

    asyncio.run(run())


def test_who_says_nothing_is_heard_as_a_faint_hiss_in_every_tick() -> None:
    async def run() -> None:
        bridges = Bridges()
        one, other, bridge = joined(bridges)
        for _ in range(5):
            bridge.tick()
        assert len(one.hears) == len(other.hears) == 5
        assert all(len(heard) == frame_bytes(8000) and any(heard) for heard in one.hears)
        bridges.close()

    asyncio.run(run())


def test_a_burst_never_becomes_a_delay_of_more_than_a_tick() -> None:
    async def run() -> None:
        bridges = Bridges()
        one, other, bridge = joined(bridges)
        one.says = [frame(number) for number in range(1, 11)]
        for number in range(11, 31):
            bridge.tick()
            one.says.append(frame(number))
        assert other.hears[-1] == frame(28)  # 29 came in this tick, 30 after it
        assert other.hears == sorted(other.hears)
        assert bridge.statistics()["dropped"] > 0
        bridges.close()

    asyncio.run(run())


def test_a_digit_goes_to_the_other_party_and_not_back() -> None:
    async def run() -> None:
        bridges = Bridges()
        one, other, _ = joined(bridges)
        assert one.listener is not None
        one.listener.digit("5")
        assert (one.pressed, other.pressed) == ([], ["5"])
        bridges.close()

    asyncio.run(run())


def test_the_first_link_that_ends_ends_both_and_says_how() -> None:
    async def run() -> None:
        bridges = Bridges()
        one, other, bridge = joined(bridges)
        one.end(LinkFinished("hung up"))
        assert isinstance(await bridge.ended(), LinkFinished)
        assert isinstance(other.ended, LinkClosed)
        assert not bridge.up
        assert len(bridges) == 0

    asyncio.run(run())


def test_a_bridge_that_fails_ends_alone() -> None:
    async def run() -> None:
        bridges = Bridges()
        one, _, broken = joined(bridges)
        _, other, whole = joined(bridges)
        one.fails = True
        async with asyncio.timeout(15):
            assert isinstance(await broken.ended(), LinkBroken)
        heard = len(other.hears)
        await until(lambda: len(other.hears) > heard)
        assert whole.up
        bridges.close()

    asyncio.run(run())


def test_the_timer_runs_as_long_as_there_is_a_bridge() -> None:
    async def run() -> None:
        bridges = Bridges()
        one, other, bridge = joined(bridges)
        one.says = [frame(7)]
        await until(lambda: frame(7) in other.hears)
        bridge.close()
        heard = len(other.hears)
        await asyncio.sleep(0.05)
        assert len(other.hears) == heard
        again, another, _ = joined(bridges)
        await until(lambda: again.hears and another.hears)
        bridges.close()

    asyncio.run(run())


def test_links_of_different_rates_are_not_joined() -> None:
    async def run() -> None:
        with pytest.raises(ValueError, match="8000 and 16000"):
            Bridges().join(Party().side, Party(16000).side)

    asyncio.run(run())
