"""The configuration: read from the administrator's file and the machine-owned ones beside it, checked, and frozen.

`load` gives a `Config` or raises with everything that is wrong; `examine` gives both to whoever wants to print them.
"""

import dataclasses
import functools
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sovereign_pbx.assistants.account import Account
from sovereign_pbx.assistants.directory import Directory, Number
from sovereign_pbx.assistants.mcp_server import McpServer
from sovereign_pbx.assistants.model import Assistant, identifier_of
from sovereign_pbx.assistants.problem import Path as KeyPath
from sovereign_pbx.assistants.problem import Report
from sovereign_pbx.assistants.secret import Redactor
from sovereign_pbx.assistants.shape import NOTHING
from sovereign_pbx.assistants.table import Key, ListOf, MapOf, Record, Table
from sovereign_pbx.assistants.trunk import Trunk
from sovereign_pbx.assistants.workflow import WORKFLOW, Workflow, read_workflow
from sovereign_pbx.calls.accounts import Given, overlaid
from sovereign_pbx.calls.prices import Prices
from sovereign_pbx.config_api_made import machine_owned
from sovereign_pbx.config_checks import cross_check
from sovereign_pbx.config_entries import Entries, merged, own_entries
from sovereign_pbx.config_findings import Finding, InvalidConfig, located
from sovereign_pbx.config_given_keys import given_keys
from sovereign_pbx.config_secrets import Expander, References
from sovereign_pbx.config_sections import (
    PROVIDER,
    Asterisk,
    Campaigns,
    Daemon,
    Dialling,
    Http,
    Limits,
    Log,
    Mail,
    PostCall,
    Recording,
    Retention,
    Storage,
    Transfers,
    Webhook,
)
from sovereign_pbx.config_sip import FreeSwitch, Registration, Sip
from sovereign_pbx.config_source import Source, config_path, read_source
from sovereign_pbx.core.errors import ConfigError


class _NamedAssistant(Record):
    """An assistant under the name of its table, which stands in for a missing `name` and `id`."""

    def __init__(self) -> None:
        super().__init__(Assistant)

    def check(self, value: Any, path: KeyPath, report: Report) -> Any:
        key = str(path[-1])
        given = {"name": key, "id": identifier_of(key), **value} if isinstance(value, Mapping) else value
        return Assistant.read(given, path, report) or NOTHING


class _Named(Record):
    """Anything else under the name of its table, which stands in for a missing `name` and `id`."""

    def check(self, value: Any, path: KeyPath, report: Report) -> Any:
        key = str(path[-1])
        named = isinstance(value, Mapping)
        return super().check(
            {"name": key, "id": identifier_of(f"{path[0]} {key}"), **value} if named else value, path, report
        )


class _NamedWorkflow(Record):
    """A workflow under the name of its table."""

    def __init__(self) -> None:
        super().__init__(Workflow)

    @functools.cached_property
    def table(self) -> Table:
        return WORKFLOW

    def check(self, value: Any, path: KeyPath, report: Report) -> Any:
        key = str(path[-1])
        given = {"name": key, "id": identifier_of(f"workflow {key}"), **value} if isinstance(value, Mapping) else value
        return read_workflow(given, path, report) or NOTHING


class _NumberEntry(Record):
    """A number, with an id derived from it where none is given."""

    def __init__(self) -> None:
        super().__init__(Number)

    def check(self, value: Any, path: KeyPath, report: Report) -> Any:
        if isinstance(value, Mapping) and isinstance(value.get("number"), str):
            value = {"id": identifier_of(f"number {value['number']}"), **value}
        return super().check(value, path, report)


ROOT = Table(
    Key("daemon", Record(Daemon)),
    Key("http", Record(Http)),
    Key("asterisk", Record(Asterisk)),
    Key("freeswitch", Record(FreeSwitch)),
    Key("sip", Record(Sip)),
    Key("limits", Record(Limits)),
    Key("webhook", Record(Webhook)),
    Key("dialling", Record(Dialling)),
    Key("transfers", Record(Transfers)),
    Key("campaigns", Record(Campaigns)),
    Key("recording", Record(Recording)),
    Key("post_call", Record(PostCall)),
    Key("mail", Record(Mail)),
    Key("prices", Record(Prices)),
    Key("retention", Record(Retention)),
    Key("storage", Record(Storage)),
    Key("log", Record(Log)),
    Key("providers", MapOf(PROVIDER), "Access to a provider, under its name."),
    Key("assistants", MapOf(_NamedAssistant()), "An assistant, under a name of its own; as many as you like."),
    Key(
        "trunks", MapOf(_Named(Trunk)), "A trunk of the PBX, for outbound calls and transfers, under a name of its own."
    ),
    Key(
        "registrations",
        MapOf(Record(Registration)),
        "The daemon as an extension of a PBX, where [sip] is enabled; under a name of its own.",
    ),
    Key("mcp_servers", MapOf(_Named(McpServer)), "A server of tools (MCP), under a name of its own."),
    Key("workflows", MapOf(_NamedWorkflow()), "A graph that conducts calls, under a name of its own."),
    Key("numbers", ListOf(_NumberEntry()), "Which number leads to which assistant; a block for each number."),
)
"""The whole file, as a shape."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The configuration of one daemon. Secrets in it are resolved; `repr` shows none of them."""

    daemon: Daemon = field(default_factory=Daemon)
    http: Http = field(default_factory=Http)
    asterisk: Asterisk = field(default_factory=Asterisk)
    freeswitch: FreeSwitch = field(default_factory=FreeSwitch)
    sip: Sip = field(default_factory=Sip)
    limits: Limits = field(default_factory=Limits)
    webhook: Webhook = field(default_factory=Webhook)
    dialling: Dialling = field(default_factory=Dialling)
    transfers: Transfers = field(default_factory=Transfers)
    campaigns: Campaigns = field(default_factory=Campaigns)
    recording: Recording = field(default_factory=Recording)
    post_call: PostCall = field(default_factory=PostCall)
    mail: Mail = field(default_factory=Mail)
    prices: Prices = field(default_factory=Prices)
    retention: Retention = field(default_factory=Retention)
    storage: Storage = field(default_factory=Storage)
    log: Log = field(default_factory=Log)
    providers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    assistants: Mapping[str, Assistant] = field(default_factory=dict)  # by the name of the table; API-made ones by id
    trunks: Mapping[str, Trunk] = field(default_factory=dict)
    registrations: Mapping[str, Registration] = field(default_factory=dict)
    mcp_servers: Mapping[str, McpServer] = field(default_factory=dict)
    workflows: Mapping[str, Workflow] = field(default_factory=dict)
    numbers: tuple[Number, ...] = ()

    path: Path = Path()
    checksum: str = ""  # SHA-256 of the file
    warnings: tuple[Finding, ...] = ()
    redactor: Redactor = field(default_factory=Redactor)
    resolved: Mapping[str, Any] = field(default_factory=dict, repr=False)  # the file with its references expanded
    own: Entries = field(default_factory=dict, repr=False)  # by kind: what the administrator's file holds
    made: Entries = field(default_factory=dict, repr=False)  # by kind: what the API made
    given: Mapping[str, Given] = field(default_factory=dict)  # keys of providers that came through the API

    @property
    def directory(self) -> Directory:
        """Numbers, assistants and what they refer to, as the files say: a new one each time."""
        return Directory(
            self.assistants,
            self.numbers,
            trunks=self.trunks,
            mcp_servers=self.mcp_servers,
            workflows=self.workflows,
        )

    def written(self, section: str) -> Mapping[str, Any]:
        """What the file itself says in a section: nothing where it is missing, or no table at all."""
        found = self.resolved.get(section)
        return found if isinstance(found, Mapping) else {}

    @property
    def accounts(self) -> Mapping[str, Mapping[str, Any]]:
        """`[providers]`, with the keys that were given through the API where the file has none."""
        return overlaid(self.providers, self.given)

    @property
    def account(self) -> Account:
        """The account's webhook, as far as it says who is told what."""
        hook = self.webhook
        return Account(url=hook.url, secret=hook.secret, events=hook.events, dialect=hook.dialect)

    @property
    def state_dir(self) -> Path:
        """The daemon's own folder; a relative one starts at the folder of the configuration file."""
        return self.path.parent / self.daemon.state_dir

    @property
    def keys(self) -> Path:
        """The file of the API keys."""
        return self.state_dir / "keys.toml"

    @property
    def database(self) -> Path:
        return self.state_dir / (self.storage.path or "sovereign.sqlite")

    @property
    def recordings(self) -> Path | None:
        """Folder of recordings, None when calls are not recorded."""
        return self.state_dir / (self.recording.dir or "recordings") if self.recording.enabled else None


@dataclass(frozen=True, slots=True)
class Examined:
    """A file that was read: `config` is None when there are errors among the findings."""

    path: Path
    config: Config | None
    findings: tuple[Finding, ...]


def load(path: str | Path | None = None, *, environ: Mapping[str, str] = os.environ) -> Config:
    """The configuration at `path`, else $SOVEREIGN_PBX_CONFIG, else /etc/sovereign-pbx/config.toml.

    Raises ConfigError, naming every error in the file with line and column. What is only doubtful is in `warnings`.
    """
    examined = examine(path, environ=environ)
    if examined.config is not None:
        return examined.config
    errors = tuple(finding for finding in examined.findings if finding.severity == "error")
    raise InvalidConfig(f"{examined.path} has {len(errors)} error{'s' * (len(errors) > 1)}:", findings=errors)


def examine(path: str | Path | None = None, *, environ: Mapping[str, str] = os.environ) -> Examined:
    """Read and check everything, raising nothing."""
    file = config_path(path, environ)
    try:
        return _examined(read_source(file), environ)
    except ConfigError as error:
        return Examined(file, None, (_finding(error),))
    except RecursionError:
        return Examined(file, None, (Finding(message="tables or lists are nested too deeply", file=str(file)),))


def _examined(source: Source, environ: Mapping[str, str]) -> Examined:
    report = Report(strict=True)
    expander = Expander(References(source.path.parent, environ), report)
    resolved = expander.expand(ROOT, source.data)
    parts = ROOT.check(resolved, (), report)
    _warn_of_plain_secrets(expander, source, report)
    config = Config(
        **_sections(parts),
        path=source.path.absolute(),
        checksum=source.checksum,
        redactor=expander.redactor,
        resolved=resolved,
    )
    made, made_findings = machine_owned(config.state_dir)
    given, given_findings = given_keys(config.state_dir, expander.redactor)
    config = dataclasses.replace(config, own=_own(config, source), given=given)
    config = dataclasses.replace(config, **merged(config, made))
    cross_check(config, report)
    findings = (*located(report.problems, str(source.path), source.positions), *made_findings, *given_findings)
    if any(finding.severity == "error" for finding in findings):
        return Examined(source.path, None, findings)
    return Examined(source.path, dataclasses.replace(config, warnings=findings), findings)


def _own(config: Config, source: Source) -> Entries:
    def place(*path: str | int) -> str:
        found = source.positions.place(path)
        return f"{source.path}:{found[0]}" if found else str(source.path)

    return own_entries(config, place, source.changed_at)


def _sections(parts: Mapping[str, Any]) -> dict[str, Any]:
    known = {part.name for part in dataclasses.fields(Config)}
    return {name: value for name, value in parts.items() if name in known}


def _warn_of_plain_secrets(expander: Expander, source: Source, report: Report) -> None:
    if source.world_readable:
        for path in expander.plain:
            remedy = f"use ${{env:…}}, ${{file:…}} or ${{credential:…}}, or chmod 640 {source.path}"
            report.warn(path, "is a secret in a file that everybody on this machine can read", remedy)


def _finding(error: ConfigError) -> Finding:
    return Finding(message=error.message, file=error.file, line=error.line, column=error.column, remedy=error.remedy)
