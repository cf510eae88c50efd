"""Asterisk's side of the manager interface for tests, as strict as `manager.c`.

It wants a login first, refuses actions it does not know, answers what a test scripted, and can misbehave on demand.
"""

import asyncio
from collections.abc import Callable
from hashlib import md5

SECRET = "correct horse"
CHALLENGE = "168522041"

Headers = dict[str, str]
Answer = Callable[[Headers], str | bytes | None]

NO_PING = "silent"


class FakeAmi:
    """`answers` maps action names to what is sent back (`{id}` is the ActionID); None sends nothing."""

    def __init__(self) -> None:
        self.received: list[Headers] = []
        self.logins = 0
        self.answers: dict[str, Answer] = {"Ping": lambda headers: "Response: Success\r\nPing: Pong"}
        self.banner = b"Asterisk Call Manager/11.0.0\r\n"
        self.after_login = ""
        self.writers: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """No longer there: connections are reset, new ones refused."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.drop()
        await asyncio.sleep(0)

    def drop(self) -> None:
        """Close every connection."""
        for writer in self.writers:
            writer.transport.abort()
        self.writers.clear()

    def send(self, data: bytes) -> None:
        """Send to everyone who is connected."""
        for writer in self.writers:
            writer.write(data)

    def event(self, name: str, **headers: str) -> None:
        """An event to everyone."""
        lines = [f"Event: {name}", "Privilege: call,all", *(f"{key}: {value}" for key, value in headers.items())]
        self.send("\r\n".join(lines).encode() + b"\r\n\r\n")

    def actions(self, name: str) -> list[Headers]:
        """The actions of that name that came so far."""
        return [headers for headers in self.received if headers["Action"] == name]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        writer.write(self.banner)
        logged_in = False
        try:
            while True:
                headers = parse(await reader.readuntil(b"\r\n\r\n"))
                self.received.append(headers)
                name = headers["Action"]
                if name == "Challenge":
                    self._reply(writer, headers, f"Response: Success\r\nChallenge: {CHALLENGE}")
                elif name == "Login":
                    logged_in = self._login(writer, headers)
                    if not logged_in:
                        break
                else:
                    assert logged_in, f"{name} before the login"
                    self._answer(writer, headers)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _login(self, writer: asyncio.StreamWriter, headers: Headers) -> bool:
        right = md5((CHALLENGE + SECRET).encode(), usedforsecurity=False).hexdigest()
        if headers.get("Key") != right or headers.get("Username") != "sovereign":
            self._reply(writer, headers, "Response: Error\r\nMessage: Authentication failed")
            return False
        self.logins += 1
        self._reply(writer, headers, "Response: Success\r\nMessage: Authentication accepted")
        writer.write(self.after_login.encode())
        return True

    def _answer(self, writer: asyncio.StreamWriter, headers: Headers) -> None:
        script = self.answers.get(headers["Action"])
        if script is None:
            self._reply(writer, headers, "Response: Error\r\nMessage: Invalid/unknown command")
            return
        answer = script(headers)
        if isinstance(answer, bytes):
            writer.write(answer)
        elif answer is not None:
            self._reply(writer, headers, answer)

    def _reply(self, writer: asyncio.StreamWriter, headers: Headers, text: str) -> None:
        writer.write(f"{text}\r\nActionID: {headers['ActionID']}\r\n\r\n".encode())


def parse(block: bytes) -> Headers:
    """An action's headers; a line that is none, or one that comes twice, is a fault of the client. Only `Variable` may
    come several times: its values stand on lines of their own here."""
    headers: Headers = {}
    for line in block.decode().removesuffix("\r\n\r\n").split("\r\n"):
        name, colon, value = line.partition(": ")
        assert colon and (name == "Variable" or name not in headers), f"no header: {line!r}"
        headers[name] = f"{headers[name]}\n{value}" if name in headers else value
    assert "Action" in headers and "ActionID" in headers
    return headers
