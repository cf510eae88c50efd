"""A real Asterisk as a PBX that dials SIP and nothing more: the daemon is its extension 800, calls through it, and puts
callers through."""

import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from sovereign_pbx.pbx.link import DialOrder, NextStep
from sovereign_pbx.pbx.sip.outgoing import SipControl, SipControlSettings
from sovereign_pbx.pbx.sip.outgoing_transfer import TransferWay
from sovereign_pbx.pbx.sip.outgoing_way import Transport
from sovereign_pbx.pbx.sip.registration import Account
from sovereign_pbx.pbx.sip.sip_pbx import SipPbx, SipSettings
from sovereign_pbx.testing.asterisk import PrivateAsterisk
from sovereign_pbx.testing.port_block import reserve_ports
from sovereign_pbx.testing.sip_call import SipCall
from sovereign_pbx.testing.sip_caller import SipPhone
from tests.pbx.desk import ScriptedDesk
from tests.pbx.sip.stage import play
from tests.pbx.sip.tones import HEARD, strength, tone
from tests.waiting import until

pytestmark = pytest.mark.pbx

CALLER_HZ, COLLEAGUE_HZ = 700, 1100

EXTENSION = """
[tcp]
type = transport
protocol = tcp
bind = 127.0.0.1:PORT

[800](phone)
transport = TRANSPORT
auth = 800
aors = 800

[800]
type = auth
auth_type = userpass
username = 800-auth
password = s3cret-800

[800]
type = aor
max_contacts = 1
remove_existing = yes
"""
MODULES = "load = res_pjsip_registrar.so\nload = res_pjsip_authenticator_digest.so\n"
DIALPLAN = "[phones](+)\nexten => 800,1,Dial(PJSIP/800)\n same => n,Hangup()\n"


@dataclass
class Office:
    """The PBX, the daemon as its extension, and two telephones."""

    asterisk: PrivateAsterisk
    pbx: SipPbx
    control: SipControl
    desk: ScriptedDesk
    caller: SipPhone
    agent: SipPhone

    async def registered(self) -> None:
        await until(lambda: self.control.health()["registrations"]["office"]["registered"])

    async def talked_to(self) -> SipCall:
        """A caller whom the assistant talks to."""
        await self.registered()
        call = await self.caller.call("800")
        await call.answered()
        await until(lambda: self.desk.links)
        return call

    async def put_through(self, step: NextStep, afterwards: NextStep) -> None:
        self.desk.steps = [step, afterwards]
        next(iter(self.desk.links.values())).close()

    async def empty(self) -> None:
        """Nobody has a call any more."""
        await until(lambda: not self.pbx.call_ids() and not len(self.pbx.legs))
        await self.asterisk.wait_for_channels(0)


@asynccontextmanager
async def office(
    root: Path, transfer: TransferWay = "auto", password: str = "s3cret-800", transport: Transport = "udp"
) -> AsyncIterator[Office]:
    async with AsyncExitStack() as stack:
        ports = reserve_ports()
        stack.callback(ports.release)
        tcp_port = ports.take(socket.SOCK_STREAM)
        extension = EXTENSION.replace("TRANSPORT", transport).replace("PORT", str(tcp_port))
        extra = {"pjsip.conf": extension, "modules.conf": MODULES}
        asterisk = await stack.enter_async_context(PrivateAsterisk(root, dialplan=DIALPLAN, extra=extra))
        host, port = asterisk.sip_address
        account = Account(
            name="office",
            host=host,
            port=tcp_port if transport == "tcp" else port,
            transport=transport,
            user="800",
            username="800-auth",
            password=password,
            expires_s=60,
        )
        control = SipControl(SipControlSettings(accounts=[account], transfer=transfer))
        desk = ScriptedDesk()
        pbx = SipPbx(SipSettings(port=0, transports=(transport,)), [control])
        caller = await stack.enter_async_context(SipPhone(asterisk.sip_address, port=asterisk.caller_port))
        agent = await stack.enter_async_context(
            SipPhone(asterisk.sip_address, user="agent", port=asterisk.agent_port, manner="answer")
        )
        await pbx.start(desk)
        stack.push_async_callback(pbx.stop)
        yield Office(asterisk, pbx, control, desk, caller, agent)


async def hear_each_other(one: SipCall, other: SipCall) -> None:
    one.say(tone(CALLER_HZ, 10.0))
    other.say(tone(COLLEAGUE_HZ, 10.0))
    await until(lambda: strength(other.ear.heard.audio(), CALLER_HZ) > HEARD)
    await until(lambda: strength(one.ear.heard.audio(), COLLEAGUE_HZ) > HEARD)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_an_extension_is_registered_called_and_let_go(asterisk_root: Path, transport: Transport) -> None:
    async def scene() -> None:
        async with office(asterisk_root, transport=transport) as o:
            await o.registered()
            assert "sip:800@127.0.0.1" in await o.asterisk.cli("pjsip show contacts")
            call = await o.talked_to()
            (offer,) = o.desk.offers
            assert (offer.called, offer.caller) == ("800", "caller")
            await call.hang_up()
            await o.empty()
            await o.pbx.stop()
            assert "sip:800@127.0.0.1" not in await o.asterisk.cli("pjsip show contacts")

    play(scene())


def test_a_wrong_password_is_refused_and_said(asterisk_root: Path) -> None:
    async def scene() -> None:
        async with office(asterisk_root, password="wrong") as o:
            await until(lambda: o.control.health()["registrations"]["office"]["error"])
            health = o.control.health()
            assert health["status"] == "degraded"
            assert "refuses 800" in health["registrations"]["office"]["error"]

    play(scene())


def test_calls_are_placed_through_the_registrar(asterisk_root: Path) -> None:
    async def scene() -> None:
        async with office(asterisk_root) as o:
            await o.registered()
            await o.pbx.originate(DialOrder(call_id=str(uuid4()), destination="agent"))
            colleague = await o.agent.incoming()
            await until(lambda: o.desk.links)
            assert o.desk.picked
            next(iter(o.desk.links.values())).close()
            await colleague.over()
            await o.empty()

            o.agent.manner = "busy"
            await o.pbx.originate(DialOrder(call_id=str(uuid4()), destination="agent"))
            await until(lambda: o.desk.unanswered)
            assert o.desk.unanswered[0][1].reason == "busy"
            await o.empty()

    play(scene())


@pytest.mark.parametrize("transfer", ["auto", "bridge"])
def test_a_caller_is_briefed_about_and_put_through(asterisk_root: Path, transfer: TransferWay) -> None:
    """With `auto` Asterisk joins the two itself, by REFER with Replaces, and the daemon is out of it."""

    async def scene() -> None:
        async with office(asterisk_root, transfer) as o:
            call = await o.talked_to()
            await o.put_through(NextStep("dial", "agent", briefing=True), NextStep("hangup"))
            colleague = await o.agent.incoming()
            await until(lambda: o.desk.briefing_links)
            o.desk.briefing_links[0].close()
            await until(lambda: o.desk.through)
            if transfer == "auto":
                await until(lambda: not o.pbx.call_ids() and not len(o.pbx.legs))
            await hear_each_other(call, colleague)
            assert bool(o.pbx.call_ids()) == (transfer == "bridge")
            await colleague.hang_up()
            await call.over()
            await o.empty()

    play(scene())


def test_a_caller_whom_nobody_takes_is_back(asterisk_root: Path) -> None:
    async def scene() -> None:
        async with office(asterisk_root) as o:
            o.agent.manner = "decline"
            call = await o.talked_to()
            first = next(iter(o.desk.links.values()))
            await o.put_through(NextStep("dial", "agent"), NextStep("talk"))
            await until(lambda: next(iter(o.desk.links.values())) is not first)
            dialled = o.desk.dialled[1]
            assert dialled is not None
            assert (dialled.outcome, dialled.cause) == ("declined", 21)
            await call.hang_up()
            await o.empty()

    play(scene())
