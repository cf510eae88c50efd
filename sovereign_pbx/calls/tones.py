"""Digits sent to the far end, as the answer to the tool that asked for them."""

import asyncio
from typing import Final, Protocol

import structlog

from sovereign_pbx.core.errors import SovereignError
from sovereign_pbx.core.events import ToolFinished

log = structlog.get_logger(__name__)

LONGEST_S: Final = 30.0  # 32 pauses of half a second, and as many tones


class Keypad(Protocol):
    """`pbx.link.PbxLink`, as far as it presses keys."""

    async def send_digits(self, call_id: str, digits: str) -> None: ...


async def play_digits(
    pbx: Keypad, call_id: str, digits: str, tool_id: str, *, longest_s: float = LONGEST_S
) -> ToolFinished:
    """Answers the tool when the last tone is out. The tones may be somebody's secret: they are in no log."""
    try:
        async with asyncio.timeout(longest_s):
            await pbx.send_digits(call_id, digits)
    except (SovereignError, TimeoutError) as exc:
        why = str(exc) or "the PBX did not answer in time"
        log.warning("digits.not_sent", why=why, count=len(digits))
        return ToolFinished(tool_id, f"Not sent: {why}", failed=True)
    return ToolFinished(tool_id, "Sent.")
