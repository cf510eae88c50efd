"""Consent by a key and mailboxes, through the whole daemon."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from sovereign_pbx.assistants.model import Assistant
from sovereign_pbx.assistants.plan import plan_for
from sovereign_pbx.core.plan import Phrases, Plan
from sovereign_pbx.media.wav import HEADER_BYTES
from sovereign_pbx.testing.providers.deepgram import Utterance
from tests.calls.house import GREETING, QUESTION, House, assistant, house, play
from tests.calls.test_workflow import silence
from tests.waiting import until

ASK = "This call is recorded. Press 1 to agree."
CONSENT = {"reception": assistant(recording_consent={"enabled": True, "message": ASK})}
RECORDING = {"recording": {"enabled": True}}


def said(report: dict[str, Any]) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in report["messages"]]


async def row_of(place: House) -> Any:
    (row,) = await place.rows()
    return row


def test_nothing_is_heard_or_recorded_before_the_key_and_everything_after_it(tmp_path: Path) -> None:
    async def scene() -> None:
        async with house(tmp_path, CONSENT, **RECORDING) as place, place.caller() as caller:
            place.deepgram.script = (Utterance(("The first words.",)), Utterance(("The second.",)))
            await caller.place()
            await silence(caller)
            await caller.say(QUESTION).finished.wait()
            await asyncio.sleep(1.0)
            assert not place.openai.requests
            caller.press("1")
            began = caller.heard.frames
            await silence(caller, 1)
            await caller.say(QUESTION).finished.wait()
            await until(lambda: place.openai.requests)
            await asyncio.sleep(1.0)
            frames = caller.heard.frames - began
            await caller.hang_up()
            (report,) = await place.reported()
            assert said(report)[:3] == [("assistant", ASK), ("assistant", GREETING), ("user", "The first words.")]
            row = await row_of(place)
            bytes_heard = Path(row.recording_path).stat().st_size - HEADER_BYTES
            assert bytes_heard / 4 / 160 == pytest.approx(frames, abs=25)

    play(scene())


def test_who_does_not_agree_is_given_to_the_fallback_unrecorded(tmp_path: Path) -> None:
    async def scene() -> None:
        async with house(tmp_path, CONSENT, **RECORDING) as place:
            async with place.caller() as caller:
                await caller.place()
                await silence(caller)
                caller.press("2")
                await silence(caller, 1)
                caller.press("2")
                await caller.over(20.0)
                assert caller.steps == ["fallback"]
            (report,) = await place.reported()
            assert [text for _, text in said(report)][-1] == Phrases().unwell
            row = await row_of(place)
            assert (row.end_reason, row.recording_path) == ("rejected", None)
            assert not list((tmp_path / "state" / "recordings").iterdir())

    play(scene())


def outbound(monkeypatch: pytest.MonkeyPatch) -> None:
    """The calls of this house are taken for calls that it placed."""

    def as_placed(assistant: Assistant, **_: Any) -> Plan:
        return plan_for(assistant, direction="outbound")

    monkeypatch.setattr("sovereign_pbx.calls.call.plan_for", as_placed)


def detecting(message: str | None) -> dict[str, Any]:
    return {"reception": assistant(voicemail_detection=True, **({"voicemail_message": message} if message else {}))}


async def first_words(place: House, words: str) -> str:
    """Pick up, say this, and see how the call ends; the caller's own last step."""
    place.deepgram.script = (Utterance((words,)),)
    async with place.caller() as caller:
        await caller.place()
        await asyncio.sleep(0.3)
        await caller.say(QUESTION).finished.wait()
        await caller.over(20.0)
        return caller.steps[-1]


MAILBOX = "You have reached the voicemail of Jan. Please leave a message after the tone."


def test_a_mailbox_is_left_the_message_and_the_summary_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outbound(monkeypatch)

    async def scene() -> None:
        async with house(tmp_path, detecting("Please call us back.")) as place:
            assert await first_words(place, MAILBOX) == "hangup"
            (report,) = await place.reported()
            assert said(report) == [("user", MAILBOX), ("assistant", "Please call us back.")]
            assert report["end_reason"] == "voicemail"
            assert report["call"]["status"] == "ended"
            assert report["summary"] == "Voicemail detected. Left message: Please call us back."
            assert not place.openai.requests

    play(scene())


def test_a_mailbox_without_a_message_for_it_is_hung_up_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outbound(monkeypatch)

    async def scene() -> None:
        async with house(tmp_path, detecting(None)) as place:
            assert await first_words(place, MAILBOX) == "hangup"
            (report,) = await place.reported()
            assert said(report) == [("user", MAILBOX)]
            assert report["summary"] == "Voicemail detected. No message was left."

    play(scene())


def test_a_person_is_greeted_after_his_hello(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outbound(monkeypatch)

    async def scene() -> None:
        async with house(tmp_path, detecting("Please call us back.")) as place:
            place.deepgram.script = (Utterance(("Hello, Jan speaking.",)),)
            async with place.caller() as caller:
                await caller.place()
                await asyncio.sleep(0.3)
                await caller.say(QUESTION).finished.wait()
                await silence(caller)
                await caller.hang_up()
            (report,) = await place.reported()
            assert said(report) == [("user", "Hello, Jan speaking."), ("assistant", GREETING)]

    play(scene())
