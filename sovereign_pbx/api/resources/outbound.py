"""`POST /calls/outbound`: call somebody (contract §6), with a saved assistant, one changed for this call, or one that
exists for it alone."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, Final, Protocol

from sovereign_pbx.api.errors import ApiError, invalid, not_found
from sovereign_pbx.api.operation import Asked, Operation
from sovereign_pbx.api.resources.destination import Destination
from sovereign_pbx.api.resources.once import Once
from sovereign_pbx.api.schema import STRING, object_schema
from sovereign_pbx.assistants.directory import Directory, Number
from sovereign_pbx.assistants.model import ASSISTANT, Assistant
from sovereign_pbx.assistants.problem import InvalidSettings, Problem
from sovereign_pbx.assistants.shape import Opaque, Shape, Text
from sovereign_pbx.assistants.table import Key, Table
from sovereign_pbx.calls.outbound import OutboundRequest

_OBJECT: Final[Shape] = Opaque()
_ID: Final = Text(1, 200)

BODY: Final = Table(
    Key("destination", Destination(), "Who is called.", required=True, example="+31612345678"),
    Key("assistant_id", _ID, "A saved assistant: its id or name.", aliases=("agent_id", "agentId")),
    Key(
        "assistant_override",
        _OBJECT,
        "Changes to it for this call; each key replaces the whole block.",
        aliases=(
            "agent_override",
            "agentOverride",
            "agent_config",
            "agentConfig",
            "assistant_config",
            "assistantConfig",
        ),
    ),
    Key("assistant", _OBJECT, "A whole assistant for this call alone, in place of assistant_id.", aliases=("agent",)),
    Key(
        "number_id",
        _ID,
        "The number to call from: its id, or the number itself; left out: an active one with a trunk.",
        aliases=("phone_number_id", "phoneNumberId"),
    ),
    Key("first_message", Text(0, 5000), "What is said first, in place of the assistant's own."),
)

ANSWER: Final = object_schema(
    {"success": {"const": True}, "call_id": STRING, "status": {"const": "dialing"}, "room_name": STRING}
)


class Dialler(Protocol):
    """Whoever places calls."""

    async def place(self, request: OutboundRequest) -> str:
        """Dial; the call's id. Refused where it may not be, or can't."""


ProviderProblems = Callable[[Mapping[str, Any]], Awaitable[list[Problem]]]
"""What is wrong with the providers that the blocks among these fields name."""


def operations(
    directory: Directory, dialler: Dialler, once: Once, provider_problems: ProviderProblems
) -> list[Operation]:
    """The one operation. With an `Idempotency-Key` a request that is repeated does not dial twice."""

    async def outbound(asked: Asked) -> dict[str, Any]:
        async def dial() -> str:
            request = await asyncio.to_thread(request_of, directory, asked.body)  # 13 ms for one with a hundred tools
            await _refuse_unknown_providers(asked.body, provider_problems)
            return await dialler.place(request)

        call_id = await once.do(asked, dial)
        return {"success": True, "call_id": call_id, "status": "dialing", "room_name": call_id}

    return [
        Operation(
            method="POST",
            path="/calls/outbound",
            name="createOutboundCall",
            summary="Call somebody.",
            description=(
                "Answers as soon as the PBX dials; `GET /calls/{id}` and the webhooks tell how it went. With the header"
                " `Idempotency-Key` (1 to 255 characters) the same request dials once within 24 hours, however often it"
                " is sent."
            ),
            tag="calls",
            handler=outbound,
            scope="calls",
            body=BODY,
            answer=ANSWER,
            errors=(404, 409, 422, 503),
        )
    ]


def request_of(directory: Directory, body: Mapping[str, Any]) -> OutboundRequest:
    """What is to be dialled, and who speaks. ApiError where body and directory do not fit together."""
    number = _number(directory, body)
    assistant = _assistant(directory, body, number)
    if number is None:
        number = directory.free_number(assistant)
    return OutboundRequest(destination=body["destination"], assistant=assistant, number=number, trunk=None)


def _assistant(directory: Directory, body: Mapping[str, Any], number: Number | None) -> Assistant:
    chosen, whole = body.get("assistant_id"), body.get("assistant")
    if (chosen is None) == (whole is None):
        problem = "give one of assistant_id (a saved assistant) and assistant (a whole one for this call), not both"
        raise invalid([Problem(("assistant_id",), problem)])
    if whole is not None:
        if "assistant_override" in body:
            raise invalid([Problem(("assistant_override",), "goes with assistant_id; put it into assistant itself")])
        return _transient(whole, body, number)
    saved = directory.assistant(str(chosen))
    if saved is None:
        raise not_found("assistant", str(chosen))
    return _changed(saved, body)


def _transient(given: Mapping[str, Any], body: Mapping[str, Any], number: Number | None) -> Assistant:
    """Which blocks are missing the embedded providers stand in for; nothing at all would only listen."""
    fields = {ASSISTANT.canonical(name, given): value for name, value in given.items()}
    if not fields.keys() - {"name", "metadata", "max_duration_seconds"}:
        raise invalid([Problem(("assistant",), "has neither instructions nor a first_message", "give it llm_config")])
    fields.setdefault("name", number.name if number and number.name else "transient")
    if "first_message" in body:
        fields["first_message"] = body["first_message"]
    try:
        return Assistant.parse(fields, where="assistant")
    except InvalidSettings as exc:
        raise _within("assistant", exc) from exc


def _changed(saved: Assistant, body: Mapping[str, Any]) -> Assistant:
    given = body.get("assistant_override", {})
    override = {ASSISTANT.canonical(name, given): value for name, value in given.items()}
    if "first_message" in body:
        override["first_message"] = body["first_message"]
    if not override:
        return saved
    if "first_message" in override and "speech_config" not in override:
        # What is said first in this call was just given: the saved one for outbound calls must not win over it.
        speech = {name: value for name, value in saved.speech_config.items() if name != "first_message_outbound"}
        override["speech_config"] = speech
    try:
        return saved.merged(override, where="assistant_override")
    except InvalidSettings as exc:
        raise _within("assistant_override", exc) from exc


async def _refuse_unknown_providers(body: Mapping[str, Any], provider_problems: ProviderProblems) -> None:
    """Nobody is rung up by an assistant that can't hear, think or speak. Only what was sent is judged."""
    for key in ("assistant", "assistant_override"):
        given = body.get(key, {})
        fields = {ASSISTANT.canonical(name, given): value for name, value in given.items()}
        problems = await provider_problems(fields)
        if problems:
            raise invalid([replace(problem, path=(key, *problem.path)) for problem in problems])


def _within(key: str, exc: InvalidSettings) -> ApiError:
    return invalid([replace(problem, path=(key, *problem.path)) for problem in exc.problems])


def _number(directory: Directory, body: Mapping[str, Any]) -> Number | None:
    wanted = body.get("number_id")
    if wanted is None:
        return None
    number = directory.number_by_id(wanted)
    if number is None:
        raise not_found("number", wanted)
    return number
