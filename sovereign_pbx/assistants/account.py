"""The account's webhook: the one that is asked where neither tool nor assistant has its own (contract §8.1)."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from sovereign_pbx.assistants.dialect import Dialect
from sovereign_pbx.assistants.model import EVENTS, Assistant
from sovereign_pbx.assistants.secret import NO_SECRET
from sovereign_pbx.assistants.tools import Tool


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """`[webhook]` of the configuration, as far as it says who is told what."""

    url: str = ""
    secret: str = NO_SECRET
    events: tuple[str, ...] = EVENTS
    dialect: Dialect = "snake"


class Asked(Protocol):
    """As much of the account as the decision needs."""

    @property
    def url(self) -> str: ...

    @property
    def events(self) -> Collection[str]: ...


@dataclass(frozen=True, slots=True)
class Target:
    """Where an event goes, what signs it, and how it is spelt."""

    url: str
    secret: str = NO_SECRET
    dialect: Dialect = "snake"


def target_for(event: str, assistant: Assistant | None, account: Account) -> Target | None:
    """Where `event` goes: the assistant's own webhook, else the account's, else nowhere.

    Whether it is wanted is said by the assistant's `webhook_events`; where that is left out the account's `events`
    decide for the account's webhook and the usual ones for the assistant's own.
    """
    if assistant is None:
        wanted = event in account.events
    elif assistant.webhook_url:
        wanted = assistant.wants(event)
    else:
        wanted = event in (account.events if assistant.webhook_events is None else assistant.webhook_events)
    return webhook_of(assistant, account) if wanted else None


def tool_target(tool: Tool, assistant: Assistant | None, account: Account) -> Target | None:
    """Where a tool is asked: its own address, else where `tool-calls` go (contract §8.1), else nowhere.

    Its own address is told whatever `webhook_events` say, and signed with its own secret or else the assistant's.
    """
    if not tool.url:
        return target_for("tool-calls", assistant, account)
    own = assistant.webhook_secret if assistant is not None else NO_SECRET
    dialect = (assistant.webhook_dialect if assistant is not None else None) or account.dialect
    return Target(tool.url, tool.secret or own or account.secret, dialect)


def asks(assistant: Assistant | None, account: Asked) -> bool:
    """Is `assistant-request` sent before this call is answered?

    An assistant must ask for it by name, since it lengthens the ringing; for a number without one, the account's
    webhook is the only hope.
    """
    if assistant is None:
        return bool(account.url) and "assistant-request" in account.events
    return "assistant-request" in (assistant.webhook_events or ()) and bool(assistant.webhook_url or account.url)


def webhook_of(assistant: Assistant | None, account: Account) -> Target | None:
    """The assistant's own webhook, else the account's; whatever events they want."""
    if assistant is None:
        return _target(account.url, account.secret, account.dialect)
    dialect = assistant.webhook_dialect or account.dialect
    if assistant.webhook_url:
        return _target(assistant.webhook_url, assistant.webhook_secret, dialect)
    return _target(account.url, account.secret, dialect)


def _target(url: str, secret: str, dialect: Dialect) -> Target | None:
    return Target(url, secret, dialect) if url else None
