"""Whole calls over SIP that go on to somebody else, or begin here: a daemon without any Asterisk, a trunk that it dials
itself, and a colleague's telephone behind it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from sovereign_pbx.calls.outbound import OutboundRequest
from sovereign_pbx.core.events import Instructed
from sovereign_pbx.core.values import TransferTerms
from sovereign_pbx.testing.sip_call import SipCall
from sovereign_pbx.testing.sip_caller import Manner, SipPhone
from tests.calls.house import GREETING, QUESTION, play
from tests.calls.test_call import said
from tests.calls.test_sip_calls import Street, street
from tests.pbx.sip.tones import HEARD, strength, tone
from tests.waiting import until

SALES = "+31201234567"
ATTENDED = TransferTerms(mode="attended", summary="He asks when you open.")


@dataclass
class Quarter:
    """A street with an office at its end."""

    street: Street
    sales: SipPhone

    async def greeted(self) -> SipCall:
        call = await self.street.phone.call("100", name="Jan")
        await call.answered()
        await self.street.heard(call)
        return call

    async def goes(self, terms: TransferTerms = ATTENDED) -> None:
        """The only caller is put through."""
        desk = self.street.house.daemon.desk
        (call_id,) = desk.under_way
        await desk.instruct(call_id, Instructed("transfer", "", destination=SALES, terms=terms))

    async def place(self) -> str:
        """The daemon calls the office."""
        daemon = self.street.house.daemon
        directory = daemon.estate.directory
        assistant, number = directory.assistant("reception"), directory.number("*")
        assert assistant is not None
        return await daemon.desk.place(
            OutboundRequest(destination=SALES, assistant=assistant, number=number, trunk=None)
        )


@asynccontextmanager
async def quarter(folder: Path, manner: Manner = "answer") -> AsyncIterator[Quarter]:
    async with AsyncExitStack() as stack:
        sales = SipPhone(("127.0.0.1", 9), user="sales", manner=manner)
        await sales.start()
        stack.push_async_callback(sales.close)
        s = await stack.enter_async_context(
            street(
                folder,
                trunks={"carrier": {"pbx": "sip", "address": f"127.0.0.1:{sales.port}"}},
                numbers=[{"number": "*", "name": "Main line", "assistant": "reception", "transfer_trunk": "carrier"}],
                dialling={"allow": ["+3120*"], "caller_id": "+31850835037"},
            )
        )
        sales._server = s.pbx.endpoint.address("udp")
        yield Quarter(s, sales)


def test_a_caller_is_briefed_about_taken_by_a_key_and_talks(tmp_path: Path) -> None:
    async def scene() -> None:
        async with quarter(tmp_path) as q:
            call = await q.greeted()
            await q.goes()
            colleague = await q.sales.incoming()
            assert colleague.invite.get("From").startswith("Jan <sip:+31612345678@")
            await until(lambda: colleague.ear.heard.sounds())  # the briefing, of which nobody need hear the end
            await colleague.press("1")
            (report,) = await q.street.house.reported()
            assert [one["outcome"] for one in report["call"]["transfers"]] == ["accepted"]
            assert report["end_reason"] == "transferred"
            call.say(tone(700, 10.0))
            colleague.say(tone(1100, 10.0))
            await until(lambda: strength(colleague.ear.heard.audio(), 700) > HEARD)
            await until(lambda: strength(call.ear.heard.audio(), 1100) > HEARD)
            await colleague.hang_up()
            end = await call.over()
            assert (end.how, end.cause) == ("they hung up", 16)
            await until(lambda: not q.street.pbx.call_ids() and not len(q.street.pbx.ports))

    play(scene())


def test_a_caller_whom_nobody_takes_is_back_with_the_assistant(tmp_path: Path) -> None:
    async def scene() -> None:
        async with quarter(tmp_path, manner="busy") as q:
            call = await q.greeted()
            heard = len(call.ear.heard.sounds())
            await q.goes(TransferTerms())
            await q.sales.incoming()
            await until(lambda: len(call.ear.heard.sounds()) > heard)
            await asyncio.sleep(0.5)
            await call.hang_up()
            (report,) = await q.street.house.reported()
            assert [one["outcome"] for one in report["call"]["transfers"]] == ["busy"]
            assert report["end_reason"] == "user_hangup"

    play(scene())


def test_somebody_who_is_called_over_sip_hears_the_assistant_and_is_answered(tmp_path: Path) -> None:
    async def scene() -> None:
        async with quarter(tmp_path) as q:
            await q.place()
            callee = await q.sales.incoming()
            await q.street.heard(callee)
            await callee.say(QUESTION).finished.wait()
            await until(lambda: q.street.house.openai.requests)
            await q.street.heard(callee, 2)
            await callee.hang_up()
            (report,) = await q.street.house.reported()
            assert said(report)[:2] == [("assistant", GREETING), ("user", "What time do you open?")]
            assert report["end_reason"] == "user_hangup"
            assert report["call"]["type"] == "outbound_phone_call"

    play(scene())


def test_somebody_who_declines_ends_the_call_as_rejected(tmp_path: Path) -> None:
    async def scene() -> None:
        async with quarter(tmp_path, manner="decline") as q:
            await q.place()
            (report,) = await q.street.house.reported()
            assert report["end_reason"] == "rejected"

    play(scene())
