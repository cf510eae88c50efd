"""`/numbers` (contract §16.1): which assistant, or which workflow, answers what callers dial."""

from typing import Any

from sovereign_pbx.api.errors import conflict, invalid
from sovereign_pbx.api.operation import Asked, Operation
from sovereign_pbx.api.resources.crud import Fields, Resource
from sovereign_pbx.api.resources.references import kept_reference, must_exist
from sovereign_pbx.api.schema import FLAG, MAYBE_TIME, STRING, TEXT, object_schema
from sovereign_pbx.assistants.directory import Number, normal
from sovereign_pbx.assistants.estate import Estate
from sovereign_pbx.assistants.kinds import NUMBERS
from sovereign_pbx.assistants.problem import Problem, shown
from sovereign_pbx.assistants.shape import Flag, Text
from sovereign_pbx.assistants.shelf import Entry
from sovereign_pbx.assistants.table import Key, Table

_REFERENCE = Text(0, 200)

BODY = Table(
    Key(
        "phone_number",
        Text(1, 64),
        'Number or extension as callers dial it; "*" stands for every number that has no entry. It can\'t be changed.',
        required=True,
        aliases=("number",),
        example="+31850835037",
    ),
    Key("name", Text(0, 200), "Name that people see, and webhooks get.", example="Main line"),
    Key(
        "assistant_id",
        _REFERENCE,
        "Who answers; null: the webhook of the account is asked.",
        aliases=("agent_id", "assistant"),
        example="reception",
    ),
    Key(
        "transfer_trunk_id",
        _REFERENCE,
        "SIP trunk that its outbound calls and transfers go out on.",
        aliases=("transfer_trunk",),
        example="carrier",
    ),
    Key(
        "workflow_id",
        _REFERENCE,
        "Workflow that conducts its calls; while that is inactive the assistant takes them.",
        aliases=("workflow",),
        example="intake",
    ),
    Key("is_active", Flag(), "Off: its calls go to the dialplan's fallback.", True),
)
"""What a client may send; ids may also be names of tables in the administrator's file."""

SCHEMA = object_schema(
    {
        "id": STRING,
        "phone_number": STRING,
        "name": TEXT,
        "assistant_id": TEXT,
        "agent_id": TEXT,
        "agent_name": TEXT,
        "business_name": TEXT,
        "transfer_trunk_id": TEXT,
        "transfer_trunk_name": TEXT,
        "workflow_id": TEXT,
        "workflow_name": TEXT,
        "source": {"enum": ["file", "api"], "description": "Whose it is: the administrator's file's, or the API's."},
        "is_active": FLAG,
        "created_at": MAYBE_TIME,
        "updated_at": MAYBE_TIME,
    }
)
"""A number, as it is answered."""


def operations(estate: Estate) -> list[Operation]:
    """List, make, get, change and delete numbers."""
    references: dict[str, Any] = {
        "assistant_id": ("assistant", estate.assistants),
        "transfer_trunk_id": ("SIP trunk", estate.trunks),
        "workflow_id": ("workflow", estate.workflows),
    }

    def fields_of(sent: Fields, present: Fields) -> Fields:
        renamed = {"phone_number": "number", **{key: key.removesuffix("_id") for key in references}}
        fields = {renamed.get(name, name): value for name, value in sent.items()}
        for key, (_, shelf) in references.items():
            if key in sent:
                fields[renamed[key]] = kept_reference(shelf, sent[key])
        return fields

    async def check(entry: Entry[Number], before: Entry[Number] | None, asked: Asked) -> None:
        must_exist(references, asked.body)
        if before is not None:
            _same_number(entry.thing.number, before.thing.number)
        else:
            _free_number(estate, entry.thing.number)

    return Resource(
        path="/numbers",
        one="number",
        many="numbers",
        title="number",
        operation="Number",
        shelf=estate.numbers,
        body=BODY,
        read=NUMBERS.read,
        show=lambda entry, asked: show(estate, entry),
        schema=SCHEMA,
        fields_of=fields_of,
        check=check,
    ).operations()


def show(estate: Estate, entry: Entry[Number]) -> dict[str, Any]:
    """The REST object, with the names of what it refers to."""
    number, directory = entry.thing, estate.directory
    assistant = directory.assistant(number.assistant) if number.assistant else None
    trunk = directory.trunk(number.transfer_trunk) if number.transfer_trunk else None
    workflow = directory.workflow(number.workflow) if number.workflow else None
    assistant_id = assistant.id if assistant else number.assistant or None
    return {
        "id": entry.id,
        "phone_number": number.number,
        "name": number.name or None,
        "assistant_id": assistant_id,
        "agent_id": assistant_id,
        "agent_name": assistant.name if assistant else None,
        "business_name": assistant.business_name if assistant else None,
        "transfer_trunk_id": trunk.id if trunk else number.transfer_trunk or None,
        "transfer_trunk_name": trunk.name if trunk else None,
        "workflow_id": workflow.id if workflow else number.workflow or None,
        "workflow_name": workflow.name if workflow else None,
        "source": "file" if entry.place else "api",
        "is_active": number.is_active,
        "created_at": entry.created_at or None,
        "updated_at": entry.updated_at or None,
    }


def _same_number(wanted: str, present: str) -> None:
    if normal(wanted) != normal(present):
        problem = Problem(("phone_number",), f"can't be changed; it is {present}", "make another number")
        raise invalid([problem])


def _free_number(estate: Estate, wanted: str) -> None:
    if not normal(wanted):
        raise invalid([Problem(("phone_number",), f'"{shown(wanted)}" is no number that anybody could dial')])
    taken = next((entry for entry in estate.numbers if normal(entry.thing.number) == normal(wanted)), None)
    if taken is not None:
        where = f"in {taken.place}" if taken.place else f"as {taken.id}"
        raise conflict("already_in_use", f"The number {taken.thing.number} is there already, {where}.")
