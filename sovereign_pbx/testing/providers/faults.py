"""What goes wrong on demand, and where in a request."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, get_args

FaultKind = Literal["refuse", "deny", "stall", "drop", "garbage"]
Moment = Literal[
    "connect",  # instead of the handshake or the response's head
    "first",  # accepted, before the first result
    "middle",  # after the first result
    "now",  # on sockets open already, at their next message; on requests as "first"
]


@dataclass(slots=True)
class Fault:
    """One armed fault, for the next `times` requests (None: until cleared)."""

    kind: FaultKind
    at: Moment = "connect"
    times: int | None = None
    status: int = 0  # refuse and deny: the HTTP status, 503 and 401 when 0

    def __post_init__(self) -> None:
        if self.kind not in get_args(FaultKind) or self.at not in get_args(Moment):
            raise ValueError(f"no such fault: {self.kind} at {self.at}")
        if self.kind in ("refuse", "deny") and self.at != "connect":
            raise ValueError(f"{self.kind} happens at connect only")
        if self.kind == "garbage" and self.at == "connect":
            raise ValueError("garbage comes at first or middle")

    @property
    def http_status(self) -> int:
        return self.status or (401 if self.kind == "deny" else 503)


@dataclass(slots=True)
class Faults:
    """The faults armed on a server; each request takes at most one."""

    armed: list[Fault] = field(default_factory=list)
    happened: int = 0

    def arm(self, kind: FaultKind, at: Moment = "connect", times: int | None = None, status: int = 0) -> None:
        """From the next request on."""
        self.armed.append(Fault(kind, at, times, status))

    def clear(self) -> None:
        """All well again, for requests to come."""
        self.armed.clear()

    def take(self) -> Fault | None:
        """The fault for a request that has just arrived."""
        return self._take(lambda fault: fault.at != "now")

    def take_now(self) -> Fault | None:
        """The fault for a connection that has been well so far."""
        return self._take(lambda fault: fault.at == "now")

    def _take(self, fits: Callable[[Fault], bool]) -> Fault | None:
        fault = next(filter(fits, self.armed), None)
        if fault is None:
            return None
        self.happened += 1
        if fault.times is not None:
            fault.times -= 1
            if fault.times <= 0:
                self.armed.remove(fault)
        return fault
