"""`[webhook] allow_private = false` holds for everything that the daemon sends, and costs no call."""

import asyncio
from contextlib import closing
from pathlib import Path
from typing import Any

from sovereign_pbx.store import outbox, reading, schema
from sovereign_pbx.store.outbox import Letter
from sovereign_pbx.testing.providers.openai import Answer
from tests.calls.house import QUESTION, assistant, house, play
from tests.waiting import until

TOOL = {"name": "opening_hours", "description": "When the shop is open", "parameters": {"type": "object"}}


def written(database: Path) -> tuple[Letter, list[tuple[str, str, dict[str, Any]]]]:
    """The first webhook, and the events of its call."""
    with closing(schema.connect_observer(database)) as connection:
        first = outbox.letters(connection, states=["pending"])[0]
        return first, reading.events(connection, first.call_id)


def test_nothing_is_sent_to_a_private_address_and_the_call_goes_on(tmp_path: Path) -> None:
    async def scene() -> None:
        own = assistant(
            webhook_events=["assistant-request", "tool-calls", "status-update", "end-of-call-report"],
            llm_config={**assistant()["llm_config"], "tools": [TOOL]},
        )
        async with house(tmp_path, {"reception": own}) as place:
            place.settings["webhook"]["allow_private"] = False
            await place.stop()
            await place.start()
            place.openai.script = (Answer(tools=(("opening_hours", "{}"),)), "I could not find out.")
            async with place.caller() as caller:
                await caller.place()
                await until(lambda: len(caller.heard.sounds()) >= 1)
                await asyncio.sleep(1.5)
                await caller.say(QUESTION).finished.wait()
                await until(lambda: len(place.openai.requests) >= 2)
                await caller.hang_up()
            told = str(place.openai.requests[1]["messages"][-1]["content"])
            assert "failed (refused)" in told
            await place.stop()
            first, events = await asyncio.to_thread(written, place.daemon.config.database)
            assert "allow_private is false" in (first.last_error or "")
            (note,) = [str(values["text"]) for _, name, values in events if name == "resolution.note"]
            assert "allow_private is false" in note
            assert place.receiver.got == []

    play(scene())
