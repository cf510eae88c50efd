"""The REST API on a real socket with everything real behind it but calls, and a client that says little."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import tomli_w

from sovereign_pbx import rest
from sovereign_pbx.api.keys import new_key, read_keys, write_keys
from sovereign_pbx.api.metrics import Metrics
from sovereign_pbx.api.server import Listener
from sovereign_pbx.assistants.estate import Estate
from sovereign_pbx.assistants.mcp_server import McpServer
from sovereign_pbx.calls.accounts import Accounts
from sovereign_pbx.calls.archive import Archive
from sovereign_pbx.calls.campaigns import Campaigns
from sovereign_pbx.calls.do_not_call_list import DoNotCallList
from sovereign_pbx.calls.installation import Installation
from sovereign_pbx.calls.recording_links import RecordingLinks
from sovereign_pbx.calls.retention import Retention
from sovereign_pbx.calls.usage_log import UsageLog
from sovereign_pbx.calls.voices import VoiceBook
from sovereign_pbx.config import Config, load
from sovereign_pbx.config_entries import entries_of
from sovereign_pbx.installation_file import read_kept
from sovereign_pbx.store.object_files import ObjectFiles
from sovereign_pbx.store.sqlite import SqliteStore
from tests.api.desk import ScriptedDesk
from tests.api.probe import ScriptedProbe

LINK_KEY = b"k" * 32


@dataclass
class Got:
    """An answer."""

    status: int
    body: Any
    headers: Mapping[str, str]


@dataclass
class Client:
    """Asks as one key does; `as_key("")` as somebody without one."""

    session: aiohttp.ClientSession
    address: str
    key: str
    config: Config
    backend: rest.Backend = field(repr=False)
    store: SqliteStore

    @property
    def desk(self) -> ScriptedDesk:
        assert isinstance(self.backend.desk, ScriptedDesk)
        return self.backend.desk

    def as_key(self, key: str) -> "Client":
        return replace(self, key=key)

    async def with_scopes(self, *scopes: str) -> "Client":
        """With a new key that may only do this."""
        return self.as_key(await asyncio.to_thread(make_key, self.config, scopes))

    async def get(self, path: str, **query: Any) -> Got:
        return await self.send("GET", path, query=query)

    async def post(self, path: str, body: Any = None) -> Got:
        return await self.send("POST", path, body)

    async def patch(self, path: str, body: Any = None) -> Got:
        return await self.send("PATCH", path, body)

    async def delete(self, path: str, body: Any = None) -> Got:
        return await self.send("DELETE", path, body)

    async def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        raw: bytes | None = None,
        query: Mapping[str, Any] | None = None,
    ) -> Got:
        """`path` is below /api/v1 unless it begins with /api or /v1."""
        url = self.address + (path if path.startswith(("/api", "/v1/")) else f"/api/v1{path}")
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self.key}"} if self.key else {})
        data = raw if raw is not None else msgspec.json.encode(body) if body is not None else None
        params = {name: str(value) for name, value in (query or {}).items()}
        async with self.session.request(method, url, data=data, headers=headers, params=params) as response:
            text = await response.read()
            kind = response.headers.get("Content-Type", "")
            shown = msgspec.json.decode(text) if kind.startswith("application/json") else text
            return Got(response.status, shown, dict(response.headers))


def make_key(config: Config, scopes: tuple[str, ...] = ("admin",)) -> str:
    """A new key of this installation."""
    present = read_keys(config.keys)
    token, key = new_key(f"test {len(present)}", scopes, now=datetime.now(UTC))
    write_keys(config.keys, [*present, key])
    return token


async def scripted_probe(server: McpServer) -> Mapping[str, Any]:
    """What the test of an MCP server gives, by its name."""
    if server.name == "away":
        return {"ok": False, "duration_ms": 3, "error": "the server can't be reached"}
    tool = {"name": "search", "description": "Search.", "input_schema": {"type": "object"}}
    return {"ok": True, "duration_ms": 3, "tools": [tool]}


class ScriptedDraining:
    """Two calls, until they are given up."""

    def __init__(self) -> None:
        self.draining, self.calls = False, 2

    def state(self) -> dict[str, Any]:
        return {"draining": self.draining, "calls": self.calls, "oldest_seconds": 12.5}

    def begin(self, *, now: bool) -> None:
        self.draining, self.calls = True, 0 if now else self.calls

    def cancel(self) -> None:
        self.draining = False


class ScriptedAudit:
    """One call, which the PBX has not got."""

    async def report(self) -> dict[str, Any]:
        call = {"call_id": "c1", "channel": "PJSIP/a-1", "phase": "talking", "under_way": True}
        differs = {"kind": "gone", "call_id": "c1", "channel": "PJSIP/a-1", "why": "it has no channel any more"}
        return {"calls": [call], "differences": [differs], "asked": True, "why": "", "mended": 2}


@asynccontextmanager
async def serving_rest(folder: Path, **sections: Any) -> AsyncIterator[Client]:
    """The API of an installation whose file holds `sections`; a later one in this folder finds what this one made."""
    config = await asyncio.to_thread(written, folder, sections)
    store = await SqliteStore.open(config.database)
    try:
        backend = await backend_of(config, store)
        listener = Listener(rest.application(backend, Metrics()))
        port = await listener.start("127.0.0.1", 0)
        try:
            async with aiohttp.ClientSession() as session:
                key = await asyncio.to_thread(make_key, config)
                yield Client(session, f"http://127.0.0.1:{port}", key, config, backend, store)
        finally:
            await listener.close()
    finally:
        await store.close()


async def backend_of(config: Config, store: SqliteStore) -> rest.Backend:
    """Everything real but the calls themselves."""
    keep = ObjectFiles(config.state_dir)
    accounts = Accounts(config.providers, config.given, keep, hide=config.redactor.add)
    kept = await asyncio.to_thread(read_kept, config.state_dir)
    estate = Estate(keep, entries_of(config), hide=config.redactor.add)
    desk = ScriptedDesk(config, store)
    links = RecordingLinks(LINK_KEY, "http://pbx.example", 7.0)
    installation = Installation(
        kept,
        keep,
        name=config.daemon.name or "this machine",
        spent=store,
        retention=Retention(config.retention.content_days, config.retention.metadata_days),
        active_calls=lambda: len(desk.live),
    )
    await installation.begin()
    return rest.Backend(
        config=config,
        audit=ScriptedAudit(),
        draining=ScriptedDraining(),
        estate=estate,
        probe_mcp=scripted_probe,
        probe=ScriptedProbe(),
        desk=desk,
        archive=Archive(
            store, recordings=config.recordings, recording_url=lambda call_id: links.link(call_id, time.time())
        ),
        is_good_link=lambda call_id, expires, signature: links.check(call_id, expires, signature, time.time()),
        campaigns=Campaigns(store.campaigns, estate.directory, config.dialling.rules),
        do_not_call=DoNotCallList(store.do_not_call, config.dialling.country_code),
        claims=store.claims,
        usage=UsageLog(store),
        voices=VoiceBook(accounts),
        accounts=accounts,
        installation=installation,
        reload=_reload,
    )


async def _reload() -> Mapping[str, Any]:
    """As the daemon tells it."""
    changed = [{"key": "limits.max_calls", "before": "100", "after": "50"}]
    names = {"added": ["assistants.night"], "removed": [], "warnings": []}
    moment = {"loaded_at": "2026-11-20T07:30:00.000Z", "checksum": "0" * 64}
    return {**moment, **names, "changed": changed, "needs_restart": []}


def written(folder: Path, sections: Mapping[str, Any]) -> Config:
    """A configuration file with these sections, read."""
    usual = {"daemon": {"state_dir": str(folder / "state")}, "http": {"requests_per_minute": 100_000}}
    file = folder / "config.toml"
    file.write_text(tomli_w.dumps({**usual, **sections}))
    file.chmod(0o600)
    return load(file)
