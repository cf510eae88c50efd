"""The faults of panoramisk 1.4, one test each: none of them may come through what is built on it."""

import asyncio

import pytest
from structlog.testing import capture_logs

from sovereign_pbx.core.errors import LinkBroken
from sovereign_pbx.pbx.asterisk.agi_session import AgiSession
from sovereign_pbx.pbx.asterisk.ami_message import AmiMessage
from sovereign_pbx.pbx.asterisk.fastagi import FastAgiServer
from tests.pbx.agi_client import AgiClient
from tests.pbx.ami_rig import AmiRig, run
from tests.waiting import until


def test_1_a_peer_that_connects_to_fastagi_and_leaves_does_not_hang_the_loop() -> None:
    async def body() -> None:
        async def handler(session: AgiSession) -> None:
            await session.set_variable("X", "1")

        server = FastAgiServer("127.0.0.1", 0, {"test": handler})
        await server.start()
        for _ in range(3):
            _, writer = await asyncio.open_connection(*server.address)
            writer.close()
        async with asyncio.timeout(2):
            assert await AgiClient(server.address).ask("test") == {"X": "1"}
        await server.close()

    asyncio.run(body())


def test_2_a_listener_that_raises_does_not_end_the_connection() -> None:
    async def scenario(rig: AmiRig) -> None:
        def fail(event: AmiMessage) -> None:
            raise RuntimeError("a fault of ours")

        rig.ami.on_event(fail)
        rig.ami.on_event(later.append)
        await rig.connect()
        rig.server.event("Newchannel", Channel="a")
        rig.server.event("Hangup", Channel="a")
        await until(lambda: len(later) == 2)
        assert rig.ami.connected
        assert rig.states == [True]

    later: list[AmiMessage] = []
    with capture_logs() as logs:
        run(scenario)
    assert [entry["event"] for entry in logs].count("ami_listener_failed") == 2


def test_3_an_originate_is_always_asynchronous() -> None:
    async def scenario(rig: AmiRig) -> None:
        rig.server.answers["Originate"] = lambda headers: (
            "Response: Success\r\nMessage: Originate successfully queued\r\n"
            f"ActionID: {headers['ActionID']}\r\n\r\n"
            "Event: OriginateResponse\r\nPrivilege: call,all\r\nResponse: Failure\r\nReason: 0\r\nUniqueid: <unknown>"
        )
        await rig.connect()
        answer = await rig.ami.action("Originate", Channel="PJSIP/agent")
        assert rig.server.actions("Originate")[0]["Async"] == "true"
        assert answer.get("Message") == "Originate successfully queued"
        assert [entry.get("Response") for entry in answer.entries] == ["Failure"]
        assert rig.ami.connected

    run(scenario)


def test_4_a_command_over_asynchronous_agi_gets_its_result() -> None:
    async def scenario(rig: AmiRig) -> None:
        rig.server.answers["AGI"] = lambda headers: (
            f"Response: Success\r\nMessage: Added AGI command to queue\r\nActionID: {headers['ActionID']}\r\n\r\n"
            f"Event: AsyncAGIExec\r\nChannel: a\r\nCommandID: {headers['CommandID']}\r\n"
            "Result: 200%20result%3D0%0A\r\n\r\n"
        ).encode()
        await rig.connect()
        answer = await rig.ami.action("AGI", Channel="a", Command="ANSWER")
        assert [entry.get("Result") for entry in answer.entries] == ["200 result=0"]

    run(scenario)


def test_5_a_character_split_over_two_packets_is_not_lost() -> None:
    async def scenario(rig: AmiRig) -> None:
        await rig.connect()
        text = "Event: Newchannel\r\nCallerIDName: Zoë Ω\r\n\r\n".encode()
        for at in range(len(text)):
            rig.server.send(text[at : at + 1])
            await asyncio.sleep(0.0005)
        await until(lambda: len(rig.events) == 1)
        assert rig.events[0].get("CallerIDName") == "Zoë Ω"

    run(scenario)


def test_6_a_wrong_secret_is_reported_and_not_tried_again_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    async def scenario(rig: AmiRig) -> None:
        await rig.ami.start()
        await until(lambda: "refused" in rig.ami.last_error)
        await asyncio.sleep(0.3)
        assert len(rig.server.actions("Login")) == 1
        assert not rig.ami.connected
        with pytest.raises(LinkBroken, match=r"not connected.*Authentication failed"):
            await rig.ami.action("Ping")

    run(scenario, secret="wr0ng-secret")
    logged = capsys.readouterr().out
    assert "ami_login_refused" in logged
    assert "wr0ng-secret" not in logged


def test_7_a_peer_that_has_fallen_silent_is_noticed() -> None:
    async def scenario(rig: AmiRig) -> None:
        await rig.connect()
        rig.server.answers["Ping"] = lambda headers: None
        await until(lambda: False in rig.states)
        assert "no answer to Ping" in rig.ami.last_error
        del rig.server.answers["Ping"]  # an error is an answer
        await until(lambda: rig.ami.connected)

    run(scenario, ping_every_s=0.05, ping_s=0.05)


def test_8_an_action_in_flight_ends_when_the_connection_is_closed() -> None:
    async def scenario(rig: AmiRig) -> None:
        rig.server.answers["Redirect"] = lambda headers: None
        await rig.connect()
        async with asyncio.TaskGroup() as group:
            pending = group.create_task(expect_broken(rig))
            await until(lambda: len(rig.server.actions("Redirect")) == 1)
            await rig.ami.stop()
        assert pending.result()

    run(scenario)


async def expect_broken(rig: AmiRig) -> bool:
    with pytest.raises(LinkBroken, match="closed by the daemon"):
        await rig.ami.action("Redirect", timeout_s=30, Channel="a")
    return True


def test_9_an_action_in_flight_is_not_sent_again_after_a_reconnection() -> None:
    async def scenario(rig: AmiRig) -> None:
        rig.server.answers["Originate"] = lambda headers: None
        rig.server.after_login = "Event: FullyBooted\r\nStatus: Fully Booted\r\n\r\n"
        await rig.connect()
        async with asyncio.TaskGroup() as group:
            pending = group.create_task(originate_fails(rig))
            await until(lambda: len(rig.server.actions("Originate")) == 1)
            rig.server.drop()
            await until(lambda: rig.server.logins == 2)
        assert pending.done()
        await asyncio.sleep(0.1)
        assert len(rig.server.actions("Originate")) == 1
        assert rig.states == [True, False, True]

    run(scenario)


async def originate_fails(rig: AmiRig) -> None:
    with pytest.raises(LinkBroken, match=r"closed the AMI connection|connection died"):
        await rig.ami.action("Originate", timeout_s=30, Channel="PJSIP/agent")


def test_10_an_action_before_the_connection_is_a_clear_error() -> None:
    async def scenario(rig: AmiRig) -> None:
        with pytest.raises(LinkBroken, match="AMI Ping: not connected"):
            await rig.ami.action("Ping")

    run(scenario)
