"""A street of telephones for a campaign on the real Asterisk, and what is counted there, independently of the daemon.

Each number has a manner of its own. The street notes when its telephone rang and until when the line was taken, and
judges by that alone whether the campaign kept to its window and its pace.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from sovereign_pbx.testing.rtp_packet import DECODE
from sovereign_pbx.testing.sip_call import SipCall
from sovereign_pbx.testing.sip_caller import SipPhone
from tests.calls.house import QUESTION

HOME: Final = "Europe/Amsterdam"  # where the numbers are
AWAY: Final = "Asia/Kathmandu"  # four or five hours later

_LOUD: Final = 300
_GREETED: Final = 20  # loud packets: 0.4 s of greeting
_LONGEST_S: Final = 12.0
_PAUSE_BYTES: Final = 9600  # 0.6 s between two sentences
_DEAD_S: Final = 1.5  # a line without a sound is put down


@dataclass
class Ring:
    """A telephone that rang: seconds of the loop's clock, and the time of the day."""

    number: str
    at: float
    moment: datetime
    ended: float | None = None


@dataclass
class Hours:
    """What the campaign's window was from `since` on: times of the clock on the lead's wall."""

    since: datetime
    start: str
    end: str

    def open_at(self, moment: datetime, zone: str) -> bool:
        clock = moment.astimezone(ZoneInfo(zone)).strftime("%H:%M:%S")
        if self.start < self.end:
            return self.start <= clock < self.end
        return clock >= self.start or clock < self.end


@dataclass
class Street:
    """`manner_of(number, times)` says what is done when it rings for the nth time."""

    phone: SipPhone
    manners: dict[str, Sequence[str]]
    zones: dict[str, str] = field(default_factory=dict)
    rings: list[Ring] = field(default_factory=list)
    hours: list[Hours] = field(default_factory=list)
    disturbed: set[str] = field(default_factory=set)
    _homes: dict[asyncio.Task[None], Ring] = field(default_factory=dict)

    async def live(self) -> None:
        """Take every call that comes, until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                call = await self.phone.incoming(600.0)
                found = re.search(r"sip:(\+[0-9]+)@", call.invite.start)
                assert found is not None, call.invite.start
                ring = Ring(found[1], call.invited_at, datetime.now(UTC))
                self.rings.append(ring)
                task = group.create_task(self._home(call, ring))
                self._homes[task] = ring
                task.add_done_callback(self._homes.pop)

    def disturb(self, *, cut: bool) -> int:
        """Something happens to all who are being called now; `cut`: their lines are gone. How many there are."""
        for task, ring in list(self._homes.items()):
            self.disturbed.add(ring.number)
            if cut:
                task.cancel()
        return len(self._homes)

    @property
    def busy(self) -> bool:
        """Is anybody being called?"""
        return bool(self._homes)

    async def quiet(self, within_s: float) -> None:
        """Until every telephone has been put down: a lead may be final in the books while its call hears the fallback.
        Raises TimeoutError."""
        if self._homes:
            _, left = await asyncio.wait(list(self._homes), timeout=within_s)
            if left:
                raise TimeoutError(f"still on the telephone: {[self._homes[one].number for one in left]}")

    async def _home(self, call: SipCall, ring: Ring) -> None:
        times = self.times(ring.number)
        manners = self.manners[ring.number]
        try:
            await self._take(call, ring, manners[min(times, len(manners)) - 1])
            await call.over(60.0)
        except asyncio.CancelledError:
            call.close()
            if asyncio.current_task() in self._homes:
                return  # cut off, not the end of the street
            raise
        finally:
            over = [asyncio.get_running_loop().time(), *([call.end.at] if call.end else [])]
            ring.ended = min([*over, *([ring.ended] if ring.ended else [])])  # when it happened, not when it was seen

    async def _take(self, call: SipCall, ring: Ring, manner: str) -> None:
        if manner == "busy":
            call.decline("486 Busy Here")
        elif manner == "declines":
            call.decline("603 Decline")
        elif manner == "silent":
            call.ring()
        else:
            call.ring()
            await call.answer()
            await (self._records(call) if manner == "mailbox" else self._listens(call, ring))

    async def _listens(self, call: SipCall, ring: Ring) -> None:
        """Says nothing, hears the greeting begin, and hangs up."""
        await _until_greeted(call, _LONGEST_S)
        if call.end is None:
            ring.ended = asyncio.get_running_loop().time()  # the line is free once they have our BYE
            await call.hang_up()

    async def _records(self, call: SipCall) -> None:
        """A mailbox: words as long as theirs are, a beep, and whatever comes then, until there is nothing."""
        call.say(QUESTION + bytes(_PAUSE_BYTES) + QUESTION + beep())
        await _until_greeted(call, _LONGEST_S)
        deadline = asyncio.get_running_loop().time() + _LONGEST_S
        while call.end is None and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110 - an end has no event here
            await asyncio.sleep(0.1)
        if call.end is None:
            await call.hang_up()

    # --- what was counted

    def times(self, number: str) -> int:
        return sum(ring.number == number for ring in self.rings)

    def most_at_once(self) -> int:
        """Lines that were taken at the same time."""
        changes = [(ring.at, 1) for ring in self.rings] + [(ring.ended or float("inf"), -1) for ring in self.rings]
        now = most = 0
        for _, change in sorted(changes):
            now += change
            most = max(most, now)
        return most

    def crowded(self, most: int) -> list[str]:
        """When more lines were taken than `most`, and whose."""
        found = []
        for one in self.rings:
            there = [ring for ring in self.rings if ring.at <= one.at < (ring.ended or float("inf"))]
            if len(there) > most:
                told = ", ".join(f"{self.manners[ring.number]} {one.at - ring.at:.2f} s" for ring in there)
                found.append(f"{one.moment:%H:%M:%S} {told}")
        return found

    def most_in(self, seconds: float) -> int:
        """Telephones that began to ring within any so many seconds."""
        began = [ring.at for ring in self.rings]
        return max((sum(at <= other < at + seconds for other in began) for at in began), default=0)

    def outside(self) -> list[str]:
        """Who was called outside the window, in his own time."""
        found = []
        for ring in self.rings:
            rule = [one for one in self.hours if one.since <= ring.moment][-1]
            if not rule.open_at(ring.moment, self.zones.get(ring.number, HOME)):
                found.append(f"{ring.number} at {ring.moment:%H:%M:%S}")
        return found

    def twice_at_once(self) -> list[str]:
        """Numbers that were called while they were being called."""
        found = []
        for number in {ring.number for ring in self.rings}:
            mine = sorted((ring.at, ring.ended or float("inf")) for ring in self.rings if ring.number == number)
            found += [number for before, after in pairwise(mine) if after[0] < before[1]]
        return found


async def _until_greeted(call: SipCall, within_s: float) -> None:
    """Until enough was heard, the line is dead, or it is over."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while call.end is None and loop.time() - began < within_s:
        packets = call.ear.packets
        if sum(_level(packet.payload_type, packet.payload) > _LOUD for packet in packets[-400:]) >= _GREETED:
            return
        if loop.time() - max([began, *(packet.at for packet in packets[-1:])]) > _DEAD_S:
            return
        await asyncio.sleep(0.2)


def _level(kind: int, payload: bytes) -> float:
    decode = DECODE.get(kind)
    return 0.0 if decode is None else float(np.abs(np.frombuffer(decode(payload), "<i2").astype(float)).mean())


def beep(hertz: float = 1000.0, seconds: float = 0.4) -> bytes:
    time = np.arange(round(seconds * 8000)) / 8000
    return np.asarray(6000 * np.sin(2 * np.pi * hertz * time), "<i2").tobytes()


def clock_at(moment: datetime, zone: str) -> str:
    """The time on the wall there, HH:MM:SS."""
    return moment.astimezone(ZoneInfo(zone)).strftime("%H:%M:%S")


def hour_from(moment: datetime, zone: str, seconds: float = 3600.0) -> tuple[str, str]:
    """A window that has been open for a minute there, and stays open for so long."""
    return clock_at(moment - timedelta(minutes=1), zone), clock_at(moment + timedelta(seconds=seconds), zone)
