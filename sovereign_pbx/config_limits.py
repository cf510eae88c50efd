"""Limits that can't be reached, or that nobody is held to."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sovereign_pbx.assistants.problem import Path, Report

if TYPE_CHECKING:
    from sovereign_pbx.config import Config

_EACH = ("max_calls_per_number", "max_calls_per_assistant", "max_calls_per_trunk")


def check_limits(config: "Config", report: Report) -> None:
    """Warn of what does not do what its writer will have meant."""
    limits = config.limits
    written = config.written("limits")
    if "max_calls" in written and limits.max_calls > config.asterisk.max_connections:
        what = (
            f"is more than [asterisk] max_connections ({config.asterisk.max_connections}), which each call needs one of"
        )
        report.warn(("limits", "max_calls"), what, "raise max_connections to some more than it")
    for path, limit in _parts(config):
        if limit > limits.max_calls:
            what = f"is more than [limits] max_calls ({limits.max_calls}), which is reached before it"
            report.warn(path, what, "make it less, or leave it out")
    spoken = [number for number in config.numbers if number.over_limit == "message"]
    if not limits.max_messages and (limits.over_limit == "message" or spoken):
        what = "is 0: nobody hears over_limit_message, all go to the dialplan's fallback"
        report.warn(("limits", "max_messages"), what, 'raise it, or set over_limit = "fallback"')
    _check_providers(config, report)


def _parts(config: "Config") -> Iterator[tuple[Path, int]]:
    """Every limit of a part of the calls, and where it is written."""
    for key in _EACH:
        yield ("limits", key), getattr(config.limits, key)
    for name, limit in config.limits.per_provider.items():
        yield ("limits", "per_provider", name), limit
    for name, trunk in config.trunks.items():
        yield ("trunks", name, "max_calls"), trunk.max_calls
    for index, number in enumerate(config.numbers[: len(config.own.get("number", ()))]):
        yield ("numbers", index, "max_calls"), number.max_calls


def _check_providers(config: "Config", report: Report) -> None:
    """A misspelt name would be a limit of nothing."""
    if not config.limits.per_provider:
        return
    from sovereign_pbx.speech.catalogue import ALIASES, CATALOGUE  # late: most configurations need nothing of it

    known = {name for stage in CATALOGUE.values() for name in stage} | set(config.providers)
    for name in config.limits.per_provider:
        provider = name.partition("/")[0]
        if provider in ALIASES:
            what, remedy = f'counts nothing: "{provider}" is another name of "{ALIASES[provider]}"', "write that"
        elif provider not in known:
            what, remedy = f'there is no provider "{provider}"', f"known: {', '.join(sorted(known))}"
        else:
            continue
        report.warn(("limits", "per_provider", name), what, remedy)
