"""Whole conversations over everything that can bring an Asterisk's calls: what the caller heard, what the books say.

A few scenes that there are anyway are played again over the other links, and one conversation in which everything
happens that depends on sound: a tool, an interruption, keys, a recording of both.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sovereign_pbx.testing.providers.openai import Answer
from tests.calls import test_failures_daemon as daemons
from tests.calls import test_failures_hangups as hangups
from tests.calls.house import assistant
from tests.calls.scene_stage import ANSWER, LONG_ANSWER, Stage, play
from tests.calls.scene_stage import stage as arranged
from tests.calls.scene_troupe import Scene, scene
from tests.calls.test_failures_webhooks import HOURS, only
from tests.pbx.links import USUAL, Link, chosen
from tests.waiting import until
from tests.webhooks.receiver import answering

pytestmark = [pytest.mark.pbx, pytest.mark.timeout(240)]

Test = Callable[[Any], None]

EVERYTHING: dict[str, Any] = {
    "assistants": {"reception": assistant(llm_config={**assistant()["llm_config"], "tools": [HOURS]})},
    "recording": {"enabled": True},
}


def mind(request: dict[str, Any]) -> Answer:
    """Looks the hours up; gives a long answer to the second question, and short ones to all others."""
    messages = request["messages"]
    asked = sum(message["role"] == "user" for message in messages)
    if request.get("tools") and asked == 1 and messages[-1]["role"] == "user":
        return Answer(tools=((str(HOURS["name"]), "{}"),))
    return Answer(LONG_ANSWER if asked == 2 else ANSWER)


@scene("17", "A tool, an interruption, keys, a recording", bounded="", **EVERYTHING)
async def test_a_conversation_in_which_everything_happens(stage: Stage) -> None:
    stage.receiver.answer = only("tool-calls", answering(b'{"result": "from nine to five"}'))
    stage.openai.script = mind
    person = await stage.greeted()
    asked = await person.ask()
    await person.hears(ANSWER, after=asked)
    asked = await person.ask()
    begun = await person.hears_beginning(after=asked)
    await asyncio.sleep(1.5)  # what is cut off at once can't be told by its sound
    asked = await person.ask()
    await person.hears(LONG_ANSWER, after=begun - 0.5, cut=True)
    answered = await person.hears(ANSWER, after=asked)
    await person.call.press("5")
    person.not_owed.append((answered.end, asyncio.get_running_loop().time()))
    await until(lambda: "5" in str(stage.openai.requests[-1]), 15.0)
    await person.hang_up()
    row = await stage.until_row(lambda row: row.recording_path is not None)
    assert (row.status, row.end_reason) == ("ended", "user_hangup")
    assert row.recording_path is not None
    size = (await asyncio.to_thread(Path(row.recording_path).stat)).st_size
    rate = 16000 if "wideband" in stage.link else 8000
    assert size > 6 * rate * 4  # stereo, both sides of a conversation of more than six seconds


def converse(asterisk_root: Path, tmp_path: Path) -> None:
    """The same over the chosen link, with the report that comes of it: for the table of docs/links.md."""
    everything: Any = test_a_conversation_in_which_everything_happens
    made: Scene = everything.scene

    async def conversation() -> None:
        async with arranged(asterisk_root, tmp_path, link=chosen().name, **made.options) as stage:
            await made.perform(stage)
            await until(lambda: stage.webhooks("end-of-call-report"))

    play(conversation())


def again(test: Any, link: Link) -> Test:
    """The same scene over another link, as a test of this module."""
    made: Scene = test.scene

    async def perform(stage: Stage) -> None:
        await made.perform(stage)

    slug = link.name.lower().replace(", ", "_").replace(" ", "_")
    perform.__name__ = f"{made.name}_over_{slug}"
    perform.__qualname__, perform.__doc__, perform.__module__ = perform.__name__, made.perform.__doc__, __name__
    options = {**made.options, "link": link.name}
    title = f"{made.title} ({link.name})"
    return scene(made.number, title, bounded=made.bounded, wait_s=made.wait_s, **options)(perform)


WIDE, WEBSOCKET, SIP = USUAL
PLAYED = (
    *((test_a_conversation_in_which_everything_happens, link) for link in USUAL),
    (hangups.test_nobody_talks_into_hold, WEBSOCKET),
    (daemons.test_a_daemon_killed_while_it_speaks, WIDE),
    (daemons.test_a_daemon_that_is_stopped_gives_its_callers_back, SIP),
)

for one, link in PLAYED:
    made = again(one, link)
    globals()[made.__name__] = made
