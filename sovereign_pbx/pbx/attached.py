"""Every PBX that the daemon is attached to, as one.

A call belongs to whoever offered or placed it, and is steered there. An order goes to the one that it names, else to
the first that can place calls now.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

from sovereign_pbx.core.errors import LinkFinished, Refused
from sovereign_pbx.pbx.link import Desk, DialOrder, Pbx

_WORST: Final = ("ok", "degraded", "down")
_USUALLY: Final[Mapping[str, str]] = {"freeswitch": "sip"}  # its calls come, and are placed, over our SIP endpoint


class Member(Pbx, Protocol):
    """A PBX that can also be asked for the truth about its calls."""

    def call_ids(self) -> frozenset[str]:
        """The calls that it knows of, from their first ring until their channel is gone."""

    async def left_over(self) -> int:
        """How many lines there are that an earlier daemon of this installation had made. Raises Refused
        `pbx_unavailable` where it can't be asked."""

    async def audit(self) -> dict[str, Any]:
        """Its `lines`, and where it says otherwise: `asked`, `differences`, `mended`, and `why` where it can't be
        asked. Changes nothing."""


class Attached:
    """One or several members, in the order in which they are tried."""

    name = "attached"

    def __init__(self, members: Sequence[Member]) -> None:
        self._members = tuple(members)
        self._started: list[Member] = []

    def __iter__(self) -> Iterator[Member]:
        return iter(self._members)

    async def start(self, desk: Desk) -> None:
        """All of them, or none: what had been started is stopped again."""
        try:
            for member in self._members:
                await member.start(desk)
                self._started.append(member)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """The last that was started first."""
        while self._started:
            await self._started.pop().stop()

    def check_outbound(self) -> None:
        """Raises Refused (`pbx_unavailable`) when none of them can place a call now."""
        self._who_can("")

    async def originate(self, order: DialOrder) -> None:
        """See `Pbx.originate`."""
        await self._who_can(order.pbx).originate(order)

    async def hang_up(self, call_id: str, cause: int = 16) -> None:
        member = self._of(call_id)
        if member is not None:
            await member.hang_up(call_id, cause)

    async def send_digits(self, call_id: str, digits: str) -> None:
        """Raises BadInput for what is no digit, and LinkEnded when the call is gone."""
        member = self._of(call_id)
        if member is None:
            raise LinkFinished("there is no such call any more")
        await member.send_digits(call_id, digits)

    def health(self) -> dict[str, Any]:
        """The first one's values; those of the others under their names. The worst status counts."""
        told = {member.name: dict(member.health()) for member in self._members}
        first, *others = told
        calls = sum(one.get("calls", 0) for one in told.values())
        status = max((one["status"] for one in told.values()), key=_WORST.index)
        return {**told[first], "status": status, "calls": calls, **{name: told[name] for name in others}}

    def call_ids(self) -> frozenset[str]:
        return frozenset().union(*(member.call_ids() for member in self._members))

    async def left_over(self) -> int:
        return sum([await member.left_over() for member in self._members])

    async def audit(self) -> dict[str, Any]:
        """All lines and differences, each with the PBX it is of; asked only if all could be asked."""
        found = [(member.name, await member.audit()) for member in self._members]
        if len(found) == 1:
            return found[0][1]
        lists = ("lines", "differences")
        whys = [f"{name}: {one['why']}" for name, one in found if one.get("why")]
        return {
            "asked": all(one["asked"] for _, one in found),
            "mended": sum(one["mended"] for _, one in found),
            **{key: [{"pbx": name, **item} for name, one in found for item in one[key]] for key in lists},
            **({"why": "; ".join(whys)} if whys else {}),
        }

    # Private

    def _of(self, call_id: str) -> Member | None:
        return next((member for member in self._members if call_id in member.call_ids()), None)

    def _who_can(self, wanted: str) -> Member:
        """Raises the first one's Refused when nobody can."""
        named = {wanted, _USUALLY.get(wanted)}
        asked = [member for member in self._members if not wanted or member.name in named]
        asked.sort(key=lambda member: bool(wanted) and member.name != wanted)  # who is named goes before who stands in
        if not asked:
            raise Refused("pbx_unavailable", f"the trunk is of {wanted}, which the configuration does not enable")
        refusals = []
        for member in asked:
            try:
                member.check_outbound()
            except Refused as exc:
                refusals.append(exc)
            else:
                return member
        raise refusals[0]
