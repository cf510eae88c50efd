"""`POST /calls/{id}/control`: say, inject-context, end-call and transfer on a live call (contract §7); and our own
pause-recording and resume-recording."""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from aiohttp import web

from sovereign_pbx.api.errors import ApiError
from sovereign_pbx.api.limiter import Allowance, Limiter
from sovereign_pbx.api.operation import Asked, Operation
from sovereign_pbx.api.resources.destination import Destination
from sovereign_pbx.api.routes import json_response
from sovereign_pbx.api.schema import STRING, SUCCESS, object_schema, request_schema
from sovereign_pbx.assistants.blocks import TRANSFER_TERMS
from sovereign_pbx.assistants.problem import Path, Report
from sovereign_pbx.assistants.shape import NOTHING, Choice, Flag, Text, got
from sovereign_pbx.assistants.table import Key, Table
from sovereign_pbx.assistants.tools import terms_of
from sovereign_pbx.core.destinations import LONGEST_SUMMARY
from sovereign_pbx.core.events import Instructed

Instruct = Callable[[str, Instructed], Awaitable[None]]
"""Gives an order to a call. Refused `not_found`, `call_not_active` or `destination_not_allowed`."""

PauseRecording = Callable[[str, bool], Awaitable[None]]
"""Pauses a call's recording, or goes on with it. Refused `not_found`, `call_not_active` or `not_recorded`."""

_WORDS: Final = Text(1, 5000)
_LAST_WORDS: Final = Text(0, 5000)
_OLDER: Final = {"inject-context": "injectContext", "end-call": "endCall"}


def _command(kind: str, *keys: Key) -> Table:
    older = {kind: _OLDER[kind]} if kind in _OLDER else {}
    return Table(Key("type", Choice((kind,), camel=older), "The command.", required=True), *keys)


COMMANDS: Final[Mapping[str, Table]] = {
    "inject-context": _command(
        "inject-context",
        Key("content", _WORDS, "What the assistant is to know; the caller does not hear it.", required=True),
        Key("trigger_response", Flag(), "Speak about it at once; left out: no.", False),
    ),
    "say": _command(
        "say",
        Key("content", _WORDS, "The exact words to speak.", required=True),
        Key("end_after", Flag(), "Hang up afterwards; left out: no.", False),
    ),
    "end-call": _command("end-call", Key("message", _LAST_WORDS, "Last words before hanging up.")),
    "transfer": _command(
        "transfer",
        Key("destination", Destination(), "Where to: a number or a SIP URI.", required=True),
        Key("message", _LAST_WORDS, "What the caller hears before."),
        *TRANSFER_TERMS,
        Key(
            "summary",
            Text(0, LONGEST_SUMMARY),
            "attended: what the person called is told; left out: what the model makes of the call so far.",
        ),
    ),
    "pause-recording": _command("pause-recording"),
    "resume-recording": _command("resume-recording"),
}

ANSWER: Final = object_schema({**SUCCESS["properties"], "message": STRING})


class Command:
    """One of the commands, by its `type`."""

    def check(self, value: Any, path: Path, report: Report) -> Any:
        if not isinstance(value, Mapping):
            report.error(path, f"must be {self.words()}{got(value)}")
            return NOTHING
        given = value.get("type")
        if given is None:
            report.error((*path, "type"), '"type" is missing', f"it must be {_TYPE.words()}")
            return NOTHING
        kind = _TYPE.check(given, (*path, "type"), report)
        return NOTHING if kind is NOTHING else COMMANDS[kind].check(value, path, report)

    def words(self) -> str:
        return "a command"

    def json_schema(self) -> dict[str, Any]:
        return {"oneOf": [request_schema(table) for table in COMMANDS.values()]}


_TYPE: Final = Choice(tuple(COMMANDS), camel=_OLDER)


def operations(
    instruct: Instruct, pause_recording: PauseRecording, *, per_minute: int, now: Callable[[], float] = time.time
) -> list[Operation]:
    """The one operation; a call takes so many commands a minute, whoever sends them."""
    limiter = Limiter(per_minute)

    async def control(asked: Asked) -> web.Response:
        call_id = asked.ids["id"]
        allowance = limiter.take(call_id, now())
        if allowance.exhausted:
            raise _too_many(allowance)
        kind = asked.body["type"]
        if kind in ("pause-recording", "resume-recording"):
            await pause_recording(call_id, kind == "pause-recording")
        else:
            await instruct(call_id, order_of(asked.body))
        answer = {"success": True, "message": "Command sent successfully"}
        return json_response(answer, headers=allowance.headers)

    return [
        Operation(
            method="POST",
            path="/calls/{id}/control",
            name="controlCall",
            summary="Steer a live call: say, inject-context, end-call, transfer, pause-recording or resume-recording.",
            description=f"At most {per_minute} commands a minute a call; the rate-limit headers tell of these.",
            tag="calls",
            handler=control,
            scope="calls",
            body=Command(),
            answer=ANSWER,
            errors=(409, 503),
        )
    ]


def order_of(command: Mapping[str, Any]) -> Instructed:
    """What the conversation is told."""
    match command["type"]:
        case "say":
            return Instructed("say", command["content"], then=command.get("end_after", False))
        case "inject-context":
            return Instructed("inject", command["content"], then=command.get("trigger_response", False))
        case "transfer":
            where, terms = command["destination"], terms_of(command)
            return Instructed("transfer", command.get("message", ""), destination=where, terms=terms)
        case _:
            return Instructed("end", command.get("message", ""))


def _too_many(allowance: Allowance) -> ApiError:
    seconds = allowance.retry_after_s
    return ApiError(
        429,
        "rate_limit_exceeded",
        f"This call has had its {allowance.limit} commands for the minute. Please retry after {seconds} seconds.",
        headers=allowance.headers,
        extra={"retry_after": seconds},
    )
