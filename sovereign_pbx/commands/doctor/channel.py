"""The test call as Asterisk has it: two halves of a `Local` channel, dialled and followed by AMI."""

import asyncio
import secrets
import time
from typing import Final
from uuid import uuid4

from sovereign_pbx.core.errors import BadInput, LinkEnded
from sovereign_pbx.pbx.asterisk.ami import Ami
from sovereign_pbx.pbx.asterisk.ami_message import AmiMessage

CALLER_NAME: Final = "sovereign-pbx doctor"
POLL_S: Final = 0.1
HANGUPS_S: Final = 1.0
CAUSE_NORMAL: Final = 16

# Reasons of OriginateResponse are mostly 0 whatever happened; the hang-up cause tells more (Asterisk 22.10).
CAUSES: Final = {
    "1": "nobody has this number",
    "17": "busy",
    "21": "rejected",
    "34": "the fallback's error tone",
    "38": "out of order",
}


class Channel:
    """Half 1 is doctor's own (it runs AudioSocket), half 2 is the caller whom the dialplan sees.

    `caller_number` is new for each call, so that its row can be found among others. Call `close` at the end.
    """

    def __init__(self, ami: Ami, context: str, number: str) -> None:
        mark = uuid4().hex
        self.caller_number = f"0000{secrets.randbelow(10**6):06}"
        self.ids = (f"doctor-{mark}-1", f"doctor-{mark}-2")
        self.events = 0
        self.refused = ""
        self._ami = ami
        self._dialled = f"Local/{number}@{context}/n"
        self._causes: dict[str, str] = {}
        self._hung_up = asyncio.Event()
        self._dialling: asyncio.Task[None] | None = None
        ami.on_event(self._event)

    def dial(self, token: str, audio: str, ring_s: float) -> None:
        """Have Asterisk dial and connect whoever answers to `audio` (host:port), as `token`. `refused` says why not."""
        self._dialling = asyncio.get_running_loop().create_task(self._dial(token, audio, ring_s))

    async def variable(self, name: str) -> str:
        """A variable of the caller's half; "" when it has none, or the channel is gone. Raises LinkEnded."""
        channel = (await self._present()).get(self.ids[1])
        if not channel:
            return ""
        answer = await self._ami.action("Getvar", Channel=channel, Variable=name)
        return answer.get("Value") if answer.ok else ""

    async def left(self, within_s: float) -> list[str]:
        """Our channels that are still there after `within_s`; returns as soon as there are none. Raises LinkEnded."""
        deadline = time.monotonic() + within_s
        while True:
            present = await self._present()
            if not present or time.monotonic() > deadline:
                return [*present.values()]
            await asyncio.sleep(POLL_S)

    async def close(self) -> None:
        """Hang up what is left."""
        if self._dialling is not None:
            self._dialling.cancel()
            await asyncio.gather(self._dialling, return_exceptions=True)
        try:
            for name in (await self._present()).values():
                await self._ami.action("Hangup", Channel=name, Cause=CAUSE_NORMAL)
        except (LinkEnded, BadInput):
            pass  # without AMI nothing can be hung up; both halves end when our AudioSocket does

    async def _dial(self, token: str, audio: str, ring_s: float) -> None:
        try:
            answer = await self._ami.action(
                "Originate",
                timeout_s=ring_s + 5,
                Channel=self._dialled,
                Application="AudioSocket",
                Data=f"{token},{audio}",
                ChannelId=self.ids[0],
                OtherChannelId=self.ids[1],
                CallerID=f'"{CALLER_NAME}" <{self.caller_number}>',
                Timeout=round(ring_s * 1000),
                Variable=["SOVEREIGN_VARIABLES=DOCTOR=yes", "SOVEREIGN_STAYS=yes"],
            )
        except (LinkEnded, BadInput) as exc:
            if not isinstance(exc, LinkEnded) or not self.events:  # no rights to events: no answer, yet a call
                self.refused = str(exc)
            return
        responses = [entry for entry in answer.entries if entry.event == "OriginateResponse"]
        if not answer.ok:
            self.refused = f"Asterisk does not dial: {answer.get('Message')}"
        elif any(entry.get("Response") == "Failure" for entry in responses):
            self.refused = f"nobody answered {self._dialled} ({await self._why()})"

    async def _why(self) -> str:
        try:  # the hang-ups come before or after the response, as it happens
            async with asyncio.timeout(HANGUPS_S):
                await self._hung_up.wait()
        except TimeoutError:
            pass
        cause = self._causes.get(self.ids[1]) or self._causes.get(self.ids[0]) or "0"
        return CAUSES.get(cause, f"hang-up cause {cause}")

    def _event(self, message: AmiMessage) -> None:
        if (unique := message.get("Uniqueid")) in self.ids:
            self.events += 1
            if message.event == "Hangup":
                self._causes[unique] = message.get("Cause")
                if len(self._causes) == len(self.ids):
                    self._hung_up.set()

    async def _present(self) -> dict[str, str]:
        """Names of our channels, by id."""
        answer = await self._ami.action("CoreShowChannels")
        shown = {entry.get("Uniqueid"): entry.get("Channel") for entry in answer.entries}
        return {unique: shown[unique] for unique in self.ids if unique in shown}
