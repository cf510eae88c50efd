"""What is asked before a call is placed: the rules, the hour's and the moment's limits, the trunk."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from uuid import UUID, uuid4

from sovereign_pbx.assistants.dialling import normal
from sovereign_pbx.assistants.directory import ANY_NUMBER
from sovereign_pbx.assistants.trunk import Trunk
from sovereign_pbx.calls.outbound import OutboundRequest
from sovereign_pbx.calls.session import Services
from sovereign_pbx.calls.transfer import trunk_of, usable
from sovereign_pbx.core.errors import Refused
from sovereign_pbx.pbx.link import DialOrder

HOUR_S: Final = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundLimits:
    """`[dialling]`, as far as it is not about destinations. `caller_id`: where the call has no number of its own."""

    caller_id: str = ""
    ring_s: float = 30.0
    max_at_once: int = 10
    max_per_hour: int = 200


class Placing:
    """Turns requests into orders, and keeps count. Whatever is against one is Refused."""

    def __init__(self, services: Services, limits: OutboundLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self._services = services
        self._limits = limits
        self._clock = clock
        self._placed: deque[float] = deque()  # of the last hour

    def reconfigure(self, services: Services, limits: OutboundLimits) -> None:
        """Place calls so from now on; those of the last hour still count."""
        self._services, self._limits = services, limits

    def order(self, request: OutboundRequest, at_once: int) -> tuple[DialOrder, Trunk | None]:
        """The order, and the trunk it goes out on. `at_once`: how many outbound calls there are now.

        Raises Refused: `destination_not_allowed`, `assistant_inactive`, `number_inactive`, `trunk_inactive`,
        `trunk_unknown`, `pbx_unavailable`, `dialling_limit_reached`.
        """
        self._check_parts(request)
        trunk = usable(request.trunk) if request.trunk else trunk_of(request.number, self._services.directory)
        self._services.pbx.check_outbound()
        self._check_limits(at_once)
        order = DialOrder(
            call_id=str(UUID(request.call_id)) if request.call_id else str(uuid4()),
            destination=normal(request.destination),
            trunk=trunk.pbx_name if trunk is not None else "",
            pbx=trunk.pbx if trunk is not None else "",
            caller_id=self._caller_id(request),
            ring_s=self._limits.ring_s if request.ring_s is None else request.ring_s,
            variables=dict(request.variables),
        )
        return order, trunk

    def count(self) -> None:
        """One is placed now."""
        self._placed.append(self._clock())

    def _check_parts(self, request: OutboundRequest) -> None:
        refusal = self._services.dialling.refusal(request.destination)
        if refusal:
            raise Refused("destination_not_allowed", refusal)
        if not request.assistant.is_active:
            raise Refused("assistant_inactive", f"the assistant {request.assistant.name!r} is not active")
        if request.number is not None and not request.number.is_active:
            raise Refused("number_inactive", f"the number {request.number.number!r} is not active")

    def _check_limits(self, at_once: int) -> None:
        limits = self._limits
        if at_once >= limits.max_at_once:
            raise Refused(
                "dialling_limit_reached",
                f"there are {at_once} outbound calls now, [dialling] max_at_once allows no more",
            )
        since = self._clock() - HOUR_S
        while self._placed and self._placed[0] <= since:
            self._placed.popleft()
        if len(self._placed) >= limits.max_per_hour:
            wait_min = max(1, round((self._placed[0] - since) / 60))
            raise Refused(
                "dialling_limit_reached",
                f"{len(self._placed)} calls were placed within the hour, [dialling] max_per_hour allows no more"
                f" for {wait_min} min",
            )

    def _caller_id(self, request: OutboundRequest) -> str:
        """The number shown: digits, as the PBX takes them. A number that is none (an extension's name) is not shown."""
        own = request.number.number if request.number is not None else ANY_NUMBER
        shown = normal(own)
        return shown if shown.lstrip("+").isdigit() else self._limits.caller_id
