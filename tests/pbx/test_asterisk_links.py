"""A real Asterisk that can't bring the sound as it is told to: AudioSocket brings it."""

import socket
from pathlib import Path

import pytest

from sovereign_pbx.pbx.asterisk.websocket_conf import client_section
from sovereign_pbx.pbx.link import NextStep
from sovereign_pbx.pbx.sip.sip_carrier import SipCarrier
from tests.pbx import links
from tests.pbx.stage import ASSISTANT_HZ, CALLER_HZ, FALLBACK_HZ, PLAN, Stage, hears, loudest, perform, tone_frame
from tests.waiting import until

pytestmark = pytest.mark.pbx

SIP, WEBSOCKET = links.named("SIP"), links.named("chan_websocket")
NO_MODULE = {"modules.conf": "noload = chan_websocket.so\n"}
THROUGH_LOCAL = PLAN + "\n[phones](+)\nexten => via,1,Dial(Local/8000@sovereign)\n"


async def talks_by_audiosocket(stage: Stage, extension: str = "8000") -> None:
    """Both hear each other, for longer than it takes Asterisk to join two bridges; then the daemon is asked."""
    stage.desk.step = NextStep("fallback")
    call, call_id = await stage.talk(extension)
    call.say(b"".join(tone_frame(number, CALLER_HZ) for number in range(1000)))
    await hears(call, ASSISTANT_HZ)
    link = stage.desk.links[call_id]
    assert link.kind == "audiosocket"
    await until(lambda: loudest(bytes(stage.desk.heard[link][-3200:])) == CALLER_HZ)
    await until(lambda: len(stage.desk.heard[link]) > 16000)
    assert stage.desk.gone_calls == []
    link.close()
    await hears(call, FALLBACK_HZ)
    assert stage.desk.asked_next == [call_id]
    await call.hang_up()
    await until(lambda: bool(stage.desk.gone_calls))


def test_where_there_is_no_endpoint_calls_come_by_audiosocket(asterisk_root: Path) -> None:
    async def script(stage: Stage) -> None:
        carrier = stage.pbx._sip_carrier
        assert isinstance(carrier, SipCarrier)
        carrier._peer = "nobody"
        await talks_by_audiosocket(stage)
        assert stage.pbx.health()["sound"]["second_chances"] == 1

    with links.over(SIP):
        perform(asterisk_root, script)


def test_where_there_is_no_chan_websocket_calls_come_by_audiosocket(asterisk_root: Path) -> None:
    async def script(stage: Stage) -> None:
        await talks_by_audiosocket(stage)
        assert stage.pbx.health()["sound"]["second_chances"] == 1

    with links.over(WEBSOCKET):
        perform(asterisk_root, script, extra=NO_MODULE)


def test_a_websocket_that_nobody_answers_keeps_the_caller_waiting_for_four_seconds_at_most(asterisk_root: Path) -> None:
    with links.over(WEBSOCKET), socket.create_server(("127.0.0.1", 0)) as mute:

        async def script(stage: Stage) -> None:
            await talks_by_audiosocket(stage)
            assert stage.pbx.health()["sound"]["second_chances"] == 1
            mute.close()  # Asterisk lets go of a channel that waits for its handshake only then

        section = client_section(connection="mute", address=f"127.0.0.1:{mute.getsockname()[1]}")
        extra = {"websocket_client.conf": f"\n{section}"}
        perform(asterisk_root, script, extra=extra, websocket_connection="mute")


def test_after_a_websocket_the_fallback_may_do_what_every_dialplan_may(asterisk_root: Path) -> None:
    async def script(stage: Stage) -> None:
        stage.desk.step = NextStep("fallback")
        call, call_id = await stage.talk()
        await hears(call, ASSISTANT_HZ)
        assert stage.desk.links[call_id].kind == "websocket"
        stage.desk.links[call_id].close()
        await hears(call, FALLBACK_HZ)
        assert "SAID=done" in await stage.asterisk.cli("dialplan show globals")
        await call.hang_up()

    said = PLAN.replace(
        " same => n,Milliwatt()", " same => n,Set(GLOBAL(SAID)=${SHELL(echo done)})\n same => n,Milliwatt()"
    )
    with links.over(WEBSOCKET):
        perform(asterisk_root, script, plan=said, extra={"modules.conf": "load = func_shell.so\n"})


def test_a_caller_on_a_local_channel_is_not_taken_out_of_his_dialplan(asterisk_root: Path) -> None:
    async def script(stage: Stage) -> None:
        await talks_by_audiosocket(stage, "via")

    with links.over(SIP):
        perform(asterisk_root, script, plan=THROUGH_LOCAL)
