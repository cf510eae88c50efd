"""Somebody is called on the real Asterisk, and it is a mailbox, a screening service, a menu; or a person after all."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sovereign_pbx.store import reading
from sovereign_pbx.testing.providers.deepgram import Utterance
from sovereign_pbx.testing.providers.openai import Answer
from tests.calls.house import QUESTION, assistant
from tests.calls.scene_person import Person
from tests.calls.test_outbound_scenes import OUTBOUND, SAID, Scene, act
from tests.waiting import until

pytestmark = [pytest.mark.pbx, pytest.mark.timeout(120)]

SCREENING = "Hi, if you record your name and reason for calling, I'll see if this person is available."
INTRODUCED = "This is the workshop, about your bicycle."
MAILBOX = "Dit is de voicemail van Jan. Spreek een bericht in na de toon."


def detecting(message: str | None) -> dict[str, Any]:
    left = {"voicemail_message": message} if message else {}
    speech = {"first_message_outbound": OUTBOUND, "turn_taking": {"endpointing_min_delay": 0.2}}
    own = {"introduction": INTRODUCED}
    return {"assistants": {"reception": assistant(voicemail_detection=True, speech_config=speech, phrases=own, **left)}}


def beep(hertz: float = 1000.0, seconds: float = 0.4) -> bytes:
    time = np.arange(round(seconds * 8000)) / 8000
    return np.asarray(6000 * np.sin(2 * np.pi * hertz * time), "<i2").tobytes()


async def found(on: Scene) -> list[str]:
    """Who the books say has answered, in order."""
    call_id = (await on.stage.row()).id
    events = await on.stage.read(lambda connection: reading.events(connection, call_id))
    return [values["who"] for _, name, values in events if name == "answered_by"]


async def picked_up(on: Scene, words: str) -> tuple[str, Person]:
    """The call is taken, and after a moment something says `words`; the person so far, who has heard nothing."""
    on.stage.deepgram.script = (Utterance((words,)),)
    on.stage.phrases.add(INTRODUCED)
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


@pytest.mark.parametrize("pause_s", [0.5, 1.0])
def test_the_message_begins_at_once_after_the_beep(asterisk_root: Path, tmp_path: Path, pause_s: float) -> None:
    async def scene(on: Scene) -> None:
        call_id, person = await picked_up(on, MAILBOX)
        await asyncio.sleep(pause_s)
        heard = person.call.say(beep())
        await heard.finished.wait()
        left = await person.hears(SAID)
        assert (await on.ended(call_id)).end_reason == "voicemail"
        assert [one.what for one in person.heard()] == [SAID]
        assert heard.ended_at is not None
        print(f"message after the beep, ms: {round((left.start - heard.ended_at) * 1000)}")  # noqa: T201  a measurement
        assert 0.0 < left.start - heard.ended_at < 0.4  # 0.2 on a quiet machine
        assert await found(on) == ["mailbox"]

    act(asterisk_root, tmp_path, scene, **detecting(SAID))


def test_a_late_beep_brings_the_message_from_its_beginning(asterisk_root: Path, tmp_path: Path) -> None:
    async def scene(on: Scene) -> None:
        call_id, person = await picked_up(on, MAILBOX)
        await asyncio.sleep(2.2)
        heard = person.call.say(beep(1400.0))
        await heard.finished.wait()
        assert heard.ended_at is not None
        left = await person.hears(SAID, after=heard.ended_at)
        assert (await on.ended(call_id)).end_reason == "voicemail"
        after = [one for one in person.heard() if one.start >= heard.ended_at]
        assert [(one.what, one.cut) for one in after] == [(SAID, False)]
        assert left.start - heard.ended_at < 0.4

    act(asterisk_root, tmp_path, scene, **detecting(SAID))


def test_a_screening_service_is_told_who_calls_and_then_the_person_is_greeted(
    asterisk_root: Path, tmp_path: Path
) -> None:
    async def scene(on: Scene) -> None:
        call_id, person = await picked_up(on, SCREENING)
        on.stage.deepgram.script = (Utterance((SCREENING,)), Utterance(("Met Jan de Vries.",)))
        told = await person.hears(INTRODUCED)
        await asyncio.sleep(1.0)
        await person.ask(QUESTION)
        await person.hears(OUTBOUND, after=told.end)
        await person.hang_up()
        assert (await on.ended(call_id)).end_reason == "user_hangup"
        assert await found(on) == ["screening", "person"]

    act(asterisk_root, tmp_path, scene, **detecting(SAID))


def test_a_mailbox_that_asterisk_has_found_is_left_the_message_after_its_beep(
    asterisk_root: Path, tmp_path: Path
) -> None:
    async def scene(on: Scene) -> None:
        await asyncio.to_thread((on.stage.asterisk.run_dir / "etc/amd.conf").write_text, "[general]\n")
        await on.stage.asterisk.cli("module load app_amd.so")
        on.stage.deepgram.script = (Utterance(("Ez itt az üzenetrögzítő.",)),)
        on.callee.manner = "answer"
        call_id = await on.desk.place(on.request())
        call = await on.callee.incoming()
        await call.answered()
        person = Person(call, frozenset(on.stage.phrases))
        on.stage.people.append(person)
        for _ in range(3):  # longer than any person greets
            person.call.say(QUESTION)
        await asyncio.sleep(3 * len(QUESTION) / 16000 + 0.6)
        heard = person.call.say(beep())
        await heard.finished.wait()
        await person.hears(SAID)
        assert (await on.ended(call_id)).end_reason == "voicemail"
        assert heard.ended_at is not None
        assert [one.what for one in person.heard() if one.start > heard.ended_at] == [SAID]
        assert await found(on) == ["mailbox"]

    answered = "[sovereign-answered]\nexten => s,1,TryExec(AMD())\n same => n,Return()\n"
    act(asterisk_root, tmp_path, scene, plan=answered, **detecting(SAID))


def test_a_menu_hears_the_tones_that_the_model_sends(asterisk_root: Path, tmp_path: Path) -> None:
    """Contract-free: `digits.send`. Order and number are exact, and a pause is one."""

    async def scene(on: Scene) -> None:
        on.stage.openai.script = (Answer(tools=(("send_digits", '{"digits": "1w20#"}'),)),)
        on.stage.deepgram.script = (Utterance(("For sales press one.",)),)
        call_id, person = await on.talking()
        await person.ask(QUESTION)
        await until(lambda: len(person.call.ear.digits) >= 4, 10.0)
        await asyncio.sleep(1.5)  # nothing more comes
        digits = person.call.ear.digits
        assert [heard.digit for heard in digits] == list("120#")
        assert digits[1].at - digits[0].at > 0.6
        assert [one.what for one in person.heard()] == [OUTBOUND]
        await person.hang_up()
        await on.ended(call_id)

    reception = assistant(speech_config={"first_message_outbound": OUTBOUND}, digits={"send": True})
    act(asterisk_root, tmp_path, scene, assistants={"reception": reception})
