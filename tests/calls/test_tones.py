"""Tones for other people's menus."""

import asyncio

from sovereign_pbx.calls.tones import play_digits
from sovereign_pbx.core.errors import LinkEnded
from sovereign_pbx.core.events import ToolFinished


class Phone:
    def __init__(self, fault: Exception | None = None, *, dead: bool = False) -> None:
        self.fault, self.dead = fault, dead
        self.pressed: list[str] = []

    async def send_digits(self, call_id: str, digits: str) -> None:
        if self.dead:
            await asyncio.Event().wait()
        if self.fault is not None:
            raise self.fault
        self.pressed.append(f"{call_id} {digits}")


def sent(phone: Phone) -> ToolFinished:
    return asyncio.run(play_digits(phone, "call", "12#", "tool", longest_s=0.01))


def test_the_tool_is_answered_when_the_last_tone_is_out() -> None:
    phone = Phone()
    assert sent(phone) == ToolFinished("tool", "Sent.")
    assert phone.pressed == ["call 12#"]


def test_the_model_is_told_why_tones_were_not_sent() -> None:
    refused = sent(Phone(LinkEnded("Channel not found")))
    assert refused.failed and refused.result == "Not sent: Channel not found"
    unanswered = sent(Phone(dead=True))
    assert unanswered.failed and unanswered.result == "Not sent: the PBX did not answer in time"
