"""The Asterisk Manager Interface: always connected where it can be, and never in anybody's way where it can't."""

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, NoReturn

import structlog

from sovereign_pbx.core.errors import BadInput, LinkBroken, LinkEnded
from sovereign_pbx.pbx.asterisk.ami_connection import AmiConnection, Field, LoginRefused
from sovereign_pbx.pbx.asterisk.ami_message import AmiMessage
from sovereign_pbx.wire.ami import MAX_BLOCK_BYTES

log = structlog.get_logger(__name__)

# Hangup, Hold, Unhold, Newchannel, DialEnd and OriginateResponse are of class `call`, DTMFEnd of class `dtmf`
# (Asterisk 22.10). RTCP, VarSet and the like are never asked for: they are most of what a busy PBX would send.
EVENTS: Final = "call,dtmf"

# Originate too, by who places calls (`[dialling]`); the others are needed by everybody.
NEEDED_ACTIONS: Final = ("Hangup", "PlayDTMF", "Redirect", "CoreShowChannels", "CoreSettings", "Ping")

# A session that lived this long was a good one: the next attempt begins with the shortest wait again.
_GOOD_SESSION_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AmiTiming:
    """Deadlines and waits, in seconds."""

    connect_s: float = 5.0
    action_s: float = 5.0
    ping_every_s: float = 10.0
    ping_s: float = 5.0
    reconnect_min_s: float = 0.5
    reconnect_max_s: float = 30.0
    refused_min_s: float = 60.0  # a wrong secret does not become right, and each attempt is a line in fail2ban's log
    refused_max_s: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AmiRights:
    """What the login may do: the actions permitted, and which of those that the daemon needs are not."""

    actions: frozenset[str]
    missing: tuple[str, ...] = field(default=())


class Ami:
    """A client that logs in, stays, and comes back.

    Callbacks are called on the loop, in order, must not block, and may raise (it is logged). An action is sent once:
    when the connection is lost meanwhile it fails with LinkBroken, and what became of it is for the caller to find out.
    """

    def __init__(
        self,
        host: str,
        port: int,
        username: str,
        secret: str,
        *,
        events: str = EVENTS,
        timing: AmiTiming | None = None,
    ) -> None:
        self.host, self.port, self.username = host, port, username
        self._secret = secret
        self._events = events
        self._timing = timing or AmiTiming()
        self._connection: AmiConnection | None = None
        self._task: asyncio.Task[None] | None = None
        self._listeners: list[Callable[[AmiMessage], None]] = []
        self._watchers: list[Callable[[bool], None]] = []
        self._on_login: list[Callable[[], Awaitable[None]]] = []
        self.last_error = ""
        self.sessions = 0

    @property
    def connected(self) -> bool:
        """Logged in, as far as is known."""
        return self._connection is not None

    def on_event(self, listener: Callable[[AmiMessage], None]) -> None:
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
        """Let go. Pending actions fail. Idempotent."""
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
                await self._session()
            except Exception as exc:
                self.last_error = str(exc)
                if time.monotonic() - began > _GOOD_SESSION_S:
                    attempt = 0
                wait_s = self._wait_after(exc, attempt)
            attempt += 1
            await asyncio.sleep(wait_s)

    async def action(self, name: str, *, timeout_s: float | None = None, **fields: Field) -> AmiMessage:
        """Send an action and await its answer, which may be a refusal (`ok` is false then).

        Raises:
            BadInput: a field that can't be sent.
            LinkEnded: not connected, lost meanwhile, or no answer in time.
        """
        return await self._logged_in(name).action(name, fields, timeout_s or self._timing.action_s)

    async def begin(self, name: str, fields: Mapping[str, Field]) -> AmiMessage:
        """Send an action that goes on behind its answer (Originate), of which the rest comes as events. As `action`."""
        return await self._logged_in(name).action(name, fields, self._timing.action_s, at_once=True)

    async def rights(self) -> AmiRights:
        """Which actions the login may use. Rights to read events can't be asked for: a test call shows them."""
        answer = await self.action("ListCommands")
        actions = frozenset(answer.headers()) - {"Response", "ActionID"}
        return AmiRights(actions=actions, missing=tuple(name for name in NEEDED_ACTIONS if name not in actions))

    async def version(self) -> str:
        """Asterisk's version, as "22.10.1"; "" when it does not say."""
        return (await self.action("CoreSettings")).get("AsteriskVersion")

    def _logged_in(self, name: str) -> AmiConnection:
        if self._connection is None:
            raise LinkBroken(f"AMI {name}: not connected" + (f" ({self.last_error})" if self.last_error else ""))
        return self._connection

    async def _session(self) -> NoReturn:
        """One connection, from opening to its end, which is raised."""
        connection = await self._connect()
        how: LinkEnded = LinkBroken("closed by the daemon")
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(connection.read())
                await connection.login(self.username, self._secret, self._events, self._timing.action_s)
                self._announce(connection)
                for work in self._on_login:
                    group.create_task(self._do(work))
                await connection.keep_alive(self._timing.ping_every_s, self._timing.ping_s)
        except BaseExceptionGroup as failed:
            cause = _first(failed)
            how = cause if isinstance(cause, LinkEnded) else how
            raise cause from failed
        finally:
            connection.end(how)
            if self._connection is not None:
                self._connection = None
                self._tell(False)
        raise AssertionError("keep_alive returned")

    async def _connect(self) -> AmiConnection:
        try:
            async with asyncio.timeout(self._timing.connect_s):
                reader, writer = await asyncio.open_connection(self.host, self.port, limit=MAX_BLOCK_BYTES)
                connection = AmiConnection(reader, writer, self._dispatch)
                try:
                    await connection.greet()
                except BaseException:
                    connection.end(LinkBroken("no greeting"))
                    raise
        except TimeoutError as exc:
            raise LinkBroken(f"no AMI greeting within {self._timing.connect_s:g} s") from exc
        return connection

    async def _do(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except Exception:
            log.exception("ami_login_work_failed")

    def _announce(self, connection: AmiConnection) -> None:
        self._connection = connection
        self.sessions += 1
        self.last_error = ""
        log.info("ami_connected", host=self.host, port=self.port)
        self._tell(True)

    def _dispatch(self, message: AmiMessage) -> None:
        for listener in self._listeners:
            try:
                listener(message)
            except Exception:
                log.exception("ami_listener_failed", ami_event=message.event)

    def _tell(self, connected: bool) -> None:
        for watcher in self._watchers:
            try:
                watcher(connected)
            except Exception:
                log.exception("ami_watcher_failed")

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
            log.error("ami_login_refused", username=self.username, **about)
        elif isinstance(exc, LinkEnded | BadInput | OSError):
            log.warning("ami_lost", **about)
        else:
            log.exception("ami_failed", **about)
        return wait_s


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The exception that ended a task group: ours where there is one, whatever else came with it."""
    leaves = [_first(exc) if isinstance(exc, BaseExceptionGroup) else exc for exc in group.exceptions]
    refused = [exc for exc in leaves if isinstance(exc, LoginRefused)]
    return (refused or leaves)[0]
