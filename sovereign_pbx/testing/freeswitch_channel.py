"""A channel of the played FreeSWITCH: who it is, what it does, and how it ends."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, Literal

from sovereign_pbx.testing.freeswitch_leg import Leg

State = Literal["DOWN", "RINGING", "EARLY", "ACTIVE", "HANGUP"]

Manner = Literal["answer", "ring", "busy", "decline", "unknown", "unregistered"]
"""What somebody who is called does: answers, lets it ring, is busy (486), declines (603), is nobody (404), is no
registered telephone."""

REFUSALS = {
    "busy": "USER_BUSY",
    "decline": "CALL_REJECTED",
    "unknown": "UNALLOCATED_NUMBER",
    "unregistered": "USER_NOT_REGISTERED",
}


@dataclass(slots=True, eq=False)
class Person:
    """Who is reached by a dial string. `after_s`: how long it rings before; `channels`: those that reached him."""

    manner: Manner = "answer"
    after_s: float = 0.0
    channels: list["Channel"] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Channel:
    """`routine` is what it does at this moment; `partner` whom it is bridged with, where that is a channel; `leg` the
    one to the daemon, where it is that."""

    uuid: str
    name: str
    direction: Literal["inbound", "outbound"]
    variables: dict[str, str] = field(default_factory=dict)
    state: State = "DOWN"
    application: str = ""
    data: str = ""
    routine: asyncio.Task[None] | None = None
    partner: "Channel | None" = None
    originator: bool = False
    leg: Leg | None = None
    cause: str = ""
    done: list[str] = field(default_factory=list)  # applications, for tests
    over: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def up(self) -> bool:
        return self.state == "ACTIVE"

    @property
    def is_gone(self) -> bool:
        return self.state == "HANGUP"

    def begin(self, routine: Coroutine[Any, Any, None]) -> None:
        """Do this from now on; what was done before must have been stopped."""
        assert self.routine is None or self.routine.done() or self.routine is asyncio.current_task()
        self.routine = asyncio.get_running_loop().create_task(routine)

    async def interrupt(self) -> None:
        """Stop what it does; its leg to the daemon is let go, as FreeSWITCH does when a channel is taken elsewhere."""
        routine, self.routine = self.routine, None
        if routine is not None and routine is not asyncio.current_task():
            routine.cancel()
            await asyncio.gather(routine, return_exceptions=True)
        leg, self.leg = self.leg, None
        if leg is not None:
            await leg.hang_up(self.cause or "NORMAL_CLEARING")

    def event(self) -> dict[str, str]:
        """What every event of it tells."""
        told = {
            "Unique-ID": self.uuid,
            "Channel-Name": self.name,
            "Call-Direction": self.direction,
            "Channel-Call-State": self.state,
            **({"Hangup-Cause": self.cause} if self.cause else {}),
        }
        return {**told, **{f"variable_{name}": value for name, value in self.variables.items()}}

    def row(self) -> dict[str, str]:
        """As `show channels` lists it."""
        return {
            "uuid": self.uuid,
            "direction": self.direction,
            "name": self.name,
            "state": "CS_EXECUTE",
            "callstate": self.state,
            "application": self.application,
            "application_data": self.data,
        }
