"""Calls placed, without any PBX but a scripted one: what is refused, how many there may be, what the books say."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from sovereign_pbx.calls.desk import CallDesk
from sovereign_pbx.calls.outbound import OutboundCall, OutboundRequest
from sovereign_pbx.calls.placing import HOUR_S, OutboundLimits, Placing
from sovereign_pbx.core.errors import Refused
from sovereign_pbx.core.events import Instructed
from sovereign_pbx.pbx.link import DialOrder
from tests.asterisk_of import ami_connected, asterisk_of
from tests.calls.house import House, assistant, house, play
from tests.pbx.agi_client import AgiClient
from tests.pbx.ami_server import SECRET, FakeAmi
from tests.pbx.test_asterisk_pbx import channels
from tests.waiting import until

OURS, CALLEE = "+31850835037", "+31612345678"
SECTIONS: dict[str, Any] = {
    "numbers": [
        {"number": OURS, "name": "Main line", "assistant": "reception", "transfer_trunk": "carrier"},
        {"number": "300", "assistant": "reception"},
        {"number": "301", "is_active": False},
        {"number": "302", "transfer_trunk": "old"},
    ],
    "trunks": {"carrier": {"name": "My Carrier (NL)"}, "old": {"is_active": False}},
    "dialling": {"allow": ["+31*", "200"], "caller_id": "+31201112222", "max_at_once": 2, "ring_seconds": 20.0},
}


class Office:
    """A house with a manager interface that does as it is told."""

    def __init__(self, made: House, ami: FakeAmi) -> None:
        self.house, self.ami = made, ami

    @property
    def desk(self) -> CallDesk:
        return self.house.daemon.desk

    def request(self, destination: str = CALLEE, *, number: str = OURS, **changes: Any) -> OutboundRequest:
        directory = self.house.daemon.estate.directory
        known = {entry.number: entry for entry in directory.numbers}
        fields = {"assistant": directory.assistant("reception"), "number": known.get(number), "trunk": None, **changes}
        return OutboundRequest(destination=destination, **fields)

    async def refusal(self, *arguments: str, **changes: Any) -> str:
        dialled = len(self.ami.actions("Originate"))
        with pytest.raises(Refused) as caught:
            await self.desk.place(self.request(*arguments, **changes))
        assert len(self.ami.actions("Originate")) == dialled
        return caught.value.code

    def sent(self) -> dict[str, str]:
        """The latest order."""
        return self.ami.actions("Originate")[-1]

    def hangup(self, cause: int, action: dict[str, str] | None = None) -> None:
        order = action or self.sent()
        self.ami.event("DialBegin", DestUniqueid=order["ChannelId"])
        self.ami.event("OriginateResponse", ActionID=order["ActionID"], Response="Failure", Reason="0")
        self.ami.event("Hangup", Uniqueid=order["ChannelId"], Cause=str(cause))

    async def pick_up(self) -> dict[str, str]:
        """The dialplan of whoever answers asks."""
        client = AgiClient(asterisk_of(self.house.daemon).agi_address)
        token = self.sent()["Variable"].splitlines()[0].partition("=")[2]
        answered = await client.ask("outbound", token, uniqueid=self.sent()["ChannelId"])
        await client.close()
        return answered


@asynccontextmanager
async def office(folder: Path, **sections: Any) -> AsyncIterator[Office]:
    ami = FakeAmi()
    ami.answers |= {
        "CoreShowChannels": channels(),
        "Originate": lambda headers: "Response: Success\r\nMessage: Originate successfully queued",
        "Hangup": lambda headers: "Response: Success\r\nMessage: Channel Hungup",
    }
    await ami.start()
    try:
        async with house(folder, {"reception": assistant()}, **{**SECTIONS, **sections}) as made:
            await made.stop()
            made.settings["asterisk"]["ami"] = {"port": ami.port, "username": "sovereign", "secret": SECRET}
            await made.start()
            await until(lambda: ami_connected(made.daemon))
            yield Office(made, ami)
    finally:
        await ami.stop()


def act(folder: Path, scene: Callable[[Office], Awaitable[None]], **sections: Any) -> None:
    async def body() -> None:
        async with office(folder, **sections) as opened:
            await scene(opened)

    play(body())


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"destination": "+4412345678"}, "destination_not_allowed"),
        ({"destination": "+31900123456"}, "destination_not_allowed"),
        ({"destination": "200,1"}, "destination_not_allowed"),
        ({"destination": "sip:ann@example.org"}, "destination_not_allowed"),
        ({"number": "301"}, "number_inactive"),
        ({"number": "302"}, "trunk_inactive"),
    ],
)
def test_what_is_against_a_call_is_said_before_anybody_is_rung(
    tmp_path: Path, changes: dict[str, str], code: str
) -> None:
    async def scene(at: Office) -> None:
        assert await at.refusal(**changes) == code
        assert await at.house.rows() == []
        assert len(at.desk) == 0

    act(tmp_path, scene)


def test_an_order_shows_our_number_and_goes_out_on_its_trunk(tmp_path: Path) -> None:
    async def scene(at: Office) -> None:
        await at.desk.place(at.request("0031 6 123 456 78", variables={"name": "Jan"}))
        sent = at.sent()
        assert (sent["Channel"], sent["CallerID"]) == (f"PJSIP/{CALLEE}@My-Carrier--NL-", f"<{OURS}>")
        assert sent["Timeout"] == "20000"
        assert "__SOVEREIGN_VAR_name=Jan" in sent["Variable"].splitlines()
        at.hangup(17)
        await at.desk.place(at.request("200", number="*", ring_s=5.0))
        assert (at.sent()["Channel"], at.sent()["CallerID"]) == ("Local/200@sovereign-dial/n", "<+31201112222>")
        assert at.sent()["Timeout"] == "5000"
        at.hangup(17)

    act(tmp_path, scene)


def test_no_more_ring_at_once_than_may(tmp_path: Path) -> None:
    async def scene(at: Office) -> None:
        first = await at.desk.place(at.request())
        await at.desk.place(at.request())
        assert await at.refusal() == "dialling_limit_reached"
        at.hangup(17, at.ami.actions("Originate")[0])
        assert (await at.desk.finished(first)).end_reason == "busy"
        await at.desk.place(at.request())

    act(tmp_path, scene)


@pytest.mark.parametrize("limits", [{"max_calls": 1}, {"max_calls_per_assistant": 1}])
def test_calls_placed_count_with_the_others(tmp_path: Path, limits: dict[str, int]) -> None:
    async def scene(at: Office) -> None:
        await at.desk.place(at.request())
        assert await at.refusal() == "too_many_calls"
        caller = AgiClient(asterisk_of(at.house.daemon).agi_address)
        assert (await caller.ask("inbound", "300"))["SOVEREIGN_ACTION"] == "fallback"
        await caller.close()

    act(tmp_path, scene, limits=limits)


def test_the_hour_has_its_limit(tmp_path: Path) -> None:
    async def scene(at: Office) -> None:
        now = [0.0]
        placing = Placing(at.desk._services, OutboundLimits(max_per_hour=2), lambda: now[0])
        for _ in range(2):
            placing.order(at.request(), 0)
            placing.count()
            now[0] += 60
        with pytest.raises(Refused, match="58 min") as caught:
            placing.order(at.request(), 0)
        assert caught.value.code == "dialling_limit_reached"
        now[0] = HOUR_S
        placing.order(at.request(), 0)

    act(tmp_path, scene)


def test_nobody_is_called_without_the_manager(tmp_path: Path) -> None:
    async def scene(at: Office) -> None:
        await at.ami.stop()
        await until(lambda: at.house.daemon.pbx.health()["status"] == "degraded")
        assert await at.refusal() == "pbx_unavailable"
        assert await at.house.rows() == []

    act(tmp_path, scene)


def test_an_order_that_asterisk_refuses_leaves_a_row_and_tells_nobody_else(tmp_path: Path) -> None:
    async def scene(at: Office) -> None:
        at.ami.answers["Originate"] = lambda headers: "Response: Error\r\nMessage: Permission denied"
        with pytest.raises(Refused, match="add originate"):
            await at.desk.place(at.request())
        await until(lambda: len(at.desk) == 0)
        (row,) = await at.house.rows()
        assert (row.status, row.end_reason, "add originate" in (row.error or "")) == ("failed", "error", True)
        assert at.house.receiver.got == []

    act(tmp_path, scene)


def test_a_chosen_id_is_the_calls_and_dials_once(tmp_path: Path) -> None:
    async def scene(at: Office) -> None:
        chosen = str(uuid4())
        assert await at.desk.place(at.request(call_id=chosen)) == chosen
        assert await at.refusal(call_id=chosen) == "already_placed"
        at.hangup(21)
        assert (await at.desk.finished(chosen)).end_reason == "rejected"
        assert await at.refusal(call_id=chosen) == "already_placed"
        with pytest.raises(Refused) as caught:
            await at.desk.finished("nobody")
        assert caught.value.code == "not_found"

    act(tmp_path, scene)


def test_an_end_without_an_answer_is_told_in_order_and_once(tmp_path: Path) -> None:
    async def scene(at: Office) -> None:
        call_id = await at.desk.place(at.request())
        at.hangup(17)
        await at.desk.finished(call_id)
        (report,) = await at.house.reported()
        assert [got.event for got in at.house.receiver.got] == ["status-update", "end-of-call-report"]
        assert report["call"] == {"id": call_id, "type": "outbound_phone_call", "status": "ended"}
        assert (report["customer"]["number"], report["phone_number"]["number"]) == (CALLEE, OURS)
        assert (report["summary"], report["messages"], report["end_reason"]) == ("The line was busy.", [], "busy")
        (row,) = await at.house.rows()
        assert (row.status, row.summary, row.error, row.duration_seconds) == ("failed", "The line was busy.", None, 0)

    act(tmp_path, scene)


def test_an_assistant_that_gets_ready_late_is_waited_for_by_whoever_answered(tmp_path: Path) -> None:
    async def scene(at: Office) -> None:
        at.house.elevenlabs.first_audio_ms = 700
        await at.desk.place(at.request())
        began = asyncio.get_running_loop().time()
        assert (await at.pick_up())["SOVEREIGN_ACTION"] == "answer"
        assert asyncio.get_running_loop().time() - began > 0.4
        at.hangup(16)

    act(tmp_path, scene)


def test_a_caller_who_picks_up_and_puts_down_at_once_was_no_failure(tmp_path: Path) -> None:
    async def scene(at: Office) -> None:
        call_id = await at.desk.place(at.request())
        await at.pick_up()
        at.ami.event("Hangup", Uniqueid=at.sent()["ChannelId"], Cause="16")
        assert (await at.desk.finished(call_id)).end_reason == "user_hangup"
        (row,) = await at.house.rows()
        assert (row.status, row.started_at, row.error) == ("ended", None, None)
        (report,) = await at.house.reported()
        assert "hung up before" in report["summary"]

    act(tmp_path, scene)


def test_a_caller_who_puts_down_before_his_dialplan_has_asked_was_no_failure(tmp_path: Path) -> None:
    async def scene(at: Office) -> None:
        call_id = await at.desk.place(at.request())
        client = AgiClient(asterisk_of(at.house.daemon).agi_address)
        await client.ask("hangup", at.sent()["Variable"].splitlines()[0].partition("=")[2], "16")
        await client.close()
        how = await at.desk.finished(call_id)
        assert (how.end_reason, how.error) == ("user_hangup", "")
        (row,) = await at.house.rows()
        assert (row.status, row.started_at, row.error) == ("ended", None, None)
        (report,) = await at.house.reported()
        assert "answered, and hung up before" in report["summary"]

    act(tmp_path, scene)


def test_an_order_that_may_have_left_is_no_refusal_whatever_breaks_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(at: Office) -> None:
        pbx = at.house.daemon.pbx
        originate = pbx.originate

        async def breaking(order: DialOrder) -> None:
            await originate(order)
            raise RuntimeError("after the order")

        monkeypatch.setattr(pbx, "originate", breaking)
        call_id = await at.desk.place(at.request())
        how = await at.desk.finished(call_id)
        assert (how.end_reason, how.error) == ("error", "internal error: RuntimeError")
        await until(lambda: at.ami.actions("Hangup"))
        (report,) = await at.house.reported()
        assert report["call"]["status"] == "ended-with-error"

    act(tmp_path, scene)


def test_what_breaks_before_the_order_left_is_a_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def breaking(call: OutboundCall) -> None:
        raise RuntimeError("before the order")

    async def scene(at: Office) -> None:
        monkeypatch.setattr(OutboundCall, "_known", breaking)
        assert await at.refusal() == "pbx_unavailable"

    act(tmp_path, scene)


def test_somebody_who_hangs_up_before_the_assistant_is_ready_was_no_failure(tmp_path: Path) -> None:
    async def scene(at: Office) -> None:
        at.house.elevenlabs.first_audio_ms = 1500
        call_id = await at.desk.place(at.request())
        client = AgiClient(asterisk_of(at.house.daemon).agi_address)
        await client.connect()
        token = at.sent()["Variable"].splitlines()[0].partition("=")[2]
        client.request("outbound", token)
        await until(lambda: at.house.daemon.pbx.health()["agi"].get("served_outbound"))
        client.vanish()
        how = await at.desk.finished(call_id)
        assert (how.end_reason, how.error) == ("user_hangup", "")
        await client.close()

    act(tmp_path, scene)


def test_orders_for_nobody_and_for_a_ringing_call_are_refused(tmp_path: Path) -> None:
    async def scene(at: Office) -> None:
        call_id = await at.desk.place(at.request())
        codes = []
        for whom in ("nobody", call_id):
            with pytest.raises(Refused) as caught:
                await at.desk.instruct(whom, Instructed("say", "Hello."))
            codes.append(caught.value.code)
        at.hangup(17)
        await at.desk.finished(call_id)
        with pytest.raises(Refused) as caught:
            await at.desk.instruct(call_id, Instructed("end"))
        assert [*codes, caught.value.code] == ["not_found", "call_not_active", "call_not_active"]

    act(tmp_path, scene)
