"""The REST API put together: what each operation needs, the gate before them, and their document."""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from aiohttp import web

from sovereign_pbx import __version__
from sovereign_pbx.api.errors import ApiError
from sovereign_pbx.api.gate import Gate
from sovereign_pbx.api.health import HealthProbe
from sovereign_pbx.api.keys import KeyRing
from sovereign_pbx.api.metrics import Metrics
from sovereign_pbx.api.openapi import document
from sovereign_pbx.api.operation import Operation
from sovereign_pbx.api.resources import (
    assistants,
    audit,
    byok,
    calls,
    campaigns,
    configuration,
    control,
    do_not_call,
    documents,
    drain,
    elsewhere,
    health,
    mcp_servers,
    numbers,
    once,
    organization,
    outbound,
    templates,
    trunks,
    usage,
    voices,
    workflows,
)
from sovereign_pbx.api.server import make_app
from sovereign_pbx.assistants.estate import Estate
from sovereign_pbx.calls.accounts import Accounts
from sovereign_pbx.calls.archive import Archive
from sovereign_pbx.calls.campaigns import Campaigns
from sovereign_pbx.calls.do_not_call_list import DoNotCallList
from sovereign_pbx.config import Config
from sovereign_pbx.config_findings import InvalidConfig
from sovereign_pbx.config_tls import context_of
from sovereign_pbx.core.errors import ConfigError
from sovereign_pbx.core.events import Instructed
from sovereign_pbx.provider_check import provider_problems


class Desk(outbound.Dialler, Protocol):
    """Whoever has the calls: places them, and steers them."""

    async def instruct(self, call_id: str, order: Instructed) -> None:
        """Give an order to a live call. Raises Refused."""

    async def pause_recording(self, call_id: str, paused: bool) -> None:
        """Pause the recording of a live call, or go on with it. Raises Refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """The parts of the daemon that operations work on."""

    config: Config
    estate: Estate
    probe_mcp: mcp_servers.Probe
    probe: HealthProbe
    desk: Desk
    audit: audit.Audit
    draining: drain.Draining
    archive: Archive
    campaigns: Campaigns
    do_not_call: DoNotCallList
    is_good_link: calls.LinkCheck
    claims: once.Claims
    usage: usage.Usage
    voices: voices.Voices
    accounts: Accounts
    installation: organization.Installation
    reload: configuration.Reload


def operations_of(backend: Backend) -> list[Operation]:
    """Every operation of the contract."""

    def org_id() -> str:
        return backend.installation.id

    operations = [
        *assistants.operations(backend.estate, backend.campaigns, _provider_problems(backend)),
        *numbers.operations(backend.estate),
        *trunks.operations(backend.estate, org_id),
        *templates.operations(backend.estate, org_id),
        *mcp_servers.operations(backend.estate, org_id, backend.probe_mcp),
        *workflows.operations(backend.estate),
        *_of_calls(backend),
        *_of_the_installation(backend),
    ]
    operations += documents.operations(lambda: document(operations, __version__))
    return operations


def _provider_problems(backend: Backend) -> outbound.ProviderProblems:
    return lambda fields: provider_problems(fields, backend.accounts)


def _reload(backend: Backend) -> configuration.Reload:
    async def reload() -> Mapping[str, Any]:
        try:
            return await backend.reload()
        except ConfigError as exc:
            findings = exc.findings if isinstance(exc, InvalidConfig) else ()
            message = "The configuration was not taken up, and the one before it stays in use: the file has errors."
            details = [str(finding) for finding in findings] or [str(exc)]
            raise ApiError(422, "invalid_configuration", message, details) from exc

    return reload


def _of_calls(backend: Backend) -> list[Operation]:
    async def instruct(call_id: str, order: Instructed) -> None:
        await backend.desk.instruct(call_id, order)

    async def pause_recording(call_id: str, paused: bool) -> None:
        await backend.desk.pause_recording(call_id, paused)

    return [
        *calls.operations(backend.archive, backend.is_good_link),
        *outbound.operations(
            backend.estate.directory, backend.desk, once.Once(backend.claims), _provider_problems(backend)
        ),
        *control.operations(instruct, pause_recording, per_minute=backend.config.http.commands_per_minute),
        *usage.operations(backend.usage),
        *campaigns.operations(backend.campaigns),
        *do_not_call.operations(backend.do_not_call),
    ]


def _of_the_installation(backend: Backend) -> list[Operation]:
    return [
        *voices.operations(backend.voices),
        *byok.operations(backend.accounts),
        *organization.operations(backend.installation, backend.estate, email=backend.config.mail.sender),
        *health.operations(backend.probe),
        *audit.operations(backend.audit),
        *drain.operations(backend.draining),
        *configuration.operations(_reload(backend)),
        *elsewhere.operations(),
    ]


def declared() -> list[Operation]:
    """Every operation, without a daemon: they are declared, and nothing behind them is touched."""
    nothing: dict[str, Any] = dict.fromkeys(Backend.__slots__)
    return operations_of(Backend(**{**nothing, "config": Config(), "estate": Estate(_Nowhere(), {})}))


def described() -> dict[str, Any]:
    """The API's document."""
    return document(declared(), __version__)


class _Nowhere:
    """Keeps nothing."""

    async def write(self, kind: str, object_id: str, fields: Mapping[str, Any]) -> None: ...

    async def remove(self, kind: str, object_id: str) -> None: ...


def application(backend: Backend, metrics: Metrics) -> web.Application:
    """Everything that the HTTP listener serves."""
    http = backend.config.http
    gate = Gate(
        KeyRing(backend.config.keys),
        per_minute=http.requests_per_minute,
        limit_loopback=http.limit_loopback,
    )
    return make_app(backend.probe, metrics, operations_of(backend), gate, max_body=http.max_body_bytes)


async def tls_of(config: Config) -> ssl.SSLContext | None:
    """The listener's certificate, None for plain HTTP. ConfigError if it can't be used."""
    return await asyncio.to_thread(context_of, config)
