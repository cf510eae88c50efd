"""Encrypted sound with a telephone of other people's making, which has its own SRTP (libre's)."""

from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from sovereign_pbx.pbx.sip.rtp_link import RtpLink
from sovereign_pbx.pbx.sip.sip_pbx import SipSettings
from sovereign_pbx.testing.baresip import Baresip
from sovereign_pbx.testing.baresip_tree import PrivateBaresip, baresip_tree
from sovereign_pbx.testing.progress_line import ProgressLine
from tests.pbx.sip.stage import play, stage
from tests.pbx.sip.test_baresip import PHONE_HZ, WIDE, talk_and_press
from tests.pbx.sip.tones import tone

pytestmark = pytest.mark.pbx


@pytest.fixture(scope="module")
def baresip() -> PrivateBaresip:
    return baresip_tree(ProgressLine("baresip"))


def insisting(usual: SipSettings) -> SipSettings:
    return replace(usual, sound=replace(usual.sound, srtp="required"))


def test_wideband_sound_and_keys_go_both_ways_through_srtp(baresip: PrivateBaresip) -> None:
    async def scene() -> None:
        async with AsyncExitStack() as stack:
            s = await stack.enter_async_context(stage(settings=insisting))
            says = tone(PHONE_HZ, 60.0, 16000)
            phone = await stack.enter_async_context(
                Baresip(baresip, says=says, codec=WIDE, account=";mediaenc=srtp-mand")
            )
            host, port = s.pbx.endpoint.address("udp")
            await phone.dial(f"sip:100@{host}:{port}")
            await phone.happened("CALL_ESTABLISHED")
            link = await s.link()
            assert isinstance(link, RtpLink)
            await talk_and_press(s, phone)
            assert link.statistics()["packets_in"] > 20
            await s.over()

    play(scene())


def test_who_offers_no_keys_is_refused(baresip: PrivateBaresip) -> None:
    async def scene() -> None:
        async with AsyncExitStack() as stack:
            s = await stack.enter_async_context(stage(settings=insisting))
            phone = await stack.enter_async_context(Baresip(baresip, says=tone(PHONE_HZ, 5.0, 8000)))
            host, port = s.pbx.endpoint.address("udp")
            await phone.dial(f"sip:100@{host}:{port}")
            closed = await phone.happened("CALL_CLOSED")
            assert "488" in str(closed)
            assert not s.desk.offers

    play(scene())
