"""`/tool-templates` (contract §11.4) and `/analysis-templates` (§12.2): every generation of bodies is taken, the newest
is answered."""

from collections.abc import Mapping
from typing import Any

from sovereign_pbx.api.operation import Asked, Operation
from sovereign_pbx.api.resources.crud import Fields, OrgId, Resource, in_use, may_see_secrets, plain, told
from sovereign_pbx.api.schema import COUNT, LIST, MAYBE_TIME, OBJECT, STRING, TEXT, object_schema
from sovereign_pbx.assistants.blocks import DESTINATION, FUNCTION, ORDER_SCHEMA, SERVER, TOOL
from sovereign_pbx.assistants.estate import Estate
from sovereign_pbx.assistants.kinds import ANALYSIS_TEMPLATES, TOOL_TEMPLATES
from sovereign_pbx.assistants.public import without_secrets
from sovereign_pbx.assistants.shape import Flag, Opaque, Text, Url
from sovereign_pbx.assistants.shelf import Entry
from sovereign_pbx.assistants.table import Key, ListOf, Table
from sovereign_pbx.assistants.templates import ANALYSIS_TEMPLATE, TOOL_TEMPLATE
from sovereign_pbx.assistants.tools import NAME

Template = Mapping[str, Any]

_FLAT = (
    Key("parameters", Opaque(), "Older place of tool_config.parameters.", example=ORDER_SCHEMA),
    Key("url", Url(), "Older place of tool_config.url.", example="https://example.com/orders"),
    Key("async", Flag(), "Older place of tool_config.async.", example=False),
    Key("message", Text(), "Older place of tool_config.message.", example="I am looking it up."),
    Key("async_response", Text(), "Older place of tool_config.async_response.", example="Noted."),
    Key("server", SERVER, "Older place of tool_config.server."),
    Key("destinations", ListOf(DESTINATION, most=50), "Older place of tool_config.destinations."),
    Key("function_definition", FUNCTION, "Older place of name, description and parameters."),
    Key("server_url", Url(), "Older place of tool_config.url.", example="https://example.com/orders"),
    Key("server_secret", Text(secret=True), "Older place of tool_config.server.secret.", example="secret"),
)
_MOVED = ("parameters", "url", "async", "message", "async_response", "server", "destinations")

TOOL_BODY = Table(*TOOL_TEMPLATE.keys.values(), *_FLAT)
"""What a client may send for a tool. The name of a flat one is the tool's, where it is one that models accept."""

_STAMPS: dict[str, Any] = {"created_at": MAYBE_TIME, "updated_at": MAYBE_TIME}
_HEAD: dict[str, Any] = {"id": STRING, "org_id": STRING, "name": STRING, "description": TEXT}

TOOL_SCHEMA = object_schema(
    {**_HEAD, "tool_type": {"enum": ["function", "end_call", "transfer_call"]}, "tool_config": OBJECT, **_STAMPS}
)
ANALYSIS_SCHEMA = object_schema(
    {
        **_HEAD,
        "system_prompt": TEXT,
        "user_prompt": TEXT,
        "schema": OBJECT,
        "messages": LIST,
        "min_messages_threshold": COUNT,
        **_STAMPS,
    },
    optional=("messages", "min_messages_threshold"),
)


def operations(estate: Estate, org_id: OrgId) -> list[Operation]:
    """List, make, get, change and delete templates of both kinds."""

    async def unused(entry: Entry[Template]) -> None:
        users = (one for one in estate.assistants if _template_of(estate, one.thing.analysis_plan) is entry.thing)
        in_use("analysis template", (told("assistant", one, one.thing.name) for one in users))

    tools = Resource(
        path="/tool-templates",
        one="tool_template",
        many="tool_templates",
        title="tool template",
        operation="ToolTemplate",
        shelf=estate.tool_templates,
        body=TOOL_BODY,
        read=TOOL_TEMPLATES.read,
        show=lambda entry, asked: show_tool(entry, org_id(), asked),
        schema=TOOL_SCHEMA,
        fields_of=_tool_fields,
    )
    analyses = Resource(
        path="/analysis-templates",
        one="analysis_template",
        many="analysis_templates",
        title="analysis template",
        operation="AnalysisTemplate",
        shelf=estate.analysis_templates,
        body=ANALYSIS_TEMPLATE,
        read=ANALYSIS_TEMPLATES.read,
        show=lambda entry, asked: show_analysis(entry, org_id()),
        schema=ANALYSIS_SCHEMA,
        fields_of=_analysis_fields,
        removing=unused,
    )
    return [*tools.operations(), *analyses.operations()]


def show_tool(entry: Entry[Template], org_id: str, asked: Asked) -> dict[str, Any]:
    """The REST object; its secret for keys that could change it."""
    config = entry.thing["tool_config"]
    shown = plain(config) if may_see_secrets(entry, asked) else without_secrets(TOOL, config)
    return {**_head(entry, org_id), "tool_type": entry.thing["tool_type"], "tool_config": shown, **_stamps(entry)}


def show_analysis(entry: Entry[Template], org_id: str) -> dict[str, Any]:
    """The REST object."""
    kept = {name: entry.thing[name] for name in ("messages", "min_messages_threshold") if name in entry.thing}
    return {
        **_head(entry, org_id),
        **_prompts(entry.thing),
        "schema": entry.thing["schema"],
        **kept,
        **_stamps(entry),
    }


def _head(entry: Entry[Template], org_id: str) -> dict[str, Any]:
    description = entry.thing.get("description")
    return {"id": entry.id, "org_id": org_id, "name": entry.thing["name"], "description": description}


def _stamps(entry: Entry[Template]) -> dict[str, Any]:
    return {"created_at": entry.created_at or None, "updated_at": entry.updated_at or None}


def _tool_fields(sent: Fields, present: Fields) -> Fields:
    """`tool_config` replaces the whole one; an older place changes what stands there."""
    fields = {name: sent[name] for name in TOOL_TEMPLATE.keys if name in sent}
    moved = _older(sent)
    if "tool_config" not in sent and (moved or not present):
        named = {} if present or not _is_tool_name(sent.get("name")) else {"name": sent["name"]}
        about = {} if present or not sent.get("description") else {"description": sent["description"]}
        merged = {**about, **named, **present.get("tool_config", {}), **moved}
        fields["tool_config"] = {name: value for name, value in merged.items() if value is not None}
    elif "tool_config" not in sent and sent.get("tool_type") not in (None, present.get("tool_type")):
        fields["tool_config"] = {}  # that of another kind of tool would mean nothing
    return fields


def _older(sent: Fields) -> dict[str, Any]:
    config = {name: sent[name] for name in _MOVED if name in sent}
    config |= sent.get("function_definition") or {}
    if "server_url" in sent:
        config["url"] = sent["server_url"]
    if "server_secret" in sent:
        secret = {"secret": sent["server_secret"]} if sent["server_secret"] else {}
        config["server"] = (config.get("server") or {}) | secret
    return config


def _is_tool_name(name: Any) -> bool:
    return isinstance(name, str) and NAME.fullmatch(name) is not None


def _analysis_fields(sent: Fields, present: Fields) -> Fields:
    """Prompts and messages are two ways of writing the same: the one that was sent last counts."""
    fields = dict(sent)
    if sent.get("messages"):
        fields = {"system_prompt": None, "user_prompt": None, **fields}
    elif "system_prompt" in sent or "user_prompt" in sent:
        fields = {**_prompts(present), "messages": None, **fields}
    return fields


def _prompts(template: Mapping[str, Any]) -> dict[str, Any]:
    """Both prompts, taken from the older messages where there are only those."""
    said = {message["role"]: message["content"] for message in reversed(template.get("messages") or ())}
    return {
        "system_prompt": template.get("system_prompt", said.get("system")),
        "user_prompt": template.get("user_prompt", said.get("user")),
    }


def _template_of(estate: Estate, plan: Mapping[str, Any] | None) -> Template | None:
    wanted = ((plan or {}).get("structured_data_plan") or {}).get("template_id")
    return estate.analysis_template(wanted) if wanted else None
