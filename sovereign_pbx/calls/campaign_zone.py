"""Time zones by their IANA names, read from disk off the event loop and kept."""

import asyncio
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sovereign_pbx.assistants.problem import Path, Report
from sovereign_pbx.assistants.shape import NOTHING, Text
from sovereign_pbx.core.errors import ConfigError

ZONE: Final = Text(
    1, 64, pattern=r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+){0,2}", what="a time zone such as Europe/Amsterdam"
)


class ZoneName:
    """An IANA time zone that is known here. Reads a file: not for the event loop."""

    def check(self, value: Any, path: Path, report: Report) -> Any:
        checked = ZONE.check(value, path, report)
        if checked is not NOTHING:
            try:
                read_zone(checked)
            except ConfigError as exc:
                report.error(path, str(exc))
                return NOTHING
        return checked

    def words(self) -> str:
        return ZONE.words()

    def json_schema(self) -> dict[str, Any]:
        return ZONE.json_schema()


class Zones:
    """`zone` gives a zone; each is read once."""

    def __init__(self) -> None:
        self._known: dict[str, ZoneInfo] = {}

    async def zone(self, name: str) -> ZoneInfo:
        """ConfigError where there is none of this name."""
        if name not in self._known:
            self._known[name] = await asyncio.to_thread(read_zone, name)
        return self._known[name]


def read_zone(name: str) -> ZoneInfo:
    """The system's, else those of the package tzdata. ConfigError where there is none of this name."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as exc:  # names may try to be paths, and be folders
        raise ConfigError(f"there is no time zone {name[:64]!r}; a name such as Europe/Amsterdam is meant") from exc
