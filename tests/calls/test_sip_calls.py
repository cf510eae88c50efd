"""Whole calls over SIP and RTP through a daemon without any Asterisk: a scripted telephone calls it."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sovereign_pbx.pbx.sip.sip_pbx import SipPbx
from sovereign_pbx.testing.port_block import reserve_ports
from sovereign_pbx.testing.sip_call import SipCall
from sovereign_pbx.testing.sip_caller import SipPhone
from tests.calls.house import GREETING, INTERRUPTION, QUESTION, House, assistant, house, play
from tests.calls.test_call import answers, said
from tests.waiting import until

EVENTS = ["assistant-request", "end-of-call-report"]


@dataclass
class Street:
    """A house that is reached by telephone alone."""

    house: House
    phone: SipPhone

    @property
    def pbx(self) -> SipPbx:
        found = next(member for member in self.house.daemon.pbx if isinstance(member, SipPbx))
        assert isinstance(found, SipPbx)
        return found

    async def heard(self, call: SipCall, sounds: int = 1) -> None:
        """Wait until the assistant has spoken so often, and has been silent since."""
        now = asyncio.get_running_loop().time

        def silent() -> bool:
            found = call.ear.heard.sounds()
            return len(found) >= sounds and now() - found[-1].end > 0.6

        await until(silent, 20.0)


@asynccontextmanager
async def street(
    folder: Path, assistants: Mapping[str, Any] | None = None, *, codec: int = 0, **sections: Any
) -> AsyncIterator[Street]:
    async with AsyncExitStack() as stack:
        ports = reserve_ports()
        stack.callback(ports.release)
        sip = {"enabled": True, "port": ports.take(socket.SOCK_DGRAM), "transports": ["udp"], **sections.pop("sip", {})}
        made = await stack.enter_async_context(
            house(folder, assistants, sip=sip, asterisk={"enabled": False}, **sections)
        )
        phone = SipPhone(("127.0.0.1", int(sip["port"])), user="+31612345678", codecs=(codec,))
        yield Street(made, await stack.enter_async_context(phone))


def test_a_question_over_sip_is_answered_and_the_call_is_reported(tmp_path: Path) -> None:
    async def scene() -> None:
        async with street(tmp_path) as s:
            call = await s.phone.call("100", name="Jan")
            await call.answered()
            await s.heard(call)
            await call.say(QUESTION).finished.wait()
            await until(lambda: s.house.openai.requests)
            await s.heard(call, 2)
            await call.hang_up()
            (report,) = await s.house.reported()
            assert said(report)[:2] == [("assistant", GREETING), ("user", "What time do you open?")]
            assert report["end_reason"] == "user_hangup"
            assert report["customer"]["number"] == "+31612345678"
            assert call.ear.sequence_gaps() == 0
            await until(lambda: not s.pbx.call_ids() and not len(s.pbx.ports))

    play(scene())


def test_a_caller_over_sip_interrupts(tmp_path: Path) -> None:
    async def scene() -> None:
        long = assistant(first_message="Welcome. " + "We are open every day of the week. " * 12)
        async with street(tmp_path, {"reception": long}) as s:
            call = await s.phone.call("100")
            await call.answered()
            await until(lambda: call.ear.heard.sounds())
            await asyncio.sleep(1.0)
            spoken = call.say(INTERRUPTION)
            await spoken.finished.wait()
            await s.heard(call)
            await call.hang_up()
            (report,) = await s.house.reported()
            first = report["messages"][0]
            assert first["role"] == "assistant"
            assert len(first["content"]) < len(long["first_message"]) / 2

    play(scene())


def test_words_of_refusal_cost_the_caller_nothing(tmp_path: Path) -> None:
    """They are heard before any 200, and then the call is refused."""

    async def scene() -> None:
        async with street(tmp_path, {"reception": assistant(webhook_events=EVENTS)}) as s:
            s.house.receiver.answer = answers({"error": "We are closed today."})
            call = await s.phone.call("100")
            end = await call.over(20)
            assert end.how == "refused"
            assert 200 not in [one.status for one in call.responses]
            assert 183 in [one.status for one in call.responses]
            assert call.responses[-1].status == 480
            assert call.ear.heard.sounds()
            (report,) = await s.house.reported()
            assert (report["end_reason"], said(report)) == ("rejected", [("assistant", "We are closed today.")])

    play(scene())


def test_a_caller_for_whom_there_is_no_room_hears_so_and_goes_on_in_his_dialplan(tmp_path: Path) -> None:
    async def scene() -> None:
        limits = {"max_calls": 1, "over_limit": "message", "after_message": "fallback"}
        async with street(tmp_path, limits=limits) as s:
            first = await s.phone.call("100")
            await first.answered()
            second = await s.phone.call("100")
            end = await second.over(20)
            assert (end.how, end.cause) == ("refused", 41)
            assert [one.status for one in second.responses][-2:] == [183, 503]
            assert second.ear.heard.sounds()
            await first.hang_up()

    play(scene())


def test_a_wideband_caller_is_heard_and_spoken_to_in_wideband(tmp_path: Path) -> None:
    async def scene() -> None:
        async with street(tmp_path, codec=9) as s:
            call = await s.phone.call("100")
            await call.answered()
            await s.heard(call)
            (listening,) = s.house.deepgram.connections
            assert listening.values("sample_rate") == ["16000"]
            await call.hang_up()
            await s.house.reported()

    play(scene())


def test_a_daemon_that_stops_gives_its_callers_over_sip_back_to_their_dialplan(tmp_path: Path) -> None:
    async def scene() -> None:
        async with street(tmp_path) as s:
            call = await s.phone.call("100")
            await call.answered()
            await s.heard(call)
            await s.house.stop()
            end = await call.over()
            assert (end.how, end.cause) == ("they hung up", 41)

    play(scene())


def test_a_caller_who_is_put_on_hold_is_not_listened_to(tmp_path: Path) -> None:
    async def scene() -> None:
        async with street(tmp_path) as s:
            call = await s.phone.call("100")
            await call.answered()
            await s.heard(call)
            await call.hold()
            await asyncio.sleep(0.2)
            await call.unhold()
            await call.say(QUESTION).finished.wait()
            await until(lambda: s.house.openai.requests)
            await call.hang_up()
            await s.house.reported()

    play(scene())
