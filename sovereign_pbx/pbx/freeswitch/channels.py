"""The channels of FreeSWITCH that somebody here waits for: those that we had made, and callers we have put through."""

import asyncio
from collections.abc import Iterator
from typing import Final

import structlog

from sovereign_pbx.core.errors import BadInput, LinkEnded
from sovereign_pbx.pbx.freeswitch.esl import Esl
from sovereign_pbx.wire.esl import Event

log = structlog.get_logger(__name__)

HANGUP: Final = "CHANNEL_HANGUP_COMPLETE"
BRIDGE: Final = "CHANNEL_BRIDGE"
INSTANCE: Final = "sovereign_instance"
"""The variable by which FreeSWITCH tells our channels from everybody else's; its filter goes by it."""


# FreeSWITCH has taken an originate, but not yet made its channel: there is nothing to hang up for a moment.
_HANG_UP_TRIES: Final = 10
_HANG_UP_EVERY_S: Final = 0.1


class Channel:
    """One channel, until it is gone: `cause` is then FreeSWITCH's name for why, "" where nobody told."""

    def __init__(self, uuid: str, call_id: str, *, ours: bool) -> None:
        self.uuid = uuid
        self.call_id = call_id
        self.ours = ours  # we had it made; a caller's own is not
        self.born = not ours  # it is known to have come into being
        self.cause = ""
        self._gone = asyncio.Event()
        self._bridged = asyncio.Event()

    @property
    def is_gone(self) -> bool:
        return self._gone.is_set()

    async def gone(self) -> None:
        """Wait until it is."""
        await self._gone.wait()

    async def bridged(self) -> None:
        """Wait until it is connected with another channel, since it is watched."""
        await self._bridged.wait()

    def bridge(self) -> None:
        self._bridged.set()

    def end(self, cause: str) -> None:
        if not self.is_gone:
            self.cause = cause
            self._gone.set()


class Channels:
    """By id. What is not told by an event, because the socket was down, is told by the roll-call (`audit`)."""

    def __init__(self) -> None:
        self._known: dict[str, Channel] = {}

    def __len__(self) -> int:
        return len(self._known)

    def __iter__(self) -> Iterator[Channel]:
        return iter(tuple(self._known.values()))

    def __contains__(self, uuid: object) -> bool:
        return uuid in self._known

    def watch(self, uuid: str, call_id: str, *, ours: bool) -> Channel:
        """Wait for its end from now on; who waits already has the same one (whom we have called may be put through)."""
        if uuid not in self._known:
            self._known[uuid] = Channel(uuid, call_id, ours=ours)
        return self._known[uuid]

    def forget(self, channel: Channel) -> None:
        """Nobody waits any more."""
        if self._known.get(channel.uuid) is channel:
            del self._known[channel.uuid]

    def end(self, uuid: str, cause: str) -> None:
        """It is gone."""
        channel = self._known.pop(uuid, None)
        if channel is not None:
            channel.end(cause)

    def event(self, event: Event) -> None:
        """Any event; ends matter, and who is connected."""
        if event.name == HANGUP:
            self.end(event.uuid, event.get("Hangup-Cause"))
        elif event.name == BRIDGE and (colleague := self._known.get(event.get("Bridge-B-Unique-ID"))):
            colleague.bridge()


async def hang_up(esl: Esl, channel: Channel, cause: str) -> bool:
    """Have it hung up; False where it can't be."""
    for attempt in range(1 if channel.born else _HANG_UP_TRIES):
        await asyncio.sleep(_HANG_UP_EVERY_S if attempt else 0)
        if channel.is_gone:
            return True
        try:
            if (await esl.api("uuid_kill", channel.uuid, cause)).startswith("+OK"):
                return True
        except (LinkEnded, BadInput) as exc:
            log.warning("hang_up_failed", call_id=channel.call_id, why=str(exc))
            return False
    return False
