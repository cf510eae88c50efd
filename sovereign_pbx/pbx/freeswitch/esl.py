"""FreeSWITCH's event socket: always connected where it can be, and never in anybody's way where it can't."""

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, NoReturn

import structlog

from sovereign_pbx.core.errors import BadInput, LinkBroken, LinkEnded
from sovereign_pbx.pbx.freeswitch.esl_connection import EslConnection, LoginRefused
from sovereign_pbx.wire import esl
from sovereign_pbx.wire.malformed import Malformed

log = structlog.get_logger(__name__)

# A session that lived this long was a good one: the next attempt begins with the shortest wait again.
_GOOD_SESSION_S: Final = 10.0
_JOBS: Final = "BACKGROUND_JOB"


@dataclass(frozen=True, slots=True, kw_only=True)
class EslTiming:
    """Deadlines and waits, in seconds."""

    connect_s: float = 5.0
    command_s: float = 5.0
    ping_every_s: float = 10.0
    ping_s: float = 5.0
    reconnect_min_s: float = 0.5
    reconnect_max_s: float = 30.0
    refused_min_s: float = 60.0  # a wrong password does not become right, and each attempt is a line in fail2ban's log
    refused_max_s: float = 600.0


class Esl:
    """A client that logs in, stays, and comes back.

    Callbacks are called on the loop, in order, must not block, and may raise (it is logged). A command is sent once:
    when the connection is lost meanwhile it fails with LinkBroken, and what became of it is for the caller to find out.
    """

    def __init__(self, host: str, port: int, password: str, *, user: str = "", timing: EslTiming | None = None) -> None:
        self.host, self.port, self.user = host, port, user
        self._password = password
        self._timing = timing or EslTiming()
        self._connection: EslConnection | None = None
        self._task: asyncio.Task[None] | None = None
        self._events: dict[str, None] = {_JOBS: None}
        self._filters: dict[tuple[str, str], None] = {("Event-Name", _JOBS): None}
        self._listeners: list[Callable[[esl.Event], None]] = []
        self._watchers: list[Callable[[bool], None]] = []
        self._on_login: list[Callable[[], Awaitable[None]]] = []
        self.last_error = ""
        self.sessions = 0

    @property
    def connected(self) -> bool:
        """Logged in, as far as is known."""
        return self._connection is not None

    def subscribe(self, *names: str) -> None:
        """Before `start`: have events of these names told, of a CUSTOM one its subclass (`avmd::beep`), as far as a
        filter lets them through."""
        self._events.update(dict.fromkeys(names))

    def let_through(self, header: str, value: str) -> None:
        """Before `start`: have events told whose header has this value. An event that no such filter fits never crosses
        the network: a busy PBX would send some 40 kB a call."""
        self._filters[header, value] = None

    def on_event(self, listener: Callable[[esl.Event], None]) -> None:
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
        """Let go. Pending commands fail. Idempotent."""
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

    async def api(self, command: str, *arguments: str, timeout_s: float | None = None) -> str:
        """What an api command says, refusals (`-ERR …`, `-USAGE …`) included, without the white space around it.

        FreeSWITCH does it before it reads the next command: whatever may take its time belongs to `background`.

        Raises:
            BadInput: an argument that would be read as several, or as another command.
            LinkEnded: not connected, lost meanwhile, or no reply in time.
        """
        reply = await self._logged_in(command).command(
            f"api {_line(command, arguments)}", {}, timeout_s=timeout_s or self._timing.command_s, about=command
        )
        return reply.reply.strip()

    async def background(self, command: str, *arguments: str) -> asyncio.Future[str]:
        """Have an api command done in a thread of its own; the future is what it says, or LinkBroken when the
        connection is lost before. Raises as `api`."""
        return await self._logged_in(command).background(_line(command, arguments), self._timing.command_s)

    async def message(self, uuid: str, call_command: str, headers: Mapping[str, str]) -> str:
        """`sendmsg` to a channel: `call_command` (execute, hangup, unicast, …) with its header lines. `+OK` says that
        it is queued, and no more. Raises as `api`."""
        sent = {"call-command": call_command, **headers}
        line = f"sendmsg {_word('the channel', uuid)}"
        reply = await self._logged_in(call_command).command(line, sent, timeout_s=self._timing.command_s)
        return reply.reply.strip()

    async def version(self) -> str:
        """As "1.10.12"; "" where it does not say."""
        words = (await self.api("version")).split()  # FreeSWITCH Version 1.10.12-release+git~…
        found = words[words.index("Version") + 1] if "Version" in words[:-1] else ""
        return found.partition("-")[0].partition("+")[0]

    # Private

    def _logged_in(self, what: str) -> EslConnection:
        if self._connection is None:
            why = f" ({self.last_error})" if self.last_error else ""
            raise LinkBroken(f"event socket, {what}: not connected{why}")
        return self._connection

    async def _session(self) -> NoReturn:
        """One connection, from opening to its end, which is raised."""
        connection = await self._connect()
        how: LinkEnded = LinkBroken("closed by the daemon")
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(connection.read())
                await connection.login(self.user, self._password, self._timing.command_s)
                await self._subscribe(connection)
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

    async def _connect(self) -> EslConnection:
        try:
            async with asyncio.timeout(self._timing.connect_s):
                reader, writer = await asyncio.open_connection(self.host, self.port)
                connection = EslConnection(reader, writer, self._dispatch)
                try:
                    await connection.greet()
                except BaseException:
                    connection.end(LinkBroken("no greeting"))
                    raise
        except TimeoutError as exc:
            raise LinkBroken(f"no greeting of an event socket within {self._timing.connect_s:g} s") from exc
        return connection

    async def _subscribe(self, connection: EslConnection) -> None:
        """The filters first: between the two the whole PBX's events would come."""
        plain = [name for name in self._events if "::" not in name]
        custom = [name for name in self._events if "::" in name]
        lines = [f"filter {header} {value}" for header, value in self._filters]
        lines.append(" ".join(["event plain", *plain, *(["CUSTOM", *custom] if custom else [])]))
        for line in lines:
            answer = await connection.command(line, {}, timeout_s=self._timing.command_s)
            if not answer.ok:
                remedy = "see esl-allowed-events of its user in the directory"
                raise BadInput(f"FreeSWITCH does not take {line!r}: {answer.reply[:80]}; {remedy}")

    async def _do(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except LinkEnded as exc:
            log.warning("esl_login_work_cut_short", why=str(exc))
        except Exception:
            log.exception("esl_login_work_failed")

    def _announce(self, connection: EslConnection) -> None:
        self._connection = connection
        self.sessions += 1
        self.last_error = ""
        log.info("esl_connected", host=self.host, port=self.port)
        self._tell(True)

    def _dispatch(self, event: esl.Event) -> None:
        for listener in self._listeners:
            try:
                listener(event)
            except Exception:
                log.exception("esl_listener_failed", esl_event=event.name)

    def _tell(self, connected: bool) -> None:
        for watcher in self._watchers:
            try:
                watcher(connected)
            except Exception:
                log.exception("esl_watcher_failed")

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
            log.error("esl_login_refused", **about)
        elif isinstance(exc, LinkEnded | BadInput | OSError):
            log.warning("esl_lost", **about)
        else:
            log.exception("esl_failed", **about)
        return wait_s


def _line(command: str, arguments: tuple[str, ...]) -> str:
    return " ".join([command, *(_word(command, argument) for argument in arguments)])


def _word(what: str, text: str) -> str:
    try:
        return esl.word(what, text)
    except Malformed as exc:
        raise BadInput(str(exc)) from exc


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The exception that ended a task group: ours where there is one, whatever else came with it."""
    leaves = [_first(exc) if isinstance(exc, BaseExceptionGroup) else exc for exc in group.exceptions]
    refused = [exc for exc in leaves if isinstance(exc, LoginRefused)]
    return (refused or leaves)[0]
