"""What is said to one caller is not kept for the next."""

import asyncio
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.calls.house import GREETING, House, assistant, house, play
from tests.waiting import until
from tests.webhooks.receiver import Got


async def greeted(place: House) -> None:
    async with place.caller() as caller:
        await caller.place()
        await until(lambda: caller.heard.sounds())
        await asyncio.sleep(2.0)
        await caller.hang_up()


def kept(folder: Path) -> list[str]:
    return [file.read_bytes().split(b"\n", 1)[0].decode() for file in (folder / "state" / "phrases").glob("*.phrase")]


def test_a_greeting_for_one_caller_is_not_written_to_disk(tmp_path: Path) -> None:
    async def for_jan(got: Got) -> web.StreamResponse:
        body: dict[str, Any] = {"assistant": {"first_message": "Hello Mrs Jansen."}}
        return web.json_response(body if got.event == "assistant-request" else {})

    async def scene() -> None:
        saved = {"reception": assistant(webhook_events=["assistant-request", "end-of-call-report"])}
        async with house(tmp_path, saved) as place:
            place.receiver.answer = for_jan
            await greeted(place)
            (report,) = await place.reported()
            assert report["messages"][0]["content"] == "Hello Mrs Jansen."
            await until(lambda: len(kept(tmp_path)) >= 3)  # fillers and apologies are everybody's
            assert not [words for words in kept(tmp_path) if "Jansen" in words]

    play(scene())


def test_the_greeting_of_the_configuration_is_kept_for_the_next_start(tmp_path: Path) -> None:
    async def scene() -> None:
        async with house(tmp_path) as place:
            await greeted(place)
            await until(lambda: [words for words in kept(tmp_path) if GREETING.split()[-1].rstrip("?") in words])

    play(scene())
