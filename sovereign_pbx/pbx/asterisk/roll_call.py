"""Asterisk's channels against our lines: where they differ, and whose fault cannot be told from a race."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, Self
from uuid import UUID

from sovereign_pbx.core.audio import PHONE_RATE
from sovereign_pbx.pbx.asterisk.agi_text import call_token
from sovereign_pbx.pbx.asterisk.ami_message import AmiMessage
from sovereign_pbx.pbx.asterisk.lines import Line
from sovereign_pbx.pbx.asterisk.wideband import WIDE_RATE
from sovereign_pbx.pbx.carrier import Carrier

_APPLICATION: Final = "AudioSocket"
_CHANNEL: Final = re.compile(r"AudioSocket/(.+)//.*")  # without the id
_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NO_ID: Final = str(UUID(int=0))
_UP: Final = "6"  # AST_STATE_UP

# gone: a call of ours whose channel Asterisk has not got. stray: a channel whose audio comes to us, of no call of ours.
# ringing: a call that an earlier daemon placed and that nobody has answered yet.
Kind = Literal["gone", "stray", "ringing"]


@dataclass(frozen=True, slots=True)
class Shown:
    """A channel as `CoreShowChannels` tells it."""

    pbx_id: str
    name: str
    up: bool
    context: str
    application: str
    data: str

    @classmethod
    def of(cls, entry: AmiMessage) -> Self:
        return cls(
            entry.get("Uniqueid"),
            entry.get("Channel"),
            entry.get("ChannelState") == _UP,
            entry.get("Context"),
            entry.get("Application"),
            entry.get("ApplicationData"),
        )

    @property
    def audio(self) -> tuple[str, str]:
        """(token, where to) of the sound that it brings somewhere: host:port of an AudioSocket, what was dialled for
        another carrier; ("", "") for a channel that brings none."""
        first, _, second = self.data.partition(",")
        if self.application == _APPLICATION:
            return call_token(first), second
        found = _ID.search(first) if self.application == "Dial" else None
        return (found[0], way(first, found[0])) if found is not None else ("", "")


def way(dialled: str, token: str) -> str:
    """Where `dialled`, which names `token`, leads to."""
    without = dialled.replace(token, "")
    channel = _CHANNEL.fullmatch(without)
    return channel[1] if channel else without


def ways_of(carrier: Carrier) -> frozenset[str]:
    """Where a carrier has calls dialled to."""
    strings = (carrier.dial_string(_NO_ID, rate) for rate in (PHONE_RATE, WIDE_RATE))
    return frozenset(way(one, _NO_ID) for one in strings if _NO_ID in one)


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that Asterisk and the daemon do not agree on. Equal ones are the same thing, seen again."""

    kind: Kind
    pbx_id: str
    call_id: str = ""  # of `gone`
    channel: str = ""
    context: str = ""
    token: str = ""

    def told(self) -> str:
        """A sentence for people."""
        match self.kind:
            case "gone":
                return f"the call {self.call_id} has no channel in Asterisk any more"
            case "stray":
                return f"{self.channel} is connected to this daemon, which has no call for it"
            case "ringing":
                return f"{self.channel} rings for a call that an earlier daemon placed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    """What tells a channel of ours from everybody else's.

    `address`: where AudioSocket listens; `ways`: what another carrier has dialled. `knows_token`: whether
    that audio is expected or connected. `began`: how the ids begin of the channels that this installation has had
    made, "" where that can't be told.
    """

    address: Callable[[], tuple[str, int]]
    knows_token: Callable[[str], bool]
    began: str
    ways: Callable[[], frozenset[str]] = frozenset

    def addresses(self, channels: Iterable[Shown]) -> frozenset[str]:
        """Our carrier as dialplans write it: our own address, and whatever leads the calls here that we know.

        Another daemon may listen on the same port of another machine, so a port alone tells nothing.
        """
        known = {address for token, address in (one.audio for one in channels) if token and self.knows_token(token)}
        known |= self.ways()
        host, port = self.address()
        if host not in ("0.0.0.0", "::"):
            known |= {f"{host}:{port}", f"[{host}]:{port}"}
        return frozenset(known)


def compare(
    channels: Mapping[str, Shown], before: Iterable[Line], lines: Iterable[Line], ours: Ours
) -> list[Difference]:
    """The differences. `before`: the lines that there were when Asterisk was asked; `lines`: those that there are.

    A line that is being dialled has a channel a moment after it was ordered; its originator watches over it.
    """
    gone = [
        Difference("gone", line.pbx_id, line.call_id, line.channel)
        for line in before
        if line.phase != "dialling" and line.pbx_id not in channels
    ]
    known = {line.pbx_id for line in lines}
    addresses = ours.addresses(channels.values())
    return gone + [
        found for one in channels.values() if one.pbx_id not in known and (found := _foreign(one, addresses, ours))
    ]


def _foreign(one: Shown, addresses: frozenset[str], ours: Ours) -> Difference | None:
    """What is wrong with a channel that belongs to no line. A channel that was placed, answered and handed over to the
    administrator's own dialplan is nothing of ours any more."""
    token, address = one.audio
    if token and address in addresses and not ours.knows_token(token):
        return Difference("stray", one.pbx_id, channel=one.name, context=one.context, token=token)
    if ours.began and one.pbx_id.startswith(ours.began) and not one.pbx_id.endswith(";2") and not one.up:
        return Difference("ringing", one.pbx_id, channel=one.name)
    return None
