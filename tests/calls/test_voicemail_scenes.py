"""Somebody is called on the real Asterisk, and it is a mailbox; or a person after all."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from sovereign_pbx.testing.providers.deepgram import Utterance
from tests.calls.house import QUESTION, assistant
from tests.calls.scene_person import Person
from tests.calls.test_outbound_scenes import OUTBOUND, SAID, Scene, act

pytestmark = [pytest.mark.pbx, pytest.mark.timeout(120)]

MAILBOX = "Dit is de voicemail van Jan. Spreek een bericht in na de toon."


def detecting(message: str | None) -> dict[str, Any]:
    left = {"voicemail_message": message} if message else {}
    speech = {"first_message_outbound": OUTBOUND, "turn_taking": {"endpointing_min_delay": 0.2}}
    return {"assistants": {"reception": assistant(voicemail_detection=True, speech_config=speech, **left)}}


async def picked_up(on: Scene, words: str) -> tuple[str, Person]:
    """The call is taken, and after a moment something says `words`; the person so far, who has heard nothing."""
    on.stage.deepgram.script = (Utterance((words,)),)
    on.callee.manner = "answer"
    call_id = await on.desk.place(on.request())
    call = await on.callee.incoming()
    await call.answered()
    person = Person(call, frozenset(on.stage.phrases))
    on.stage.people.append(person)
    await asyncio.sleep(0.5)
    assert person.heard() == []
    await person.ask(QUESTION)
    return call_id, person


def test_a_mailbox_gets_the_message_and_nothing_else(asterisk_root: Path, tmp_path: Path) -> None:
    async def scene(on: Scene) -> None:
        call_id, person = await picked_up(on, MAILBOX)
        silent_at = person.said[-1].ended_at
        left = await person.hears(SAID)
        how = await on.ended(call_id)
        assert how.end_reason == "voicemail"
        assert [one.what for one in person.heard()] == [SAID]
        assert silent_at is not None
        assert 1.2 <= left.start - silent_at < 3.0
        row = await on.stage.until_row(lambda row: row.summary is not None)
        assert (row.status, row.summary) == ("ended", f"Voicemail detected. Left message: {SAID}")
        assert not on.stage.openai.requests

    act(asterisk_root, tmp_path, scene, **detecting(SAID))


def test_a_mailbox_is_hung_up_on_where_there_is_no_message(asterisk_root: Path, tmp_path: Path) -> None:
    async def scene(on: Scene) -> None:
        call_id, person = await picked_up(on, MAILBOX)
        how = await on.ended(call_id)
        assert how.end_reason == "voicemail"
        assert person.heard() == []

    act(asterisk_root, tmp_path, scene, **detecting(None))


def test_a_person_hears_the_greeting_after_his_own_words(asterisk_root: Path, tmp_path: Path) -> None:
    async def scene(on: Scene) -> None:
        call_id, person = await picked_up(on, "Met Jan de Vries.")
        await person.hears(OUTBOUND)
        await person.hang_up()
        assert (await on.ended(call_id)).end_reason == "user_hangup"

    act(asterisk_root, tmp_path, scene, **detecting(SAID))
