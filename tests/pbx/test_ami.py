"""The AMI client beyond panoramisk's faults: deadlines, order, bounds, what is told to whom."""

import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.core.errors import BadInput, LinkBroken, LinkFinished
from sovereign_pbx.pbx.asterisk.ami import Ami
from sovereign_pbx.pbx.asterisk.ami_message import AmiMessage
from sovereign_pbx.pbx.control_login import LoginRefused, LoginTiming, first_of
from tests.pbx.ami_rig import AmiRig, run
from tests.waiting import until


def test_the_secret_never_crosses_the_network() -> None:
    async def scenario(rig: AmiRig) -> None:
        await rig.connect()
        (login,) = rig.server.actions("Login")
        assert "Secret" not in login
        assert login["Events"] == "call,dtmf"

    run(scenario)


def test_an_answer_is_matched_to_its_action_whatever_the_order() -> None:
    async def scenario(rig: AmiRig) -> None:
        ids: list[str] = []

        def both(headers: dict[str, str]) -> bytes | None:
            ids.append(headers["ActionID"])
            if len(ids) < 2:
                return None
            return "".join(
                f"Response: Success\r\nN: {i}\r\nActionID: {id_}\r\n\r\n" for i, id_ in enumerate(ids)
            ).encode()

        rig.server.answers["Getvar"] = both
        await rig.connect()
        first, second = await asyncio.gather(rig.ami.action("Getvar"), rig.ami.action("Getvar"))
        assert (first.get("N"), second.get("N")) == ("0", "1")

    run(scenario)


def test_a_list_is_one_answer() -> None:
    async def scenario(rig: AmiRig) -> None:
        rig.server.answers["CoreShowChannels"] = lambda headers: "".join(
            f"{block}\r\nActionID: {headers['ActionID']}\r\n\r\n"
            for block in (
                "Response: Success\r\nEventList: start\r\nMessage: Channels will follow",
                "Event: CoreShowChannel\r\nUniqueid: 1.1",
                "Event: CoreShowChannel\r\nUniqueid: 1.2",
                "Event: CoreShowChannelsComplete\r\nEventList: Complete\r\nListItems: 2",
            )
        ).encode()
        await rig.connect()
        answer = await rig.ami.action("CoreShowChannels")
        assert [entry.get("Uniqueid") for entry in answer.entries] == ["1.1", "1.2", ""]
        assert rig.events == []

    run(scenario)


def test_a_refusal_is_an_answer() -> None:
    async def scenario(rig: AmiRig) -> None:
        await rig.connect()
        answer = await rig.ami.action("Bogus")
        assert not answer.ok
        assert answer.get("message") == "Invalid/unknown command"

    run(scenario)


def test_an_action_without_an_answer_ends_at_its_deadline_and_the_next_one_works() -> None:
    async def scenario(rig: AmiRig) -> None:
        rig.server.answers["Status"] = lambda headers: None
        await rig.connect()
        with pytest.raises(LinkBroken, match=r"no answer to Status within 0.05 s"):
            await rig.ami.action("Status", timeout_s=0.05)
        assert (await rig.ami.action("Ping")).ok

    run(scenario)


@pytest.mark.parametrize("value", ["a\r\nAction: Command", "a\nb", ["x", "y\r\nz"]])
def test_a_field_can_not_bring_another_action_along(value: str | list[str]) -> None:
    async def scenario(rig: AmiRig) -> None:
        await rig.connect()
        with pytest.raises(BadInput, match="Channel"):
            await rig.ami.action("Hangup", Channel=value)
        assert rig.server.actions("Hangup") == []

    run(scenario)


def test_a_greeting_in_pieces_is_understood() -> None:
    async def scenario(rig: AmiRig) -> None:
        rig.server.banner = b"Asterisk Ca"
        await rig.ami.start()
        await until(lambda: len(rig.server.writers) == 1)
        await asyncio.sleep(0.02)
        rig.server.send(b"ll Manager/11.0.0\r\n")
        await until(lambda: rig.ami.connected)

    run(scenario)


@pytest.mark.parametrize("banner", [b"SSH-2.0-OpenSSH_9.2\r\n", b"220 mail ready\r\n"])
def test_another_server_on_the_port_is_named_as_such(banner: bytes) -> None:
    async def scenario(rig: AmiRig) -> None:
        rig.server.banner = banner
        await rig.ami.start()
        await until(lambda: "does not greet as an Asterisk" in rig.ami.last_error)

    run(scenario)


def test_a_server_that_does_not_greet_is_given_up_after_the_deadline() -> None:
    async def scenario(rig: AmiRig) -> None:
        rig.server.banner = b""
        await rig.ami.start()
        await until(lambda: "no AMI greeting" in rig.ami.last_error)

    run(scenario, connect_s=0.05)


def test_a_message_without_end_breaks_the_connection() -> None:
    async def scenario(rig: AmiRig) -> None:
        await rig.connect()
        rig.server.send(b"Event: X\r\n" + b"Y: z\r\n" * 400_000)
        await until(lambda: False in rig.states)
        assert "without end" in rig.ami.last_error

    run(scenario)


def test_a_flood_of_events_is_told_in_order_and_leaves_the_loop_alive() -> None:
    async def scenario(rig: AmiRig) -> None:
        await rig.connect()
        rig.server.send(b"".join(b"Event: Hangup\r\nUniqueid: %d\r\n\r\n" % n for n in range(5000)))
        gaps: list[float] = []
        loop = asyncio.get_running_loop()
        while len(rig.events) < 5000:
            before = loop.time()
            await asyncio.sleep(0)
            gaps.append(loop.time() - before)
        assert [int(event.get("Uniqueid")) for event in rig.events] == list(range(5000))
        assert len(gaps) >= 5000 / 50

    run(scenario)


def test_it_comes_back_when_the_pbx_does() -> None:
    async def scenario(rig: AmiRig) -> None:
        await rig.connect()
        await rig.server.stop()
        await until(lambda: not rig.ami.connected)
        await asyncio.sleep(0.1)
        await rig.server.start()
        await until(lambda: rig.ami.connected)
        assert rig.states == [True, False, True]
        assert rig.ami.sessions == 2

    run(scenario)


def test_it_starts_while_the_pbx_is_down() -> None:
    async def scenario(rig: AmiRig) -> None:
        await rig.server.stop()
        await rig.ami.start()
        await until(lambda: rig.ami.last_error != "")
        await rig.server.start()
        await until(lambda: rig.ami.connected)

    run(scenario)


def test_waits_double_up_to_the_limit_with_jitter() -> None:
    ami = Ami("127.0.0.1", 1, "u", "s")
    timing = LoginTiming()
    random.seed(1)
    lost = [ami._wait_after(LinkBroken("x"), attempt) for attempt in range(12)]
    for attempt, wait_s in enumerate(lost):
        longest = min(timing.reconnect_max_s, timing.reconnect_min_s * 2**attempt)
        assert longest / 2 <= wait_s <= longest
    assert len(set(lost)) == len(lost)
    assert ami._wait_after(LoginRefused("x"), 0) >= 30
    assert ami._wait_after(LoginRefused("x"), 99) <= 600


def test_a_refused_login_is_named_even_when_the_connection_ended_with_it() -> None:
    refused = LoginRefused("wrong secret")
    inner = BaseExceptionGroup("tasks", [LinkFinished("closed"), refused])
    assert first_of(BaseExceptionGroup("tasks", [LinkFinished("closed"), inner])) is refused


def test_rights_name_what_is_missing() -> None:
    async def scenario(rig: AmiRig) -> None:
        rig.server.answers["ListCommands"] = lambda headers: (
            "Response: Success\r\nHangup: Hangup channel.  (Priv: system,call,all)\r\n"
            "Ping: Keepalive command.  (Priv: <none>)\r\nPlayDTMF: Play DTMF signal.  (Priv: call,all)"
        )
        await rig.connect()
        rights = await rig.ami.rights()
        assert rights.actions == {"Hangup", "Ping", "PlayDTMF"}
        assert rights.missing == ("Redirect", "CoreShowChannels", "CoreSettings")

    run(scenario)


def test_the_version_is_that_of_asterisk() -> None:
    async def scenario(rig: AmiRig) -> None:
        rig.server.answers["CoreSettings"] = lambda headers: "Response: Success\r\nAsteriskVersion: 22.10.1"
        await rig.connect()
        assert await rig.ami.version() == "22.10.1"

    run(scenario)


def test_a_header_that_comes_twice_can_be_had_whole() -> None:
    message = AmiMessage.parse(b"Event: X\r\nVariable: a=1\r\nVariable: b=2\r\n\r\n")
    assert message is not None
    assert message.all("Variable") == ["a=1", "b=2"]
    assert (message.get("Variable"), message.all("None"), message.get("None")) == ("a=1", [], "")
    assert message.headers() == {"Event": "X", "Variable": "a=1"}
    assert "a=1" not in repr(message)


@given(st.binary(max_size=400))
def test_garbage_is_a_message_or_nothing(garbage: bytes) -> None:
    for prefix in (b"", b"Event: ", b"Response: Follows\r\n", b"Response: Fail"):
        message = AmiMessage.parse(prefix + garbage)
        if message is not None:
            assert isinstance(message.event, str) and isinstance(message.ok, bool)
