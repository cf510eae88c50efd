"""Who is let in: a table of counters, and what those get for whom there is no room.

Everything is decided at once, without waiting for anything, so what is admitted can't exceed a limit however many are
offered in the same moment. A call has one `Seat`; what it holds is given back once, when the call is over.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from sovereign_pbx.assistants.directory import ANY_NUMBER, Directory, Number, normal
from sovereign_pbx.assistants.model import Assistant
from sovereign_pbx.assistants.trunk import Trunk
from sovereign_pbx.pbx.link import Decision
from sovereign_pbx.speech.catalogue import ALIASES

Answer = Literal["fallback", "busy", "reject", "message"]
Kind = Literal["calls", "number", "trunk", "assistant", "provider", "message"]
Why = Literal["calls", "number", "trunk", "assistant", "provider", "message", "draining", "lag", "memory"]

CAUSE_CONGESTION: Final = 42  # Q.850 "switching equipment congestion", a 503 by SIP: a carrier may try elsewhere
MESSAGE: Final = "All our lines are busy at the moment. Please call again later."

_SHUT: Final[Mapping[str, str]] = {
    "draining": "the daemon takes no more calls",
    "lag": "the sound of calls is late",
    "memory": "memory is short",
}
_ENDPOINT: Final = re.compile(r"PJSIP/(.+)-[0-9a-f]{8}")  # how Asterisk names a channel of PJSIP


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How many calls are taken at once, in all and of each kind; 0: no limit of that kind.

    `per_provider`: by provider, or by "provider/model". `over_limit`: what a caller gets whom no number of its own says
    otherwise for. `message` is spoken to at most `max_messages` callers at once, who are then hung up on or, with
    `after_message` "fallback", given to the dialplan. `decide_s`: how long webhook, providers and greeting together may
    keep a caller ringing.
    """

    max_calls: int = 100
    max_calls_per_number: int = 0
    max_calls_per_assistant: int = 0
    max_calls_per_trunk: int = 0
    per_provider: Mapping[str, int] = field(default_factory=dict)
    over_limit: Answer = "fallback"
    message: str = MESSAGE
    after_message: Literal["hangup", "fallback"] = "hangup"
    max_messages: int = 10
    decide_s: float = 8.0


class Pool(NamedTuple):
    """Calls that are counted together."""

    kind: Kind
    name: str


@dataclass(frozen=True, slots=True)
class Full:
    """There is no room: why, of what, and how many of it there may be."""

    why: Why
    name: str = ""
    limit: int = 0

    def __str__(self) -> str:
        if self.why in _SHUT:
            return f"{_SHUT[self.why]}: {self.name}" if self.name else _SHUT[self.why]
        return f"no more than {self.limit} calls at once" + (f", {self.why} {self.name}" if self.name else "")


class Seat:
    """What one call holds. `give_back` is idempotent, and nothing is taken after it."""

    __slots__ = ("_given_back", "_held", "admission")

    def __init__(self, admission: "Admission") -> None:
        self.admission = admission
        self._held: set[Pool] = set()
        self._given_back = False

    def take(self, wanted: Iterable[tuple[Pool, int]]) -> Full | None:
        """A place in every pool that has a limit (not 0), or in none: then what is full."""
        if self._given_back:
            return None  # the caller is gone; whatever still runs for him holds nobody up
        more = [(pool, limit) for pool, limit in wanted if pool not in self._held]
        counts = self.admission.counts
        for pool, limit in more:
            if limit and counts[pool] >= limit:
                return Full(pool.kind, pool.name, limit)
        for pool, _ in more:
            self._held.add(pool)
            counts[pool] += 1
        return None

    def take_assistant(self, assistant: Assistant) -> Full | None:
        """As `take`, of the assistant and of the providers that it speaks, hears and thinks with."""
        return self.take(self.admission.pools_of(assistant))

    def take_message(self) -> bool:
        """Only the place of somebody who hears that there is no room, instead of all others; False: too many do."""
        self._leave()
        most = self.admission.limits.max_messages
        return bool(most) and self.take([(Pool("message", ""), most)]) is None

    def give_back(self) -> None:
        """The call is over."""
        self._given_back = True
        self._leave()

    def _leave(self) -> None:
        counts = self.admission.counts
        for pool in self._held:
            counts[pool] -= 1
            if not counts[pool]:
                del counts[pool]  # numbers come from the network: what nobody holds is forgotten
        self._held.clear()


class Admission:
    """Every counter. `limits` may be replaced at any time: nobody is turned out, newcomers are held to the new ones.

    `strained` says why nobody should be taken although there is room (`Full`), or None.
    """

    def __init__(
        self, limits: Limits, directory: Directory, strained: Callable[[], Full | None] = lambda: None
    ) -> None:
        self.limits = limits
        self.draining = False
        self.counts: Counter[Pool] = Counter()
        self.refused: Counter[str] = Counter()  # by why, since the start
        self._directory = directory
        self._strained = strained

    @property
    def active(self) -> int:
        """Calls that hold a place."""
        return self.counts[Pool("calls", "")]

    def closed(self) -> Full | None:
        """Why nobody at all is taken, or None. Who talks is protected from lag by it; where nobody does, a late call is
        better than none."""
        strained = None if self.draining else self._strained()
        if strained is not None and strained.why == "lag" and not self.active:
            return None
        return Full("draining") if self.draining else strained

    def offered(self, called: str, channel: str) -> Seat | Full:
        """A seat for a caller: the whole daemon's, its number's and its trunk's places."""
        number = self._directory.number(called)
        trunk = self._trunk_of(channel)
        return self._admit(self._number_pools(number, called), [trunk] if trunk is not None else [])

    def placed(self, number: Number | None, trunk: Trunk | None, assistant: Assistant) -> Seat | Full:
        """A seat for a call that is to be placed, assistant and providers included."""
        own = [] if number is None or number.number == ANY_NUMBER else self._number_pools(number, number.number)
        return self._admit(own, [trunk] if trunk is not None else [], self.pools_of(assistant))

    def for_message(self) -> Seat | None:
        """A seat of those who only hear that there is no room; None when as many hear it as may."""
        seat = Seat(self)
        return seat if seat.take_message() else None

    def answer(self, full: Full, called: str) -> Answer:
        """What somebody gets who is turned away. A daemon that ends or lags has no voice to spare for a message."""
        number = self._directory.number(called)
        own = number.over_limit if number is not None else ""
        wanted: Answer = own or self.limits.over_limit
        if full.why == "draining" or (wanted == "message" and full.why in ("lag", "memory")):
            return "fallback"
        return wanted

    def count_refused(self, full: Full) -> None:
        self.refused[full.why] += 1

    def pools_of(self, assistant: Assistant) -> list[tuple[Pool, int]]:
        """What an assistant's calls are counted in."""
        pools = [(Pool("assistant", assistant.id), self.limits.max_calls_per_assistant)]
        limits = self.limits.per_provider
        return pools + [(Pool("provider", name), limits[name]) for name in _providers(assistant) if name in limits]

    def _admit(
        self,
        number: list[tuple[Pool, int]],
        trunks: list[Trunk],
        more: Iterable[tuple[Pool, int]] = (),
    ) -> Seat | Full:
        closed = self.closed()
        if closed is not None:
            return closed
        limits, seat = self.limits, Seat(self)
        of_trunks = [(Pool("trunk", one.pbx_name), one.max_calls or limits.max_calls_per_trunk) for one in trunks]
        full = seat.take([(Pool("calls", ""), limits.max_calls), *number, *of_trunks, *more])
        return seat if full is None else full

    def _number_pools(self, number: Number | None, called: str) -> list[tuple[Pool, int]]:
        """The entry for every other number is many numbers: its own limit is of all of them together, that of [limits]
        of each one."""
        general = (Pool("number", normal(called)[:64]), self.limits.max_calls_per_number)
        if number is None or not number.max_calls:
            return [general]
        return [(Pool("number", normal(number.number)), number.max_calls)]

    def _trunk_of(self, channel: str) -> Trunk | None:
        found = _ENDPOINT.fullmatch(channel)
        return self._directory.trunk_at(found.group(1)) if found is not None else None


def decision_of(answer: Answer) -> Decision:
    """What the PBX is told of it; a message that can't be spoken is a fallback."""
    if answer == "busy":
        return Decision("busy")
    return Decision("reject", cause=CAUSE_CONGESTION) if answer == "reject" else Decision("fallback")


def _providers(assistant: Assistant) -> set[str]:
    """`ollama` and `ollama/qwen3:8b`, of each of its three parts."""
    names: set[str] = set()
    for block in (assistant.stt_config, assistant.llm_config, assistant.tts_config):
        provider = str(block.get("provider") or "")
        provider = ALIASES.get(provider, provider)
        if provider:
            names |= {provider, f"{provider}/{block['model']}"} if block.get("model") else {provider}
    return names
