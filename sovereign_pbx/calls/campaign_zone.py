"""Time zones by their IANA names, read from disk off the event loop and kept."""

import asyncio
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sovereign_pbx.core.errors import ConfigError


class Zones:
    """`zone` gives a zone; each is read once."""

    def __init__(self) -> None:
        self._known: dict[str, ZoneInfo] = {}

    async def zone(self, name: str) -> ZoneInfo:
        """ConfigError where there is none of this name."""
        if name not in self._known:
            self._known[name] = await asyncio.to_thread(_read, name)
        return self._known[name]


def _read(name: str) -> ZoneInfo:
    """The system's, else those of the package tzdata."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as exc:  # names may try to be paths, and be folders
        raise ConfigError(f"there is no time zone {name[:64]!r}; a name such as Europe/Amsterdam is meant") from exc
