"""A webhook that is asked answers in time and in shape, or is a WebhookError; never anything else."""

import asyncio
import json
import threading
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.core.errors import WebhookError
from sovereign_pbx.webhooks import names
from sovereign_pbx.webhooks.ask import Asker, parse_object, parse_tool_answer
from sovereign_pbx.webhooks.post import open_session, public_url
from tests.webhooks.receiver import SECRET, Receiver, answering, dead_url, listening, never, raw_server

OK = b"HTTP/1.1 200 OK\r\n"


async def ask(url: str, budget_s: float = 5.0, **options: Any) -> dict[str, Any]:
    async with open_session() as session:
        return await Asker(session, **options).assistant_request(url, SECRET, b'{"message": {}}', budget_s)


def fault_of(url: str, budget_s: float = 5.0, **options: Any) -> str:
    with pytest.raises(WebhookError) as caught:
        asyncio.run(ask(url, budget_s, **options))
    return caught.value.kind


def fault_from(receiver: Receiver, budget_s: float = 5.0, **options: Any) -> str:
    async def run() -> str:
        async with listening(receiver):
            try:
                await ask(receiver.url, budget_s, **options)
            except WebhookError as exc:
                return exc.kind
        return ""

    return asyncio.run(run())


def fault_from_raw(*parts: bytes, budget_s: float = 0.3, **options: Any) -> str:
    async def run() -> str:
        async with raw_server(*parts, **options) as url:
            try:
                await ask(url, budget_s)
            except WebhookError as exc:
                return exc.kind
        return ""

    return asyncio.run(run())


def test_a_signed_question_is_accepted_by_a_strict_receiver_and_its_answer_returned() -> None:
    async def run() -> None:
        async with listening(Receiver(answering(b'{"assistant_id": "a1"}'))) as receiver:
            assert await ask(receiver.url, now=lambda: 1765627200.9) == {"assistant_id": "a1"}
            assert receiver.refused == []
            assert [(got.event, got.timestamp) for got in receiver.got] == [("assistant-request", 1765627200)]

    asyncio.run(run())


def test_tool_calls_are_sent_under_their_own_event_name() -> None:
    async def run() -> None:
        async with listening(Receiver(answering(b'{"result": 5}'))) as receiver, open_session() as session:
            assert await Asker(session).tool_calls(receiver.url, SECRET, b"{}") == {"result": 5}
            assert receiver.got[0].event == "tool-calls"

    asyncio.run(run())


def test_an_empty_body_is_an_empty_answer() -> None:
    assert fault_from(Receiver(answering(b"", 204))) == ""
    assert fault_from(Receiver(answering(b" \r\n"))) == ""


def test_a_receiver_that_never_answers_costs_the_budget_and_no_more() -> None:
    began = time.monotonic()
    assert fault_from(Receiver(never), budget_s=0.2) == "timeout"
    assert time.monotonic() - began < 1.5


def test_a_body_that_drips_is_cut_at_the_total_deadline() -> None:
    head = OK + b"Content-Length: 100000\r\n\r\n"
    assert fault_from_raw(head, b"{", endless=b" ", every_s=0.02) == "timeout"


def test_headers_that_drip_are_cut_at_the_total_deadline() -> None:
    assert fault_from_raw(OK, endless=b"X: y\r\n", every_s=0.02) == "timeout"


def test_a_name_server_that_hangs_is_cut_at_the_total_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()

    def hang(host: str, port: int, family: object) -> list[Any]:
        answered.wait(10)
        return []

    monkeypatch.setattr(names, "addresses", hang)
    began = time.monotonic()
    try:
        assert fault_of("http://slow-names.invalid/hook", 0.2) == "timeout"
        assert time.monotonic() - began < 5
    finally:
        answered.set()


def test_an_endless_body_is_cut_at_the_size_limit() -> None:
    assert fault_from_raw(OK + b"\r\n", endless=b"[" * 65536, budget_s=5.0) == "too_large"


def test_a_body_over_the_limit_is_refused_and_one_at_it_is_read() -> None:
    big = json.dumps({"pad": "x" * 1000}).encode()
    assert fault_from(Receiver(answering(big)), max_bytes=len(big) - 1) == "too_large"
    assert fault_from(Receiver(answering(big)), max_bytes=len(big)) == ""


def test_a_redirect_is_not_followed() -> None:
    async def run() -> None:
        async with listening(Receiver(answering(b""))) as target:
            loop = Receiver(answering(b"", 307, Location=target.url))
            async with listening(loop):
                with pytest.raises(WebhookError, match="answered 307; redirects are not followed") as caught:
                    await ask(loop.url)
            assert caught.value.kind == "redirect"
            assert target.got == [] and target.refused == []

    asyncio.run(run())


@pytest.mark.parametrize("status", [400, 401, 404, 500, 503])
def test_a_status_other_than_2xx_is_a_fault(status: int) -> None:
    assert fault_from(Receiver(answering(b"{}", status))) == "status"


@pytest.mark.parametrize(
    "body", [b"<html>", b"{", b'{"a": NaN}', b'{"a": "\xff\xfe"}', b'{"a": "\\ud800"}', b"[" * 200_000, b"\x00"]
)
def test_an_answer_that_is_not_json_is_a_fault(body: bytes) -> None:
    assert fault_from(Receiver(answering(body))) == "not_json"


@pytest.mark.parametrize("body", [b"[]", b'"text"', b"5", b"null", b"true"])
def test_an_answer_that_is_no_object_is_a_fault(body: bytes) -> None:
    assert fault_from(Receiver(answering(body))) == "wrong_shape"


def test_a_compressed_answer_is_refused_unread() -> None:
    body = b"\x1f\x8b\x08\x00"
    assert fault_from(Receiver(answering(body, 200, **{"Content-Encoding": "gzip"}))) == "wrong_shape"


def test_nobody_there_is_refused() -> None:
    assert fault_of(dead_url()) == "refused"


@pytest.mark.parametrize(
    "url", ["", "hook", "ftp://127.0.0.1/", "http://", "http://[::1", "http://a b/", "http://127.0.0.1:99999/", "/x"]
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    assert fault_of(url) == "refused"


def test_a_host_name_too_long_for_the_system_is_refused() -> None:
    assert fault_of(f"http://{'a' * 70}.invalid/") == "refused"


@pytest.mark.parametrize(
    "answer",
    [b"", b"\x00\xff garbage\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", OK + b"Content-Length: -5\r\n\r\n"],
)
def test_an_answer_that_is_not_http_is_a_fault(answer: bytes) -> None:
    assert fault_from_raw(answer, budget_s=5.0) in ("refused", "not_json")


def test_a_connection_dropped_in_the_body_is_a_fault() -> None:
    assert fault_from_raw(OK + b'Content-Length: 100\r\n\r\n{"a"', budget_s=5.0) == "refused"


def test_neither_password_nor_query_of_an_address_is_shown() -> None:
    with pytest.raises(WebhookError) as caught:
        asyncio.run(ask(dead_url().replace("127", "user:hidden@127") + "?token=hidden#hidden"))
    assert "hidden" not in str(caught.value)
    assert public_url("https://u:p@crm.example:8443/a/b?key=1") == "https://crm.example:8443/a/b?…"


def test_cancelling_the_question_is_not_swallowed() -> None:
    async def run() -> None:
        async with listening(Receiver(never)) as receiver:
            question = asyncio.ensure_future(ask(receiver.url))
            await asyncio.sleep(0.05)
            question.cancel()
            with pytest.raises(asyncio.CancelledError):
                await question

    asyncio.run(run())


@given(st.binary(max_size=60))
def test_any_bytes_are_an_object_or_a_webhook_error(body: bytes) -> None:
    try:
        assert isinstance(parse_object("http://x/", body), dict)
    except WebhookError as exc:
        assert exc.kind in ("not_json", "wrong_shape")


# --- what the model is told


def told(answer: dict[str, Any], ids: list[str], **limit: int) -> dict[str, str]:
    return {call_id: found.text for call_id, found in parse_tool_answer(answer, ids, **limit).items()}


@pytest.mark.parametrize("key", ["tool_call_id", "toolCallId"])
def test_results_are_found_by_id_in_either_spelling(key: str) -> None:
    answer = {"results": [{key: "t2", "result": "two"}, {key: "t1", "result": {"n": 1}}]}
    assert told(answer, ["t1", "t2"]) == {"t1": '{"n":1}', "t2": "two"}


def test_a_single_result_is_everybodys() -> None:
    assert told({"result": [1, 2]}, ["t1"]) == {"t1": "[1,2]"}


def test_any_other_object_is_the_result_itself() -> None:
    assert told({"name": "John"}, ["t1"]) == {"t1": '{"name":"John"}'}


def test_an_error_is_told_as_one() -> None:
    assert told({"error": "no such customer"}, ["t1"]) == {"t1": "Error: no such customer"}
    assert told({"results": [{"tool_call_id": "t1", "error": "gone"}]}, ["t1"]) == {"t1": "Error: gone"}


def test_a_call_without_a_result_is_told_so() -> None:
    answer = {"results": [{"tool_call_id": "t1", "result": "one"}, "junk", {"tool_call_id": 5, "result": "x"}]}
    assert told(answer, ["t1", "t2"]) == {
        "t1": "one",
        "t2": "Error: the tool gave no result for this call.",
    }


def test_one_result_without_an_id_answers_the_only_call() -> None:
    assert told({"results": [{"result": "one"}]}, ["t1"]) == {"t1": "one"}


def test_a_long_result_is_cut() -> None:
    assert told({"result": "x" * 50}, ["t1"], max_chars=10) == {"t1": "x" * 10 + " … (cut)"}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
entries = st.dictionaries(st.sampled_from(["tool_call_id", "toolCallId", "result", "error", "x"]), json_values)


@given(
    st.dictionaries(st.sampled_from(["results", "result", "error", "x"]), json_values | st.lists(entries)),
    st.lists(st.text(), unique=True, max_size=3),
)
def test_every_call_gets_text_whatever_was_answered(answer: dict[str, Any], ids: list[str]) -> None:
    texts = told(answer, ids)
    assert list(texts) == ids
    assert all(isinstance(text, str) for text in texts.values())
