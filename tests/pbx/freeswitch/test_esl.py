"""The event socket's client: logins, order, deadlines, what is lost and what is not."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from sovereign_pbx.core.errors import BadInput, LinkBroken, LinkEnded
from sovereign_pbx.pbx.control_login import LoginRefused, LoginTiming
from sovereign_pbx.pbx.freeswitch.esl import Esl
from sovereign_pbx.testing.freeswitch_esl import PASSWORD, EslServer
from sovereign_pbx.wire.esl import Event, Message, Parser
from sovereign_pbx.wire.esl import event as parsed_event
from tests.waiting import until
from tests.wire import esl_recordings

TIMING = LoginTiming(
    connect_s=5.0,
    request_s=5.0,
    ping_every_s=0.05,
    ping_s=5.0,
    reconnect_min_s=0.01,
    reconnect_max_s=0.02,
    refused_min_s=0.01,
    refused_max_s=0.02,
)


class Rig:
    """A socket's server whose commands a test scripts, and a client."""

    def __init__(self) -> None:
        self.held: dict[str, asyncio.Event] = {}
        self.server = EslServer(self._api)
        self.esl = Esl("127.0.0.1", 1, PASSWORD, timing=TIMING)
        self.events: list[Event] = []
        self.states: list[bool] = []

    def client(self, password: str = PASSWORD, *, user: str = "", timing: LoginTiming = TIMING) -> Esl:
        self.esl = Esl("127.0.0.1", self.server.port, password, user=user, timing=timing)
        self.esl.on_event(self.events.append)
        self.esl.on_state(self.states.append)
        return self.esl

    async def connect(self) -> Esl:
        await self.esl.start()
        await until(lambda: self.esl.connected)
        return self.esl

    async def _api(self, name: str, argument: str) -> str:
        if name in self.held:
            await self.held[name].wait()
        known = {
            "uptime": "12\n",
            "echo": f"{argument}\n",
            "version": "FreeSWITCH Version 1.10.12-release+git~20240802T210227Z~a88d069d6f~64bit (git a88d069 …)\n",
            "slow": "slow\n",
        }
        return known.get(name, f"-ERR {name} Command not found!\n")


def run(scenario: Callable[[Rig], Awaitable[None]]) -> None:
    async def whole() -> None:
        rig = Rig()
        await rig.server.start()
        rig.client()
        try:
            async with asyncio.timeout(30):
                await scenario(rig)
        finally:
            await rig.esl.stop()
            await rig.server.stop()
        rig.server.check()

    asyncio.run(whole())


@pytest.mark.parametrize("split", [0, 1, 7])
def test_it_logs_in_and_asks_however_the_network_splits(split: int) -> None:
    async def scenario(rig: Rig) -> None:
        rig.server.split = split
        esl = await rig.connect()
        assert await esl.api("echo", "a", "b") == "a b"
        assert await esl.version() == "1.10.12"

    run(scenario)


def test_a_login_with_limited_rights_names_the_user() -> None:
    async def scenario(rig: Rig) -> None:
        rig.client(user="ann@example.org")
        await rig.connect()
        assert rig.server.commands[0].line.startswith("userauth ann@example.org:")

    run(scenario)


def test_a_wrong_password_is_told_without_it_and_tried_again() -> None:
    async def scenario(rig: Rig) -> None:
        esl = rig.client("not-the-one")
        await esl.start()
        await until(lambda: len(rig.server.commands) >= 2)
        assert "refused the event socket's login" in esl.last_error
        assert "event_socket.conf.xml" in esl.last_error
        assert "not-the-one" not in esl.last_error
        assert not esl.connected

    run(scenario)


def test_a_wrong_password_is_not_tried_again_at_once() -> None:
    async def scenario(rig: Rig) -> None:
        esl = rig.client("not-the-one", timing=LoginTiming(reconnect_min_s=0.0, reconnect_max_s=0.0))
        await esl.start()
        await until(lambda: esl.last_error)
        await asyncio.sleep(0.1)
        assert len(rig.server.commands) == 1

    run(scenario)


def test_a_machine_that_the_acl_turns_away_is_told_so() -> None:
    async def scenario(rig: Rig) -> None:
        rig.server.rude = True
        await rig.esl.start()
        await until(lambda: rig.esl.last_error)
        assert "apply-inbound-acl" in rig.esl.last_error

    run(scenario)


def test_something_else_on_the_port_is_told_so() -> None:
    async def scenario(rig: Rig) -> None:
        async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"Content-Type: text/html\n\n")
            await reader.read()
            writer.close()

        other = await asyncio.start_server(greet, "127.0.0.1", 0)
        esl = Esl("127.0.0.1", other.sockets[0].getsockname()[1], PASSWORD, timing=TIMING)
        await esl.start()
        await until(lambda: esl.last_error)
        assert "does not greet as FreeSWITCH's event socket" in esl.last_error
        await esl.stop()
        other.close()

    run(scenario)


def test_replies_are_matched_by_their_order_with_events_between_them() -> None:
    async def scenario(rig: Rig) -> None:
        rig.esl.subscribe("DTMF")
        rig.esl.let_through("variable_sovereign_instance", "i1")
        esl = await rig.connect()
        asked = [asyncio.ensure_future(esl.api("echo", str(number))) for number in range(20)]
        for _ in range(20):
            rig.server.event("DTMF", {"DTMF-Digit": "1", "variable_sovereign_instance": "i1"})
            await asyncio.sleep(0)
        assert [await one for one in asked] == [str(number) for number in range(20)]
        await until(lambda: len(rig.events) == 20)

    run(scenario)


def test_events_that_no_filter_fits_do_not_come() -> None:
    async def scenario(rig: Rig) -> None:
        rig.esl.subscribe("DTMF", "avmd::beep")
        rig.esl.let_through("variable_sovereign_instance", "i1")
        await rig.connect()
        rig.server.event("DTMF", {"variable_sovereign_instance": "another"})
        rig.server.event("CHANNEL_ANSWER", {"variable_sovereign_instance": "i1"})
        rig.server.event("avmd::beep", {"variable_sovereign_instance": "i1", "Beep-Status": "DETECTED"})
        await until(lambda: rig.events)
        assert [(event.name, event.get("beep-status")) for event in rig.events] == [("avmd::beep", "DETECTED")]

    run(scenario)


def test_a_late_reply_is_not_taken_for_the_next_commands() -> None:
    async def scenario(rig: Rig) -> None:
        esl = await rig.connect()
        rig.held["slow"] = asyncio.Event()
        with pytest.raises(LinkBroken, match="no reply to slow within"):
            await esl.api("slow", timeout_s=0.05)
        next_one = asyncio.ensure_future(esl.api("echo", "next"))
        await asyncio.sleep(0)
        rig.held["slow"].set()
        assert await next_one == "next"

    run(scenario)


def test_a_job_is_matched_by_its_id_and_does_not_block() -> None:
    async def scenario(rig: Rig) -> None:
        esl = await rig.connect()
        rig.held["slow"] = asyncio.Event()
        slow, quick = await esl.background("slow"), await esl.background("echo", "q")
        assert await quick == "q\n"
        assert await esl.api("echo", "still") == "still"
        rig.held["slow"].set()
        assert await slow == "slow\n"

    run(scenario)


def test_a_lost_connection_fails_what_is_pending_and_is_made_again() -> None:
    async def scenario(rig: Rig) -> None:
        esl = await rig.connect()
        rig.held["slow"] = asyncio.Event()
        job = await esl.background("slow")
        asked = asyncio.ensure_future(esl.api("slow"))
        await until(lambda: rig.server.lines("api slow"))
        rig.server.drop()
        for one in (asked, job):
            with pytest.raises(LinkEnded):
                await one
        await until(lambda: rig.server.logins == 2 and esl.connected)
        assert rig.states == [True, False, True]
        assert rig.server.lines("api slow") == ["api slow"]
        assert rig.server.lines("bgapi slow") == ["bgapi slow"]
        assert await esl.api("echo", "again") == "again"
        rig.held["slow"].set()

    run(scenario)


def test_a_server_that_falls_silent_is_left() -> None:
    async def scenario(rig: Rig) -> None:
        timing = LoginTiming(ping_every_s=0.02, ping_s=0.1, reconnect_min_s=0.01, reconnect_max_s=0.02)
        rig.client(timing=timing)
        await rig.connect()
        rig.server.mute = True
        await until(lambda: not rig.esl.connected)
        rig.server.mute = False
        await until(lambda: rig.esl.connected)

    run(scenario)


@pytest.mark.parametrize(
    "rubbish",
    [
        b"\xff" * 400_000,
        b"no header at all\n\n",
        b"Content-Length: 99999999999\n\n",
        b"Content-Type: command/reply\nReply-Text: +OK\n\n",
        b"Content-Type: text/disconnect-notice\n\n",
    ],
)
def test_what_is_no_event_socket_any_more_is_left_and_made_anew(rubbish: bytes) -> None:
    async def scenario(rig: Rig) -> None:
        rig.client(timing=LoginTiming(reconnect_min_s=0.01, reconnect_max_s=0.02))
        esl = await rig.connect()
        rig.server.sessions[0].send(rubbish)
        await until(lambda: rig.server.logins == 2 and esl.connected)
        assert await esl.api("echo", "again") == "again"

    run(scenario)


def test_an_event_that_can_not_be_read_is_passed_over() -> None:
    async def scenario(rig: Rig) -> None:
        esl = await rig.connect()
        rig.server.sessions[0].send(b"Content-Length: 9\nContent-Type: text/event-json\n\nno json!\n")
        assert await esl.api("echo", "on") == "on"
        assert rig.server.logins == 1

    run(scenario)


def test_work_after_a_login_is_cancelled_with_the_connection() -> None:
    async def scenario(rig: Rig) -> None:
        began: list[int] = []
        ended: list[int] = []

        async def work() -> None:
            began.append(rig.esl.sessions)
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(rig.esl.sessions)

        rig.esl.on_login(work)
        await rig.connect()
        await until(lambda: began == [1])
        rig.server.drop()
        await until(lambda: began == [1, 2])
        assert ended == [1]

    run(scenario)


@pytest.mark.parametrize("argument", ["a b", "a\nexit", "'", "", "$x"])
def test_an_argument_that_is_more_than_one_is_never_sent(argument: str) -> None:
    async def scenario(rig: Rig) -> None:
        esl = await rig.connect()
        before = len(rig.server.commands)
        with pytest.raises(BadInput):
            await esl.api("echo", argument)
        with pytest.raises(BadInput):
            await esl.background("echo", argument)
        with pytest.raises(BadInput):
            await esl.message(argument, "hangup", {"hangup-cause": "USER_BUSY"})
        with pytest.raises(BadInput):
            await esl.message("x", "hangup", {"hangup-cause": "a\nexit"})
        assert not [one for one in rig.server.commands[before:] if not one.line.startswith("api uptime")]

    run(scenario)


def test_without_a_connection_a_command_fails_at_once_and_says_why() -> None:
    async def scenario(rig: Rig) -> None:
        with pytest.raises(LinkBroken, match="echo: not connected"):
            await rig.esl.api("echo", "x")

    run(scenario)


def test_the_password_is_in_no_error_and_no_repr() -> None:
    refused = LoginRefused("x", key="freeswitch.esl.password")
    assert PASSWORD not in str(refused)
    assert PASSWORD not in repr(Esl("127.0.0.1", 1, PASSWORD))


TELLING = ("content-type", "reply-text", "job-uuid", "content-length")


def told(message: Message) -> tuple[list[str], str]:
    """What of a message is the same whenever it comes."""
    if message.is_event:
        event = parsed_event(message)
        return [event.name, event.get("Job-UUID"), event.get("Job-Command"), event.get("Job-Command-Arg")], event.body
    return [message.get(name) for name in TELLING], message.body


def test_the_double_says_what_the_recording_says() -> None:
    """The same commands one after the other, and what comes back to each."""
    recorded = esl_recordings.parts("inbound")
    status = next(text for _, text in recorded if b"UP 0 years" in text).partition(b"\n\n")[2].decode() + "\n"

    async def api(name: str, argument: str) -> str:
        texts = {"status": status, "uuid_exists": "false", "uuid_kill": "-ERR No such channel!\n"}
        return texts.get(name, f"-ERR {name} Command not found!\n")

    async def whole() -> None:
        server = EslServer(api)
        await server.start()
        reader, writer, said = None, None, Parser()
        for came, text in recorded:
            if b"auth/request" in text:
                reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
                said = Parser()
            assert reader is not None and writer is not None
            if not came:
                writer.write(text + b"\n\n")
                continue
            wanted = Parser().feed(text + b"\n\n")
            found: list[Message] = []
            while len(found) < len(wanted):
                found += said.feed(await asyncio.wait_for(reader.read(4096), 15))
            assert [told(message) for message in found] == [told(message) for message in wanted]
            if b"goodbye" in text:
                writer.close()
        await server.stop()
        assert server.faults == [
            "an api command that it does not know: nosuchcmd",
            "a filter after the subscription: the whole PBX's events came in between",
            "a command that it does not know: nonsense",
        ]

    asyncio.run(whole())
