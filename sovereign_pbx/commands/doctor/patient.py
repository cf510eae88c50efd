"""What the looks share: the configuration, and what earlier ones found out."""

from dataclasses import dataclass, field
from typing import Any

from sovereign_pbx.config import Config, Examined
from sovereign_pbx.pbx.asterisk.ami import Ami


@dataclass(slots=True)
class Patient:
    """One installation. `ami` is logged in or None; `daemon` is its health's body, or None
    when it does not run.

    `number` is what the test call dials ("" chooses one), `listen` where Asterisk reaches its audio ("" finds out).
    """

    examined: Examined
    config: Config
    context: str = "sovereign"
    number: str = ""
    listen: str = ""
    ami: Ami | None = None
    ami_actions: frozenset[str] = frozenset()
    daemon: dict[str, Any] | None = None
    dialplan_loaded: bool = False
    clock_at_start: tuple[float, float] = field(default=(0.0, 0.0))  # wall, monotonic

    async def close(self) -> None:
        """Let go of the PBX."""
        if self.ami is not None:
            await self.ami.stop()
