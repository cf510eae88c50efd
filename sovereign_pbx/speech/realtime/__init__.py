"""Models that hear and speak themselves (speech to speech), the interface. One session a call."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from sovereign_pbx.core.realtime.signals import Order, Signal
from sovereign_pbx.core.values import Message
from sovereign_pbx.speech.llm import ToolSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a session is begun with. `history`: what was said before it, tools and their results included."""

    instructions: str = ""
    language: str = ""
    keyterms: tuple[str, ...] = ()
    tools: Sequence[ToolSpec] = ()
    history: tuple[Message, ...] = ()


class RealtimeSession(Protocol):
    """One open session. `name`: provider and model of who serves it."""

    name: str

    @property
    def heard_s(self) -> float:
        """Seconds of audio that it was sent."""

    def send(self, frame: bytes) -> None:
        """Take 20 ms of PCM at the rate given to `open`. Never blocks; bounded (10 s), oldest dropped and counted."""

    def tell(self, order: Order) -> None:
        """Give an order, behind the audio sent before it. Never blocks; a peer that takes none is `stalled`."""

    async def sounded(self) -> None:
        """Wait for the first sound; returns too when the session ends without any."""

    def __aiter__(self) -> AsyncIterator[Signal]:
        """All signals from the beginning, until `close`. Raises ProviderError when the session is lost."""

    async def close(self) -> None: ...


class RealtimeModel(Protocol):
    """A configured model that opens sessions."""

    name: str

    async def open(self, setup: Setup, *, rate: int) -> RealtimeSession:
        """Connect and have `setup` accepted within the deadline (3 s), or raise ProviderError."""

    async def aclose(self) -> None: ...
