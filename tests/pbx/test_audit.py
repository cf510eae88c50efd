"""Asterisk's channels and the daemon's lines, made to differ in every way: what is mended, and what is left alone."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from sovereign_pbx.pbx import reconciliation
from sovereign_pbx.pbx.asterisk import audit
from sovereign_pbx.pbx.asterisk.lines import Line
from sovereign_pbx.pbx.asterisk.roll_call import Difference, Ours, Shown, compare, ways_of
from sovereign_pbx.pbx.carrier import Carrier
from sovereign_pbx.pbx.link import DialOrder
from sovereign_pbx.wire import audiosocket as wire
from tests.pbx import test_asterisk_pbx as whole
from tests.pbx.ami_server import Headers
from tests.pbx.test_asterisk_pbx import PBX_ID, Rig
from tests.waiting import until

TOKEN = "5f6e2b1c-0000-4000-8000-000000000001"
OTHER = "5f6e2b1c-0000-4000-8000-000000000002"
HERE = "127.0.0.1:9092"
NOT_UP, UP = "5", "6"


def ours(*known: str, host: str = "127.0.0.1", began: str = "sovereign-i0a-") -> Ours:
    return Ours(address=lambda: (host, 9092), knows_token=known.__contains__, began=began)


def talking(pbx_id: str = "1.1", token: str = TOKEN, at: str = HERE, **changes: Any) -> Shown:
    usual = Shown(pbx_id, f"PJSIP/{pbx_id}", True, "sovereign-inbound", "AudioSocket", f"{token},{at}")
    return replace(usual, **changes)


def line(pbx_id: str = "1.1", **changes: Any) -> Line:
    made = Line("call", "PJSIP/1.1", pbx_id, TOKEN)
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def kinds(*channels: Shown, lines: tuple[Line, ...] = (), of: Ours | None = None) -> list[tuple[str, str]]:
    shown = {one.pbx_id: one for one in channels}
    return [(one.kind, one.pbx_id) for one in compare(shown, lines, lines, of or ours())]


# --- what differs


def test_a_call_with_its_channel_is_no_difference() -> None:
    assert kinds(talking(), lines=(line(),), of=ours(TOKEN)) == []


def test_a_call_whose_channel_is_not_shown_is_gone() -> None:
    assert kinds(lines=(line(),)) == [("gone", "1.1")]


def test_a_call_that_is_being_dialled_is_its_originators() -> None:
    assert kinds(lines=(line(phase="dialling"),)) == []


def test_audio_that_comes_to_us_and_is_of_no_call_is_a_stray() -> None:
    assert kinds(talking()) == [("stray", "1.1")]


@pytest.mark.parametrize(
    "dialled",
    [
        f"AudioSocket/{HERE}/{TOKEN}/c(slin16),4,gI",
        f"PJSIP/sovereign/sip:{TOKEN}@127.0.0.1:5090,4,gI",
        f"WebSocket/sovereign/c(slin)f(json)v(token={TOKEN}),4,gI",
    ],
)
def test_sound_that_is_dialled_to_us_and_is_of_no_call_is_a_stray(dialled: str) -> None:
    ways = frozenset({"PJSIP/sovereign/sip:@127.0.0.1:5090", "WebSocket/sovereign/c(slin)f(json)v(token=)"})
    us = replace(ours(), ways=lambda: ways)
    assert kinds(talking(application="Dial", data=dialled), of=us) == [("stray", "1.1")]
    assert kinds(talking(application="Dial", data=dialled), of=replace(us, knows_token=lambda token: True)) == []
    elsewhere = dialled.replace("sovereign", "another").replace(HERE, "127.0.0.1:9093")
    assert kinds(talking(application="Dial", data=elsewhere), of=us) == []


def test_the_ways_of_a_carrier_are_what_it_has_dialled() -> None:
    class Carrying:
        def dial_string(self, token: str, rate: int) -> str:
            return f"WebSocket/x/c(slin{rate // 8000 * 8})v(token={token})"

    assert ways_of(cast(Carrier, Carrying())) == {"WebSocket/x/c(slin8)v(token=)", "WebSocket/x/c(slin16)v(token=)"}


@pytest.mark.parametrize(
    "other",
    [
        talking(at="127.0.0.1:9093"),
        talking(at="10.0.0.7:9092"),
        talking(token="somebody"),
        talking(application="Dial"),
        talking(application="", data=""),
    ],
    ids=["another port", "another machine", "no call's id", "another application", "no application"],
)
def test_nobody_elses_channel_is_a_stray(other: Shown) -> None:
    assert kinds(other) == []


def test_audio_that_is_expected_or_connected_without_a_line_of_its_own_is_no_stray() -> None:
    assert kinds(talking(), of=ours(TOKEN)) == []


def test_where_every_address_is_listened_on_ours_is_the_one_that_leads_known_calls_here() -> None:
    known, stray, foreign = (
        talking("1.1", TOKEN, "pbx.example:9092"),
        talking("1.2", OTHER, "pbx.example:9092"),
        talking("1.3", OTHER, "10.0.0.7:9092"),
    )
    everywhere = ours(TOKEN, host="0.0.0.0")
    assert kinds(known, stray, foreign, lines=(line(),), of=everywhere) == [("stray", "1.2")]
    assert kinds(stray, foreign, of=ours(host="0.0.0.0")) == []


@pytest.mark.parametrize(
    ("pbx_id", "up", "found"),
    [
        ("sovereign-i0a-1", False, True),
        ("sovereign-i0a-1", True, False),
        ("sovereign-i0a-1;2", False, False),
        ("sovereign-i0b-1", False, False),
        ("1700000000.1", False, False),
    ],
    ids=["ours", "answered: the dialplan's", "the second half of one", "another daemon's", "somebody's"],
)
def test_only_what_this_installation_placed_and_nobody_has_answered_rings_for_nobody(
    pbx_id: str, up: bool, found: bool
) -> None:
    ringing = Shown(pbx_id, f"PJSIP/{pbx_id}", up, "from-internal", "AppDial2", "(Outgoing Line)")
    assert kinds(ringing) == ([("ringing", pbx_id)] if found else [])
    assert kinds(ringing, lines=(line(pbx_id, phase="dialling"),)) == []
    assert kinds(ringing, of=ours(began="")) == []


# --- what is done about it


@dataclass
class Switchboard:
    """The rig, with an Asterisk that shows `channels` and obeys what it is told of them."""

    rig: Rig
    channels: list[Shown]
    label: bool = True  # whether the dialplan has the label `fallback`
    script: list[list[Shown]] = field(default_factory=list)  # what is shown first, one after the other

    def __post_init__(self) -> None:
        answers = self.rig.server.answers
        answers["CoreShowChannels"] = self._show
        answers["Hangup"] = lambda headers: self._take_away(headers["Channel"])
        answers["Redirect"] = self._redirect

    @property
    def here(self) -> str:
        return f"127.0.0.1:{self.rig.pbx.audiosocket_address[1]}"

    def told(self, name: str) -> list[Headers]:
        return self.rig.server.actions(name)

    def _show(self, headers: Headers) -> bytes:
        if self.script:
            self.channels = self.script.pop(0)
        blocks = ["Response: Success\r\nEventList: start"]
        blocks += [
            f"Event: CoreShowChannel\r\nChannel: {one.name}\r\nUniqueid: {one.pbx_id}\r\n"
            f"ChannelState: {UP if one.up else NOT_UP}\r\nContext: {one.context}\r\n"
            f"Application: {one.application}\r\nApplicationData: {one.data}"
            for one in self.channels
        ]
        blocks.append("Event: CoreShowChannelsComplete\r\nEventList: Complete")
        return "".join(f"{block}\r\nActionID: {headers['ActionID']}\r\n\r\n" for block in blocks).encode()

    def _take_away(self, name: str) -> str:
        self.channels = [one for one in self.channels if one.name != name]
        return "Response: Success\r\nMessage: Channel Hungup"

    def _redirect(self, headers: Headers) -> str:
        if not self.label:
            return "Response: Error\r\nMessage: Redirect failed"
        return self._take_away(headers["Channel"])


def run(scenario: Callable[[Switchboard], Awaitable[None]], **settings: Any) -> None:
    async def body(rig: Rig) -> None:
        await scenario(Switchboard(rig, []))

    whole.run(body, **{"audit_s": 0.05, "instance": "i0a", **settings})


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciliation, "CONFIRM_S", 0.1)


def test_a_call_whose_hang_up_was_never_told_is_ended_by_the_next_audit() -> None:
    async def scenario(it: Switchboard) -> None:
        it.channels = [talking(PBX_ID, application="")]
        call_id = await it.rig.answer()
        await asyncio.sleep(0.3)
        assert it.rig.desk.gone_calls == []
        it.channels = []  # and no event says so
        await until(lambda: it.rig.desk.gone_calls == [(call_id, None)])

    run(scenario)


def test_a_channel_that_is_missing_from_one_answer_only_is_kept() -> None:
    async def scenario(it: Switchboard) -> None:
        there = [talking(PBX_ID, application="")]
        it.channels = there
        await it.rig.answer()
        for _ in range(3):
            asked = len(it.told("CoreShowChannels"))
            it.channels = []
            await until(lambda asked=asked: len(it.told("CoreShowChannels")) == asked + 1)  # type: ignore[misc]  # mypy can't infer lambda defaults
            it.channels = there
            await until(lambda asked=asked: len(it.told("CoreShowChannels")) >= asked + 3)  # type: ignore[misc]  # as above
        assert it.rig.desk.gone_calls == []

    run(scenario)


def test_who_is_heard_is_there_whatever_the_roll_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "HEARD_S", 0.3)

    async def scenario(it: Switchboard) -> None:
        call_id = await it.rig.answer()
        assert it.rig.writer is not None
        for _ in range(30):
            it.rig.writer.write(wire.encode(0x10, bytes(320)))
            await asyncio.sleep(0.02)
        assert it.rig.desk.gone_calls == []
        await until(lambda: it.rig.desk.gone_calls == [(call_id, None)])

    run(scenario)


def test_each_thing_must_be_seen_twice_for_itself() -> None:
    async def scenario(it: Switchboard) -> None:
        first, second = talking("1.1", TOKEN, it.here), talking("1.2", OTHER, it.here)
        anew = talking("1.1", OTHER, it.here)  # the same channel, talking to us a second time
        it.script = [[first], [second], [first], [anew], []]
        await until(lambda: not it.script)
        await asyncio.sleep(0.3)
        assert not it.told("Redirect") and not it.told("Hangup")

    run(scenario)


def test_a_stray_is_given_to_its_dialplans_fallback() -> None:
    async def scenario(it: Switchboard) -> None:
        it.channels = [talking(at=it.here), talking("1.2", OTHER, "127.0.0.1:1")]
        await until(lambda: it.told("Redirect"))
        (told,) = it.told("Redirect")
        assert [told[name] for name in ("Channel", "Context", "Exten", "Priority")] == [
            "PJSIP/1.1", "sovereign-inbound", "s", "fallback"
        ]  # fmt: skip
        await asyncio.sleep(0.3)
        assert len(it.told("Redirect")) == 1 and it.told("Hangup") == []
        assert [one.name for one in it.channels] == ["PJSIP/1.2"]
        assert it.rig.pbx.health()["unknown_channels"] == 0

    run(scenario)


@pytest.mark.parametrize(("context", "label"), [("sovereign-inbound", False), ("from-internal", True)])
def test_a_stray_that_has_no_fallback_to_go_to_is_hung_up(context: str, label: bool) -> None:
    async def scenario(it: Switchboard) -> None:
        it.label = label
        it.channels = [talking(at=it.here, context=context)]
        await until(lambda: it.channels == [])
        assert [told["Channel"] for told in it.told("Hangup")] == ["PJSIP/1.1"]

    run(scenario)


def test_a_telephone_that_rings_for_a_daemon_that_was_killed_stops_ringing() -> None:
    async def scenario(it: Switchboard) -> None:
        it.channels = [Shown("sovereign-i0a-9", "PJSIP/agent-1", False, "from-internal", "AppDial2", "")]
        it.rig.server.drop()
        await until(lambda: it.channels == [])
        assert [told["Channel"] for told in it.told("Hangup")] == ["PJSIP/agent-1"]

    run(scenario, audit_s=0.0)


def test_a_call_that_this_daemon_is_placing_is_left_alone() -> None:
    async def scenario(it: Switchboard) -> None:
        it.rig.server.answers["Originate"] = lambda headers: "Response: Success\r\nMessage: Originate queued"
        await it.rig.pbx.originate(DialOrder(call_id=OTHER, destination="100", ring_s=30))
        (told,) = it.told("Originate")
        assert told["ChannelId"].startswith("sovereign-i0a-")
        it.channels = [Shown(told["ChannelId"], "Local/100@x;1", False, "sovereign-dial", "", "")]
        asked = len(it.told("CoreShowChannels"))
        await until(lambda: len(it.told("CoreShowChannels")) > asked + 4)
        assert it.told("Hangup") == []

    run(scenario)


def test_nothing_is_mended_while_asterisk_refuses_to_show_its_channels() -> None:
    async def scenario(it: Switchboard) -> None:
        await it.rig.answer()
        it.rig.server.answers["CoreShowChannels"] = lambda headers: "Response: Error\r\nMessage: Permission denied"
        asked = len(it.told("CoreShowChannels"))
        await until(lambda: len(it.told("CoreShowChannels")) > asked + 3)
        assert it.rig.desk.gone_calls == []
        found = await it.rig.pbx.audit()
        assert (found["asked"], found["differences"]) == (False, [])
        assert "Permission denied" in found["why"]

    run(scenario)


def test_without_a_period_asterisk_is_asked_after_a_login_only() -> None:
    async def scenario(it: Switchboard) -> None:
        asked = len(it.told("CoreShowChannels"))
        await asyncio.sleep(0.3)
        assert len(it.told("CoreShowChannels")) == asked
        it.rig.server.drop()
        await until(lambda: len(it.told("CoreShowChannels")) > asked)

    run(scenario, audit_s=0.0)


def test_whoever_asks_is_told_every_call_and_what_differs_twice_and_nothing_changes() -> None:
    async def scenario(it: Switchboard) -> None:
        it.channels = [talking("1.2", OTHER, it.here)]
        call_id = await it.rig.answer()
        found = await it.rig.pbx.audit()
        assert [(one["call_id"], one["phase"]) for one in found["lines"]] == [(call_id, "talking")]
        assert {(one["kind"], one["channel"]) for one in found["differences"]} == {
            ("gone", found["lines"][0]["channel"]),
            ("stray", "PJSIP/1.2"),
        }
        assert all(one["why"] for one in found["differences"])
        assert not it.told("Redirect") and not it.told("Hangup") and not it.rig.desk.gone_calls

    run(scenario, audit_s=0.0)


def test_without_a_manager_it_is_said_that_asterisk_could_not_be_asked() -> None:
    async def scenario(rig: Rig) -> None:
        call_id = await rig.answer()
        found = await rig.pbx.audit()
        assert (found["asked"], [one["call_id"] for one in found["lines"]]) == (False, [call_id])
        assert "manager" in found["why"]
        assert rig.pbx.call_ids() == {call_id}

    whole.run(scenario, ami=False)


def test_a_difference_is_the_same_one_when_it_is_seen_again() -> None:
    shown = {"1.1": talking()}
    (first,), (again,) = compare(shown, (), (), ours()), compare(shown, (), (), ours())
    assert first == again != Difference("stray", "1.1", channel="PJSIP/1.1", context="sovereign-inbound", token=OTHER)


def test_an_end_that_is_told_many_times_is_one_end() -> None:
    async def scenario(it: Switchboard) -> None:
        it.channels = [talking(PBX_ID, application="")]
        call_id = await it.rig.answer()
        for _ in range(3):
            it.rig.server.event("Hangup", Uniqueid=PBX_ID, Cause="16")
        it.channels = []
        await until(lambda: it.rig.desk.gone_calls)
        await it.rig.ask("hangup", call_id, "16")
        asked = len(it.told("CoreShowChannels"))
        await until(lambda: len(it.told("CoreShowChannels")) > asked + 2)
        assert it.rig.desk.gone_calls == [(call_id, 16)]

    run(scenario)
