"""FreeSWITCH's event socket played by a test: as strict as mod_event_socket, and stricter where the real one would
crash, hang or drop silently. What it must never be told becomes a fault, which `check` raises.

Framing, order and words are those of recordings of 1.10.12.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final
from uuid import uuid4

from sovereign_pbx.wire.esl import encode_event

PASSWORD: Final = "local-only-test"
CORE: Final = "5f09a1fe-d461-48ef-a8e2-0a018a62c2e1"
GOODBYE: Final = "Disconnected, goodbye.\nSee you at ClueCon! http://www.cluecon.com/\n"
MAX_COMMAND_BYTES: Final = 1 << 20

Api = Callable[[str, str], Awaitable[str]]
"""An api command and its argument, to what it says."""
SendMessage = Callable[[str, Mapping[str, str]], str]
"""`sendmsg`: the channel and the headers, to the reply's text."""


@dataclass(slots=True)
class Command:
    """One as it came."""

    line: str
    headers: dict[str, str] = field(default_factory=dict)


class EslServer:
    """Listens on loopback. `api` does commands; the knobs make it misbehave as networks and FreeSWITCH do.

    `split`: send in portions of so many bytes (0: whole). `mute`: take commands and say nothing. `mute_after`: do the
    next command that begins so, and reset the connection instead of replying. `rude`: turn everybody away, as an ACL
    does.
    """

    def __init__(self, api: Api, send_message: SendMessage | None = None, *, password: str = PASSWORD) -> None:
        self.api = api
        self.send_message: SendMessage = send_message or (lambda uuid, _: f"-ERR invalid session id [{uuid}]")
        self.password = password
        self.split = 0
        self.mute = False
        self.mute_after = ""
        self.rude = False
        self.port = 0
        self.logins = 0
        self.commands: list[Command] = []
        self.faults: list[str] = []
        self.sessions: list[Session] = []
        self.orphans: set[asyncio.Task[None]] = set()  # jobs whose connection was reset
        self._server: asyncio.Server | None = None
        self._sequence = 1500

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """No longer there: connections are reset, new ones refused."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.drop()
        for session in tuple(self.sessions):
            await session.over.wait()
        for task in self.orphans:
            task.cancel()
        await asyncio.gather(*self.orphans, return_exceptions=True)

    def drop(self) -> None:
        """Reset every connection."""
        for session in self.sessions:
            session.abort()

    def check(self) -> None:
        """Raises AssertionError with everything that the real one would not have borne."""
        assert not self.faults, "; ".join(self.faults)

    def event(self, name: str, headers: Mapping[str, str], body: str = "") -> None:
        """An event to everybody who has asked for it. A name with `::` is a CUSTOM one."""
        self._sequence += 1
        custom = "::" in name
        whole = {
            "Event-Name": "CUSTOM" if custom else name,
            "Core-UUID": CORE,
            "FreeSWITCH-Hostname": "double",
            "Event-Date-Local": "2026-11-20 05:24:16",
            "Event-Sequence": str(self._sequence),
            **({"Event-Subclass": name} if custom else {}),
            **headers,
        }
        for session in self.sessions:
            if session.wants(name, whole):
                session.send(encode_event(whole, body))

    def lines(self, begin: str) -> list[str]:
        """The commands that began so, whoever sent them."""
        return [command.line for command in self.commands if command.line.startswith(begin)]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = Session(self, reader, writer)
        self.sessions.append(session)
        try:
            await session.run()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.sessions.remove(session)
            await session.close()


class Session:
    """One connection."""

    def __init__(self, server: EslServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._server = server
        self._reader = reader
        self._writer = writer
        self._authenticated = False
        self._events: set[str] = set()
        self._filters: list[tuple[str, str]] = []
        self._jobs: set[asyncio.Task[None]] = set()
        self.over = asyncio.Event()

    async def run(self) -> None:
        if self._server.rude:
            text = "Access Denied, go away.\n"
            self.send(b"Content-Type: text/rude-rejection\nContent-Length: %d\n\n%s" % (len(text), text.encode()))
            return
        self.send(b"Content-Type: auth/request\n\n")
        while (command := await self._command()) is not None:
            self._server.commands.append(command)
            if not self._server.mute and not await self._obey(command):
                return

    def wants(self, name: str, headers: Mapping[str, str]) -> bool:
        """Whether it was asked for, and some filter lets it through. Without filters all is."""
        if name not in self._events and "ALL" not in self._events:
            return False
        known = {key.lower(): value.lower() for key, value in headers.items()}
        return not self._filters or any(known.get(key.lower()) == value.lower() for key, value in self._filters)

    def send(self, data: bytes) -> None:
        step = self._server.split or len(data)
        for start in range(0, len(data), step):
            self._writer.write(data[start : start + step])

    def abort(self) -> None:
        self._writer.transport.abort()

    async def close(self) -> None:
        """What it has had begun goes on without it."""
        self._server.orphans |= self._jobs
        self._writer.close()
        self.over.set()

    # Private

    def _fault(self, text: str) -> None:
        self._server.faults.append(text)

    async def _command(self) -> Command | None:
        try:
            block = (await self._reader.readuntil(b"\n\n")).decode()
        except asyncio.IncompleteReadError as exc:
            if exc.partial:
                self._fault(f"half a command: {exc.partial[:40]!r}")
            return None
        lines = block.strip("\n").split("\n")
        if "\r" in block:
            self._fault("a carriage return in a command")
        headers = {}
        for line in lines[1:]:
            name, colon, value = line.partition(": ")
            if not colon:
                self._fault(f"a header line that is none: {line[:40]!r}")
            headers[name] = value
        if (length := int(headers.get("Content-Length", 0))) > 0:
            await self._reader.readexactly(length)
        return Command(lines[0], headers)

    async def _obey(self, command: Command) -> bool:
        """Whether the connection goes on."""
        word, _, rest = command.line.partition(" ")
        if not self._authenticated:
            return self._authenticate(word, rest)
        match word:
            case "api":
                await self._api(rest)
            case "bgapi":
                self._background(rest, command.headers.get("Job-UUID") or str(uuid4()))
            case "event":
                self._subscribe(rest)
            case "filter":
                self._filter(rest)
            case "sendmsg":
                self._reply(self._server.send_message(rest, command.headers))
            case "exit":
                self._reply("+OK bye")
                self._goodbye()
                return False
            case _:
                self._fault(f"a command that it does not know: {word[:40]}")
                self._reply("-ERR command not found")
        return True

    def _authenticate(self, word: str, rest: str) -> bool:
        wanted = {"auth": self._server.password, "userauth": f"ann@example.org:{self._server.password}"}
        if word not in wanted:
            self._fault(f"{word[:40]} before the login")
        if wanted.get(word) == rest:
            self._authenticated = True
            self._server.logins += 1
            self._reply("+OK accepted")
            return True
        self._reply("-ERR invalid")
        self._goodbye()
        return False

    async def _api(self, rest: str) -> None:
        """It is done before the next command is read."""
        name, _, argument = rest.partition(" ")
        if name == "originate":
            self._fault("an originate that blocks the socket until somebody answers: bgapi is meant for it")
        said = await self._server.api(name, argument)
        if said.endswith("Command not found!\n"):
            self._fault(f"an api command that it does not know: {name[:40]}")
        self.send(b"Content-Type: api/response\nContent-Length: %d\n\n%s" % (len(said.encode()), said.encode()))

    def _background(self, rest: str, job: str) -> None:
        server = self._server
        if server.mute_after and f"bgapi {rest}".startswith(server.mute_after):
            server.mute_after = ""
            server.orphans.add(asyncio.get_running_loop().create_task(self._do_job(rest, job)))
            self.abort()
            return
        self._reply(f"+OK Job-UUID: {job}", {"Job-UUID": job})
        task = asyncio.get_running_loop().create_task(self._do_job(rest, job))
        self._jobs.add(task)
        task.add_done_callback(self._jobs.discard)

    async def _do_job(self, rest: str, job: str) -> None:
        name, _, argument = rest.partition(" ")
        said = await self._server.api(name, argument)
        headers = {"Job-UUID": job, "Job-Command": name, **({"Job-Command-Arg": argument} if argument else {})}
        self._server.event("BACKGROUND_JOB", headers, said)

    def _subscribe(self, rest: str) -> None:
        form, *names = rest.split(" ")
        if form != "plain":
            self._fault(f"events in a form that is not played: {form[:20]}")
        self._events.update(name for name in names if name != "CUSTOM")
        self._reply(f"+OK event listener enabled {form}")

    def _filter(self, rest: str) -> None:
        match = re.fullmatch(r"(?:add )?(\S+) (.+)", rest)
        if match is None:
            self._fault(f"a filter that is none: {rest[:40]}")
            self._reply("-ERR invalid syntax")
            return
        if self._events:
            self._fault("a filter after the subscription: the whole PBX's events came in between")
        self._filters.append((match[1], match[2]))
        self._reply(f"+OK filter added. [{match[1]}]=[{match[2]}]")

    def _reply(self, text: str, headers: Mapping[str, str] | None = None) -> None:
        more = "".join(f"{name}: {value}\n" for name, value in (headers or {}).items())
        self.send(f"Content-Type: command/reply\nReply-Text: {text}\n{more}\n".encode())

    def _goodbye(self) -> None:
        head = f"Content-Type: text/disconnect-notice\nContent-Length: {len(GOODBYE)}\n\n"
        self.send((head + GOODBYE).encode())
