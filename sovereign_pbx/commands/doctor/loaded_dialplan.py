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


@dataclass(frozen=True, slots=True)
class Loaded:
    """`steps` are (application, its data) of the context's own extensions, without what it includes."""

    steps: tuple[tuple[str, str], ...]

    @classmethod
    async def of(cls, ami: Ami, context: str) -> Self | None:
        """The context, or None when Asterisk has none of this name. Raises LinkEnded, BadInput."""
        answer = await ami.action("ShowDialPlan", Context=context)
        if not answer.ok:
            return None
        entries = [entry for entry in answer.entries if entry.event == "ListDialplan" and entry.get("Extension")]
        return cls(tuple((entry.get("Application"), entry.get("AppData")) for entry in entries))

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
        section = text.partition(f"[{context}-inbound]\n")[2].partition("\n[")[0]
        # A backslash is for the reader of the file, and has not arrived
        printed = [match[1].replace("\\;", ";") for line in section.splitlines() if (match := _LINE.fullmatch(line))]
        return sorted(printed) == sorted(f"{application}({data})" for application, data in self.steps)

    def tells_of_answers(self, agi: str) -> bool:
        """Is this the context of calls placed, asking FastAGI there?"""
        return any(data.startswith(f"agi://{agi}/outbound,") for _, data in self.steps)

    def _first(self, pattern: re.Pattern[str]) -> str:
        return next((match[1] for _, data in self.steps if (match := pattern.search(data))), "")
