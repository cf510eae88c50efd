"""The pjsip.conf that we print, loaded by a real Asterisk."""

import asyncio
from pathlib import Path

import pytest

from sovereign_pbx.pbx.asterisk.ami import Ami
from sovereign_pbx.pbx.asterisk.pjsip_trunks import print_trunks, trunk_section
from sovereign_pbx.testing.asterisk import PrivateAsterisk
from sovereign_pbx.testing.sip_caller import SipPhone
from tests.waiting import until

pytestmark = pytest.mark.pbx

TRANSPORT = "\n[transport-udp]\ntype = transport\nprotocol = udp\nbind = 127.0.0.1:0\n"
MODULES = "load = res_pjsip_outbound_registration.so\nload = res_pjsip_outbound_authenticator_digest.so\n"


def section(name: str, address: str, username: str = "") -> str:
    return trunk_section(
        name=name,
        address=address,
        transport="udp",
        username=username,
        password="secret-1" if username else "",
        context="sovereign",
        active=True,
    )


def test_a_printed_trunk_can_be_dialled_on(asterisk_root: Path) -> None:
    async def body() -> None:
        async with SipPhone(("127.0.0.1", 9), user="provider", manner="busy") as provider:
            at = f"127.0.0.1:{provider.port}"
            text = print_trunks([section("My-Carrier.1", at), section("registered", at, "user")])
            extra = {"pjsip.conf": TRANSPORT + text, "modules.conf": MODULES}
            async with PrivateAsterisk(asterisk_root, extra=extra) as asterisk:
                provider._server = asterisk.sip_address
                account = asterisk.ami_all
                ami = Ami("127.0.0.1", asterisk.ami_port, account.user, account.secret)
                await ami.start()
                try:
                    await until(lambda: ami.connected)
                    fields = {"Channel": "PJSIP/+31201234567@My-Carrier.1", "Application": "Wait", "Data": "1"}
                    assert (await ami.begin("Originate", fields)).ok
                    await until(lambda: provider.calls)
                    (call,) = provider.calls.values()
                    assert f"sip:+31201234567@{at}" in call.invite.start
                    shown = await asterisk.cli("pjsip show registrations")
                    assert f"registered/sip:{at}" in shown
                    await asterisk.wait_for_channels(0)
                finally:
                    await ami.stop()

    asyncio.run(body())
