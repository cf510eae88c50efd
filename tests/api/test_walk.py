"""A walk through every operation with a plain client (contract §2): whoever adds one has to walk it here.

What holds for all of them is walked over the very list that is routed; what each is for, by hand.
"""

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sovereign_pbx import rest
from sovereign_pbx.api.operation import Operation
from sovereign_pbx.store import CallRow
from tests.api.rest import Client, Got, serving_rest

OPERATIONS = rest.declared()
ANSWERED = [operation for operation in OPERATIONS if operation.status < 400]
SCHEMA = {"type": "object", "properties": {"mood": {"type": "string"}}}
DEFINITION = {
    "version": 1,
    "entry_node": "intake",
    "nodes": [{"id": "intake", "type": "conversation", "instructions": "Ask."}],
}
CAMPAIGN = {
    **{"name": "Reminders", "agent_id": "caller", "timezone": "Europe/Amsterdam"},
    **{"schedule_start_time": "09:00", "schedule_end_time": "17:00"},
}
ORGANIZATION = {"content_retention_days": 90, "metadata_retention_days": 365}

# By the name of the operation: a body that is right, and one that is wrong with the key that has to be named.
BODIES: Mapping[str, tuple[Any, Any, str]] = {
    "createAssistant": ({"name": "Desk"}, {}, "name"),
    "updateAssistant": ({"first_message": "Hi."}, {"is_active": "yes"}, "is_active"),
    "createNumber": ({"phone_number": "200"}, {"name": "Main"}, "phone_number"),
    "updateNumber": ({"name": "Main"}, {"is_active": 1}, "is_active"),
    "createSipTrunk": ({"name": "Carrier"}, {"name": "Carrier", "transport": "sctp"}, "transport"),
    "createToolTemplate": ({"name": "Look up"}, {"name": "Look up", "tool_config": []}, "tool_config"),
    "updateToolTemplate": ({"description": "?"}, {"tool_type": "mcp"}, "tool_type"),
    "createAnalysisTemplate": ({"name": "Mood", "schema": SCHEMA}, {"name": "Mood"}, "schema"),
    "updateAnalysisTemplate": ({"user_prompt": "?"}, {"messages": "?"}, "messages"),
    "createMcpServer": ({"name": "Orders", "url": "https://example.com/"}, {"name": "Orders", "url": "/"}, "url"),
    "updateMcpServer": ({"timeout_seconds": 5}, {"timeout_seconds": 4}, "timeout_seconds"),
    "createWorkflow": ({"name": "Intake", "definition": DEFINITION}, {"name": "Intake"}, "definition"),
    "updateWorkflow": ({"name": "Other"}, {"definition": {**DEFINITION, "version": 2}}, "definition.version"),
    "createOutboundCall": (
        {"destination": "+31612345678", "assistant_id": "caller"},
        {"assistant_id": "caller"},
        "destination",
    ),
    "controlCall": ({"type": "end-call"}, {"type": "say"}, "content"),
    "createCampaign": (CAMPAIGN, {**CAMPAIGN, "timezone": "Mars/Base"}, "timezone"),
    "updateCampaign": ({"name": "Other"}, {"status": "finished"}, "status"),
    "addCampaignLeads": ({"phone_number": "+31612345678"}, {"phone_number": 7}, "phone_number"),
    "importCampaignLeads": ({"csv": "phone\n+31612345679\n"}, {"csv": 7}, "csv"),
    "addDoNotCall": ({"numbers": ["+31612345678"]}, {"numbers": "+31612345678"}, "numbers"),
    "setByokKey": ({"provider": "openai", "api_key": "sk-secret"}, {"provider": "openai"}, "api_key"),
    "deleteByokKey": ({"provider": "openai"}, {}, "provider"),
    "setByokConfig": (
        {"provider": "openai", "base_url": "http://127.0.0.1/"},
        {"provider": "openai", "base_url": 7},
        "base_url",
    ),
    "beginDrain": ({"now": True}, {"now": 1}, "now"),
    "updateOrganization": (ORGANIZATION, {"content_retention_days": 90}, "metadata_retention_days"),
}

FILE: dict[str, Any] = {
    "assistants": {"caller": {"name": "The caller"}},
    "dialling": {"allow": ["+31*"]},
    "trunks": {"carrier": {}},
    "numbers": [{"number": "+31850835037", "id": "ours", "assistant": "caller", "transfer_trunk": "carrier"}],
    "recording": {"enabled": True},
}


def body_of(operation: Operation) -> Any:
    """A body that is right."""
    return BODIES[operation.name][0] if operation.body is not None else None


def everywhere(operations: Iterable[Operation], unknown: str = "nothing") -> Iterable[tuple[Operation, str]]:
    """Every path of every operation, with ids that lead nowhere."""
    for operation in operations:
        for path in operation.paths:
            yield operation, re.sub(r"\{\w+\}", unknown, path)


def walk_all(
    folder: Path, look: Callable[[Operation, Got], bool], operations: Iterable[Operation], **asking: Any
) -> dict[str, Any]:
    """Ask everywhere; what was answered otherwise than `look` wants."""
    return asyncio.run(_asked(folder, look, operations, **asking))


async def _asked(
    folder: Path,
    look: Callable[[Operation, Got], bool],
    operations: Iterable[Operation],
    *,
    scopes: Callable[[Operation], tuple[str, ...]] = lambda operation: ("admin",),
    body: Callable[[Operation], Any] = body_of,
    **sections: Any,
) -> dict[str, Any]:
    wrong: dict[str, Any] = {}
    async with serving_rest(folder, **sections) as api:
        keys = {wanted: await api.with_scopes(*wanted) for wanted in {scopes(one) for one in operations} if wanted}
        for operation, path in everywhere(operations):
            client = keys.get(scopes(operation), api.as_key(""))
            got = await client.send(operation.method, path, body(operation))
            if not look(operation, got):
                wrong[f"{operation.method} {path}"] = (got.status, got.body)
    return wrong


GUARDED = [operation for operation in OPERATIONS if operation.scope is not None]


def test_without_a_key_every_operation_is_401(tmp_path: Path) -> None:
    def look(operation: Operation, got: Got) -> bool:
        return got.status == 401 and got.body["code"] == "unauthorized" and "X-RateLimit-Remaining" in got.headers

    assert walk_all(tmp_path, look, GUARDED, scopes=lambda operation: ()) == {}
    assert {operation.name for operation in OPERATIONS} - {operation.name for operation in GUARDED} == {
        *("getHealth", "getOpenApi"),
    }


def test_with_too_small_a_scope_every_operation_is_403(tmp_path: Path) -> None:
    def look(operation: Operation, got: Got) -> bool:
        return (
            got.status == 403 and got.body["code"] == "forbidden" and f"needs {operation.scope}" in got.body["message"]
        )

    too_small = {"read": ("calls",), "calls": ("read",), "admin": ("read", "calls")}
    assert walk_all(tmp_path, look, GUARDED, scopes=lambda operation: too_small[str(operation.scope)]) == {}


def test_what_reads_needs_read_and_what_changes_more() -> None:
    for operation in GUARDED:
        assert (operation.method == "GET") is (operation.scope == "read"), operation.name


def test_an_unknown_id_is_404_everywhere(tmp_path: Path) -> None:
    def look(operation: Operation, got: Got) -> bool:
        return got.status == 404 and got.body["code"] == "not_found" and "nothing" in got.body["message"]

    with_id = [operation for operation in ANSWERED if "{" in operation.path]
    assert len(with_id) > 25
    assert walk_all(tmp_path, look, with_id) == {}


def test_a_wrong_body_is_400_everywhere_and_names_the_key(tmp_path: Path) -> None:
    def look(operation: Operation, got: Got) -> bool:
        key = BODIES[operation.name][2]
        named = any(re.match(rf'"?{re.escape(key)}\b', line) for line in got.body.get("details", ()))
        return got.status == 400 and got.body["code"] in ("invalid_request", "missing_field") and named

    with_body = [operation for operation in OPERATIONS if operation.body is not None]
    assert {operation.name for operation in with_body} == set(BODIES)
    assert walk_all(tmp_path, look, with_body, body=lambda operation: BODIES[operation.name][1]) == {}


@pytest.mark.parametrize("body", [[], "text", None], ids=["list", "text", "null"])
def test_a_body_that_is_no_object_is_400_everywhere(tmp_path: Path, body: Any) -> None:
    def look(operation: Operation, got: Got) -> bool:
        return got.status == 400 and got.body["error"] == "Bad Request" and "code" in got.body

    with_body = [operation for operation in OPERATIONS if operation.body is not None]
    assert walk_all(tmp_path, look, with_body, body=lambda operation: body) == {}


def test_over_the_limit_every_operation_is_429_before_anything_is_done(tmp_path: Path) -> None:
    spent: list[Operation] = []

    def look(operation: Operation, got: Got) -> bool:
        spent.append(operation)
        if len(spent) == 1:
            return got.status == 200
        waits = got.headers.get("Retry-After") == str(got.body.get("retry_after"))
        return got.status == 429 and got.body["code"] == "rate_limit_exceeded" and waits

    assert walk_all(tmp_path, look, GUARDED, http={"requests_per_minute": 1}) == {}


def test_what_can_not_be_here_says_so(tmp_path: Path) -> None:
    def look(operation: Operation, got: Got) -> bool:
        return got.status == 501 and got.body["code"] == "not_on_premises" and len(got.body["message"]) > 40

    assert walk_all(tmp_path, look, [one for one in OPERATIONS if one.status == 501]) == {}


# --- by hand


@dataclass
class Walk:
    """A client that remembers which operations have answered as they should."""

    api: Client
    walked: set[str] = field(default_factory=set)

    async def __call__(self, method: str, path: str, body: Any = None) -> Any:
        """The answer of an operation that succeeds."""
        got = await self.api.send(method, path, body)
        operation = _operation(method, path)
        assert got.status == operation.status, (method, path, got.body)
        self.walked.add(operation.name)
        return got.body

    async def refused(self, method: str, path: str, status: int, body: Any = None) -> str:
        """The code of a refusal."""
        got = await self.api.send(method, path, body)
        assert got.status == status, (method, path, got.body)
        code: str = got.body["code"]
        return code


def _operation(method: str, path: str) -> Operation:
    """The one that is routed there; a path without places wins."""
    full = path if path.startswith("/api/") else f"/api/v1{path}"
    for operation in sorted(OPERATIONS, key=lambda operation: operation.path.count("{")):
        patterns = (re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(one)) for one in operation.paths)
        if operation.method == method and any(re.fullmatch(pattern, full) for pattern in patterns):
            return operation
    raise AssertionError(f"there is no operation {method} {path}")


@dataclass(frozen=True, slots=True)
class Kind:
    """How one kind of object is walked. `clears` is nullable and part of `body`; without it there is no PATCH."""

    path: str
    one: str
    body: Mapping[str, Any]
    clears: str = ""
    twice: bool = False  # may there be two of the same?
    own: int = 0  # how many the administrator's file has


KINDS = (
    Kind("/assistants", "assistant", {"name": "Desk", "first_message": "Hello."}, "first_message", twice=True, own=1),
    Kind("/numbers", "number", {"phone_number": "200", "assistant_id": "caller"}, "assistant_id", own=1),
    Kind(
        "/sip-trunks",
        "trunk",
        {"name": "Carrier", "provider": "Example", "address": "sip.example.com"},
        twice=True,
        own=1,
    ),
    Kind("/tool-templates", "tool_template", {"name": "Look up", "description": "?"}, "description", twice=True),
    Kind(
        "/analysis-templates",
        "analysis_template",
        {"name": "Mood", "schema": SCHEMA, "user_prompt": "?"},
        "user_prompt",
        twice=True,
    ),
    Kind(
        "/mcp-servers",
        "mcp_server",
        {"name": "Orders", "url": "https://example.com/", "headers": {"X": "y"}},
        "headers",
    ),
    Kind(
        "/workflows",
        "workflow",
        {"name": "Intake", "definition": DEFINITION, "is_active": False},
        "is_active",
        twice=True,
    ),
)


async def walk_kind(walk: Walk, kind: Kind) -> None:
    """Make, list, read, change, clear, conflict, delete."""
    made = (await walk("POST", kind.path, kind.body))[kind.one]
    path = f"{kind.path}/{made['id']}"
    if not kind.twice:
        assert await walk.refused("POST", kind.path, 409, kind.body) in ("already_in_use", "already_exists")
    assert (await walk("GET", path)) == {kind.one: made}
    listed = (await walk("GET", kind.path))[f"{kind.one}s"]
    assert [one["id"] for one in listed][kind.own :] == [made["id"]]
    if kind.clears:
        await walk_change(walk, kind, path, made)
    assert await walk("DELETE", path) == {"success": True}
    assert await walk.refused("GET", path, 404) == "not_found"
    assert await walk.refused("DELETE", path, 404) == "not_found"
    for owned in listed[: kind.own]:
        assert await walk.refused("DELETE", f"{kind.path}/{owned['id']}", 409) == "owned_by_file"


async def walk_change(walk: Walk, kind: Kind, path: str, made: Mapping[str, Any]) -> None:
    """What is not sent stays, null clears, and all of it can be sent back."""
    unchanged = (await walk("PATCH", path, {}))[kind.one]
    assert {**unchanged, "updated_at": ""} == {**made, "updated_at": ""} and unchanged["updated_at"] >= made[
        "updated_at"
    ]
    cleared = (await walk("PATCH", path, {kind.clears: None}))[kind.one]
    shown = "header_names" if kind.clears == "headers" else kind.clears
    empty: tuple[Any, ...] = (None, [], True)  # true: what a workflow is unless told otherwise
    assert cleared[shown] in empty and made[shown] not in empty
    assert (await walk("PATCH", path, made))[kind.one].keys() == made.keys()


async def walk_calls(walk: Walk) -> None:
    placed = await walk("POST", "/calls/outbound", BODIES["createOutboundCall"][0])
    assert (placed["success"], placed["status"]) == (True, "dialing")
    folder = walk.api.config.recordings
    assert folder is not None
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    await asyncio.to_thread((folder / "c1.wav").write_bytes, b"RIFF")
    row = CallRow(id="c1", status="ended", duration_seconds=60, recording_path=str(folder / "c1.wav"))
    await walk.api.store.create_call(row)
    assert "c1" in [call["id"] for call in (await walk("GET", "/calls"))["calls"]]
    assert (await walk("GET", "/calls/c1"))["duration_seconds"] == 60
    assert await walk("GET", "/calls/c1/recording") == b"RIFF"
    assert await walk("DELETE", "/calls/c1/recording") == {"success": True}
    assert await walk.refused("GET", "/calls/c1/recording", 410) == "recording_removed"
    walk.api.desk.live.add("live")
    assert (await walk("POST", "/calls/live/control", {"type": "end-call"}))["success"] is True
    walk.api.desk.over.add("over")
    assert await walk.refused("POST", "/calls/over/control", 400, {"type": "end-call"}) == "call_not_active"
    assert set(await walk("GET", "/usage")) == {"logs", "pagination", "summary"}


async def walk_campaigns(walk: Walk) -> None:
    campaign = (await walk("POST", "/campaigns", CAMPAIGN))["campaign"]
    path = f"/campaigns/{campaign['id']}"
    assert (await walk("GET", path)) == {"campaign": campaign}
    assert [one["id"] for one in (await walk("GET", "/campaigns"))["campaigns"]] == [campaign["id"]]
    assert (await walk("PATCH", path, {"name": "Other"}))["campaign"]["name"] == "Other"
    await walk("POST", f"{path}/leads", {"phone_number": "+31612345678"})
    (lead,) = (await walk("GET", f"{path}/leads"))["leads"]
    assert (await walk("POST", f"{path}/leads/import", BODIES["importCampaignLeads"][0]))["taken"] == 1
    assert await walk("DELETE", f"{path}/leads/{lead['id']}") == {"success": True}
    assert await walk.refused("DELETE", f"{path}/leads/{lead['id']}", 404) == "not_found"
    assert await walk("DELETE", path) == {"success": True}
    assert await walk("POST", "/do-not-call", {"numbers": ["0031612345678"]}) == {"numbers": ["+31612345678"]}
    assert [one["number"] for one in (await walk("GET", "/do-not-call"))["numbers"]] == ["+31612345678"]
    assert (await walk("GET", "/do-not-call/%2B31612345678"))["number"]["reason"] == ""
    assert await walk("DELETE", "/do-not-call/+31612345678") == {"success": True}
    assert await walk.refused("GET", "/do-not-call/+31612345678", 404) == "not_found"


async def walk_the_installation(walk: Walk) -> None:
    assert {voice["provider"] for voice in (await walk("GET", "/voices"))["voices"]} >= {"hibari"}
    assert (await walk("POST", "/byok", {"provider": "openai", "api_key": "sk-secret"}))["success"] is True
    assert (await walk("GET", "/byok"))["byok_keys"]["openai_secret_id"]
    assert await walk("POST", "/byok/config", BODIES["setByokConfig"][0])
    assert (await walk("DELETE", "/byok", {"provider": "openai"}))["success"] is True
    organization = await walk("GET", "/organizations")
    assert (await walk("GET", "/account"))["id"] == organization["id"]
    assert await walk("PATCH", "/organizations", ORGANIZATION)
    assert (await walk("GET", "/health"))["status"] == "ok"
    assert (await walk("GET", "/audit"))["asked"] is True
    assert (await walk("GET", "/api/openapi.json"))["openapi"] == "3.1.0"


async def walk_reload(walk: Walk) -> None:
    answer = await walk("POST", "/configuration/reload")
    assert (answer["success"], answer["added"]) == (True, ["assistants.night"])


async def walk_drain(walk: Walk) -> None:
    assert (await walk("GET", "/drain"))["draining"] is False
    assert (await walk("POST", "/drain", {}))["draining"] is True
    assert (await walk("POST", "/drain", {"now": True}))["calls"] == 0
    assert (await walk("DELETE", "/drain"))["draining"] is False


async def walk_mcp_test(walk: Walk) -> None:
    server = (await walk("POST", "/mcp-servers", BODIES["createMcpServer"][0]))["mcp_server"]
    assert (await walk("POST", f"/mcp-servers/{server['id']}/test"))["ok"] is True


def test_every_operation_does_what_it_is_for(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path, **FILE) as api:
            walk = Walk(api)
            for kind in KINDS:
                await walk_kind(walk, kind)
            for walk_on in (walk_calls, walk_campaigns, walk_the_installation, walk_reload, walk_drain, walk_mcp_test):
                await walk_on(walk)
            left_out = {operation.name for operation in ANSWERED} - walk.walked
            assert left_out == set(), "walk them here, by hand"

    asyncio.run(run())
