"""On the real Asterisk: a workflow through every kind of node, and consent by a real key."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.calls.house import GREETING, assistant
from tests.calls.scene_stage import ANSWER, PLAIN, Stage
from tests.calls.scene_troupe import scene
from tests.calls.test_workflow import HELLO, finds, graph, script
from tests.waiting import until

pytestmark = [pytest.mark.pbx, pytest.mark.timeout(240)]

ORDER = "Your order is on its way."
SORRY = "Nobody is there just now."
LINES = (HELLO, "I see.", "One look.", ORDER, "Here is a colleague.", "Goodbye now.", SORRY)
SHOP: dict[str, Any] = {
    "workflows": {"shop": {"definition": graph()}},
    "numbers": [
        {"number": "100", "name": "Main line", "assistant": "reception", "workflow": "shop"},
        {"number": "*", "assistant": "reception"},
    ],
    "assistants": {"reception": assistant(phrases={"transfer_failed": SORRY})},
    "dialling": {"allow": ["+3120*"]},
    "transfers": {"ring_seconds": 5},
    "phrases": LINES,
}
# without a figure: the scripted voice is sent the spoken form, and is recognised by what it was sent
ASK = "This call is recorded. Press one to agree."
CONSENT: dict[str, Any] = {
    "assistants": {"reception": assistant(recording_consent={"enabled": True, "message": ASK})},
    "recording": {"enabled": True},
    "phrases": (ASK,),
}


@scene("0", "a workflow, through a tool to its end", bounded="", **SHOP)
async def test_a_workflow_is_heard_from_its_greeting_to_its_end(stage: Stage) -> None:
    stage.openai.script = script("look_up", "goodbye")
    stage.receiver.answer = finds("shipped")
    person = await stage.answered()
    await person.hears(HELLO)
    asked = await person.ask()
    for line in ("I see.", "One look.", ORDER):
        asked = (await person.hears(line, after=asked)).start
    asked = await person.ask()
    ending = await person.hears("Goodbye now.", after=asked)
    person.not_owed.append((ending.end, ending.end + 5.0))
    row = await stage.until_row(lambda row: row.ended_at is not None)
    assert (row.end_reason, row.error) == ("assistant_hangup", None)
    await until(lambda: person.call.end is not None)


@scene("0", "a workflow's transfer to a number that nobody answers", bounded="", **SHOP)
async def test_a_workflow_takes_its_caller_back(stage: Stage) -> None:
    stage.openai.script = script("person")
    person = await stage.answered()
    await person.hears(HELLO)
    asked = await person.ask()
    line = await person.hears("Here is a colleague.", after=asked)
    back = await person.hears(SORRY, after=line.end, within_s=20.0)
    person.not_owed.append((line.end, back.start))  # the dialplan's own ringing
    await person.hang_up()
    row = await stage.until_row(lambda row: row.ended_at is not None)
    assert row.end_reason == "user_hangup"
    (attempt,) = row.transfers
    assert attempt["outcome"] in ("failed", "no_answer")


@scene("0", "consent to be recorded, by a key", bounded="", **CONSENT)
async def test_a_key_agrees_to_the_recording(stage: Stage) -> None:
    person = await stage.answered()
    question = await person.hears(ASK)
    recordings = Path(stage.settings["daemon"]["state_dir"]) / "recordings"
    assert not await asyncio.to_thread(lambda: list(recordings.iterdir()))
    await person.call.press("1")
    person.not_owed.append((question.end, asyncio.get_running_loop().time()))
    await person.hears(GREETING, after=question.end)
    asked = await person.ask()
    await person.hears(ANSWER, after=asked)
    await person.hang_up()
    row = await stage.until_row(lambda row: row.recording_path is not None)
    assert row.recording_path is not None
    assert await asyncio.to_thread(lambda path: path.stat().st_size > 2 * 8000 * 4, Path(row.recording_path))
    assert (await stage.values("recording_consent")) == {"given": True}


@scene(
    "0",
    "no consent: the dialplan's fallback, and no recording",
    bounded="16 s of silence at most",
    wait_s=20.0,
    **CONSENT,
)
async def test_another_key_twice_leads_to_the_fallback(stage: Stage) -> None:
    person = await stage.answered()
    question = await person.hears(ASK)
    await person.call.press("3")
    second = await person.hears(ASK, after=question.end)
    await person.call.press("9")
    await person.hears(PLAIN.unwell, after=second.end)
    await person.hears_fallback()
    await person.hang_up()
    row = await stage.until_row(lambda row: row.ended_at is not None)
    assert (row.end_reason, row.recording_path) == ("rejected", None)
