"""The room behind an assistant's voice (contract §4.5 `speech_config.background_audio`), made off the loop."""

import asyncio
from collections.abc import Iterable

from sovereign_pbx.assistants.model import Assistant
from sovereign_pbx.core.audio import PHONE_RATE
from sovereign_pbx.media.background import Background, Loop, loop
from sovereign_pbx.media.line import Line

USUAL_CLIP, USUAL_VOLUME = "office", 0.3


async def furnish(line: Line, assistant: Assistant | None) -> None:
    """Give the line its room, where the assistant has one. Comfort noise is heard until the loop is there, which
    after its first use it is at once."""
    found = await _loop_of(assistant, line.link.rate) if assistant is not None else None
    if found is not None:
        line.background = Background(found, line.link.rate)


async def make_rooms(assistants: Iterable[Assistant]) -> None:
    """Have the rooms of these assistants ready before their first calls; a first wideband one makes its own."""
    for assistant in assistants:
        await _loop_of(assistant, PHONE_RATE)


async def _loop_of(assistant: Assistant, rate: int) -> Loop | None:
    wanted = assistant.speech_config.get("background_audio") or {}
    if not wanted.get("enabled"):
        return None
    clip, volume = wanted.get("clip", USUAL_CLIP), float(wanted.get("volume", USUAL_VOLUME))
    return await asyncio.to_thread(loop, clip, volume, rate)
