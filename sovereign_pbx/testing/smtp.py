"""A scripted mail server, strict as RFC 5321 asks: it takes what is right, in the right order, and nothing else."""

import asyncio
import base64
import binascii
import contextlib
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from typing import Final, Literal

Fault = Literal[
    "refuse_connection",  # 554 instead of a greeting
    "no_starttls",  # it is not offered
    "refuse_starttls",  # 454
    "refuse_login",  # 535
    "refuse_sender",  # 550 to MAIL
    "grey",  # 451 to RCPT: come again
    "no_mailbox",  # 550 to RCPT
    "no_relay",  # 554 5.7.1 to RCPT
    "refuse_data",  # 552 after the content
    "stall",  # says nothing after RCPT
    "dribble",  # answers EHLO a byte at a time, for ever
    "drop",  # closes after DATA
    "bad_goodbye",  # 500 to QUIT
]

_LONGEST: Final = 1000  # of a line, its end included (RFC 5321 §4.5.3.1.6)
_PATH: Final = re.compile(r"<([^<>@\s]+@[^<>@\s]+)>((?: [A-Z0-9]+(?:=[^\s]+)?)*)", re.IGNORECASE)


@dataclass(slots=True)
class Received:
    """A letter that was taken. `encrypted`, `login`: how it came."""

    sender: str
    to: list[str]
    raw: bytes
    encrypted: bool
    login: str

    @property
    def message(self) -> EmailMessage:
        found = message_from_bytes(self.raw, policy=SMTP)
        assert isinstance(found, EmailMessage)
        return found


_GONE_S = 1.0
_STEPS_TO_A_SESSION = 5  # of the loop, from the accepted connection to the coroutine that serves it


class ScriptedSmtp:
    """`faults` are met one a connection, in order; afterwards all goes well (with `always`, that one each time)."""

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        implicit: bool = False,
        accounts: dict[str, str] | None = None,
        faults: list[Fault] | None = None,
        always: Fault | None = None,
    ) -> None:
        self.tls = tls
        self.implicit = implicit
        self.accounts = accounts or {}
        self.faults = list(faults or ())
        self.always = always
        self.letters: list[Received] = []
        self.wrong: list[str] = []  # what a client did that RFC 5321 does not allow
        self.connections = 0
        self.open = 0
        self.port = 0
        self.over = asyncio.Event()
        self._sessions: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._sessions[task] = writer
        self.connections += 1
        self.open += 1
        fault = self.always or (self.faults.pop(0) if self.faults else None)
        try:
            await _Session(self, reader, writer, fault).run()
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass  # the client has gone
        finally:
            self.open -= 1
            writer.close()
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(_GONE_S):
                    await writer.wait_closed()  # a transport that is still flushing outlives its loop
            writer.transport.abort()
            del self._sessions[task]

    async def close(self) -> None:
        """End what is still going on (a stream's own task must not be cancelled: Python 3.11 logs that as an error)."""
        self.over.set()
        while any(_is_accepting(task) for task in asyncio.all_tasks()):  # noqa: ASYNC110 - asyncio's own, without an event
            await asyncio.sleep(0)
        for _ in range(_STEPS_TO_A_SESSION):
            await asyncio.sleep(0)
        while self._sessions:
            for writer in self._sessions.values():
                writer.transport.abort()
            await asyncio.gather(*self._sessions, return_exceptions=True)


def _is_accepting(task: "asyncio.Task[object]") -> bool:
    """Whether asyncio is about to make a transport of a connection that it has accepted: nobody else closes it."""
    return "_accept_connection2" in getattr(task.get_coro(), "__qualname__", "")


@asynccontextmanager
async def mail_server(server: ScriptedSmtp) -> AsyncIterator[ScriptedSmtp]:
    """The server, listening on a free loopback port."""
    listening = await asyncio.start_server(
        server.serve, "127.0.0.1", 0, limit=_LONGEST, ssl=server.tls if server.implicit else None
    )
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        await server.close()
        await asyncio.sleep(0)  # an aborted transport lets go in the loop's next turn


@dataclass(slots=True)
class _Session:
    """One connection."""

    server: ScriptedSmtp
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    fault: Fault | None
    encrypted: bool = False
    greeted: bool = False
    login: str = ""
    sender: str = ""
    to: list[str] = field(default_factory=list)

    async def run(self) -> None:
        self.encrypted = self.server.implicit
        if self.fault == "refuse_connection":
            await self.say("554 5.3.2 go away")
            return
        await self.say("220 mail.test ESMTP")
        while True:
            verb, _, rest = (await self.line()).partition(" ")
            handler = getattr(self, f"do_{verb.lower()}", None)
            if handler is None:
                await self.refuse(f"500 unknown command {verb[:20]}")
            elif await handler(rest):
                return

    async def line(self) -> str:
        raw = await self.reader.readuntil(b"\r\n")
        if b"\n" in raw[:-2] or b"\r" in raw[:-2] or len(raw) > 512:
            self.server.wrong.append(f"a bare line end or too long a line: {raw[:80]!r}")
        return raw[:-2].decode("utf-8", "replace")

    async def say(self, *lines: str) -> None:
        text = "".join(f"{line}\r\n" for line in lines)
        self.writer.write(text.encode())
        await self.writer.drain()

    async def refuse(self, answer: str) -> None:
        """For what a right client never does."""
        self.server.wrong.append(answer)
        await self.say(answer)

    # --- commands; True ends the session

    async def do_ehlo(self, name: str) -> bool:
        if not name or " " in name:
            await self.refuse("501 EHLO needs a name")
            return False
        if self.fault == "dribble":
            while True:
                self.writer.write(b"2")
                await self.writer.drain()
                await asyncio.sleep(0.05)
        self.greeted = True
        offers = ["mail.test", "8BITMIME", "SIZE 10000000"]
        if self.server.tls is not None and not self.encrypted and self.fault != "no_starttls":
            offers.append("STARTTLS")
        if self.server.accounts and (self.encrypted or self.server.tls is None):
            offers.append("AUTH PLAIN LOGIN")
        await self.say(*(f"250-{offer}" for offer in offers[:-1]), f"250 {offers[-1]}")
        return False

    async def do_starttls(self, rest: str) -> bool:
        if self.server.tls is None or self.encrypted or rest:
            await self.refuse("503 not now")
            return False
        if self.fault == "refuse_starttls":
            await self.say("454 4.7.0 no TLS today")
            return False
        await self.say("220 go ahead")
        await self.writer.start_tls(self.server.tls)
        self.encrypted, self.greeted = True, False
        return False

    async def do_auth(self, rest: str) -> bool:
        kind, _, initial = rest.partition(" ")
        if not self.greeted or not self.server.accounts or (self.server.tls is not None and not self.encrypted):
            await self.refuse("503 AUTH was not offered")
            return False
        user, password = await self._credentials(kind.upper(), initial)
        if self.fault == "refuse_login" or self.server.accounts.get(user) != password:
            await self.say("535 5.7.8 wrong credentials")
            return False
        self.login = user
        await self.say("235 welcome")
        return False

    async def _credentials(self, kind: str, initial: str) -> tuple[str, str]:
        if kind == "PLAIN":
            parts = _decoded(initial).split("\0")
            return (parts[1], parts[2]) if len(parts) == 3 else ("", "")
        await self.say("334 VXNlcm5hbWU6") if not initial else None
        user = initial or await self.line()
        await self.say("334 UGFzc3dvcmQ6")
        return _decoded(user), _decoded(await self.line())

    async def do_mail(self, rest: str) -> bool:
        found = _PATH.fullmatch(rest[len("FROM:") :]) if rest.upper().startswith("FROM:") else None
        if not self.greeted or self.sender or (self.server.accounts and not self.login):
            await self.refuse("503 not now (or log in first)")
        elif found is None:
            await self.refuse(f"501 no path: {rest[:80]}")
        elif self.fault == "refuse_sender":
            await self.say("550 5.1.8 who are you?")
        else:
            self.sender = found[1]
            await self.say("250 ok")
        return False

    async def do_rcpt(self, rest: str) -> bool:
        found = _PATH.fullmatch(rest[len("TO:") :]) if rest.upper().startswith("TO:") else None
        answers = {"grey": "451 4.7.1 come again", "no_mailbox": "550 5.1.1 nobody", "no_relay": "554 5.7.1 no relay"}
        if not self.sender:
            await self.refuse("503 MAIL first")
        elif found is None:
            await self.refuse(f"501 no path: {rest[:80]}")
        elif self.fault == "stall":
            await self.server.over.wait()
        elif self.fault in answers:
            await self.say(answers[self.fault])
        else:
            self.to.append(found[1])
            await self.say("250 ok")
        return False

    async def do_data(self, rest: str) -> bool:
        if not self.to or rest:
            await self.refuse("503 RCPT first")
            return False
        await self.say("354 go on")
        if self.fault == "drop":
            return True
        raw = await self._content()
        if self.fault == "refuse_data":
            await self.say("552 5.3.4 too big")
            return False
        self.server.letters.append(Received(self.sender, self.to, raw, self.encrypted, self.login))
        self.sender, self.to = "", []
        await self.say("250 taken")
        return False

    async def _content(self) -> bytes:
        lines: list[bytes] = []
        while (raw := await self.reader.readuntil(b"\r\n")) != b".\r\n":
            if len(raw) > _LONGEST or b"\n" in raw[:-2] or b"\r" in raw[:-2]:
                self.server.wrong.append(f"a line of {len(raw)} bytes, or a bare line end in it")
            lines.append(raw[1:] if raw.startswith(b"..") else raw)
        return b"".join(lines)

    async def do_rset(self, rest: str) -> bool:
        self.sender, self.to = "", []
        await self.say("250 ok")
        return False

    async def do_noop(self, rest: str) -> bool:
        await self.say("250 ok")
        return False

    async def do_quit(self, rest: str) -> bool:
        with contextlib.suppress(ConnectionError):
            await self.say("500 what?" if self.fault == "bad_goodbye" else "221 bye")
        return True


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode("utf-8", "replace")
    except binascii.Error:
        return ""
