"""A real Kamailio between telephones and the daemon, with the script that the documentation shows."""

import re
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from sovereign_pbx.pbx.link import Decision, DialOrder, NextStep
from sovereign_pbx.pbx.sip.outgoing import SipControl, SipControlSettings
from sovereign_pbx.pbx.sip.registration import Account
from sovereign_pbx.pbx.sip.sip_pbx import SipPbx, SipSettings
from sovereign_pbx.testing.kamailio import HOST, Kamailio
from sovereign_pbx.testing.kamailio_tree import PrivateKamailio, kamailio_tree
from sovereign_pbx.testing.port_block import reserve_ports
from sovereign_pbx.testing.progress_line import ProgressLine
from sovereign_pbx.testing.sip_caller import SipPhone
from tests.pbx.desk import ScriptedDesk
from tests.pbx.sip.stage import play
from tests.pbx.sip.tones import HEARD, strength, tone
from tests.waiting import until

pytestmark = pytest.mark.pbx

# What an administrator has anyway; the two pieces of docs/kamailio.md go into it.
SCRIPT = """
request_route {
    if (!mf_process_maxfwd_header("10")) { sl_send_reply("483", "Too Many Hops"); exit; }
    if (is_method("OPTIONS") && !has_totag()) { sl_send_reply("200", "OK"); exit; }
    if (is_method("CANCEL")) { if (t_check_trans()) t_relay(); exit; }
    if (has_totag()) {
        # the scripted telephones set no Route: what is theirs goes by the request's address
        if (loose_route() || !is_method("ACK") || t_check_trans() || $rp != @PORT@) t_relay();
        exit;
    }
    if (is_method("REGISTER")) {
        if ($fU != "sales" && !pv_www_authenticate("office", "s3cret-800", "0")) { www_challenge("office", "1"); exit; }
        save("location");
        exit;
    }
@FROM_DAEMON@
@ASSISTANT@
    if ($rU == "800" && lookup("location")) { record_route(); t_relay(); exit; }
    sl_send_reply("404", "Not Found");
}
@FALLBACK@
"""


def documented(page: str, begins: str) -> str:
    """The piece of configuration on the page that begins so."""
    pieces: list[str] = re.findall(r"```(?:\w*)\n(.*?)```", page, re.DOTALL)
    return next(piece for piece in pieces if piece.startswith(begins))


@dataclass
class Town:
    """The proxy, the daemon behind it, a caller, a colleague, and whoever takes calls when the daemon is away."""

    proxy: Kamailio
    pbx: SipPbx
    desk: ScriptedDesk
    caller: SipPhone
    sales: SipPhone
    fallback: SipPhone


@pytest.fixture(scope="module")
def kamailio() -> PrivateKamailio:
    return kamailio_tree(ProgressLine("Kamailio"))


@asynccontextmanager
async def town(
    kamailio: PrivateKamailio, *, decision: Decision | None = None, registers: bool = False, away: bool = False
) -> AsyncIterator[Town]:
    page = (Path(__file__).parents[3] / "docs/kamailio.md").read_text("utf-8")
    async with AsyncExitStack() as stack:
        ports = reserve_ports()
        stack.callback(ports.release)
        port, sales_port, fallback_port = (ports.take(socket.SOCK_DGRAM) for _ in range(3))
        assistant = documented(page, "if (is_method").replace("192.0.2.20:5090", f"{HOST}:{port}")
        fallback = documented(page, "failure_route").replace("192.0.2.30:5060", f"{HOST}:{fallback_port}")
        # on loopback everybody has the daemon's address, and only it has its port
        from_daemon = documented(page, "if ($si").replace('$si == "192.0.2.20"', f"$sp == {port}")
        script = SCRIPT.replace("@FROM_DAEMON@", from_daemon).replace("@ASSISTANT@", assistant)
        proxy = Kamailio(kamailio, script.replace("@FALLBACK@", fallback))
        await stack.enter_async_context(proxy)
        accounts = [Account(name="office", host=HOST, port=proxy.port, user="800", password="s3cret-800")]
        control = SipControl(SipControlSettings(accounts=accounts if registers else []))
        desk = ScriptedDesk(decision)
        pbx = SipPbx(SipSettings(port=port, transports=("udp",)), [control])
        caller = await stack.enter_async_context(SipPhone(proxy.address))
        sales = await stack.enter_async_context(SipPhone(proxy.address, user="sales", port=sales_port, manner="answer"))
        await sales.register()
        other = await stack.enter_async_context(SipPhone(proxy.address, port=fallback_port, manner="answer"))
        if not away:
            await pbx.start(desk)
            stack.push_async_callback(pbx.stop)
        yield Town(proxy, pbx, desk, caller, sales, other)


@pytest.mark.parametrize("caller_ends_it", [False, True])
def test_a_number_is_routed_here_and_either_end_hangs_up(kamailio: PrivateKamailio, caller_ends_it: bool) -> None:
    async def scene() -> None:
        async with town(kamailio) as t:
            call = await t.caller.call("300")
            await call.answered()
            await until(lambda: t.desk.links)
            assert t.desk.offers[0].called == "300"
            if caller_ends_it:
                await call.hang_up()
            else:
                next(iter(t.desk.links.values())).close()  # our BYE goes by the Record-Route that Kamailio has put in
                await call.over()
            await until(lambda: not t.pbx.call_ids())

    play(scene())


@pytest.mark.parametrize("away", [False, True])
def test_the_fallback_takes_callers_whom_the_daemon_does_not(kamailio: PrivateKamailio, away: bool) -> None:
    async def scene() -> None:
        async with town(kamailio, decision=Decision("fallback"), away=away) as t:
            call = await t.caller.call("300")
            await call.answered()
            await t.fallback.incoming()
            assert bool(t.desk.offers) != away

    play(scene())


def test_a_busy_assistant_is_busy_for_the_caller(kamailio: PrivateKamailio) -> None:
    async def scene() -> None:
        async with town(kamailio, decision=Decision("busy")) as t:
            call = await t.caller.call("300")
            assert (await call.over()).how == "refused"
            assert call.responses[-1].status == 486

    play(scene())


def test_a_caller_is_put_through_to_a_telephone_of_the_proxys(kamailio: PrivateKamailio) -> None:
    async def scene() -> None:
        async with town(kamailio) as t:
            call = await t.caller.call("300")
            await call.answered()
            await until(lambda: t.desk.links)
            t.desk.steps = [NextStep("dial", "sales"), NextStep("hangup")]
            next(iter(t.desk.links.values())).close()
            colleague = await t.sales.incoming()
            await until(lambda: t.desk.through)
            call.say(tone(700, 10.0))
            colleague.say(tone(1100, 10.0))
            await until(lambda: strength(colleague.ear.heard.audio(), 700) > HEARD)
            await until(lambda: strength(call.ear.heard.audio(), 1100) > HEARD)
            await colleague.hang_up()
            await call.over()
            await until(lambda: not t.pbx.call_ids())

    play(scene())


def test_the_daemon_registers_is_called_and_calls(kamailio: PrivateKamailio) -> None:
    async def scene() -> None:
        async with town(kamailio, registers=True) as t:
            registrations = t.pbx.health()["controls"]["sip"]["registrations"]
            await until(lambda: t.pbx.health()["controls"]["sip"]["status"] == "ok", 15.0)
            assert [*registrations] == ["office"]
            call = await t.caller.call("800")
            await call.answered()
            await until(lambda: t.desk.links)
            assert t.desk.offers[0].called == "800"
            await call.hang_up()
            await until(lambda: not t.pbx.call_ids())
            await t.pbx.originate(DialOrder(call_id=str(uuid4()), destination="sales"))
            colleague = await t.sales.incoming()
            await until(lambda: t.desk.picked)
            await colleague.hang_up()
            await until(lambda: not t.pbx.call_ids())

    play(scene())
