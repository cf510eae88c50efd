"""Every answer to `assistant-request` on the real Asterisk, with its effect as the caller hears it (contract §9)."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import web

from sovereign_pbx.store import CallRow
from sovereign_pbx.testing.providers.voice_sound import PITCH_HZ, USUAL_PITCH_HZ
from sovereign_pbx.testing.rtp_packet import DECODE
from tests.calls.house import GREETING, assistant
from tests.calls.scene_hearing import FALLBACK, RATE
from tests.calls.scene_person import Person
from tests.calls.scene_stage import ANSWER, Stage, play, stage
from tests.webhooks.receiver import Got

pytestmark = [pytest.mark.pbx, pytest.mark.timeout(240)]

USUAL, BEN = USUAL_PITCH_HZ, PITCH_HZ["ben"]
DEEP = {"tts_config": {"provider": "elevenlabs", "voice_id": "ben"}}
PORTER = {
    "llm_config": {
        "provider": "openai",
        "model": "scripted",
        "messages": [{"role": "system", "content": "You are the night porter."}],
    }
}
TOO_LATE_S = 2.0


@dataclass(frozen=True)
class Form:
    """What the webhook answers (`status` and raw bytes, too) and what the caller of that number then hears."""

    answer: Any
    hears: str
    pitch: int = USUAL
    ends: str = "user_hangup"  # end_reason
    prompt: str = "You answer the telephone."
    status: int = 200
    note: str = ""  # what the call's events say about the answer


FORMS = {
    "101": Form({}, GREETING),
    "102": Form(b"", GREETING),
    "103": Form({"assistant": {"first_message": "Hello Jan."}}, "Hello Jan."),
    "104": Form({"assistant": {"first_message": "A deep voice.", **DEEP}}, "A deep voice.", BEN),
    "105": Form({"assistant": PORTER}, GREETING, prompt="You are the night porter."),
    "106": Form(
        {"assistant": {**assistant(first_message="All of it is new."), **DEEP, **PORTER}},
        "All of it is new.",
        BEN,
        prompt="You are the night porter.",
    ),
    "107": Form({"assistant_id": "night"}, "Night desk.", BEN),
    "108": Form(
        {"assistant_id": "night", "assistant_override": {"first_message": "Good night.", **PORTER}},
        "Good night.",
        BEN,
        prompt="You are the night porter.",
    ),
    "109": Form({"agentId": "night", "agentConfig": {"firstMessage": "An older spelling."}}, "An older spelling.", BEN),
    "110": Form({"max_duration_seconds": 3}, GREETING, ends="max_duration"),
    "111": Form({"agent": {"firstMessage": "Be brief."}, "maxDurationSeconds": 3}, "Be brief.", ends="max_duration"),
    "112": Form({"error": "We are closed today."}, "We are closed today.", ends="rejected"),
    "113": Form(b"oops", GREETING, status=500, note="500"),
    "114": Form(b"\xff{", GREETING, note="JSON"),
    "115": Form({"assistant": {"first_message": 7}}, GREETING, note="first_message"),
    "116": Form({"assistant_id": "nobody"}, GREETING, note="nobody"),
    "117": Form(None, GREETING, note="did not answer"),  # too late
}
UNLINKED = {
    "901": Form({"assistant": {**assistant(first_message="Made for this call."), **DEEP}}, "Made for this call.", BEN),
    "902": Form({"assistant_id": "night"}, "Night desk.", BEN),
    "903": Form({}, FALLBACK, ends="rejected"),
    "904": Form(b"oops", FALLBACK, ends="rejected", status=500, note="500"),
}
ALL = {**FORMS, **UNLINKED}


async def answer(got: Got) -> web.StreamResponse:
    if got.event != "assistant-request":
        return web.json_response({})
    form = ALL[got.body["message"]["phone_number"]["number"]]
    if form.answer is None:
        await asyncio.sleep(TOO_LATE_S + 1.0)
        return web.json_response({"error": "too late"})
    if isinstance(form.answer, bytes):
        return web.Response(status=form.status, body=form.answer)
    return web.json_response(form.answer)


def pitch_of(person: Person) -> int:
    """Which of the voices he heard: the stronger one of their pitches."""
    packets = person.call.ear.audio_packets()
    pcm = np.frombuffer(b"".join(DECODE[one.payload_type](one.payload) for one in packets), "<i2").astype(float)
    pieces = pcm[: len(pcm) // 160 * 160].reshape(-1, 160)  # of 20 ms: every letter begins anew
    power = {}
    for pitch in (USUAL, BEN):
        turning = np.exp(-2j * np.pi * pitch * np.arange(160) / RATE)
        power[pitch] = float(np.sum(np.abs(pieces @ turning) ** 2))
    return max(power, key=lambda pitch: power[pitch])


async def call(place: Stage, number: str) -> str:
    """Live through one call; what was wrong with it, or ""."""
    form = ALL[number]
    person = await place.answered(number)
    if form.hears == FALLBACK:
        await person.hears_fallback()
    else:
        await person.hears(form.hears)
    if form.ends == "user_hangup" and form.answer is not None:
        asked = await person.ask()
        await person.hears(ANSWER, after=asked)
    if form.ends in ("max_duration", "rejected") and form.hears != FALLBACK:
        end = await person.call.over(6.0)
        assert person.call.answered_at is not None
        seconds = end.at - person.call.answered_at
        if end.how != "they hung up" or (form.ends == "max_duration" and not 2.5 < seconds < 5.5):
            return f"{end.how} after {seconds:.1f} s"
    else:
        await person.hang_up()
    heard = pitch_of(person)
    return "" if form.hears == FALLBACK or heard == form.pitch else f"heard the voice of {heard} Hz"


def complaints(place: Stage, row: CallRow, notes: list[str]) -> list[str]:
    form = ALL[row.assistant_phone or ""]
    asked = [request["messages"][0]["content"] for request in place.openai.requests]
    found = []
    if row.end_reason != form.ends:
        found.append(f"ended as {row.end_reason}")
    if form.note and not any(form.note in note for note in notes):
        found.append(f"noted {notes}")
    if form.ends == "user_hangup" and form.answer is not None and not any(form.prompt in one for one in asked):
        found.append(f"nobody asked the model as {form.prompt!r}")
    return found


def test_each_answer_has_the_effect_that_it_promises(asterisk_root: Path, tmp_path: Path) -> None:
    events = ["assistant-request", "status-update", "end-of-call-report"]
    saved = {
        "reception": assistant(webhook_events=events),
        "night": assistant(first_message="Night desk.", webhook_events=events, **DEEP),
    }
    linked = [{"number": number, "name": "Main line", "assistant": "reception"} for number in FORMS]
    options: dict[str, Any] = {
        "assistants": saved,
        "numbers": [*linked, {"number": "901"}, {"number": "904"}],  # the others nobody has ever heard of
        "webhook": {"request_timeout_seconds": TOO_LATE_S},
        "phrases": [form.hears for form in ALL.values() if form.hears != FALLBACK],
    }

    async def scene() -> None:
        wrong: dict[str, list[str]] = {}
        async with stage(asterisk_root, tmp_path, **options) as place:
            place.receiver.answer = answer
            for number in ALL:
                try:
                    wrong[number] = [fault] if (fault := await call(place, number)) else []
                except AssertionError as exc:
                    wrong[number] = [str(exc)]
                await place.until_row(lambda row: row.ended_at is not None)
                notes = [str(values.get("text", "")) for values in await notes_of(place)]
                wrong[number] += complaints(place, await place.row_of(number), notes)
                place.openai.requests.clear()
            asked = {got.body["message"]["phone_number"]["number"] for got in place.webhooks("assistant-request")}
            assert asked == set(ALL), "each was asked for, those that nobody has ever heard of, too"
        assert not {number: faults for number, faults in wrong.items() if faults}

    play(scene())


async def notes_of(place: Stage) -> list[dict[str, Any]]:
    """What the latest call's events say about the answer."""
    return [await place.values("resolution.note")] if "resolution.note" in await place.names() else []
