"""Whole calls through a daemon beside a played FreeSWITCH: answered, put through, placed."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sovereign_pbx.calls.outbound import OutboundRequest
from sovereign_pbx.core.events import Instructed
from sovereign_pbx.core.values import TransferTerms
from sovereign_pbx.pbx.freeswitch.dialplan import render
from sovereign_pbx.testing.freeswitch import FreeSwitch
from sovereign_pbx.testing.freeswitch_channel import Channel, Person
from sovereign_pbx.testing.freeswitch_esl import PASSWORD
from sovereign_pbx.testing.freeswitch_leg import SipLeg, SipLegs
from sovereign_pbx.testing.port_block import reserve_ports
from sovereign_pbx.testing.sip_call import SipCall
from tests.calls.house import GREETING, QUESTION, House, house, play
from tests.calls.test_call import said
from tests.waiting import until

SALES = "+31201234567"
CARRIER = f"sofia/gateway/carrier/{SALES}"


@dataclass
class Town:
    """A daemon, and the FreeSWITCH beside it."""

    house: House
    pbx: FreeSwitch

    @property
    def call_id(self) -> str:
        (call,) = self.house.daemon.desk._calls.values()
        return str(call.id)

    async def caller(self) -> Channel:
        """Somebody whom the assistant has greeted."""
        caller = await self.pbx.call("300")
        await until(lambda: caller.up)
        await self.heard(self.line(caller))
        return caller

    def line(self, channel: Channel) -> SipCall:
        """The leg between FreeSWITCH and the daemon, with what is heard and said there."""
        assert isinstance(channel.leg, SipLeg)
        return channel.leg.call

    async def heard(self, line: SipCall, sounds: int = 1) -> None:
        """Wait until the assistant has spoken so often, and has been silent since."""
        now = asyncio.get_running_loop().time

        def silent() -> bool:
            found = line.ear.heard.sounds()
            return len(found) >= sounds and now() - found[-1].end > 0.6

        await until(silent, 20.0)


@asynccontextmanager
async def town(folder: Path, **sections: Any) -> AsyncIterator[Town]:
    async with AsyncExitStack() as stack:
        ports = reserve_ports()
        stack.callback(ports.release)
        pbx = await stack.enter_async_context(FreeSwitch())
        port = ports.take(socket.SOCK_DGRAM)
        made = await stack.enter_async_context(
            house(
                folder,
                asterisk={"enabled": False},
                sip={"enabled": True, "port": port, "transports": ["udp"]},
                freeswitch={"enabled": True, "esl": {"port": pbx.esl.port, "password": PASSWORD}},
                dialling={"allow": ["+3120*", "100"]},
                trunks={"carrier": {"pbx": "freeswitch"}},
                **sections,
            )
        )
        address = f"127.0.0.1:{port}"
        printed = await asyncio.to_thread(render, sip=address)
        pbx.load(printed, address=address, legs=SipLegs(("127.0.0.1", port)))
        await until(lambda: made.daemon.pbx.health()["status"] == "ok")  # logged in, and told of calls from now on
        yield Town(made, pbx)
    pbx.check()


def test_a_question_of_freeswitchs_caller_is_answered_and_the_call_is_reported(tmp_path: Path) -> None:
    async def scene() -> None:
        async with town(tmp_path) as t:
            caller = await t.caller()
            await t.line(caller).say(QUESTION).finished.wait()
            await until(lambda: t.house.openai.requests)
            await t.heard(t.line(caller), 2)
            audit = await t.house.daemon.audit.report()
            assert (audit["asked"], audit["why"], audit["differences"]) == (True, "", [])
            await t.pbx.hang_up(caller)
            (report,) = await t.house.reported()
            assert said(report)[:2] == [("assistant", GREETING), ("user", "What time do you open?")]
            assert report["end_reason"] == "user_hangup"

    play(scene())


def test_a_caller_is_put_through_and_the_report_says_to_whom(tmp_path: Path) -> None:
    numbers = [{"number": "*", "name": "Main line", "assistant": "reception", "transfer_trunk": "carrier"}]

    async def scene() -> None:
        async with town(tmp_path, numbers=numbers) as t:
            colleague = t.pbx.people[CARRIER] = Person()
            caller = await t.caller()
            order = Instructed("transfer", "", destination=SALES, terms=TransferTerms())
            await t.house.daemon.desk.instruct(t.call_id, order)
            await until(lambda: caller.partner is not None)
            assert caller.partner is colleague.channels[0]
            assert colleague.channels[0].variables["sip_h_Diversion"] == "<sip:300@invalid>;reason=deflection"
            await t.pbx.hang_up(caller)
            (report,) = await t.house.reported()
            assert report["end_reason"] == "transferred"

    play(scene())


def test_who_is_called_hears_the_greeting_and_who_is_busy_is_in_the_report(tmp_path: Path) -> None:
    numbers = [{"number": "+31850835037", "name": "Main line", "assistant": "reception", "transfer_trunk": "carrier"}]

    async def scene() -> None:
        async with town(tmp_path, numbers=numbers) as t:
            directory = t.house.daemon.estate.directory
            receptionist = directory.assistant("reception")
            assert receptionist is not None
            wanted = OutboundRequest(destination=SALES, assistant=receptionist, number=directory.numbers[0], trunk=None)
            called = t.pbx.people[CARRIER] = Person()
            await t.house.daemon.desk.place(wanted)
            await until(lambda: called.channels and called.channels[0].leg is not None)
            assert called.channels[0].variables["origination_caller_id_number"] == "+31850835037"
            await t.heard(t.line(called.channels[0]))
            await t.pbx.hang_up(called.channels[0])
            called.manner = "busy"
            await t.house.daemon.desk.place(wanted)
            talked, busy = await t.house.reported(2)
            assert talked["end_reason"] == "user_hangup"
            assert said(talked) == [("assistant", GREETING)]
            assert busy["end_reason"] == "busy"

    play(scene())


def test_a_caller_whom_nobody_takes_is_back_with_the_assistant(tmp_path: Path) -> None:
    numbers = [{"number": "*", "name": "Main line", "assistant": "reception", "transfer_trunk": "carrier"}]

    async def scene() -> None:
        async with town(tmp_path, numbers=numbers) as t:
            t.pbx.people[CARRIER] = Person("busy")
            caller = await t.caller()
            order = Instructed("transfer", "", destination=SALES, terms=TransferTerms())
            await t.house.daemon.desk.instruct(t.call_id, order)
            await until(lambda: t.pbx.esl.lines("bgapi originate"))
            await t.heard(t.line(caller), 2)  # he is told
            assert caller.up
            await t.pbx.hang_up(caller)
            (report,) = await t.house.reported()
            assert report["end_reason"] == "user_hangup"

    play(scene())
