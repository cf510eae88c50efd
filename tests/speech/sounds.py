"""A caller's audio: loud as speech, or quiet as a line."""

import asyncio
import math
import struct
from typing import Protocol

from sovereign_pbx.core.audio import FRAME_MS, frame_samples


class _TakesFrames(Protocol):
    def send(self, frame: bytes) -> None: ...


def loud(rate: int = 8000) -> bytes:
    """20 ms at speech level."""
    count = frame_samples(rate)
    return struct.pack(f"<{count}h", *(int(6000 * math.sin(2 * math.pi * 400 * i / rate)) for i in range(count)))


def quiet(rate: int = 8000) -> bytes:
    """20 ms of a silent line."""
    return bytes(frame_samples(rate) * 2)


async def talk(stream: _TakesFrames, speech_ms: int, silence_ms: int, rate: int = 8000, pace: float = 0.002) -> None:
    """Send speech, then silence; a frame every `pace` seconds."""
    for frame, length_ms in ((loud(rate), speech_ms), (quiet(rate), silence_ms)):
        for _ in range(length_ms // FRAME_MS):
            stream.send(frame)
            await asyncio.sleep(pace)
