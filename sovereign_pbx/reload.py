"""The configuration is read anew while calls go on: checked whole, then put in place in one step, or not at all.

Nothing watches the file: it is read when somebody asks, by SIGHUP, `systemctl reload`, `sovereign-pbx reload` or the
API. One at a time; whoever asks meanwhile waits for his turn, since the file may have been saved again.
"""

import asyncio
import dataclasses
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import structlog

from sovereign_pbx import __version__, service
from sovereign_pbx.config import Config, examine
from sovereign_pbx.config_difference import Difference
from sovereign_pbx.config_findings import Finding, InvalidConfig
from sovereign_pbx.config_host import folder_findings, provider_findings
from sovereign_pbx.config_tls import tls_findings
from sovereign_pbx.config_tools import mcp_findings
from sovereign_pbx.core.errors import ConfigError, Refused

log = structlog.get_logger(__name__)

_UNKNOWN: Final = "the configuration could not be taken up; the one before it stays in use, and the log says why"

TakeUp = Callable[[Config], Awaitable[Difference]]


class Step(NamedTuple):
    """Part of taking a configuration up. Both act at once; `undo` also undoes half of `do`."""

    name: str
    do: Callable[[], object]
    undo: Callable[[], object]


def take_effect(steps: Sequence[Step]) -> None:
    """All steps, with nothing in between; or none: what one raises is raised when those before it are undone."""
    begun: list[Step] = []
    try:
        for step in steps:
            begun.append(step)
            step.do()
    except BaseException:
        for step in reversed(begun):
            _undo(step)
        raise


def _undo(step: Step) -> None:
    try:
        step.undo()
    except Exception:  # the others must be undone all the same
        log.exception("configuration.not_undone", step=step.name)


@dataclass(slots=True)
class Loaded:
    """What is known of the configuration in use, for health and metrics."""

    at: float  # Unix seconds
    checksum: str
    needs_restart: tuple[str, ...] = ()
    fault: str = ""  # why the file was not taken up when it was read last

    @property
    def since(self) -> str:
        """As times are written in the API."""
        return datetime.fromtimestamp(self.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Reloader:
    """Reads the file again. `take_up` puts a configuration that was found good in place; `ending` says that no other is
    taken up any more. `config` is the one in use."""

    def __init__(self, config: Config, take_up: TakeUp, ending: Callable[[], bool]) -> None:
        self.config = config
        self.loaded = Loaded(time.time(), config.checksum)
        self._take_up = take_up
        self._ending = ending
        self._turn = asyncio.Lock()
        self._asked = asyncio.Event()

    def ask(self) -> None:
        """Reload soon; the outcome is in the log. For SIGHUP."""
        self._asked.set()

    async def run(self) -> None:
        """Do what `ask` asks for, until cancelled."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            try:
                await self.reload()
            except (ConfigError, Refused):
                pass  # it is in the log

    async def reload(self) -> dict[str, Any]:
        """Take up the file as it is now; when, what differs, and warnings, as the API tells it.

        Raises InvalidConfig with everything that is wrong, and Refused `shutting_down` or `not_taken_up`. Then nothing
        has changed.
        """
        async with self._turn:
            if self._ending():
                log.warning("configuration.refused", why="the daemon is ending")
                raise Refused("shutting_down", "the daemon is ending, and takes no other configuration up")
            service.notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
            try:
                return await self._reloaded()
            finally:
                if not self._ending():
                    service.notify("READY=1", f"STATUS={self._status()}")

    async def _reloaded(self) -> dict[str, Any]:
        began = time.monotonic()
        try:
            config = await asyncio.to_thread(checked, self.config.path)
            told = await self._take_up(config)
        except ConfigError as exc:
            self.loaded.fault = str(exc)
            log.error("configuration.refused", why=str(exc))
            raise
        except Exception as exc:
            self.loaded.fault = _UNKNOWN
            log.exception("configuration.not_taken_up")
            raise Refused("not_taken_up", _UNKNOWN) from exc
        loaded = self.loaded
        loaded.at, loaded.checksum, loaded.fault = time.time(), config.checksum, ""
        loaded.needs_restart = tuple(change.key for change in told.needs_restart)
        took_ms = round((time.monotonic() - began) * 1000)
        log.info("configuration.loaded", checksum=config.checksum[:12], took_ms=took_ms, **told.logged())
        for finding in config.warnings:
            log.warning("configuration.doubtful", finding=str(finding))
        return {
            "loaded_at": loaded.since,
            "checksum": config.checksum,
            **told.as_dict(),
            "warnings": [str(finding) for finding in config.warnings],
        }

    def _status(self) -> str:
        loaded = self.loaded
        if loaded.fault:
            return f"taking calls with the configuration of {loaded.since}: the file as it is now was refused"
        restart = f"; needs a restart: {', '.join(loaded.needs_restart)}" if loaded.needs_restart else ""
        return f"taking calls, version {__version__}, configuration of {loaded.since}{restart}"


def checked(path: Path) -> Config:
    """The configuration at `path`, as good as `sovereign-pbx check` can tell. Blocks. Raises InvalidConfig."""
    examined = examine(path)
    findings = list(examined.findings)
    if examined.config is not None:
        findings += _on_this_machine(examined.config)
    errors = tuple(finding for finding in findings if finding.severity == "error")
    if examined.config is None or errors:
        raise InvalidConfig(f"{path} has {len(errors)} error{'s' * (len(errors) > 1)}:", findings=errors)
    return replace(examined.config, warnings=tuple(findings))


def _on_this_machine(config: Config) -> list[Finding]:
    """What `check` finds but for the ports, which are this daemon's own. What is wrong with an assistant that the API
    made is no fault of the file's, and only a warning."""
    own = {entry.table for entry in config.own.get("assistant", ())}
    written = {name: one for name, one in config.assistants.items() if name in own}
    made = {name: one for name, one in config.assistants.items() if name not in own}
    file = config.path
    found = [*folder_findings(config, file), *tls_findings(config, file)]
    found += [one for tried in (provider_findings, mcp_findings) for one in tried(_with(config, written), file)]
    doubtful = [one for tried in (provider_findings, mcp_findings) for one in tried(_with(config, made), file)]
    return [*found, *(dataclasses.replace(one, severity="warning") for one in doubtful)]


def _with(config: Config, assistants: dict[str, Any]) -> Config:
    return replace(config, assistants=assistants)
