"""One order to dial as Asterisk's events tell of it, and what they come to.

Asterisk tells the truth about a call that nobody answered in bits: OriginateResponse says `0` whatever happened, the
cause is in the Hangup of our channel for a PJSIP channel, and for a Local one in that of the channel behind it, with
`0` or `34` in our own; DialEnd knows busy. In which order they come is chance (all run on 22.10.1). So everything is
gathered until our channel is gone, and judged then.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Final

from sovereign_pbx.pbx.asterisk.ami_message import AmiMessage
from sovereign_pbx.pbx.asterisk.lines import Line
from sovereign_pbx.pbx.link import NotAnswered

MOST_CHANNELS: Final = 64  # a ring group; whatever else, what is remembered of a call is bounded

BUSY: Final = 17
REJECTED: Final = 21
_NO_NUMBER: Final = (1, 2, 3, 22, 28)
_NO_ANSWER: Final = (18, 19)
_MEANS_NOTHING: Final = (0, 16, 26)  # not known, normal, cleared because another one answered
# What the dialplan makes of a Local channel whose Dial() has failed, whatever the reason was
_OF_THE_DIALPLAN: Final = (34,)
REASON_TIMEOUT: Final = "3"

LEFT_EARLY: Final = "The person called answered, and hung up before the conversation began."

# Q.850, in the words that help whoever reads them.
WORDS: Final = {
    1: "nobody has this number",
    2: "there is no route to it",
    3: "there is no route to it",
    20: "the person called is not reachable",
    22: "the number has changed",
    27: "the destination is out of order",
    28: "the number is incomplete or wrong",
    34: "there is no free line",
    38: "the network is out of order",
    41: "a passing fault of the network",
    42: "the network is overloaded",
    50: "the trunk does not allow this call",
    57: "the trunk does not allow this call",
    58: "the destination can't take calls of this kind",
    63: "the destination can't take calls of this kind",
    88: "the two ends have no codec in common",
    102: "the trunk did not answer in time",
    127: "a fault between networks",
}


@dataclass(slots=True, eq=False)
class Attempt:
    """What is known of one order. `session` is the AMI session that has seen all of it."""

    line: Line
    action_id: str
    where: str  # what was dialled, for people
    session: int
    channels: set[str] = field(default_factory=set)  # names of ours and of those behind it; and our Uniqueid
    open: set[str] = field(default_factory=set)  # those of them that are still there
    causes: list[int] = field(default_factory=list)
    busy: bool = False
    unanswered: bool = False  # somewhere behind our channel it rang until the dialplan gave up
    answered: bool = False
    left: bool = False  # the other end has hung up, not the dialplan; Asterisk may say so before it says answered
    response: str = ""  # of OriginateResponse: Success, Failure
    reason: str = ""
    seen: bool = False  # our channel came into being
    dialled: bool = False  # and something was dialled on it
    over: bool = False  # it is gone
    lost: bool = False  # nobody knows what became of it
    settling: bool = False  # it has ended, and is judged as soon as its last events are in
    timer: asyncio.TimerHandle | None = None

    def take(self, message: AmiMessage) -> None:
        """An event of one of its channels, or its OriginateResponse."""
        name, ours = message.get("Channel"), message.get("Uniqueid") == self.line.pbx_id
        match message.event:
            case "Newchannel":
                self.seen |= ours
                self._follow(name)
            case "DialBegin":
                self.dialled |= message.get("DestUniqueid") == self.line.pbx_id
                self._follow(message.get("DestChannel"))
            case "DialEnd":
                ours = message.get("DestUniqueid") == self.line.pbx_id
                self._dial_ended(message.get("DialStatus"), ours=ours)
            case "HangupRequest":
                self.left |= ours
            case "Hangup":
                self.seen |= ours
                self.over |= ours
                self._hung_up(name, message.get("Cause"))
            case "OriginateResponse":
                self.response, self.reason = message.get("Response"), message.get("Reason")

    @property
    def ended(self) -> bool:
        """Nobody will answer any more; the last of its events may still be under way."""
        return self.over or (self.response == "Failure" and not self.seen)

    @property
    def complete(self) -> bool:
        """Everything that there is to know is known. A response without a channel may only have come first."""
        return self.over and bool(self.response) and not self.open

    def verdict(self) -> NotAnswered:
        """What it came to."""
        cause = self._cause()
        if self.lost:
            return NotAnswered("error", "What became of the call is not known: Asterisk did not tell.")
        if self.busy or cause == BUSY:
            return NotAnswered("busy", "The line was busy.", cause or BUSY)
        if cause == REJECTED:
            return NotAnswered("rejected", "The call was rejected.", cause)
        if self.left and (self.answered or self.response == "Success"):
            return NotAnswered("user_hangup", LEFT_EARLY, cause)
        if self.response == "Success":
            return NotAnswered("error", f"{self.where} answered, but its dialplan did not ask the daemon.", cause)
        if not self.seen or (cause is None and not self.dialled):
            return NotAnswered("error", f"Asterisk can't dial {self.where}: is there such an endpoint or extension?")
        if cause in _NO_ANSWER or (cause is None and (self.unanswered or self.reason == REASON_TIMEOUT)):
            return NotAnswered("no_answer", "Nobody answered.", cause)
        said = WORDS.get(cause or 0, "it ended without an answer")
        return NotAnswered("error", f"The call failed: {said}" + (f" (cause {cause})." if cause else "."), cause)

    def _cause(self) -> int | None:
        """The cause that says most: one of the person called before one of the way to him."""
        told = [cause for cause in self.causes if cause not in _MEANS_NOTHING]
        ranked = (BUSY, REJECTED, *_NO_NUMBER)
        of_the_person = next((cause for cause in ranked if cause in told), None)
        others = sorted(told, key=lambda cause: (cause in _OF_THE_DIALPLAN, cause in _NO_ANSWER))
        return of_the_person or next(iter(others), None)

    def _follow(self, channel: str) -> None:
        """A channel of this call. A Local one is two: what the dialplan behind it dials is told of its second half."""
        if channel and channel not in self.channels and len(self.channels) < MOST_CHANNELS:
            halves = {channel, f"{channel[:-1]}2"} if channel.endswith(";1") else {channel}
            self.channels |= halves
            self.open |= halves

    def _dial_ended(self, status: str, *, ours: bool) -> None:
        self.answered |= ours and status == "ANSWER"
        self.busy |= status == "BUSY"
        self.unanswered |= status == "NOANSWER"

    def _hung_up(self, channel: str, cause: str) -> None:
        self.open.discard(channel)
        if cause.isascii() and cause.isdigit():
            self.causes.append(int(cause[:4]))
