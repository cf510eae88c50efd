"""A call that is expected by two carriers, and comes to one."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from sovereign_pbx.core.errors import LinkEnded, LinkFinished
from sovereign_pbx.pbx.asterisk.audiosocket import AudioSocketServer
from sovereign_pbx.pbx.asterisk.second_chance import SecondChance
from sovereign_pbx.pbx.carrier import Carrier, OnConnect, OnEnded, OnExpired
from sovereign_pbx.wire import audiosocket as wire
from tests.waiting import until

TOKEN = "5f6e2b1c-0000-4000-8000-000000000001"


class First:
    """A carrier that brings what a test tells it to."""

    def __init__(self) -> None:
        self.on_connect: OnConnect = lambda token, link: None
        self.on_expired: OnExpired = lambda token: None
        self.on_ended: OnEnded = lambda token, link, how: None
        self.expected: dict[str, int] = {}

    def expect(self, token: str, within_s: float, *, rate: int = 8000) -> None:
        self.expected[token] = rate

    def knows(self, token: str) -> bool:
        return token in self.expected

    def forget(self, token: str) -> None:
        self.expected.pop(token, None)

    def dial_string(self, token: str, rate: int) -> str:
        return f"PJSIP/sovereign/sip:{token}@127.0.0.1:5090"

    def statistics(self) -> dict[str, int]:
        return {"connections": 1}


class Rig:
    def __init__(self) -> None:
        self.first = First()
        self.server = AudioSocketServer("127.0.0.1", 0, on_connect=lambda token, link: None)
        self.both: Carrier = SecondChance(self.first, self.server)
        self.came: list[tuple[str, Any]] = []
        self.expired: list[str] = []
        self.ended: list[LinkEnded] = []
        self.both.on_connect = lambda token, link: self.came.append((token, link))
        self.both.on_expired = self.expired.append
        self.both.on_ended = lambda token, link, how: self.ended.append(how)


def run(scenario: Callable[[Rig], Awaitable[None]]) -> None:
    async def body() -> None:
        rig = Rig()
        await rig.server.start()
        try:
            await scenario(rig)
        finally:
            await rig.server.close()

    asyncio.run(body())


def test_a_call_that_came_the_first_way_is_expected_no_longer_by_audiosocket() -> None:
    async def scenario(rig: Rig) -> None:
        rig.both.expect(TOKEN, 5.0, rate=16000)
        assert (rig.first.expected, rig.both.knows(TOKEN)) == ({TOKEN: 16000}, True)
        rig.first.on_connect(TOKEN, "link")
        assert rig.came == [(TOKEN, "link")]
        assert rig.server.statistics()["expected"] == 0
        rig.first.on_ended(TOKEN, "link", LinkFinished("over"))
        assert [str(how) for how in rig.ended] == ["over"]
        assert rig.both.statistics()["second_chances"] == 0

    run(scenario)


def test_a_call_that_came_by_audiosocket_is_forgotten_by_the_first_and_counted() -> None:
    async def scenario(rig: Rig) -> None:
        rig.both.expect(TOKEN, 5.0, rate=16000)
        _, writer = await asyncio.open_connection(*rig.server.address)
        writer.write(wire.encode(wire.ID, UUID(TOKEN).bytes))
        await until(lambda: bool(rig.came))
        token, link = rig.came[0]
        assert (token, link.rate, rig.first.expected) == (TOKEN, 16000, {})
        assert rig.both.statistics() == {"connections": 1, "second_chances": 1}
        writer.close()
        await until(lambda: bool(rig.ended))

    run(scenario)


def test_a_call_that_never_comes_is_told_once() -> None:
    async def scenario(rig: Rig) -> None:
        rig.both.expect(TOKEN, 0.01)
        await until(lambda: bool(rig.expired))
        rig.first.on_expired(TOKEN)
        assert (rig.expired, rig.both.knows(TOKEN), rig.first.expected) == ([TOKEN], False, {})

    run(scenario)


def test_a_call_that_is_given_up_is_forgotten_by_both() -> None:
    async def scenario(rig: Rig) -> None:
        rig.both.expect(TOKEN, 5.0)
        rig.both.forget(TOKEN)
        assert (rig.both.knows(TOKEN), rig.server.statistics()["expected"]) == (False, 0)

    run(scenario)
