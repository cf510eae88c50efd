"""The customer's webhook is late, broken or hostile: the call goes on with the saved assistant."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web

from sovereign_pbx.testing.providers.openai import Answer
from tests.calls.house import GREETING, assistant
from tests.calls.scene_hearing import FALLBACK
from tests.calls.scene_stage import ANSWER, PLAIN, Stage
from tests.calls.scene_troupe import scene
from tests.webhooks.receiver import Got, answering, dead_url, never

pytestmark = [pytest.mark.pbx, pytest.mark.timeout(240)]

Answering = Callable[[Got], Awaitable[web.StreamResponse]]

ASKS = {"reception": assistant(webhook_events=["assistant-request", "status-update", "end-of-call-report"])}
HOURS = {"name": "opening_hours", "description": "When the shop is open", "parameters": {"type": "object"}}
WITH_TOOL = {"reception": assistant(llm_config={**assistant()["llm_config"], "tools": [HOURS]})}
SORRY = "I could not find out."
BUDGET_S = 5.0


def only(event: str, answer: Answering) -> Answering:
    """A receiver that answers `event` by `answer` and everything else as it should."""

    async def choose(got: Got) -> web.StreamResponse:
        return await answer(got) if got.event == event else web.json_response({})

    return choose


async def saved_assistant_answers(stage: Stage, answer: Answering, *, rings_s: float = 2.0, why: str = "") -> None:
    """The call is taken by the assistant of the file, in time, and its events say why."""
    stage.receiver.answer = only("assistant-request", answer)
    person = await stage.greeted()
    assert person.call.answered_at is not None
    assert person.call.answered_at - person.call.invited_at < rings_s
    asked = await person.ask()
    await person.hears(ANSWER, after=asked)
    await person.hang_up()
    await stage.until_row(lambda row: row.ended_at is not None)
    note = (await stage.values("resolution.note"))["text"]
    assert why in note, note
    stage.notes.append(f"note: {note[:160]}")
    stage.receiver.over.set()


@scene("8", "assistant-request: no answer at all", bounded="5 s in total, of ringing", assistants=ASKS)
async def test_a_webhook_that_does_not_answer(stage: Stage) -> None:
    await saved_assistant_answers(stage, never, rings_s=BUDGET_S + 2.0, why="5 s")


@scene("8", "assistant-request: HTTP 500", bounded="never asked twice", assistants=ASKS)
async def test_a_webhook_that_fails(stage: Stage) -> None:
    await saved_assistant_answers(stage, answering(b"oops", 500), why="500")


@scene("8", "assistant-request: an answer that is no JSON", bounded="", assistants=ASKS)
async def test_a_webhook_that_answers_no_json(stage: Stage) -> None:
    await saved_assistant_answers(stage, answering(b"<html>hello</html>"), why="JSON")


@scene("8", "assistant-request: JSON of the wrong types", bounded="", assistants=ASKS)
async def test_a_webhook_that_answers_wrong_types(stage: Stage) -> None:
    body = b'{"assistant": {"first_message": 7, "llm_config": []}}'
    await saved_assistant_answers(stage, answering(body), why="first_message")


@scene("8", "assistant-request: an answer of 10 MB", bounded="`[webhook] max_answer_bytes`", assistants=ASKS)
async def test_a_webhook_that_answers_ten_megabytes(stage: Stage) -> None:
    body = b'{"error": "' + b"x" * 10_000_000 + b'"}'
    await saved_assistant_answers(stage, answering(body), why="1000000")


@scene("8", "assistant-request: a redirect", bounded="never followed", assistants=ASKS)
async def test_a_webhook_that_redirects(stage: Stage) -> None:
    answer = answering(b"", 302, Location="http://127.0.0.1:1/elsewhere")
    await saved_assistant_answers(stage, answer, why="302")


@scene(
    "8",
    "The webhook's address refuses connections, for all events",
    bounded="at once; reports wait in the outbox for 24 h",
    assistants={
        "reception": assistant(webhook_events=list(ASKS["reception"]["webhook_events"]), webhook_url=dead_url())
    },
    unreachable=True,
)
async def test_a_webhook_that_refuses_connections(stage: Stage) -> None:
    person = await stage.greeted()
    assert person.call.answered_at is not None
    assert person.call.answered_at - person.call.invited_at < 2.0
    await person.hang_up()
    row = await stage.until_row(lambda row: row.summary is not None)
    assert (row.status, row.end_reason) == ("ended", "user_hangup")
    assert [one.event for one in await stage.waiting(row.id)] == [
        "status-update",
        "status-update",
        "end-of-call-report",
    ]
    stage.notes.append("three webhooks pending in the outbox")


@scene("8", "status-update and report: HTTP 500 at first", bounded="retries, in order, with the same id")
async def test_a_receiver_that_fails_at_first(stage: Stage) -> None:
    failures = 0

    async def at_first(got: Got) -> web.StreamResponse:
        nonlocal failures
        failures += 1
        return web.Response(status=500 if failures <= 2 else 204)

    stage.receiver.answer = at_first
    person = await stage.greeted()
    await person.hang_up()
    await stage.check_nothing_left()
    assert len(stage.receiver.got) == 5, "two attempts failed, three webhooks came"


# --- tools


async def tool_fails(stage: Stage, answer: Answering, *, filler: bool) -> str:
    """The caller gets an answer all the same; what the model was told."""
    stage.openai.script = (Answer(tools=(("opening_hours", "{}"),)), SORRY)
    stage.receiver.answer = only("tool-calls", answer)
    person = await stage.greeted()
    asked = await person.ask()
    if filler:
        await person.hears(PLAIN.filler, after=asked)
    await person.hears(SORRY, after=asked, within_s=20.0)
    await person.hang_up()
    stage.receiver.over.set()
    told = str(stage.openai.requests[1]["messages"][-1]["content"])
    stage.notes.append(f"told to the model: “{told[:120]}”")
    return told


@scene("8", "A tool's webhook needs 2.5 s", bounded="the filler after 1 s", assistants=WITH_TOOL, phrases=[SORRY])
async def test_a_tool_that_is_slow_is_covered(stage: Stage) -> None:
    async def slow(got: Got) -> web.StreamResponse:
        await asyncio.sleep(2.5)
        return web.json_response({"result": "from nine to five"})

    assert await tool_fails(stage, slow, filler=True) == "from nine to five"


@scene(
    "8",
    "A tool's webhook never answers",
    bounded="`[webhook] tool_timeout_seconds`, 6 s here; the filler once",
    wait_s=7.0,
    assistants=WITH_TOOL,
    phrases=[SORRY],
    webhook={"tool_timeout_seconds": 6.0},
)
async def test_a_tool_that_never_answers_is_given_up(stage: Stage) -> None:
    assert "failed" in await tool_fails(stage, never, filler=True)


@scene("8", "A tool's webhook answers HTTP 500", bounded="at once", assistants=WITH_TOOL, phrases=[SORRY])
async def test_a_tool_that_fails_is_told_to_the_model(stage: Stage) -> None:
    assert "failed" in await tool_fails(stage, answering(b"", 500), filler=False)


@scene("8", "A tool's webhook answers garbage", bounded="at once", assistants=WITH_TOOL, phrases=[SORRY])
async def test_a_tool_that_answers_garbage_is_told_to_the_model(stage: Stage) -> None:
    assert "failed" in await tool_fails(stage, answering(b"\xff\xfe{"), filler=False)


@scene(
    "8",
    "A tool's webhook refuses connections",
    bounded="at once",
    assistants={
        "reception": assistant(llm_config={**assistant()["llm_config"], "tools": [{**HOURS, "url": dead_url()}]})
    },
    phrases=[SORRY],
)
async def test_a_tool_that_is_dead_is_told_to_the_model(stage: Stage) -> None:
    assert "failed" in await tool_fails(stage, answering(b"{}"), filler=False)


# --- decisions, as the telephone sees them


CLOSED = "We are closed today."


@scene("16", "The webhook rejects the call with a message", bounded="", assistants=ASKS, phrases=[CLOSED])
async def test_a_rejection_is_spoken(stage: Stage) -> None:
    stage.receiver.answer = only("assistant-request", answering(b'{"error": "We are closed today."}'))
    person = await stage.answered()
    await person.hears(CLOSED)
    end = await person.call.over(5.0)
    assert end.how == "they hung up"
    row = await stage.until_row(lambda row: row.ended_at is not None)
    assert (row.status, row.end_reason) == ("ended", "rejected")


@scene(
    "16",
    "The webhook rejects the call to a number without an assistant, and no voice can be had to say so",
    bounded="",
    providers={"hibari": {"render_s": -1}},
    numbers=[{"number": "*", "name": "Main line"}],
)
async def test_a_rejection_without_a_voice_is_a_refusal(stage: Stage) -> None:
    stage.receiver.answer = only("assistant-request", answering(b'{"error": "We are closed today."}'))
    person = await stage.dial()
    end = await person.call.over(5.0)
    assert (end.how, person.call.responses[-1].status) == ("refused", 403)
    row = await stage.until_row(lambda row: row.ended_at is not None)
    assert (row.end_reason, row.started_at) == ("rejected", None)


@scene("16", "Nobody is configured for the number, and the webhook says nothing", bounded="", numbers=[])
async def test_a_number_of_nobody_is_the_dialplans(stage: Stage) -> None:
    person = await stage.answered("999")
    await person.hears(FALLBACK)
    await person.hang_up()
    row = await stage.until_row(lambda row: row.ended_at is not None)
    assert (row.end_reason, row.started_at) == ("rejected", None)


@scene("13", "One call more than `[limits] max_calls`", bounded="at once", limits={"max_calls": 1})
async def test_a_call_too_many_is_the_dialplans(stage: Stage) -> None:
    person = await stage.greeted()
    another = await stage.answered("101")
    tone = await another.hears_fallback()
    assert tone.start - another.call.invited_at < 1.5
    await another.hang_up()
    asked = await person.ask()
    await person.hears(ANSWER, after=asked)
    await person.hang_up()
    await stage.check_nothing_left()
    assert len(await stage.rows()) == 1, "a call that was not taken has no row"
    stage.notes.append("the call too many has no row; it is counted in /metrics")


@scene("13", "One call more than the assistant's own limit", bounded="at once", limits={"max_calls_per_assistant": 1})
async def test_a_call_too_many_for_an_assistant_is_the_dialplans(stage: Stage) -> None:
    person = await stage.greeted()
    another = await stage.answered("101")
    await another.hears_fallback()
    await another.hang_up()
    await person.hang_up()
    await stage.check_nothing_left()
    row = await stage.row_of("101")
    assert (row.end_reason, row.started_at) == ("busy", None)
    assert GREETING not in [one.what for one in another.heard()]
