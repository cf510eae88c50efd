"""A login to a PBX's control interface: always there where it can be, and never in anybody's way where it can't."""

import asyncio
import math
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Generic, NoReturn, Protocol, TypeVar

import structlog

from sovereign_pbx.core.errors import BadInput, ConfigError, LinkBroken, LinkEnded

log = structlog.get_logger(__name__)

# A session that lived this long was a good one: the next attempt begins with the shortest wait again.
_GOOD_SESSION_S: Final = 10.0


class LoginRefused(ConfigError):
    """The PBX does not know the user, or not with this secret, or not from this address. Trying again won't help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginTiming:
    """Deadlines and waits, in seconds."""

    connect_s: float = 5.0
    request_s: float = 5.0
    ping_every_s: float = 10.0
    ping_s: float = 5.0
    reconnect_min_s: float = 0.5
    reconnect_max_s: float = 30.0
    refused_min_s: float = 60.0  # a wrong secret does not become right, and each attempt is a line in fail2ban's log
    refused_max_s: float = 600.0


class Session(Protocol):
    """One connection, from its greeting to its end."""

    async def greet(self) -> Any:
        """Wait for the PBX's greeting. Raises BadInput, LinkEnded, LoginRefused."""

    async def read(self) -> None:
        """Handle what arrives until the connection ends, which is raised as LinkEnded."""

    async def keep_alive(self, interval_s: float, timeout_s: float) -> None:
        """Ask from time to time whether it lives; raises LinkEnded when it doesn't."""

    def end(self, how: LinkEnded) -> None:
        """Let go; whoever waits for an answer gets `how`. Idempotent."""


SessionT = TypeVar("SessionT", bound=Session)
EventT = TypeVar("EventT")


class ControlLogin(ABC, Generic[SessionT, EventT]):
    """A client that logs in, stays, and comes back.

    Callbacks are called on the loop, in order, must not block, and may raise (it is logged). What is asked for is sent
    once: when the connection is lost meanwhile it fails with LinkBroken, and what became of it is for the caller to
    find out.
    """

    KIND: ClassVar[str]  # begins the names of its log entries
    SHOWN: ClassVar[str]  # what messages call the interface
    MAX_BYTES: ClassVar[int] = 1 << 16  # asyncio's own limit of a stream

    def __init__(self, host: str, port: int, user: str, timing: LoginTiming | None) -> None:
        self.host, self.port, self.user = host, port, user
        self._timing = timing or LoginTiming()
        self._session: SessionT | None = None
        self._task: asyncio.Task[None] | None = None
        self._listeners: list[Callable[[EventT], None]] = []
        self._watchers: list[Callable[[bool], None]] = []
        self._on_login: list[Callable[[], Awaitable[None]]] = []
        self.last_error = ""
        self.sessions = 0

    @property
    def connected(self) -> bool:
        """Logged in, as far as is known."""
        return self._session is not None

    def on_event(self, listener: Callable[[EventT], None]) -> None:
        """Have every event told to `listener`."""
        self._listeners.append(listener)

    def on_state(self, watcher: Callable[[bool], None]) -> None:
        """Have every login (True) and every loss (False) told to `watcher`."""
        self._watchers.append(watcher)

    def on_login(self, work: Callable[[], Awaitable[None]]) -> None:
        """Have `work` done after every login; it is cancelled when the connection is lost."""
        self._on_login.append(work)

    async def start(self) -> None:
        """Begin connecting, in the background: a PBX that is down does not keep the daemon from starting."""
        assert self._task is None, "started already"
        self._task = asyncio.get_running_loop().create_task(self.run())

    async def stop(self) -> None:
        """Let go. What waits for an answer fails. Idempotent."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def run(self) -> NoReturn:
        """Stay connected until cancelled."""
        attempt = 0
        while True:
            began = time.monotonic()
            try:
                await self._serve()
            except Exception as exc:
                self.last_error = str(exc)
                if time.monotonic() - began > _GOOD_SESSION_S:
                    attempt = 0
                wait_s = self._wait_after(exc, attempt)
            attempt += 1
            await asyncio.sleep(wait_s)

    # For who knows the protocol

    @abstractmethod
    def _opened(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> SessionT:
        """A session over an open connection, whose events go to `_dispatch`."""

    @abstractmethod
    async def _log_in(self, session: SessionT) -> None:
        """Prove who we are, and say what is to be told. Raises LoginRefused, BadInput, LinkEnded."""

    @abstractmethod
    def _name_of(self, event: EventT) -> str:
        """What the PBX calls an event, for the log."""

    def _logged_in(self, what: str) -> SessionT:
        """The session, for `what`. Raises LinkBroken."""
        if self._session is None:
            why = f" ({self.last_error})" if self.last_error else ""
            raise LinkBroken(f"{self.SHOWN} {what}: not connected{why}")
        return self._session

    # Private

    async def _serve(self) -> NoReturn:
        """One connection, from opening to its end, which is raised."""
        session = await self._connect()
        how: LinkEnded = LinkBroken("closed by the daemon")
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(session.read())
                await self._log_in(session)
                self._announce(session)
                for work in self._on_login:
                    group.create_task(self._do(work))
                await session.keep_alive(self._timing.ping_every_s, self._timing.ping_s)
        except BaseExceptionGroup as failed:
            cause = first_of(failed)
            how = cause if isinstance(cause, LinkEnded) else how
            raise cause from failed
        finally:
            session.end(how)
            if self._session is not None:
                self._session = None
                self._tell(False)
        raise AssertionError("keep_alive returned")

    async def _connect(self) -> SessionT:
        try:
            async with asyncio.timeout(self._timing.connect_s):
                reader, writer = await asyncio.open_connection(self.host, self.port, limit=self.MAX_BYTES)
                session = self._opened(reader, writer)
                try:
                    await session.greet()
                except BaseException:
                    session.end(LinkBroken("no greeting"))
                    raise
        except TimeoutError as exc:
            raise LinkBroken(f"no {self.SHOWN} greeting within {self._timing.connect_s:g} s") from exc
        return session

    def _entry(self, what: str) -> str:
        """The name of a log entry: `ami_lost`."""
        return f"{self.KIND}_{what}"

    async def _do(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except LinkEnded as exc:
            log.warning(self._entry("login_work_cut_short"), why=str(exc))
        except Exception:
            log.exception(self._entry("login_work_failed"))

    def _announce(self, session: SessionT) -> None:
        self._session = session
        self.sessions += 1
        self.last_error = ""
        log.info(self._entry("connected"), host=self.host, port=self.port)
        self._tell(True)

    def _dispatch(self, event: EventT) -> None:
        for listener in self._listeners:
            try:
                listener(event)
            except Exception:
                log.exception(self._entry("listener_failed"), of=self._name_of(event))

    def _tell(self, connected: bool) -> None:
        for watcher in self._watchers:
            try:
                watcher(connected)
            except Exception:
                log.exception(self._entry("watcher_failed"))

    def _wait_after(self, exc: Exception, attempt: int) -> float:
        """Say why the connection ended and how long to wait: doubling, with jitter, so that the daemons of a PBX that
        comes back do not all come at once."""
        timing = self._timing
        refused = isinstance(exc, LoginRefused)
        least_s, most_s = (
            (timing.refused_min_s, timing.refused_max_s)
            if refused
            else (timing.reconnect_min_s, timing.reconnect_max_s)
        )
        wait_s = min(most_s, math.ldexp(least_s, min(attempt, 16))) * random.uniform(0.5, 1.0)
        about = {"host": self.host, "port": self.port, "why": str(exc), "again_in_s": round(wait_s, 1)}
        if refused:
            log.error(self._entry("login_refused"), user=self.user, **about)
        elif isinstance(exc, LinkEnded | BadInput | OSError):
            log.warning(self._entry("lost"), **about)
        else:
            log.exception(self._entry("failed"), **about)
        return wait_s


def first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The exception that ended a task group: ours where there is one, whatever else came with it."""
    leaves = [first_of(exc) if isinstance(exc, BaseExceptionGroup) else exc for exc in group.exceptions]
    refused = [exc for exc in leaves if isinstance(exc, LoginRefused)]
    return (refused or leaves)[0]
