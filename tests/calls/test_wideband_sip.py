"""A wideband call over SIP, through the whole daemon: G.722 from the telephone to the recording, and its quality."""

import asyncio
import socket
from pathlib import Path

import numpy as np

from sovereign_pbx.media.wav import read_wav
from sovereign_pbx.testing.g722_phone import G722
from sovereign_pbx.testing.port_block import reserve_ports
from sovereign_pbx.testing.sip_call import SipCall
from sovereign_pbx.testing.sip_caller import SipPhone
from tests.calls.house import QUESTION, House, house, play
from tests.calls.test_wideband import RECORDING, WIDE, hiss_share, wide
from tests.waiting import until


async def spoken_to(call: SipCall, after: float) -> None:
    """Wait until the assistant has begun to speak after that, and been silent again."""
    now = asyncio.get_running_loop().time

    def silent() -> bool:
        sounds = call.ear.heard.sounds()
        return bool(sounds) and sounds[-1].start > after and now() - sounds[-1].end > 0.6

    await until(silent, 20.0)


async def one_question(place: House, port: int) -> None:
    async with SipPhone(("127.0.0.1", port), codecs=(G722,)) as phone:
        call = await phone.call("100")
        await call.answered()
        await spoken_to(call, 0.0)
        await call.say_wide(wide(QUESTION)).finished.wait()
        await spoken_to(call, asyncio.get_running_loop().time())
        await call.hang_up()


def test_a_call_in_g722_is_wideband_to_the_recording_and_its_quality_is_kept(tmp_path: Path) -> None:
    async def scene(port: int) -> None:
        async with house(tmp_path, sip={"enabled": True, "port": port}, **RECORDING) as place:
            place.deepgram.keep_audio = True
            await one_question(place, port)
            (report,) = await place.reported()
            (row,) = await place.rows()
            assert row.media_quality == report["call"]["media_quality"]
            quality = report["call"]["media_quality"]
            assert (quality["link"], quality["codec"], quality["links"]) == ("rtp", "G722", 1)
            assert 1 <= quality["mos"] <= 4.5 and quality["far_loss_percent"] is None  # this telephone reports nothing
            (heard,) = place.deepgram.connections
            assert heard.values("sample_rate") == ["16000"]
            assert hiss_share(np.frombuffer(bytes(heard.audio), "<i2")) > 0.05
            assert row.recording_path
            rate, channels = await asyncio.to_thread(read_wav, Path(row.recording_path))
            assert rate == WIDE and hiss_share(channels[0]) > 0.05

    ports = reserve_ports()
    try:
        play(scene(ports.take(socket.SOCK_DGRAM)))
    finally:
        ports.release()
