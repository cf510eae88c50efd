"""Whole calls through a daemon beside a FreeSWITCH without SIP: parked, and heard by unicast or mod_audio_fork."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from sovereign_pbx.core.audio import FRAME_S
from sovereign_pbx.pbx.freeswitch.parked_dialplan import render
from sovereign_pbx.testing.freeswitch_audio_fork import Fork, ForkSwitch
from sovereign_pbx.testing.freeswitch_channel import Channel
from sovereign_pbx.testing.freeswitch_esl import PASSWORD
from sovereign_pbx.testing.freeswitch_leg import SipLegs
from sovereign_pbx.testing.freeswitch_unicast import UnicastSwitch
from sovereign_pbx.testing.heard import Heard
from sovereign_pbx.testing.port_block import reserve_ports
from tests.calls.house import GREETING, QUESTION, House, house, play
from tests.calls.test_call import said
from tests.waiting import until

Media = Literal["unicast", "audio_fork"]


@dataclass
class Town:
    """A daemon, and the FreeSWITCH beside it."""

    house: House
    switch: ForkSwitch

    async def caller(self) -> Channel:
        """Somebody whom the assistant has greeted."""
        caller = await self.switch.call("300")
        await until(lambda: self.line(caller) is not None)
        await self.heard(caller)
        return caller

    def line(self, channel: Channel) -> UnicastSwitch | Fork | None:
        return self.switch.sounds.get(channel.uuid) or self.switch.forks.get(channel.uuid)

    def say(self, channel: Channel, pcm: bytes) -> None:
        line = self.line(channel)
        assert line is not None
        line.speech = pcm

    async def heard(self, channel: Channel, sounds: int = 1) -> None:
        """Wait until the assistant has spoken so often, and has been silent since."""

        def silent() -> bool:
            line = self.line(channel)
            heard = Heard()
            pcm = bytes(line.played) if line is not None else b""
            for at in range(0, len(pcm) - 319, 320):
                heard.add(at / 320 * FRAME_S, pcm[at : at + 320])
            found = heard.sounds()
            return len(found) >= sounds and len(pcm) / 16000 - found[-1].end > 0.6

        await until(silent, 20.0)


@asynccontextmanager
async def town(folder: Path, media: Media) -> AsyncIterator[Town]:
    async with AsyncExitStack() as stack:
        ports = reserve_ports()
        stack.callback(ports.release)
        switch = await stack.enter_async_context(ForkSwitch())
        made = await stack.enter_async_context(
            house(
                folder,
                asterisk={"enabled": False},
                freeswitch={
                    "enabled": True,
                    "media": media,
                    "media_port": ports.take(socket.SOCK_STREAM),
                    "esl": {"port": switch.esl.port, "password": PASSWORD},
                },
            )
        )
        text = await asyncio.to_thread(render, media=media)
        switch.load(text, address="", legs=SipLegs(("127.0.0.1", 1)))
        await until(lambda: made.daemon.pbx.health()["status"] == "ok")  # logged in, and told of calls from now on
        yield Town(made, switch)
    switch.check()


@pytest.mark.parametrize("media", ["unicast", "audio_fork"])
def test_a_question_is_answered_and_the_call_is_reported(tmp_path: Path, media: Media) -> None:
    async def scene() -> None:
        async with town(tmp_path, media) as t:
            caller = await t.caller()
            t.say(caller, QUESTION)
            await until(lambda: t.house.openai.requests)
            await t.heard(caller, 2)
            await t.switch.hang_up(caller)
            (report,) = await t.house.reported()
            assert said(report)[:2] == [("assistant", GREETING), ("user", "What time do you open?")]
            assert report["end_reason"] == "user_hangup"

    play(scene())
