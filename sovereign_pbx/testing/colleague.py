"""Whom the dialplan dials for a caller, and what happens on his channel before the two are connected."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol
from uuid import UUID

from sovereign_pbx.testing.agi_caller import AgiStatus
from sovereign_pbx.testing.agi_interpreter import AgiInterpreter
from sovereign_pbx.testing.audiosocket_leg import AudioSocketLeg
from sovereign_pbx.testing.caller_ticker import CallerTicker
from sovereign_pbx.testing.heard import Heard

DialStatus = Literal["ANSWER", "BUSY", "NOANSWER", "CHANUNAVAIL", "CONGESTION", "CANCEL"]

BRIEFING_S = 60.0
CONNECT_S = 2.0  # hard-coded in res_audiosocket.c


class Ask(Protocol):
    """One `AGI(agi://…)` on a channel."""

    async def __call__(self, path: str, arguments: Sequence[str], interpreter: AgiInterpreter) -> AgiStatus: ...


@dataclass(eq=False)
class Colleague:
    """`status` is what Dial() makes of him, after `rings_s`; `causes` what the channels behind it said.

    One who answers and is briefed presses `keys` and says `says` (8 kHz PCM) as soon as his media is up; `vanishes`
    hangs up on the briefing instead. `talks_s`: how long he talks to the caller before he hangs up; None: until the
    caller does, who does so at once.
    """

    status: DialStatus = "ANSWER"
    causes: str = ""
    rings_s: float = 0.0
    keys: str = ""
    says: bytes = b""
    vanishes: bool = False
    talks_s: float | None = None
    heard: Heard = field(default_factory=Heard)
    taken: bool | None = None  # whether he got the caller, once that is known

    async def answer(
        self, token: str, *, briefed: bool, ask: Ask, audio: tuple[str, int], ticker: CallerTicker
    ) -> None:
        """[sovereign-through] on his channel."""
        variables: dict[str, str] = {}
        interpreter = AgiInterpreter(variables)
        await ask("brief" if briefed else "through", [token], interpreter)
        if variables.get("SOVEREIGN_BRIEFING"):
            await self._hear(UUID(variables["SOVEREIGN_BRIEFING"]), audio, ticker)
            await ask("briefed", [token], AgiInterpreter(variables))
        self.taken = variables.get("SOVEREIGN_TAKEN") != "no" and not self.vanishes

    async def _hear(self, token: UUID, audio: tuple[str, int], ticker: CallerTicker) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_S):
                _, leg = await loop.create_connection(self._leg(token), *audio)
        except (OSError, TimeoutError):
            return
        ticker.add(leg.tick)
        try:
            if self.vanishes:
                leg.hang_up()
            leg.press(self.keys)
            if self.says:
                leg.speech.say(self.says)
            async with asyncio.timeout(BRIEFING_S):
                await leg.ended.wait()
        finally:
            ticker.remove(leg.tick)
            leg.hang_up()

    def _leg(self, token: UUID) -> Callable[[], AudioSocketLeg]:
        return lambda: AudioSocketLeg(token, self.heard)
