"""Who takes the call: each form of answer, and each way an answer can fail."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.assistants.account import Account
from sovereign_pbx.assistants.answer import ANSWER
from sovereign_pbx.assistants.directory import Directory, Number
from sovereign_pbx.assistants.model import Assistant, identifier_of
from sovereign_pbx.assistants.resolve import Resolution, resolve
from sovereign_pbx.core.errors import WebhookError, WebhookFault

ASKING = {"webhook_url": "https://example.com/hook", "webhook_events": ["assistant-request"]}


def assistant(key: str, **more: Any) -> Assistant:
    return Assistant.parse({"name": key, "id": identifier_of(key), **more}, where=key)


RECEPTION = assistant(
    "reception", first_message="Hello", tts_config={"voice_id": "a", "speed": 1.2}, metadata={"team": 1}, **ASKING
)
SALES = assistant("sales", first_message="Sales", llm_config={"model": "m", "temperature": 0.2})
ASLEEP = assistant("asleep", is_active=False)

DIRECTORY = Directory(
    {"reception": RECEPTION, "sales": SALES, "asleep": ASLEEP},
    [
        Number(number="100", assistant="reception", name="Main line"),
        Number(number="200", assistant="sales"),
        Number(number="300"),
        Number(number="400", assistant="asleep"),
        Number(number="500", assistant="reception", is_active=False),
        Number(number="600", assistant="nobody"),
    ],
)
NO_ACCOUNT = Account()
KEYS = st.sampled_from([*ANSWER.keys, "agent", "agentId", "agent_config", "firstMessage", "is_active", "llm_config"])
ACCOUNT = Account(url="https://example.com/account")


class Webhook:
    """Answers `assistant-request` as it is told, and remembers who asked."""

    def __init__(self, answer: Any = None, *, fault: WebhookFault | None = None, stall: bool = False) -> None:
        self.answer, self.fault, self.stall = answer, fault, stall
        self.asked: list[tuple[Assistant | None, Number | None]] = []
        self.called = asyncio.Event()

    async def __call__(self, saved: Assistant | None, number: Number | None) -> Any:
        self.asked.append((saved, number))
        self.called.set()
        if self.stall:
            await asyncio.Event().wait()
        if self.fault:
            raise WebhookError("https://example.com/hook", self.fault, "it failed")
        return self.answer


def resolved(called: str, webhook: Webhook, account: Account = NO_ACCOUNT, budget_s: float = 5.0) -> Resolution:
    return asyncio.run(resolve(DIRECTORY, called=called, ask=webhook, account=account, budget_s=budget_s))


def taken(answer: Any, called: str = "100", account: Account = NO_ACCOUNT) -> Assistant:
    resolution = resolved(called, Webhook(answer), account)
    assert resolution.outcome == "assistant" and resolution.assistant is not None, resolution.notes
    return resolution.assistant


# --- who is asked


def test_an_assistant_that_did_not_ask_for_the_event_is_taken_as_saved() -> None:
    webhook = Webhook({"error": "no"})
    resolution = resolved("200", webhook, ACCOUNT)
    assert (resolution.assistant, resolution.source, resolution.notes) == (SALES, "saved", ())
    assert not webhook.asked and resolution.asked_ms is None


def test_an_assistant_that_asked_for_it_is_asked_with_its_number() -> None:
    webhook = Webhook({})
    assert resolved("100", webhook).asked_ms is not None
    assert webhook.asked[0][0] is RECEPTION
    assert webhook.asked[0][1] is DIRECTORY.numbers[0]


@pytest.mark.parametrize("called", ["300", "999"])
def test_a_number_without_an_assistant_goes_to_the_accounts_webhook(called: str) -> None:
    webhook = Webhook({"assistant_id": SALES.id})
    resolution = resolved(called, webhook, ACCOUNT)
    assert resolution.assistant is SALES and resolution.source == "hybrid"
    assert webhook.asked[0][0] is None


def test_without_any_webhook_an_unlinked_number_goes_to_the_fallback() -> None:
    resolution = resolved("999", Webhook({}))
    assert resolution.outcome == "none" and resolution.notes == ("nobody is configured to answer '999'",)


def test_an_account_that_does_not_list_the_event_is_not_asked() -> None:
    account = Account(url="https://example.com/", events=("status-update",))
    assert resolved("999", Webhook({"assistant_id": "sales"}), account).outcome == "none"


@pytest.mark.parametrize(("called", "note"), [("400", "not active"), ("500", "not active"), ("600", "does not exist")])
def test_what_is_switched_off_goes_to_the_fallback_unasked(called: str, note: str) -> None:
    webhook = Webhook({"assistant_id": "sales"})
    resolution = resolved(called, webhook, ACCOUNT)
    assert resolution.outcome == "none" and note in resolution.notes[0]
    assert not webhook.asked


# --- the forms of answer (contract §9)


def test_an_empty_answer_means_the_saved_assistant() -> None:
    assert taken({}) is RECEPTION


def test_a_transient_assistant_falls_back_to_the_saved_one_for_what_it_leaves_out() -> None:
    found = taken({"assistant": {"first_message": "Hi Jan", "tts_config": {"voice_id": "b"}}})
    assert found.first_message == "Hi Jan"
    assert found.tts_config == {"voice_id": "b"}
    assert found.metadata == {"team": 1}
    assert found.webhook_url == RECEPTION.webhook_url


def test_a_transient_assistant_may_stand_alone() -> None:
    found = taken({"assistant": {"first_message": "Hi", "llm_config": {"provider": "openai"}}}, "999", ACCOUNT)
    assert found.first_message == "Hi" and found.name == "transient"


@pytest.mark.parametrize("name", [SALES.id, "sales"])
def test_a_hybrid_answer_takes_another_assistant_with_shallow_overrides(name: str) -> None:
    found = taken(
        {"assistant_id": name, "assistant_override": {"llm_config": {"model": "n"}, "metadata": {"crm": "1"}}}
    )
    assert found.id == SALES.id
    assert found.first_message == "Sales"
    assert found.llm_config == {"model": "n"}
    assert found.metadata == {"crm": "1"}


def test_a_top_level_limit_accompanies_any_form() -> None:
    assert taken({"max_duration_seconds": 30}).max_duration_seconds == 30
    assert taken({"max_duration_seconds": 30}).first_message == "Hello"
    assert taken({"assistant_id": "sales", "max_duration_seconds": 30}).max_duration_seconds == 30
    assert taken({"assistant": {"max_duration_seconds": 9}, "max_duration_seconds": 30}).max_duration_seconds == 30


def test_an_error_rejects_the_call_and_keeps_a_voice_to_say_it() -> None:
    resolution = resolved("100", Webhook({"error": "We are closed.", "assistant": {}}))
    assert (resolution.outcome, resolution.rejection) == ("rejected", "We are closed.")
    assert resolution.assistant is RECEPTION


def test_an_empty_error_rejects_nobody() -> None:
    assert taken({"error": ""}) is RECEPTION
    assert taken({"error": None}) is RECEPTION


@pytest.mark.parametrize("key", ["assistant", "agent"])
@pytest.mark.parametrize("greeting", ["first_message", "firstMessage"])
def test_transient_answers_are_known_in_every_spelling(key: str, greeting: str) -> None:
    assert taken({key: {greeting: "Hi"}}).first_message == "Hi"


@pytest.mark.parametrize("identifier", ["assistant_id", "assistantId", "agent_id", "agentId"])
@pytest.mark.parametrize(
    "override", ["assistant_override", "assistantOverride", "agent_override", "agent_config", "agentConfig"]
)
def test_hybrid_answers_are_known_in_every_spelling(identifier: str, override: str) -> None:
    assert taken({identifier: "sales", override: {"firstMessage": "Hi"}}).first_message == "Hi"


def test_a_camel_override_replaces_the_same_block_of_a_snake_assistant() -> None:
    assert taken({"agent": {"maxDurationSeconds": 9}, "maxDurationSeconds": 8}).max_duration_seconds == 8


def test_unknown_keys_of_the_assistant_are_echoed_later() -> None:
    found = taken({"assistant": {"first_message": "Hi", "crm": {"a": [1]}, "metadata": {"x": 1}}})
    assert found.to_public()["crm"] == {"a": [1]}
    assert found.to_public()["metadata"] == {"x": 1}


def test_metadata_beside_the_assistant_is_echoed_too() -> None:
    assert taken({"metadata": {"x": 1}}).metadata == {"x": 1}
    assert taken({"metadata": {"x": 1}, "assistant": {"metadata": {"y": 2}}}).metadata == {"y": 2}


def test_a_misspelt_key_is_noted() -> None:
    resolution = resolved("100", Webhook({"asistant": {"first_message": "Hi"}}))
    assert resolution.assistant is RECEPTION
    assert "asistant" in resolution.notes[0]
    inner = resolved("100", Webhook({"assistant": {"first_mesage": "Hi"}}))
    assert "first_mesage" in inner.notes[0]


def test_a_transient_assistant_may_be_switched_off() -> None:
    assert resolved("100", Webhook({"assistant": {"is_active": False}})).outcome == "none"


# --- faults: the call goes on with the saved assistant

FAULTS: list[WebhookFault] = ["refused", "timeout", "status", "too_large", "not_json", "wrong_shape", "redirect"]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_failing_webhook_leaves_the_saved_assistant(fault: WebhookFault) -> None:
    resolution = resolved("100", Webhook(fault=fault))
    assert (resolution.outcome, resolution.assistant, resolution.source) == ("assistant", RECEPTION, "saved")
    assert fault in resolution.notes[0]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_failing_webhook_without_a_saved_assistant_means_the_fallback(fault: WebhookFault) -> None:
    resolution = resolved("999", Webhook(fault=fault), ACCOUNT)
    assert resolution.outcome == "none" and fault in resolution.notes[0]


def test_a_webhook_that_does_not_answer_is_left_after_the_budget() -> None:
    resolution = resolved("100", Webhook(stall=True), budget_s=0.01)
    assert resolution.assistant is RECEPTION
    assert resolution.notes == ("the assistant-request webhook did not answer within 0.01 s",)


@pytest.mark.parametrize(
    "answer",
    [
        [],
        "text",
        None,
        7,
        {"assistant": "sales"},
        {"assistant": {"is_active": "yes"}},
        {"assistant": {"llm_config": {"tools": [{"name": "x"}]}}},
        {"assistant": {"llm_config": []}},
        {"assistant": {"first_message": 3}},
        {"assistant_id": 12},
        {"assistant_id": "nobody"},
        {"assistant_id": "asleep"},
        {"assistant_id": "sales", "assistant_override": [1]},
        {"assistant_id": "sales", "assistant_override": {"max_duration_seconds": "long"}},
        {"max_duration_seconds": 0},
        {"max_duration_seconds": "300"},
        {"error": {"code": 1}},
        {"assistant": {"metadata": {"x": "\ud800"}}},
    ],
)
def test_an_answer_of_the_wrong_shape_leaves_the_saved_assistant_and_says_why(answer: Any) -> None:
    resolution = resolved("100", Webhook(answer))
    assert (resolution.outcome, resolution.assistant, resolution.source) == ("assistant", RECEPTION, "saved")
    assert len(resolution.notes) == 1 and len(resolution.notes[0]) > 20
    assert resolved("999", Webhook(answer), ACCOUNT).outcome == "none"


def test_an_empty_answer_for_an_unlinked_number_means_the_fallback() -> None:
    answers: list[dict[str, Any]] = [{}, {"max_duration_seconds": 30}, {"metadata": {}}]
    for answer in answers:
        resolution = resolved("999", Webhook(answer), ACCOUNT)
        assert resolution.outcome == "none" and resolution.notes


def test_a_huge_hostile_answer_gives_a_short_note_quickly() -> None:
    answer = {"assistant": {"is_active": 1, **{f"first_messag{index}": index for index in range(20_000)}}}
    resolution = resolved("100", Webhook(answer))
    assert resolution.assistant is RECEPTION
    assert len(resolution.notes[0]) < 2_000


def test_cancelling_the_resolution_cancels_the_webhook() -> None:
    async def scenario() -> None:
        webhook = Webhook(stall=True)
        task = asyncio.ensure_future(resolve(DIRECTORY, called="100", ask=webhook, account=NO_ACCOUNT))
        await asyncio.wait_for(webhook.called.wait(), 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scenario())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.text(max_size=8), inner, max_size=5),
    max_leaves=20,
)


@given(JSON)
def test_whatever_is_answered_the_call_goes_on_or_is_rejected(answer: Any) -> None:
    linked = resolved("100", Webhook(answer))
    assert linked.outcome in ("assistant", "rejected", "none")
    if linked.outcome == "none":  # somebody must have said so
        assert any("not active" in note for note in linked.notes)
    unlinked = resolved("999", Webhook(answer), ACCOUNT)
    assert unlinked.outcome != "none" or unlinked.notes
