"""A context as Asterisk has loaded it, read through the manager interface."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from sovereign_pbx.core.errors import ConfigError
from sovereign_pbx.pbx.asterisk.ami import Ami

_AGI = re.compile(r"agi://([^/]+)/inbound")
_AUDIOSOCKET = re.compile(r"AudioSocket\(\$\{(?:ARG1|SOVEREIGN_CALL)\},([^)]+)\)")
_FALLBACK = re.compile(r"\$\{DIALPLAN_EXISTS\(([^)]*)\)\}")
_DIAL = re.compile(r"SOVEREIGN_RING=(\d+)")
_LINE = re.compile(r"(?:exten => [^,]+,1| same => n(?:\(\w+\))?),(.*)")


Steps = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Loaded:
    """`steps` are (application, its data) of the context's own extensions, without what it includes; `sound`, those of
    the context that brings the sound, which it includes."""

    steps: Steps
    sound: Steps = ()

    @classmethod
    async def of(cls, ami: Ami, context: str, sound: str = "") -> Self | None:
        """The context, or None when Asterisk has none of this name. Raises LinkEnded, BadInput."""
        found = await cls._steps(ami, context)
        if found is None:
            return None
        return cls(found, (await cls._steps(ami, sound) if sound else None) or ())

    @staticmethod
    async def _steps(ami: Ami, context: str) -> Steps | None:
        answer = await ami.action("ShowDialPlan", Context=context)
        if not answer.ok:
            return None
        entries = [entry for entry in answer.entries if entry.event == "ListDialplan" and entry.get("Extension")]
        return tuple((entry.get("Application"), entry.get("AppData")) for entry in entries)

    @property
    def agi(self) -> str:
        """host:port of FastAGI, "" where it is not asked at all."""
        return self._first(_AGI)

    @property
    def audiosocket(self) -> str:
        return self._first(_AUDIOSOCKET)

    @property
    def fallback(self) -> str:
        """context,extension,priority."""
        return self._first(_FALLBACK)

    def is_of(self, render: Callable[..., str], context: str) -> bool:
        """Did this version print it, whatever was filled in?"""
        try:
            text = render(
                agi=self.agi,
                audiosocket=self.audiosocket,
                context=context,
                fallback=self.fallback,
                dial_timeout_s=int(self._first(_DIAL) or 0),
            )
        except ConfigError:
            return False
        contexts = ((f"{context}-inbound", self.steps), (f"{context}-sound", self.sound))
        return all(_printed(text, name) == _told(steps) for name, steps in contexts)

    def tells_of_answers(self, agi: str) -> bool:
        """Is this the context of calls placed, asking FastAGI there?"""
        return any(data.startswith(f"agi://{agi}/outbound,") for _, data in self.steps)

    def _first(self, pattern: re.Pattern[str]) -> str:
        return next((match[1] for _, data in (*self.steps, *self.sound) if (match := pattern.search(data))), "")


def _printed(text: str, context: str) -> list[str]:
    """The steps of a context, as `_told` has them: without the backslashes that are for the reader of the file."""
    section = text.partition(f"[{context}]\n")[2].partition("\n[")[0]
    lines = [match[1] for line in section.splitlines() if (match := _LINE.fullmatch(line))]
    return sorted(line.replace("\\;", ";") for line in lines)


def _told(steps: Steps) -> list[str]:
    return sorted(f"{application}({data})" for application, data in steps)
