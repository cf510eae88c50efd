"""Whom webhooks, tools and MCP servers may be sent to, as far as the file says it: private addresses."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sovereign_pbx.assistants.model import Assistant
from sovereign_pbx.assistants.problem import Path, Report
from sovereign_pbx.webhooks.private import is_private

if TYPE_CHECKING:
    from sovereign_pbx.config import Config


def check_targets(config: "Config", report: Report) -> None:
    """Report addresses that `[webhook] allow_private` refuses, and that its default lets outsiders choose some."""
    if not config.webhook.allow_private:
        for path, url in _targets(config):
            if _on_private_address(url):
                what = "is on a private address, and [webhook] allow_private is false: nothing is sent there"
                report.warn(path, what, "give it a public address, or set allow_private = true")
    elif not _said(config) and any(not _on_private_address(url) for url in _deciders(config)):
        what = "whoever answers assistant-request may have events and tools sent to addresses of your own network"
        remedy = "set [webhook] allow_private = true if that is meant, or false to refuse them"
        report.warn(("webhook",), what, remedy)


def _said(config: "Config") -> bool:
    section = config.resolved.get("webhook")
    return isinstance(section, Mapping) and "allow_private" in section


def _targets(config: "Config") -> Iterator[tuple[Path, str]]:
    if config.webhook.url:
        yield ("webhook", "url"), config.webhook.url
    for name, assistant in config.assistants.items():
        if assistant.webhook_url:
            yield ("assistants", name, "webhook_url"), assistant.webhook_url
        for tool in assistant.tools:
            if tool.url:
                yield ("assistants", name, "llm_config", "tools"), tool.url
    for name, server in config.mcp_servers.items():
        yield ("mcp_servers", name, "url"), server.url


def _deciders(config: "Config") -> Iterator[str]:
    """Who may say, by their answer, where else something is sent."""
    if config.webhook.url and "assistant-request" in config.webhook.events:
        yield config.webhook.url
    yield from (one.webhook_url for one in config.assistants.values() if one.webhook_url and _decides(one))


def _decides(assistant: Assistant) -> bool:
    return "assistant-request" in (assistant.webhook_events or ())


def _on_private_address(url: str) -> bool:
    """As far as it can be seen without asking a name server."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    is_address = ":" in host or host.rpartition(".")[2].isdecimal()
    return is_address and is_private(host)
