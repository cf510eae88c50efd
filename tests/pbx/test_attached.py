"""Several PBXs as one."""

import asyncio
from typing import Any

import pytest

from sovereign_pbx.core.errors import ConfigError, LinkFinished, Refused
from sovereign_pbx.pbx.attached import Attached
from sovereign_pbx.pbx.link import Desk, DialOrder
from tests.pbx.desk import ScriptedDesk


class Member:
    """Notes what it is told; `can` place calls or not, `starts` or not."""

    def __init__(self, name: str, calls: tuple[str, ...] = (), *, can: bool = True, starts: bool = True) -> None:
        self.name = name
        self.told: list[tuple[Any, ...]] = []
        self._calls, self._can, self._starts = calls, can, starts

    async def start(self, desk: Desk) -> None:
        if not self._starts:
            raise ConfigError("the port is taken")
        self.told.append(("start",))

    async def stop(self) -> None:
        self.told.append(("stop",))

    def check_outbound(self) -> None:
        if not self._can:
            raise Refused("pbx_unavailable", f"{self.name} is not connected")

    async def originate(self, order: DialOrder) -> None:
        self.told.append(("originate", order.destination))

    async def hang_up(self, call_id: str, cause: int = 16) -> None:
        self.told.append(("hang_up", call_id, cause))

    async def send_digits(self, call_id: str, digits: str) -> None:
        self.told.append(("digits", call_id, digits))

    def health(self) -> dict[str, Any]:
        return {"status": "ok" if self._can else "degraded", "calls": len(self._calls), f"of_{self.name}": 1}

    def call_ids(self) -> frozenset[str]:
        return frozenset(self._calls)

    async def left_over(self) -> int:
        return len(self._calls)

    async def audit(self) -> dict[str, Any]:
        lines = [{"call_id": call} for call in self._calls]
        why = {} if self._can else {"why": "not connected"}
        return {"asked": self._can, "lines": lines, "differences": [], "mended": 1, **why}


def order(pbx: Any = "") -> DialOrder:
    return DialOrder(call_id="c", destination="+3161", pbx=pbx)


def test_a_call_is_steered_where_it_belongs() -> None:
    first, second = Member("asterisk", ("a",)), Member("sip", ("b",))

    async def steer() -> None:
        pbx = Attached([first, second])
        await pbx.hang_up("b", 17)
        await pbx.send_digits("a", "12")
        await pbx.hang_up("unknown")
        with pytest.raises(LinkFinished):
            await pbx.send_digits("unknown", "1")

    asyncio.run(steer())
    assert (first.told, second.told) == ([("digits", "a", "12")], [("hang_up", "b", 17)])


@pytest.mark.parametrize(
    ("wanted", "first_can", "chosen"),
    [("", True, "asterisk"), ("", False, "sip"), ("sip", True, "sip"), ("freeswitch", True, "sip")],
)
def test_an_order_goes_to_whom_it_names_else_to_the_first_that_can(wanted: str, first_can: bool, chosen: str) -> None:
    members = [Member("asterisk", can=first_can), Member("sip")]
    asyncio.run(Attached(members).originate(order(wanted)))
    assert [member.name for member in members if member.told] == [chosen]


def test_freeswitch_itself_goes_before_sip_which_stands_in_for_it() -> None:
    members = [Member("sip"), Member("freeswitch")]
    asyncio.run(Attached(members).originate(order("freeswitch")))
    assert [member.name for member in members if member.told] == ["freeswitch"]


def test_an_order_is_never_given_to_another_than_it_names() -> None:
    members = [Member("asterisk", can=False), Member("sip")]
    with pytest.raises(Refused, match="asterisk is not connected"):
        asyncio.run(Attached(members).originate(order("asterisk")))
    with pytest.raises(Refused, match="does not enable"):
        asyncio.run(Attached(members[1:]).originate(order("asterisk")))
    assert not members[1].told


def test_nobody_can_place_calls_is_told_in_the_words_of_the_first() -> None:
    with pytest.raises(Refused, match="asterisk"):
        Attached([Member("asterisk", can=False), Member("sip", can=False)]).check_outbound()


def test_what_was_started_is_stopped_when_another_does_not_start() -> None:
    first, second = Member("asterisk"), Member("sip", starts=False)
    with pytest.raises(ConfigError):
        asyncio.run(Attached([first, second]).start(ScriptedDesk()))
    assert (first.told, second.told) == ([("start",), ("stop",)], [])


def test_the_worst_of_them_is_how_they_are() -> None:
    pbx = Attached([Member("asterisk", ("a",)), Member("sip", ("b", "c"), can=False)])
    assert pbx.health() == {
        "status": "degraded",
        "calls": 3,
        "of_asterisk": 1,
        "sip": {"status": "degraded", "calls": 2, "of_sip": 1},
    }
    assert pbx.call_ids() == {"a", "b", "c"}
    assert asyncio.run(pbx.left_over()) == 3


def test_their_audits_are_one_and_say_of_whom_each_line_is() -> None:
    audit = asyncio.run(Attached([Member("asterisk", ("a",)), Member("sip", ("b",), can=False)]).audit())
    assert audit == {
        "asked": False,
        "why": "sip: not connected",
        "mended": 2,
        "lines": [{"pbx": "asterisk", "call_id": "a"}, {"pbx": "sip", "call_id": "b"}],
        "differences": [],
    }
