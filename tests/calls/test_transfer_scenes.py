"""Each way of putting a caller through × each thing that can come of it: what everybody heard, what the books say."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.calls.scene_hearing import UNKNOWN
from tests.calls.scene_office import (
    BACK,
    CALLER,
    CASES,
    COLLEAGUE,
    CONNECTING,
    EXTRA,
    PLAN,
    QUESTION,
    SUMMARY,
    Case,
    Ear,
    Form,
    Office,
    number_of,
    office,
    says,
)
from tests.calls.scene_stage import Stage
from tests.calls.scene_troupe import scene
from tests.waiting import until

pytestmark = [pytest.mark.pbx, pytest.mark.timeout(300)]

# A queue goes on with its other members when one is busy or declines: it ends by its time.
OF_A_QUEUE: dict[Case, str] = {"declined": "no_answer", "busy": "no_answer"}
WORDS = {
    "declined": BACK["did not want"],
    "busy": BACK["busy"],
    "no_answer": BACK["nobody answered"],
    "failed": BACK[""],
}


BREATH_S = 0.6
"""A voice that follows a ring without a pause can't be told from it by its rhythm."""
NOTE = "transfer"
"""Begins what a scene notes for the table of docs/transfers.md: case, outcome, what the two heard."""


def outcome_of(form: Form, case: Case) -> str:
    return OF_A_QUEUE.get(case, case) if form == "queue" else case


async def each_case(stage: Stage, form: Form) -> None:
    """One caller for each case, all at the same time."""
    async with office(stage, form) as here:
        try:
            async with asyncio.TaskGroup() as group:
                for case in CASES:
                    group.create_task(one(here, case), name=case)
        except ExceptionGroup as exc:
            raise exc.exceptions[0] from None  # the troupe tells the reason by its last line


async def one(here: Office, case: Case) -> None:
    """One caller, from the greeting to the end."""
    person = await here.caller(case)
    asked_at = await person.ask()
    await person.hears(CONNECTING, after=asked_at)
    colleague: Ear | None = None
    if case == "accepted":
        colleague = await talk(here, person)
    elif case == "caller_gone":
        await here.phones["waits"].incoming()
        await person.hears(UNKNOWN, after=asked_at)
        await person.hang_up()
    else:
        if (here.form, case) == ("attended", "declined"):
            colleague = await refuse(here)
        await person.hears(WORDS[outcome_of(here.form, case)])
        await person.hang_up()
    await in_the_books(here, case)
    heard = [await asyncio.to_thread(person.told, asked_at)]
    heard.append(await asyncio.to_thread(colleague.told) if colleague else "–")
    assert SUMMARY not in heard[0]  # it was whispered
    here.stage.notes.append(" | ".join((NOTE, case, outcome_of(here.form, case), *heard)))


async def talk(here: Office, person: Ear) -> Ear:
    """The colleague takes the caller; they hear each other; he hangs up."""
    ann = await here.colleague("takes")
    if here.form == "attended":
        await ann.hears(SUMMARY)
        await ann.hears(QUESTION)
        await ann.call.press("1")
    await asyncio.sleep(BREATH_S)
    ann.call.say(says(COLLEAGUE))
    await person.hears(COLLEAGUE)
    person.call.say(says(CALLER))
    await ann.hears(CALLER)
    await ann.hang_up()
    assert (await person.call.over()).how == "they hung up"
    return ann


async def refuse(here: Office) -> Ear:
    """The colleague hears who calls, and won't."""
    ann = await here.colleague("briefed")
    await ann.hears(SUMMARY)
    await ann.call.press("2")
    assert (await ann.call.over()).how == "they hung up"
    return ann


async def in_the_books(here: Office, case: Case) -> None:
    """The row, the event and the report say the same."""
    number, outcome = number_of(case), outcome_of(here.form, case)
    row = await here.stage.row_of(number)
    await until(lambda: here.stage.webhooks("end-of-call-report", row.id), 15.0)
    row = await here.stage.row_of(number)
    assert row.end_reason == ("transferred" if case == "accepted" else "user_hangup"), (row.end_reason, row.error)
    (transfer,) = row.transfers
    assert (transfer["destination"], transfer["outcome"]) == (here.destination(case), outcome), row.transfers
    assert transfer["mode"] == ("attended" if here.form == "attended" else "blind")
    (told,) = here.stage.webhooks("end-of-call-report", row.id)[0].body["message"]["call"]["transfers"]
    assert told["outcome"] == outcome
    assert {"transfer.started", "transfer.ended"} <= set(await here.stage.names(row.id))


def matrix(title: str) -> Callable[[Callable[[Stage], Awaitable[None]]], Callable[[Any], None]]:
    """A scene of this module's stage."""
    return scene("17", title, bounded="ring_seconds", wait_s=60.0, begin=False, plan=PLAN, extra=EXTRA)


@matrix("Blind, to an extension")
async def test_transfers_to_an_extension(stage: Stage) -> None:
    await each_case(stage, "extension")


@matrix("Blind, to an outside number over the number's trunk")
async def test_transfers_over_a_trunk(stage: Stage) -> None:
    await each_case(stage, "trunk")


@matrix("Blind, to a SIP URI")
async def test_transfers_to_a_uri(stage: Stage) -> None:
    await each_case(stage, "uri")


@matrix("Blind, to a queue")
async def test_transfers_to_a_queue(stage: Stage) -> None:
    await each_case(stage, "queue")


@matrix("Blind, to a ring group")
async def test_transfers_to_a_ring_group(stage: Stage) -> None:
    await each_case(stage, "group")


@matrix("Attended, with a briefing, to an extension")
async def test_transfers_with_a_briefing(stage: Stage) -> None:
    await each_case(stage, "attended")
