"""Encrypted sound between a real Asterisk and us: `media_encryption = sdes` there, `[sip] srtp` here."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sovereign_pbx.pbx.asterisk.pjsip_endpoint import endpoint_section
from sovereign_pbx.pbx.sip.rtp_session import RtpSession
from sovereign_pbx.pbx.sip.sip_pbx import SipPbx, SipSettings
from sovereign_pbx.pbx.sip.sound import SoundSettings
from sovereign_pbx.testing.port_block import reserve_ports
from tests.pbx import stage as stages
from tests.pbx.links import Laid, named
from tests.pbx.stage import ASSISTANT_HZ, CALLER_HZ, Stage, hears, loudest, perform, tone_frame
from tests.waiting import until

pytestmark = pytest.mark.pbx


@contextmanager
def encrypted() -> Iterator[Laid]:
    """The link SIP as `tests.pbx.links` lays it, and nothing in the clear."""
    block = reserve_ports()
    first, last = block.rest
    endpoint = endpoint_section(name="sovereign", transport="udp", codecs=("G722", "PCMU"))
    sound = SoundSettings(codecs=("G722", "PCMU"), srtp="required")
    sip = SipPbx(SipSettings(port=0, transports=("udp",), rtp_first_port=first, rtp_last_port=last, sound=sound))
    files = {
        "pjsip.conf": f"\n{endpoint.rstrip()}\nmedia_encryption = sdes\n",
        "modules.conf": "\nload = res_srtp.so\n",
    }
    try:
        yield Laid(named("SIP"), files, {"media": "sip"}, sip)
    finally:
        block.release()


def test_asterisk_and_we_hear_each_other_through_srtp(asterisk_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "laid", encrypted)

    async def script(stage: Stage) -> None:
        call, _ = await stage.talk()
        call.say(b"".join(tone_frame(number, CALLER_HZ) for number in range(100)))
        await hears(call, ASSISTANT_HZ)
        (heard,) = stage.desk.heard.values()
        await until(lambda: loudest(bytes(heard[-3200:])) == CALLER_HZ)
        (link,) = stage.desk.links.values()
        session = link._sound  # type: ignore[attr-defined]  # an RtpLink's
        assert isinstance(session, RtpSession)
        assert session._sealer is not None and session._opener is not None
        statistics = link.statistics()
        assert statistics["packets_in"] > 5 and statistics["packets_refused"] == 0
        await call.hang_up()

    perform(asterisk_root, script)
