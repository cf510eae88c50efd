"""`/sip-trunks` (contract §16.2). The PBX owns the trunk itself; what is kept here names it, so that numbers can.

Three generations of bodies are taken: `host, port, username, password`; `outbound_address, inbound_addresses,
outbound_number, auth_…`; and `provider, address, auth_…, transport`, which is how trunks are answered.
"""

from typing import Any

from sovereign_pbx.api.errors import invalid
from sovereign_pbx.api.operation import Operation
from sovereign_pbx.api.resources.crud import Fields, OrgId, Resource, in_use
from sovereign_pbx.api.resources.references import numbers_with, told_numbers
from sovereign_pbx.api.schema import FLAG, MAYBE_TIME, STRING, TEXT, object_schema
from sovereign_pbx.assistants.estate import Estate
from sovereign_pbx.assistants.kinds import TRUNKS
from sovereign_pbx.assistants.problem import Problem
from sovereign_pbx.assistants.shape import Choice, Flag, Text, Whole
from sovereign_pbx.assistants.shelf import Entry
from sovereign_pbx.assistants.table import Key, ListOf, Table
from sovereign_pbx.assistants.trunk import Trunk

_ADDRESS = Text(0, 253)
_USUAL_PORT = 5060

BODY = Table(
    Key("name", Text(1, 200), "Name that people see.", required=True, example="Carrier"),
    Key("provider", Text(0, 200), "Whose trunk it is; kept and shown.", example="Example Telecom"),
    Key(
        "address",
        _ADDRESS,
        "The provider's SIP address, for the printed PBX configuration.",
        aliases=("host", "outbound_address"),
        example="sip.example.com",
    ),
    Key("port", Whole(1, 65535), "Its port, where it is not part of the address.", example=5060),
    Key("auth_username", Text(0, 200), "User name there.", aliases=("username",), example="user"),
    Key(
        "auth_password", Text(0, 512, secret=True), "Password there; write-only.", aliases=("password",), example="pass"
    ),
    Key("transport", Choice(("udp", "tcp", "tls")), "Transport.", "udp"),
    Key(
        "endpoint",
        Text(0, 64, pattern=r"[A-Za-z0-9_.-]*", what="a name of letters, digits, _, - and ."),
        "What the PBX calls it (the PJSIP endpoint); without it the name, with - for what can't stand there.",
        example="carrier-endpoint",
    ),
    Key("is_active", Flag(), "Off: nothing is dialled on it.", True),
    Key("inbound_addresses", ListOf(_ADDRESS, most=100), "Where its calls come from; kept and shown."),
    Key("outbound_number", Text(0, 64), "Number that it shows to those called; kept and shown."),
)
"""What a client may send."""

SCHEMA = object_schema(
    {
        "id": STRING,
        "org_id": STRING,
        "name": STRING,
        "provider": TEXT,
        "address": TEXT,
        "auth_username": TEXT,
        "transport": {"enum": ["udp", "tcp", "tls"]},
        "endpoint": TEXT,
        "is_active": FLAG,
        "inbound_addresses": {"type": "array", "items": STRING},
        "outbound_number": STRING,
        "created_at": MAYBE_TIME,
        "updated_at": MAYBE_TIME,
    },
    optional=("inbound_addresses", "outbound_number"),
)
"""A trunk, as it is answered: never with its password."""


def operations(estate: Estate, org_id: OrgId) -> list[Operation]:
    """List, make, get and delete trunks; the contract has no change of one."""

    async def unused(entry: Entry[Trunk]) -> None:
        users = numbers_with(estate, lambda number: number.transfer_trunk, estate.directory.trunk, entry.id)
        in_use("SIP trunk", told_numbers(users))

    return Resource(
        path="/sip-trunks",
        one="trunk",
        many="trunks",
        title="SIP trunk",
        operation="SipTrunk",
        shelf=estate.trunks,
        body=BODY,
        read=TRUNKS.read,
        show=lambda entry, asked: show(entry, org_id()),
        schema=SCHEMA,
        fields_of=_fields_of,
        removing=unused,
        patch=False,
    ).operations()


def show(entry: Entry[Trunk], org_id: str) -> dict[str, Any]:
    """The REST object."""
    trunk = entry.thing
    kept = {name: entry.fields[name] for name in ("inbound_addresses", "outbound_number") if name in entry.fields}
    return {
        "id": entry.id,
        "org_id": org_id,
        "name": trunk.name,
        "provider": trunk.provider,
        "address": trunk.address,
        "auth_username": trunk.auth_username or None,
        "transport": trunk.transport,
        "endpoint": trunk.endpoint or None,
        "is_active": trunk.is_active,
        **kept,
        "created_at": entry.created_at or None,
        "updated_at": entry.updated_at or None,
    }


def _fields_of(sent: Fields, present: Fields) -> Fields:
    fields = dict(sent)
    port, address = fields.pop("port", None), fields.get("address") or ""
    if port is not None and port != _USUAL_PORT:
        if not address:
            raise invalid([Problem(("port",), "is given without an address", 'add "address"')])
        fields["address"] = _with_port(address, port)
    return fields


def _with_port(address: str, port: int) -> str:
    """`host` and `port` in one; an IPv6 address wants brackets around it, and one with a port has it already."""
    if ":" not in address:
        return f"{address}:{port}"
    bare_ipv6 = address.count(":") > 1 and not address.startswith("[")
    if bare_ipv6:
        return f"[{address}]:{port}"
    return f"{address}:{port}" if address.endswith("]") else address
