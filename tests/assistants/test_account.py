"""Which webhook is told of what, and which secret signs it (contract §8.1, §8.3)."""

from typing import Any

import pytest

from sovereign_pbx.assistants.account import Account, Target, asks, target_for, tool_target
from sovereign_pbx.assistants.model import EVENTS, USUAL_EVENTS, Assistant

OWN, OF_ACCOUNT, OF_TOOL, NESTED = (f"https://{name}.example/" for name in ("own", "account", "tool", "nested"))
ACCOUNT = Account(url=OF_ACCOUNT, secret="account's")
NOBODY = Account()


def assistant(**settings: Any) -> Assistant:
    return Assistant.parse({"name": "a", **settings}, where="test")


def with_own(**settings: Any) -> Assistant:
    return assistant(webhook_url=OWN, webhook_secret="own", **settings)


def toolbox(**tool: Any) -> dict[str, Any]:
    return {"llm_config": {"tools": [{"name": "t", "description": "d", **tool}]}}


# --- which address, and its secret


@pytest.mark.parametrize("event", USUAL_EVENTS)
def test_the_assistants_webhook_goes_before_the_accounts(event: str) -> None:
    assert target_for(event, with_own(), ACCOUNT) == Target(OWN, "own")
    assert target_for(event, assistant(), ACCOUNT) == Target(OF_ACCOUNT, "account's")
    assert target_for(event, assistant(), NOBODY) is None


def test_a_secret_signs_only_what_goes_to_its_own_address() -> None:
    """An assistant's secret never signs the account's webhooks, nor the account's an assistant's."""
    assert target_for("status-update", assistant(webhook_secret="own"), ACCOUNT) == Target(OF_ACCOUNT, "account's")
    assert target_for("status-update", assistant(webhook_url=OWN), ACCOUNT) == Target(OWN, "")


@pytest.mark.parametrize(
    ("tool", "owner", "expected"),
    [
        ({"url": OF_TOOL}, with_own(), Target(OF_TOOL, "own")),
        ({"server": {"url": NESTED, "secret": "tool's"}}, with_own(), Target(NESTED, "tool's")),
        ({"url": OF_TOOL, "server": {"url": NESTED, "secret": "tool's"}}, with_own(), Target(OF_TOOL, "tool's")),
        ({"server": {"url": NESTED}}, with_own(), Target(NESTED, "own")),
        ({}, with_own(), Target(OWN, "own")),
        ({}, assistant(), Target(OF_ACCOUNT, "account's")),
        ({"url": OF_TOOL}, assistant(), Target(OF_TOOL, "account's")),
        ({"url": OF_TOOL}, with_own(webhook_events=["status-update"]), Target(OF_TOOL, "own")),
        ({}, with_own(webhook_events=["status-update"]), None),
    ],
)
def test_a_tool_goes_to_its_own_address_then_the_assistants_then_the_accounts(
    tool: dict[str, Any], owner: Assistant, expected: Target | None
) -> None:
    (made,) = assistant(**toolbox(**tool)).tools
    assert tool_target(made, owner, ACCOUNT) == expected


@pytest.mark.parametrize("form", [{"type": "function", "function": {"name": "t", "description": "d"}}, {"name": "t"}])
def test_both_shapes_of_tools_have_a_server(form: dict[str, Any]) -> None:
    (made,) = assistant(llm_config={"tools": [{"description": "d", **form, "server": {"url": NESTED}}]}).tools
    assert tool_target(made, None, ACCOUNT) == Target(NESTED, "account's")


# --- which events


@pytest.mark.parametrize("asked_for", [[], ["status-update"], ["tool-calls", "end-of-call-report"], list(EVENTS)])
@pytest.mark.parametrize("settings", [{}, {"webhook_url": OWN}])
def test_only_the_events_that_are_asked_for_are_sent(settings: dict[str, str], asked_for: list[str]) -> None:
    made = assistant(webhook_events=asked_for, **settings)
    assert [event for event in EVENTS if target_for(event, made, ACCOUNT)] == [e for e in EVENTS if e in asked_for]


def test_without_a_list_of_its_own_an_assistants_webhook_gets_the_usual_ones() -> None:
    got = [event for event in EVENTS if target_for(event, with_own(), Account(url=OF_ACCOUNT, events=()))]
    assert got == list(USUAL_EVENTS)


@pytest.mark.parametrize("events", [(), ("end-of-call-report",), EVENTS])
def test_without_a_list_of_its_own_the_accounts_list_decides_for_the_accounts_webhook(events: tuple[str, ...]) -> None:
    account = Account(url=OF_ACCOUNT, events=events)
    assert tuple(event for event in EVENTS if target_for(event, assistant(), account)) == events


# --- who is asked before the answer


@pytest.mark.parametrize(
    ("who", "account", "asked"),
    [
        (None, ACCOUNT, True),
        (None, NOBODY, False),
        (None, Account(url=OF_ACCOUNT, events=("status-update",)), False),
        (with_own(), ACCOUNT, False),
        (assistant(), ACCOUNT, False),
        (with_own(webhook_events=["assistant-request"]), NOBODY, True),
        (assistant(webhook_events=["assistant-request"]), ACCOUNT, True),
        (assistant(webhook_events=["assistant-request"]), NOBODY, False),
    ],
)
def test_assistant_request_is_sent_where_it_is_asked_for_and_for_unlinked_numbers(
    who: Assistant | None, account: Account, asked: bool
) -> None:
    assert asks(who, account) is asked


# --- spelling


def test_the_assistants_spelling_goes_before_the_accounts() -> None:
    camel = Account(url=OF_ACCOUNT, dialect="camel")
    spelt = [
        target_for("status-update", assistant(), camel),
        target_for("status-update", assistant(webhook_dialect="snake"), camel),
        target_for("status-update", with_own(webhook_dialect="camel"), ACCOUNT),
        target_for("status-update", with_own(), ACCOUNT),
    ]
    assert [target.dialect for target in spelt if target] == ["camel", "snake", "camel", "snake"]
