"""What the daemon does when a caller has gone, put together from the configuration: summary, report, mail, links."""

import asyncio
import time

from sovereign_pbx.calls.analysis_plan import Template
from sovereign_pbx.calls.post_call import PostCall, PostCallSettings
from sovereign_pbx.calls.providers import Providers
from sovereign_pbx.calls.recording_audit import RecordingAudit
from sovereign_pbx.calls.recording_converter import Converter
from sovereign_pbx.calls.recording_links import RecordingLinks, link_key
from sovereign_pbx.calls.report import Reporting
from sovereign_pbx.calls.retention import Retention, Sweeper
from sovereign_pbx.config import Config
from sovereign_pbx.media import age
from sovereign_pbx.media.age_keys import public_keys
from sovereign_pbx.store.sqlite import SqliteStore
from sovereign_pbx.webhooks.carrier import Carrier
from sovereign_pbx.webhooks.mail import MailCarrier, MailServer


def post_call(config: Config, providers: Providers, template: Template | None = None) -> PostCall:
    """Summaries and analyses, as `[post_call]` has them. `template` finds an analysis template by its id."""
    section = config.post_call
    settings = PostCallSettings(
        summaries=section.summaries,
        provider=section.provider,
        model=section.model,
        timeout_s=section.timeout_seconds,
        wait_s=section.wait_seconds,
        at_once=section.at_once,
        waiting=section.waiting,
    )
    return PostCall(providers, settings=settings, accounts=providers.accounts, template=template, prices=config.prices)


def carriers(config: Config) -> dict[str, Carrier]:
    """Who takes what goes to no web server: mail, where a server for it is configured."""
    section = config.mail
    if not mails(config):
        return {}
    server = MailServer(
        host=section.host,
        port=section.port,
        security=section.security,
        ca_file=str(config.path.parent / section.ca_file) if section.ca_file else "",
        username=section.username,
        password=section.password,
        sender=section.sender,
        timeout_s=section.timeout_seconds,
    )
    return {"mailto": MailCarrier(server)}


def mails(config: Config) -> bool:
    """Can reports go by mail?"""
    return bool(config.mail.host and config.mail.sender)


def sweeper(config: Config, store: SqliteStore, retention: Retention) -> Sweeper:
    """Who removes what has been kept long enough: `[retention]`, or what the API set, and `[recording]`."""
    days, folder = config.recording.retention_days, config.recordings
    audit = RecordingAudit(store, folder) if folder is not None else None
    return Sweeper(store, retention, recordings=folder, recording_days=days, audit=audit)


def converter(config: Config, store: SqliteStore) -> Converter | None:
    """Who brings recordings into the form of `[recording] format`; None where they stay as they are."""
    section = config.recording
    if config.recordings is None or section.format == "wav":
        return None
    return Converter(store, config.recordings, section.format, bitrate_kbps=section.bitrate_kbps)


async def recording_keys(config: Config) -> tuple[bytes, ...]:
    """Whom recordings are encrypted for. Raises ConfigError where what encrypts is not installed."""
    keys = public_keys(config.recording.public_key)
    if keys:
        await asyncio.to_thread(age.preload)
    return keys


async def recording_links(config: Config) -> RecordingLinks:
    """Links to recordings, as reports have them and the API takes them. Raises ConfigError."""
    key = await asyncio.to_thread(link_key, config.state_dir)
    return RecordingLinks(key, public_url(config), config.recording.link_days)


def public_url(config: Config) -> str:
    """Where others reach the API."""
    section = config.http
    scheme = "https" if section.tls_certificate else "http"
    host = f"[{section.host}]" if ":" in section.host.strip("[]") and not section.host.startswith("[") else section.host
    return section.public_url or f"{scheme}://{host}:{section.port}"


def reporting(config: Config, links: RecordingLinks) -> Reporting:
    """How reports go out."""
    if not (config.http.enabled and config.recording.link_days):
        return Reporting(mails=mails(config))
    return Reporting(mails=mails(config), recording_url=lambda call_id: links.link(call_id, time.time()))
