"""AsteriskPbx as a whole, between a scripted desk and fakes of the three protocols."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest

from sovereign_pbx.core.errors import BadInput, ConfigError, LinkBroken, LinkFinished
from sovereign_pbx.pbx.asterisk.asterisk import AmiSettings, AsteriskPbx, AsteriskSettings
from sovereign_pbx.pbx.link import Decision, NextStep, Pbx
from sovereign_pbx.wire import audiosocket as wire
from tests.pbx.agi_client import AgiClient
from tests.pbx.ami_rig import TIMING
from tests.pbx.ami_server import SECRET, FakeAmi
from tests.pbx.desk import ScriptedDesk
from tests.waiting import until

PBX_ID = "1700000000.1"


class Rig:
    """A PBX with a call of channel `PBX_ID`, as far as a test takes it."""

    def __init__(self, pbx: AsteriskPbx, ami: FakeAmi) -> None:
        self.pbx, self.server = pbx, ami
        self.desk = ScriptedDesk()
        self.clients: list[AgiClient] = []
        self.writer: asyncio.StreamWriter | None = None

    async def ask(self, path: str, *arguments: str) -> dict[str, str]:
        self.clients.append(AgiClient(self.pbx.agi_address))
        return await self.clients[-1].ask(path, *arguments)

    async def ring(self) -> str:
        return (await self.ask("inbound"))["SOVEREIGN_CALL"]

    async def answer(self) -> str:
        token = await self.ring()
        self.reader, self.writer = await asyncio.open_connection(*self.pbx.audiosocket_address)
        self.writer.write(wire.encode(wire.ID, UUID(token).bytes))
        await until(lambda: token in self.desk.links)
        return token

    def press(self, digit: str) -> None:
        assert self.writer is not None
        self.writer.write(wire.encode(wire.DTMF, digit.encode()))

    async def logged_in(self) -> None:
        await until(lambda: self.pbx.ami is not None and self.pbx.ami.connected)
        await until(lambda: len(self.server.actions("CoreShowChannels")) >= 1)


def channels(*pbx_ids: str, data: str = "") -> Callable[[dict[str, str]], bytes]:
    """An answer to CoreShowChannels."""

    def answer(headers: dict[str, str]) -> bytes:
        blocks = ["Response: Success\r\nEventList: start\r\nMessage: Channels will follow"]
        blocks += [
            f"Event: CoreShowChannel\r\nChannel: PJSIP/{pbx_id}\r\nUniqueid: {pbx_id}\r\n"
            f"Application: AudioSocket\r\nApplicationData: {data}"
            for pbx_id in pbx_ids
        ]
        blocks.append("Event: CoreShowChannelsComplete\r\nEventList: Complete")
        return "".join(f"{block}\r\nActionID: {headers['ActionID']}\r\n\r\n" for block in blocks).encode()

    return answer


def run(scenario: Callable[[Rig], Awaitable[None]], *, ami: bool = True, **settings: Any) -> None:
    async def body() -> None:
        server = FakeAmi()
        server.answers["CoreShowChannels"] = channels()
        await server.start()
        login = AmiSettings(port=server.port, username="sovereign", secret=SECRET, timing=TIMING)
        options: dict[str, Any] = {"agi_port": 0, "audiosocket_port": 0, "ami": login if ami else None, **settings}
        rig = Rig(AsteriskPbx(AsteriskSettings(**options)), server)
        await rig.pbx.start(rig.desk)
        try:
            if ami:
                await rig.logged_in()
            await scenario(rig)
        finally:
            for client in rig.clients:
                await client.close()
            if rig.writer is not None:
                rig.writer.close()
            await rig.pbx.stop()
            await server.stop()
        await asyncio.sleep(0.02)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(body())


def test_it_is_a_pbx() -> None:
    pbx: Pbx = AsteriskPbx(AsteriskSettings())
    assert pbx.health() == {"status": "down"}
    assert "s3cret" not in repr(AsteriskSettings(ami=AmiSettings(username="u", secret="s3cret")))


def test_a_call_is_offered_connected_and_gone() -> None:
    async def scenario(rig: Rig) -> None:
        call_id = await rig.answer()
        assert rig.desk.links[call_id].kind == "audiosocket"
        rig.server.event("Hangup", Uniqueid=PBX_ID, Cause="16")
        await until(lambda: rig.desk.gone_calls == [(call_id, 16)])
        assert rig.pbx.health()["calls"] == 0

    run(scenario)


def test_a_digit_is_told_once_however_it_came() -> None:
    async def scenario(rig: Rig) -> None:
        await rig.answer()
        rig.press("5")
        await until(lambda: rig.desk.digits == ["5"])
        rig.server.event("DTMFEnd", Uniqueid=PBX_ID, Digit="5", Direction="Received")
        rig.server.event("DTMFEnd", Uniqueid=PBX_ID, Digit="6", Direction="Sent")
        rig.server.event("DTMFEnd", Uniqueid=PBX_ID, Digit="7", Direction="Received")
        await until(lambda: rig.desk.digits == ["5", "7"])
        rig.press("7")
        rig.press("8")
        await until(lambda: rig.desk.digits == ["5", "7", "8"])

    run(scenario)


def test_hold_is_told() -> None:
    async def scenario(rig: Rig) -> None:
        await rig.answer()
        rig.server.event("Hold", Uniqueid=PBX_ID)
        rig.server.event("Unhold", Uniqueid="another")
        rig.server.event("Unhold", Uniqueid=PBX_ID)
        await until(lambda: rig.desk.holds == [True, False])

    run(scenario)


def test_hanging_up_goes_by_ami_with_the_cause() -> None:
    async def scenario(rig: Rig) -> None:
        rig.server.answers["Hangup"] = lambda headers: "Response: Success\r\nMessage: Channel Hungup"
        call_id = await rig.answer()
        await rig.pbx.hang_up(call_id, cause=17)
        (action,) = rig.server.actions("Hangup")
        assert (action["Channel"], action["Cause"]) == (PBX_ID, "17")
        assert rig.desk.links[call_id].ended is None

    run(scenario)


@pytest.mark.parametrize("ami", [True, False])
def test_hanging_up_without_ami_ends_the_audio_and_the_dialplan_hangs_up(ami: bool) -> None:
    async def scenario(rig: Rig) -> None:
        call_id = await rig.answer()
        await rig.pbx.hang_up(call_id)  # with AMI: the fake does not know the action
        assert await rig.reader.readexactly(3) == wire.HANGUP_FRAME
        rig.desk.step = NextStep("fallback")
        assert await rig.ask("next", call_id) == {"SOVEREIGN_NEXT": "hangup"}

    run(scenario, ami=ami)


def test_hanging_up_an_unknown_call_does_nothing() -> None:
    async def scenario(rig: Rig) -> None:
        await rig.pbx.hang_up("nobody")
        assert rig.server.actions("Hangup") == []

    run(scenario)


def test_digits_are_sent_one_after_the_other() -> None:
    async def scenario(rig: Rig) -> None:
        # Asterisk's own words, over which panoramisk stumbles
        rig.server.answers["PlayDTMF"] = lambda headers: "Response: Success\r\nMessage: DTMF successfully queued"
        call_id = await rig.answer()
        began = asyncio.get_running_loop().time()
        await asyncio.gather(rig.pbx.send_digits(call_id, "1d"), rig.pbx.send_digits(call_id, "#"))
        assert asyncio.get_running_loop().time() - began > 0.5
        assert [action["Digit"] for action in rig.server.actions("PlayDTMF")] == ["1", "D", "#"]

    run(scenario)


@pytest.mark.parametrize("digits", ["1x", "1\r\nAction: Originate", "1" * 65])
def test_what_is_no_digit_is_not_sent(digits: str) -> None:
    async def scenario(rig: Rig) -> None:
        with pytest.raises(BadInput, match="can't send"):
            await rig.pbx.send_digits(await rig.ring(), digits)

    run(scenario)


def test_digits_that_can_not_be_sent_are_an_error() -> None:
    async def scenario(rig: Rig) -> None:
        with pytest.raises(LinkFinished):
            await rig.pbx.send_digits("nobody", "1")
        call_id = await rig.answer()
        with pytest.raises(LinkFinished, match="did not send"):
            await rig.pbx.send_digits(call_id, "1")

    run(scenario)


def test_digits_without_ami_are_an_error() -> None:
    async def scenario(rig: Rig) -> None:
        with pytest.raises(LinkBroken, match="without AMI"):
            await rig.pbx.send_digits(await rig.answer(), "1")

    run(scenario, ami=False)


def test_a_channel_that_vanished_while_ami_was_away_is_gone() -> None:
    async def scenario(rig: Rig) -> None:
        call_id = await rig.answer()
        rig.server.drop()
        await until(lambda: rig.desk.gone_calls == [(call_id, None)])

    run(scenario)


def test_a_channel_that_is_still_there_after_ami_was_away_is_kept() -> None:
    async def scenario(rig: Rig) -> None:
        await rig.answer()
        rig.server.answers["CoreShowChannels"] = channels(PBX_ID)
        rig.server.drop()
        await until(lambda: len(rig.server.actions("CoreShowChannels")) == 2)
        await asyncio.sleep(0.05)
        assert rig.desk.gone_calls == []

    run(scenario)


def test_nobody_is_given_up_when_asterisk_refuses_the_roll_call() -> None:
    async def scenario(rig: Rig) -> None:
        await rig.answer()
        del rig.server.answers["CoreShowChannels"]
        rig.server.drop()
        await until(lambda: len(rig.server.actions("CoreShowChannels")) == 2)
        await asyncio.sleep(0.05)
        assert rig.desk.gone_calls == []

    run(scenario)


def test_channels_of_ours_that_we_do_not_know_are_reported() -> None:
    async def scenario(rig: Rig) -> None:
        port = rig.pbx.audiosocket_address[1]
        data = f"5f6e2b1c-0000-4000-8000-000000000001,127.0.0.1:{port}"
        rig.server.answers["CoreShowChannels"] = channels("1.1", "1.2", data=data)
        rig.server.drop()
        await until(lambda: rig.pbx.health()["unknown_channels"] == 2)

    run(scenario)


def test_audio_that_never_comes_ends_the_call() -> None:
    async def scenario(rig: Rig) -> None:
        call_id = await rig.ring()
        await until(lambda: rig.desk.gone_calls == [(call_id, None)])

    run(scenario, connect_within_s=0.05)


def test_a_caller_of_whom_nothing_is_heard_after_the_audio_ended_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sovereign_pbx.pbx.asterisk.asterisk.AFTER_S", 0.05)

    async def scenario(rig: Rig) -> None:
        call_id = await rig.answer()
        assert rig.writer is not None
        rig.writer.close()
        await until(lambda: rig.desk.gone_calls == [(call_id, None)])

    run(scenario, ami=False)


def test_stopping_gives_every_call_back() -> None:
    async def scenario(rig: Rig) -> None:
        call_id = await rig.answer()
        address = rig.pbx.agi_address
        await rig.pbx.stop()
        assert await rig.reader.readexactly(3) == wire.HANGUP_FRAME
        assert rig.desk.gone_calls == [(call_id, None)]
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*address)
        assert rig.pbx.health() == {"status": "down"}

    run(scenario)


@pytest.mark.parametrize(("ami", "status"), [(True, "ok"), (False, "degraded")])
def test_health_says_whether_ami_is_there(ami: bool, status: str) -> None:
    async def scenario(rig: Rig) -> None:
        assert rig.pbx.health()["status"] == status
        if ami:
            await rig.server.stop()
            await until(lambda: rig.pbx.health()["status"] == "degraded")

    run(scenario, ami=ami)


def test_calls_work_without_ami() -> None:
    async def scenario(rig: Rig) -> None:
        rig.desk.decision = Decision("busy")
        assert (await rig.ask("inbound"))["SOVEREIGN_ACTION"] == "busy"
        rig.desk.decision = Decision("answer")
        call_id = await rig.answer()
        rig.press("5")
        await until(lambda: rig.desk.digits == ["5"])
        await rig.ask("hangup", call_id, "16")
        assert rig.desk.gone_calls[-1] == (call_id, 16)

    run(scenario, ami=False)


def test_each_listener_has_its_own_permitted_networks() -> None:
    async def scenario(rig: Rig) -> None:
        assert (await rig.ask("inbound"))["SOVEREIGN_ACTION"] == "answer"
        reader, rig.writer = await asyncio.open_connection(*rig.pbx.audiosocket_address)
        assert await reader.read() == b""
        assert rig.pbx.health()["audiosocket"]["refused_not_permitted"] == 1

    run(scenario, permit=["127.0.0.0/8"], audiosocket_permit=["192.0.2.0/24"])


def test_a_port_in_use_leaves_nothing_listening() -> None:
    async def scenario(rig: Rig) -> None:
        taken = rig.pbx.agi_address[1]
        other = AsteriskPbx(AsteriskSettings(agi_port=taken, audiosocket_port=0))
        with pytest.raises(ConfigError, match="FastAGI can't listen"):
            await other.start(rig.desk)
        with pytest.raises(AssertionError):
            _ = other.audiosocket_address

    run(scenario)
