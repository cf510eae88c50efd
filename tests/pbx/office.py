"""An office behind the assistant: telephones that register, a trunk, a queue, a ring group, and music for who waits."""

import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np

from sovereign_pbx.testing.asterisk import PrivateAsterisk
from sovereign_pbx.testing.sip_caller import SipPhone
from tests.pbx.stage import tone_frame

MUSIC_HZ = 1300
MUSIC_CLASS = "waiting"

# Where nobody takes a caller in the end: the administrator's own contexts, as docs/asterisk.md shows them
PLAN = """
[sovereign-dial]
exten => 201,1,Dial(PJSIP/colleague)
exten => 202,1,Dial(PJSIP/second)
exten => 203,1,Dial(PJSIP/nobody)
exten => 204,1,Dial(PJSIP/colleague,1)
exten => 400,1,Dial(PJSIP/colleague&PJSIP/second&PJSIP/nobody)
exten => 600,1,Queue(reception)
exten => 601,1,Queue(empty)
exten => uri,1,Dial(PJSIP/colleague/${SOVEREIGN_DEST})
[phones](+)
include => sovereign
exten => pick,1,Pickup()
"""

MODULES = """
load = app_queue.so
load = app_directed_pickup.so
load = res_pjsip_registrar.so
load = res_pjsip_diversion.so
"""

QUEUES = """
[reception]
strategy = ringall
timeout = 5
retry = 1
member => PJSIP/colleague
[empty]
joinempty = no
"""

ENDPOINTS = """
[colleague](phone)
aors = colleague
call_group = 1
[second](phone)
aors = second
pickup_group = 1
context = phones
[nobody](phone)
aors = nobody
[carrier](phone)
aors = carrier
[registers](!)
type = aor
max_contacts = 1
qualify_frequency = 0
[colleague](registers)
[second](registers)
[nobody](registers)
[carrier](registers)
"""


def configuration(folder: Path) -> dict[str, str]:
    """What its Asterisk has beyond the usual; the music goes into `folder`."""
    music = folder / "music"
    music.mkdir()
    with wave.open(str(music / "tone.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(b"".join(tone_frame(number, MUSIC_HZ) for number in range(500)))
    return {
        "modules.conf": MODULES,
        "pjsip.conf": ENDPOINTS,
        "queues.conf": QUEUES,
        "musiconhold.conf": f"[{MUSIC_CLASS}]\nmode = files\ndirectory = {music}\n",
    }


def strongest(pcm: bytes) -> int:
    """The loudest tone of the last 200 ms of `pcm`, to 5 Hz; 0 for silence."""
    samples = np.frombuffer(pcm, "<i2").astype(float)[-1600:]
    if len(samples) < 1600 or np.sqrt((samples**2).mean()) < 200:
        return 0
    return int(abs(np.fft.rfft(samples * np.hanning(1600))).argmax()) * 5


@asynccontextmanager
async def people(asterisk: PrivateAsterisk, *names: str) -> AsyncIterator[tuple[SipPhone, ...]]:
    """Telephones of these endpoints, registered. `nobody` is one that never does."""
    phones = [SipPhone(asterisk.sip_address, user=name) for name in names]
    try:
        for phone in phones:
            await phone.start()
            await phone.register()
        yield tuple(phones)
    finally:
        for phone in phones:
            await phone.close()
