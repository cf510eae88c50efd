"""One renewal of a running daemon: everything made beforehand, put in place in one step, what it replaces seen out.

Calls in progress keep what they began with. Whatever goes wrong before the step leaves the daemon as it was.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import structlog

from sovereign_pbx import rest
from sovereign_pbx.assistants.directory import Directory
from sovereign_pbx.assistants.secret import Secret
from sovereign_pbx.assistants.shelf import Entry, secrets_in
from sovereign_pbx.config import Config
from sovereign_pbx.config_api_made import machine_owned
from sovereign_pbx.config_difference import Difference, difference, usable
from sovereign_pbx.config_entries import entries_of
from sovereign_pbx.core.errors import ConfigError
from sovereign_pbx.in_use import Delivery, InUse, longest_s
from sovereign_pbx.installation_file import read_kept
from sovereign_pbx.log import set_level
from sovereign_pbx.preloading import newcomers
from sovereign_pbx.reload import Step, take_effect

if TYPE_CHECKING:
    import ssl

    from aiohttp import web

    from sovereign_pbx.daemon import Daemon

log = structlog.get_logger(__name__)

_LOAD_S: Final = 40.0
"""What models of new assistants may take to load. Then they are announced, and load behind their first callers."""

Entries = Mapping[str, Iterable[Entry[Any]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fresh:
    """What takes the place of what is there."""

    in_use: InUse
    delivery: Delivery | None
    api: "web.AppRunner | None"
    tls: "ssl.SSLContext | None"
    retention: tuple[int, int]


async def take_up(daemon: "Daemon", wanted: Config) -> Difference:
    """Have `daemon` use `wanted`, as far as it can while it runs; how that differs from what it used."""
    former = daemon.in_use
    told = difference(former.config, wanted)
    former.config.redactor.absorb(wanted.redactor)
    config = replace(usable(former.config, wanted), redactor=former.config.redactor)
    async with AsyncExitStack() as on_failure:
        fresh = await _made(daemon, config, on_failure)
        async with daemon.estate.changing:
            entries, secrets = await asyncio.to_thread(_entries, config)
            for secret in secrets:
                config.redactor.add(secret)
            delivery, calls = daemon.delivery, daemon.desk.tasks
            api = daemon.listener.runner if daemon.listener is not None else None
            take_effect(_steps(daemon, fresh, entries))
        on_failure.pop_all()
    daemon.retiring.add(former, calls, api)
    await _follow(daemon, former.config, fresh, delivery)
    return told


async def _made(daemon: "Daemon", config: Config, on_failure: AsyncExitStack) -> _Fresh:
    former = daemon.in_use
    await asyncio.to_thread(make_folders, config)
    accounts = former.accounts.rewritten(config.providers)
    providers = former.services.providers.successor(accounts, idle_s=longest_s(config))
    edition = Directory({})
    in_use = await daemon.new_in_use(config, accounts, providers, edition)
    on_failure.push_async_callback(in_use.resources.aclose)
    delivery = None
    if (config.webhook, config.mail) != (former.config.webhook, former.config.mail):
        delivery = await daemon.new_delivery(config)
        on_failure.push_async_callback(delivery.close)
    api = tls = None
    if daemon.listener is not None:
        tls = await rest.tls_of(config)
        api = await daemon.listener.made_ready(await daemon.application(in_use))
        on_failure.push_async_callback(api.cleanup)
    await _load(in_use, former)
    retention = await asyncio.to_thread(_retention, config)
    return _Fresh(in_use=in_use, delivery=delivery, api=api, tls=tls, retention=retention)


def _steps(daemon: "Daemon", fresh: _Fresh, entries: Entries) -> Sequence[Step]:
    """None of it waits, and between two of them no call gets a turn."""
    former, estate, listener = daemon.in_use, daemon.estate, daemon.listener
    stood, edition = estate.entries, estate.edition
    retention, kept = daemon.retention, (daemon.retention.content_days, daemon.retention.metadata_days)
    levels = former.config.log.level, fresh.in_use.config.log.level
    steps = [
        Step(
            "objects",
            lambda: estate.load(entries, fresh.in_use.services.directory),
            lambda: estate.load(stood, edition),
        ),
        Step("calls", lambda: daemon.reconfigure(fresh.in_use), lambda: daemon.reconfigure(former)),
        Step("retention", lambda: retention.keep(*fresh.retention), lambda: retention.keep(*kept)),
    ]
    if listener is not None and fresh.api is not None:
        api, served = fresh.api, (listener.runner, listener.tls)
        steps.append(Step("api", lambda: listener.replace(api, fresh.tls), lambda: listener.replace(*served)))
    if fresh.delivery is not None:
        delivery, delivering = fresh.delivery, daemon.delivery
        steps.append(
            Step("delivery", lambda: daemon.deliver_by(delivery), lambda: daemon.deliver_by(delivering)),
        )
    if levels[0] != levels[1]:
        steps.append(Step("log", lambda: set_level(levels[1]), lambda: set_level(levels[0])))
    return steps


async def _follow(daemon: "Daemon", former: Config, fresh: _Fresh, delivery: Delivery) -> None:
    """What takes time and hurts nobody. The new configuration counts already, so that nothing here can refuse it."""
    config = fresh.in_use.config
    try:
        if fresh.delivery is not None:
            try:
                await delivery.close()  # two at once could deliver the same webhook twice
            finally:
                fresh.delivery.start()
        if (former.recording, former.webhook.keep_days) != (config.recording, config.webhook.keep_days):
            await daemon.stand(config)
    except Exception:
        log.exception("configuration.not_followed")


async def _load(in_use: InUse, former: InUse) -> None:
    """Nobody's first caller waits for a model: it is loaded before the assistant is there."""
    directory = in_use.config.directory
    if in_use.config.providers == former.config.providers:
        wanted = await asyncio.to_thread(newcomers, former.config.directory, directory)
    else:
        wanted = list(directory.assistants.values())
    try:
        async with asyncio.timeout(_LOAD_S):
            await in_use.services.providers.preload(wanted)
    except TimeoutError:
        log.warning("configuration.models_late", seconds=_LOAD_S)


def _entries(config: Config) -> tuple[Entries, set[Secret]]:
    """And their secrets. What the API made is read once more: it may have made something since the file was."""
    made, _ = machine_owned(config.state_dir)
    entries = entries_of(replace(config, made=made))
    return entries, {secret for kind in entries.values() for entry in kind for secret in secrets_in(entry.thing)}


def _retention(config: Config) -> tuple[int, int]:
    """What the API was told counts before the file."""
    kept = read_kept(config.state_dir) if config.http.enabled else None
    if kept is not None and kept.content_retention_days is not None and kept.metadata_retention_days is not None:
        return kept.content_retention_days, kept.metadata_retention_days
    return config.retention.content_days, config.retention.metadata_days


def make_folders(config: Config) -> None:
    """Those that the daemon writes to. Blocks. ConfigError where one can't be had."""
    folders = {"daemon.state_dir": config.state_dir, "recording.dir": config.recordings}
    for key, folder in folders.items():
        try:
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as exc:
            raise ConfigError(
                f"{key}: can't make the folder {folder}: {exc.strerror}",
                file=str(config.path),
                key=key,
                remedy="Choose a folder that the daemon's user may write, or make it for that user.",
            ) from exc
