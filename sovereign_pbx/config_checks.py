"""What no single key shows: names that lead nowhere, doubled numbers, webhooks nobody can trust."""

import ipaddress
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sovereign_pbx.assistants.directory import ANY_NUMBER, normal
from sovereign_pbx.assistants.model import Assistant
from sovereign_pbx.assistants.problem import Path, Report, nearest
from sovereign_pbx.config_after import check_after_the_call
from sovereign_pbx.config_endpoint_checks import check_endpoint
from sovereign_pbx.config_freeswitch_checks import check_freeswitch
from sovereign_pbx.config_http import check_beyond
from sovereign_pbx.config_limits import check_limits
from sovereign_pbx.config_made_checks import check_made, is_left_out
from sovereign_pbx.config_pbx import check_pbx, pbx_listeners, permitted
from sovereign_pbx.config_realtime import check_realtime
from sovereign_pbx.config_sip_checks import check_sip
from sovereign_pbx.config_targets import check_targets
from sovereign_pbx.config_tools import check_tools
from sovereign_pbx.config_workflows import check_workflows

if TYPE_CHECKING:
    from sovereign_pbx.config import Config

READY_S = 3.0
"""What recogniser, model and voice take to be ready with the greeting, on a bad day."""

UNSIGNED = "without a secret its receiver can't tell our events from anybody else's"


def cross_check(config: "Config", report: Report) -> None:
    """Report what is wrong between the parts of an otherwise readable configuration."""
    _check_numbers(config, report)
    _check_identifiers(config, report)
    _check_account(config, report)
    _check_patience(config, report)
    _check_listeners(config, report)
    _check_campaigns(config, report)
    check_sip(config, report)
    check_endpoint(config, report)
    check_freeswitch(config, report)
    check_limits(config, report)
    check_made(config, report)
    check_targets(config, report)
    check_tools(config, report)
    check_pbx(config, report)
    check_workflows(config, report)
    check_realtime(config, report)
    check_after_the_call(config, report)
    for name, assistant in config.assistants.items():
        _check_assistant(("assistants", name), assistant, config, report)


def listeners(config: "Config") -> Iterator[tuple[Path, str, int]]:
    """Every address the daemon will listen on: the table it stands in, host, port."""
    if config.http.enabled:
        yield ("http",), config.http.host, config.http.port
    yield from pbx_listeners(config)


def tcp_listeners(config: "Config") -> Iterator[tuple[Path, str, int]]:
    """Those of them that a TCP connection can tell of: SIP may have nothing but UDP, or TLS on the next port."""
    for table, host, port in listeners(config):
        if table != ("sip",) or "tcp" in config.sip.transports:
            yield table, host, port


def is_loopback(host: str) -> bool:
    """Does this address stay on the machine? A name other than localhost is taken for one that does not."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _check_numbers(config: "Config", report: Report) -> None:
    seen: dict[str, int] = {}
    directory, written = config.directory, _written(config)
    # what the API made must not keep a telephone system down
    for index, entry in enumerate(config.numbers[: len(config.own.get("number", ()))]):
        first = seen.setdefault(normal(entry.number), index)
        if not (directory.trunk(entry.transfer_trunk) or is_left_out(config, "sip_trunk", entry.transfer_trunk)):
            report.error(("numbers", index, "transfer_trunk"), *_unknown_trunk(entry.transfer_trunk, config))
        if first != index:
            report.error(("numbers", index, "number"), f"{entry.number} has an entry already", "remove one of them")
        known = entry.assistant in written or directory.assistant(entry.assistant) is not None
        if not (known or is_left_out(config, "assistant", entry.assistant)):
            report.error(("numbers", index, "assistant"), *_unknown_assistant(entry.assistant, config))
        elif not entry.assistant and not entry.workflow and not config.webhook.url:
            remedy = "name an assistant, or set [webhook] url"
            report.warn(("numbers", index), f"{entry.number} has no assistant and no webhook to ask", remedy)
    if not written and not config.workflows and not config.webhook.url:
        report.warn((), "nobody answers: there is no assistant and no webhook", "add an [assistants.NAME] table")
    elif not config.resolved.get("numbers") and not config.webhook.url:
        remedy = f'add [[numbers]] with number = "{ANY_NUMBER}" and the name of the assistant'
        report.warn((), "nobody answers: no number leads to an assistant", remedy)


def _written(config: "Config") -> set[str]:
    """Names of all assistants, also of those that have errors of their own: one error for them is enough."""
    tables = config.resolved.get("assistants")
    return {*config.assistants, *(tables if isinstance(tables, dict) else ())}


def _unknown_assistant(name: str, config: "Config") -> tuple[str, str]:
    written = _written(config)
    guess = nearest(name, written)
    known = f"known: {', '.join(sorted(written))}" if written else "there are no assistants"
    return f'there is no assistant "{name}"', f'did you mean "{guess}"?' if guess else known


def _unknown_trunk(name: str, config: "Config") -> tuple[str, str]:
    guess = nearest(name, config.trunks)
    known = f"known: {', '.join(sorted(config.trunks))}" if config.trunks else "there are no [trunks.NAME] tables"
    return f'there is no trunk "{name}"', f'did you mean "{guess}"?' if guess else known


def _check_identifiers(config: "Config", report: Report) -> None:
    owners: dict[str, str] = {}
    for name, assistant in config.assistants.items():
        first = owners.setdefault(assistant.id, name)
        if first != name:
            report.error(("assistants", name, "id"), f'has the id of "{first}"', "give each assistant an id of its own")


def _check_account(config: "Config", report: Report) -> None:
    if config.webhook.url and not config.webhook.secret:
        report.warn(("webhook",), "[webhook] has no secret", UNSIGNED)
    if config.asterisk.enabled and not config.asterisk.ami.secret:
        remedy = "set [asterisk.ami] secret to that of a user in Asterisk's manager.conf"
        lost = "no manager secret: no call can be placed, no tone sent, and hold is not noticed"
        report.warn(("asterisk", "ami"), lost, remedy)


def _check_patience(config: "Config", report: Report) -> None:
    """A webhook that is late must leave enough of the ringing for the saved assistant to get ready."""
    asked = config.webhook.request_timeout_seconds
    what = f"leaves no time to get ready after a webhook that takes its {asked:g} s: such calls go to the fallback"
    remedy = f"make it {asked + READY_S:g} or more"
    if config.asterisk.enabled and config.asterisk.agi.decide_timeout_seconds < asked + READY_S:
        report.warn(("asterisk", "agi", "decide_timeout_seconds"), what, remedy)
    if config.sip.enabled and config.sip.decide_timeout_seconds < asked + READY_S:
        report.warn(("sip", "decide_timeout_seconds"), what, remedy)


def _check_campaigns(config: "Config", report: Report) -> None:
    most = config.dialling.max_at_once
    if "max_at_once" in config.written("campaigns") and config.campaigns.max_at_once > most:
        what = f"is more than [dialling] max_at_once ({most}), by which the calls of campaigns are counted, too"
        report.warn(("campaigns", "max_at_once"), what, f"make it less than {most}, so that other calls find room")


def _check_listeners(config: "Config", report: Report) -> None:
    seen: dict[tuple[str, int], Path] = {}
    for table, host, port in listeners(config):
        name = ".".join(map(str, table))
        first = seen.setdefault((host, port), table)
        if first != table:
            report.error((*table, "port"), f"[{name}] and [{'.'.join(map(str, first))}] want the same port {port}")
        if is_loopback(host):
            continue
        if table == ("http",):
            check_beyond(config, report)
            continue
        networks, key = permitted(config, table)
        if not networks:
            report.warn((*table, "host"), f"[{name}] listens beyond this machine, to anybody", f"set {key}")


def _check_assistant(path: Path, assistant: Assistant, config: "Config", report: Report) -> None:
    if assistant.webhook_url and not assistant.webhook_secret:
        report.warn((*path, "webhook_url"), "has no webhook_secret", UNSIGNED)
    if "assistant-request" in (assistant.webhook_events or ()) and not (assistant.webhook_url or config.webhook.url):
        report.warn((*path, "webhook_events"), "there is no webhook_url and no [webhook] url to send events to")
    if assistant.asks_consent and not config.recording.enabled:
        what = "asks for consent to a recording that [recording] does not make"
        report.warn((*path, "recording_consent"), what, "set [recording] enabled = true, or do not ask")
    for place in _not_yet(assistant):
        report.warn((*path, *place), "is not in this release", "it is kept and echoed, and does nothing")
    for tool in assistant.tools:
        for destination in tool.destinations:
            if refusal := config.dialling.rules.refusal(destination.number):
                remedy = "see [dialling] allow: the model is told that nobody can be put through there"
                report.warn((*path, "llm_config", "tools"), refusal, remedy)
        if tool.kind == "webhook" and not (tool.url or assistant.webhook_url or config.webhook.url):
            remedy = "give it a url, or set webhook_url"
            report.warn((*path, "llm_config", "tools"), f'tool "{tool.name}" has nowhere to be asked', remedy)


def _not_yet(assistant: Assistant) -> Iterator[Path]:
    """Settings of the contract that nobody acts on yet: whoever writes them must not believe in them."""
    if assistant.gdpr_mode:
        yield ("gdpr_mode",)
