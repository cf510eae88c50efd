"""Who is told of calls that an earlier daemon left behind: those whom the call itself was to be told to."""

from collections.abc import Mapping
from dataclasses import replace

import structlog

from sovereign_pbx.assistants.account import Account, Target, target_for
from sovereign_pbx.assistants.directory import Directory
from sovereign_pbx.assistants.model import Assistant
from sovereign_pbx.core.errors import ConfigError
from sovereign_pbx.store import CallRow

log = structlog.get_logger(__name__)


def own_secret(assistant: Assistant | None, directory: Directory) -> str:
    """What signs the webhooks of an assistant that was made or changed for one call, and nobody else will know after a
    crash; "" where the saved one has it."""
    if assistant is None or not assistant.webhook_url:
        return ""
    saved = directory.assistant(assistant.id) if assistant.id else None
    known = saved is not None and saved.webhook_url == assistant.webhook_url and saved.webhook_secret
    return "" if known else assistant.webhook_secret


class LeftBehind:
    """Finds targets. `secrets` are those that the store still has of the calls' webhooks, by call and address."""

    def __init__(self, directory: Directory, account: Account, secrets: Mapping[tuple[str, str], str]) -> None:
        self._directory = directory
        self._account = account
        self._secrets = secrets

    def target_of(self, row: CallRow, event: str) -> Target | None:
        """Where `event` of this call goes, signed as the receiver expects it.

        The row holds the assistant as it was resolved, overrides of a webhook's answer included, but no secret: the
        saved assistant's signs for the saved address, and for any other the one that was kept with the call or signed
        its earlier news.
        """
        saved = self._directory.assistant(row.assistant_id) if row.assistant_id else None
        target = target_for(event, _as_it_was(row) or saved, self._account)
        if target is None or target.secret:
            return target
        of_file = saved.webhook_secret if saved is not None and saved.webhook_url == target.url else ""
        return replace(target, secret=of_file or self._secrets.get((row.id, target.url), ""))


def _as_it_was(row: CallRow) -> Assistant | None:
    try:
        return Assistant.parse(row.assistant, where=f"call {row.id}") if row.assistant else None
    except ConfigError as exc:
        log.warning("recovery.assistant_unusable", call_id=row.id, error=str(exc))
        return None
