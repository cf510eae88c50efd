"""FreeSWITCH's event socket: always connected where it can be, and never in anybody's way where it can't."""

import asyncio
from collections.abc import Mapping
from typing import Final

from sovereign_pbx.core.errors import BadInput
from sovereign_pbx.pbx.control_login import ControlLogin, LoginTiming
from sovereign_pbx.pbx.freeswitch.esl_connection import EslConnection
from sovereign_pbx.wire import esl
from sovereign_pbx.wire.malformed import Malformed

_JOBS: Final = "BACKGROUND_JOB"


class Esl(ControlLogin[EslConnection, esl.Event]):
    """The event socket. A command is sent once, as everything that is asked of a `ControlLogin`."""

    KIND, SHOWN = "esl", "event socket"

    def __init__(
        self, host: str, port: int, password: str, *, user: str = "", timing: LoginTiming | None = None
    ) -> None:
        super().__init__(host, port, user, timing)
        self._password = password
        self._events: dict[str, None] = {_JOBS: None}
        self._filters: dict[tuple[str, str], None] = {("Event-Name", _JOBS): None}

    def subscribe(self, *names: str) -> None:
        """Before `start`: have events of these names told, of a CUSTOM one its subclass (`avmd::beep`), as far as a
        filter lets them through."""
        self._events.update(dict.fromkeys(names))

    def let_through(self, header: str, value: str) -> None:
        """Before `start`: have events told whose header has this value. An event that no such filter fits never crosses
        the network: a busy PBX would send some 40 kB a call."""
        self._filters[header, value] = None

    async def api(self, command: str, *arguments: str, timeout_s: float | None = None) -> str:
        """What an api command says, refusals (`-ERR …`, `-USAGE …`) included, without the white space around it.

        FreeSWITCH does it before it reads the next command: whatever may take its time belongs to `background`.

        Raises:
            BadInput: an argument that would be read as several, or as another command.
            LinkEnded: not connected, lost meanwhile, or no reply in time.
        """
        reply = await self._logged_in(command).command(
            f"api {_line(command, arguments)}", {}, timeout_s=timeout_s or self._timing.request_s, about=command
        )
        return reply.reply.strip()

    async def background(self, command: str, *arguments: str) -> asyncio.Future[str]:
        """Have an api command done in a thread of its own; the future is what it says, or LinkBroken when the
        connection is lost before. Raises as `api`."""
        return await self._logged_in(command).background(_line(command, arguments), self._timing.request_s)

    async def message(self, uuid: str, call_command: str, headers: Mapping[str, str]) -> str:
        """`sendmsg` to a channel: `call_command` (execute, hangup, unicast, …) with its header lines. `+OK` says that
        it is queued, and no more. Raises as `api`."""
        sent = {"call-command": call_command, **headers}
        line = f"sendmsg {_word('the channel', uuid)}"
        reply = await self._logged_in(call_command).command(line, sent, timeout_s=self._timing.request_s)
        return reply.reply.strip()

    async def version(self) -> str:
        """As "1.10.12"; "" where it does not say."""
        words = (await self.api("version")).split()  # FreeSWITCH Version 1.10.12-release+git~…
        found = words[words.index("Version") + 1] if "Version" in words[:-1] else ""
        return found.partition("-")[0].partition("+")[0]

    # Private

    def _opened(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> EslConnection:
        return EslConnection(reader, writer, self._dispatch)

    async def _log_in(self, session: EslConnection) -> None:
        await session.login(self.user, self._password, self._timing.request_s)
        await self._subscribe(session)

    def _name_of(self, event: esl.Event) -> str:
        return event.name

    async def _subscribe(self, connection: EslConnection) -> None:
        """The filters first: between the two the whole PBX's events would come."""
        plain = [name for name in self._events if "::" not in name]
        custom = [name for name in self._events if "::" in name]
        lines = [f"filter {header} {value}" for header, value in self._filters]
        lines.append(" ".join(["event plain", *plain, *(["CUSTOM", *custom] if custom else [])]))
        for line in lines:
            answer = await connection.command(line, {}, timeout_s=self._timing.request_s)
            if not answer.ok:
                remedy = "see esl-allowed-events of its user in the directory"
                raise BadInput(f"FreeSWITCH does not take {line!r}: {answer.reply[:80]}; {remedy}")


def _line(command: str, arguments: tuple[str, ...]) -> str:
    return " ".join([command, *(_word(command, argument) for argument in arguments)])


def _word(what: str, text: str) -> str:
    try:
        return esl.word(what, text)
    except Malformed as exc:
        raise BadInput(str(exc)) from exc
