"""One connection to FreeSWITCH's event socket, from its greeting to its end.

Replies come in the order of the commands, and events between them (recorded on 1.10.12). A command whose deadline has
passed keeps its place, so that a late reply is not taken for the next command's.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final
from uuid import uuid4

import structlog

from sovereign_pbx.core.errors import BadInput, LinkBroken, LinkEnded, LinkFinished, LinkFull
from sovereign_pbx.pbx.asterisk.peers import notice_death
from sovereign_pbx.pbx.control_login import LoginRefused
from sovereign_pbx.wire import esl
from sovereign_pbx.wire.malformed import Malformed

log = structlog.get_logger(__name__)

_READ_BYTES: Final = 1 << 16
_MAX_UNSENT_BYTES: Final = 1 << 18
_MAX_PENDING: Final = 4_096
# Up to 0.3 ms for an event of 8.5 kB (CHANNEL_HANGUP_COMPLETE): the loop is given back to the callers' frames.
_MESSAGES_A_TURN: Final = 3
_LOGIN: Final = "the login"

Reply = asyncio.Future[esl.Message]


class EslConnection:
    """Commands out, replies and events in. `on_event` is called in order and must not block.

    What arrives waits in the stream's buffer, which is bounded: when the loop is late, TCP makes FreeSWITCH wait, whose
    own queue then drops events. Whoever needs the truth asks for it.
    """

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, on_event: Callable[[esl.Event], None]
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._on_event = on_event
        self._parser = esl.Parser()
        self._waiting: deque[tuple[str, Reply]] = deque()  # commands without a reply, in the order sent
        self._jobs: dict[str, asyncio.Future[str]] = {}
        self._ended: LinkEnded | None = None
        self._user = ""
        self._refused: LoginRefused | None = None
        notice_death(writer.get_extra_info("socket"))

    async def greet(self) -> None:
        """Wait to be asked for the password. Raises LoginRefused, BadInput for what is no event socket, LinkEnded."""
        data = b""
        while not (found := self._parsed(data)):
            data = await self._received()
        if found[0].kind == "text/rude-rejection":
            raise LoginRefused(
                "FreeSWITCH turns this machine away from its event socket",
                key="freeswitch.esl.host",
                remedy="Add its address to the list of apply-inbound-acl in event_socket.conf.xml, and reload.",
            )
        if found[0].kind != "auth/request":
            raise BadInput("this port does not greet as FreeSWITCH's event socket")
        for message in found[1:]:
            self._handle(message)

    async def login(self, user: str, password: str, timeout_s: float) -> None:
        """Raises LoginRefused."""
        self._user = user
        line = f"userauth {user}:{password}" if user else f"auth {password}"
        await self.command(line, {}, timeout_s=timeout_s, about=_LOGIN)
        if self._refused is not None:
            raise self._refused

    async def command(
        self, line: str, headers: Mapping[str, str], body: str = "", *, timeout_s: float, about: str = ""
    ) -> esl.Message:
        """Send once, never again, and await the reply. `about`: how errors name it, where the line holds secrets.

        Raises:
            BadInput: something that would break out of its line.
            LinkEnded: the connection is gone (what became of the command is not known), or no reply came in time.
        """
        about = about or line.partition(" ")[0]
        if self._ended is not None:
            raise LinkBroken(f"event socket, {about}: {self._ended}") from self._ended
        reply = self._send(line, headers, body, about)
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.shield(reply)
        except TimeoutError as exc:
            raise LinkBroken(f"event socket: no reply to {about} within {timeout_s:g} s") from exc
        finally:
            if not reply.done():
                reply.add_done_callback(_unheard)

    async def background(self, command: str, timeout_s: float) -> asyncio.Future[str]:
        """Have an api command done behind its reply; the result comes later, or LinkBroken when the connection goes
        before. Raises as `command`, and BadInput when FreeSWITCH does not take it."""
        job = str(uuid4())
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        future.add_done_callback(_unheard)
        self._jobs[job] = future
        try:
            answer = await self.command(f"bgapi {command}", {"Job-UUID": job}, timeout_s=timeout_s)
        except BaseException:
            self._jobs.pop(job, None)
            raise
        if not answer.reply.startswith("+OK"):
            self._jobs.pop(job, None)
            raise BadInput(f"FreeSWITCH does not take {command.partition(' ')[0]}: {answer.reply[:80]}")
        return future

    async def read(self) -> None:
        """Handle messages until the connection ends, which is raised as LinkEnded; or as LoginRefused, where that is
        why: FreeSWITCH's refusal and its goodbye come in one packet."""
        handled = 0
        data = b""
        try:
            while True:
                for message in self._parsed(data):
                    self._handle(message)
                    handled += 1
                    if handled % _MESSAGES_A_TURN == 0:
                        await asyncio.sleep(0)
                data = await self._received()
        except LinkEnded as exc:
            if self._refused is not None:
                raise self._refused from exc
            raise

    async def keep_alive(self, interval_s: float, timeout_s: float) -> None:
        """Ask for something small for ever. Raises LinkBroken when the other side has fallen silent, which TCP does not
        tell. That a user with limited rights is refused is an answer, too."""
        while True:
            await asyncio.sleep(interval_s)
            await self.command("api uptime", {}, timeout_s=timeout_s)

    def end(self, how: LinkEnded) -> None:
        """Fail whatever is pending and close. Idempotent."""
        if self._ended is not None:
            return
        self._ended = how
        waiting, self._waiting = self._waiting, deque()
        for about, reply in waiting:
            if not reply.done():
                reply.set_exception(LinkBroken(f"event socket, {about}: {how}"))
        jobs, self._jobs = self._jobs, {}
        for job in jobs.values():
            if not job.done():
                job.set_exception(LinkBroken(f"event socket, a job: {how}"))
        self._writer.transport.abort()

    # Private

    def _send(self, line: str, headers: Mapping[str, str], body: str, about: str) -> Reply:
        try:
            data = esl.command(line, headers, body)
        except Malformed as exc:
            raise BadInput(f"event socket, {about[:40]}: {exc}") from exc
        if self._writer.transport.get_write_buffer_size() > _MAX_UNSENT_BYTES or len(self._waiting) >= _MAX_PENDING:
            raise LinkFull("FreeSWITCH stopped reading its event socket")
        reply: Reply = asyncio.get_running_loop().create_future()
        self._waiting.append((about, reply))
        self._writer.write(data)
        return reply

    async def _received(self) -> bytes:
        try:
            data = await self._reader.read(_READ_BYTES)
        except OSError as exc:
            raise LinkBroken(f"the event socket died: {exc}") from exc
        if not data:
            raise LinkFinished("FreeSWITCH closed the event socket")
        return data

    def _parsed(self, data: bytes) -> list[esl.Message]:
        try:
            return self._parser.feed(data)
        except Malformed as exc:
            raise BadInput(f"event socket: {exc}") from exc

    def _handle(self, message: esl.Message) -> None:
        match message.kind:
            case "command/reply" | "api/response":
                self._answered(message)
            case "text/event-plain" | "text/event-json":
                self._happened(message)
            case "text/disconnect-notice":
                raise LinkFinished("FreeSWITCH ended the event socket")
            case _:
                log.debug("esl_not_understood", kind=message.kind[:40])

    def _answered(self, message: esl.Message) -> None:
        if not self._waiting:
            raise BadInput("event socket: a reply to nothing")
        about, reply = self._waiting.popleft()
        if about == _LOGIN and not message.reply.startswith("+OK"):
            self._refused = _refusal(self._user, message.reply)
        if not reply.done():
            reply.set_result(message)

    def _happened(self, message: esl.Message) -> None:
        try:
            event = esl.event(message)
        except Malformed as exc:
            log.debug("esl_event_not_understood", why=str(exc))
            return
        if event.name == "BACKGROUND_JOB":
            job = self._jobs.pop(event.get("Job-UUID"), None)
            if job is not None and not job.done():
                job.set_result(event.body)
            return
        try:
            self._on_event(event)
        except Exception:
            log.exception("esl_listener_failed", esl_event=event.name)


def _refusal(user: str, said: str) -> LoginRefused:
    whom = f"of {user!r} " if user else ""
    return LoginRefused(
        f"FreeSWITCH refused the event socket's login {whom}({said[:80]})",
        key="freeswitch.esl.password",
        remedy="Compare it with the password in autoload_configs/event_socket.conf.xml"
        + (", and the user with the directory." if user else "."),
    )


def _unheard(future: "asyncio.Future[esl.Message] | asyncio.Future[str]") -> None:
    """Nobody waits for it any more; an exception of it was told elsewhere."""
    if not future.cancelled():
        future.exception()
