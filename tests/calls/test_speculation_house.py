"""Answers begun early, through the whole daemon: asked for once, counted, dropped at the vendor, and switched off."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sovereign_pbx.testing.providers.deepgram import Utterance
from tests.calls.house import QUESTION, House, assistant, house, play
from tests.waiting import until

WORDS = "What time do you open?"
# the turn is decided long after the recogniser's interim words, so that what happens meanwhile does not depend on luck
SLOW = {"turn_taking": {"endpointing_min_delay": 1.2}}


async def ask(place: House, segments: Sequence[str] = (WORDS,)) -> None:
    """Call, ask the recogniser's scripted question, hear the answer to its end, hang up."""
    place.deepgram.script = (Utterance(tuple(segments), seconds=1.2),)
    place.deepgram.interim_lag_ms = 0.0
    async with place.caller() as caller:
        await caller.place()
        await until(lambda: caller.heard.sounds(), 20.0)
        caller.say(bytes(16000))  # the greeting is over
        await caller.say(QUESTION).finished.wait()
        await until(lambda: place.webhooks("status-update"), 20.0)
        await until(lambda: len(caller.heard.sounds()) >= 2, 20.0)
        await caller.hang_up()


async def used(place: House) -> dict[str, Any]:
    await place.reported()
    (row,) = await place.rows()
    found: dict[str, Any] = row.statistics["usage"]
    return found


def test_an_answer_begun_early_is_asked_for_once_and_counted_once(tmp_path: Path) -> None:
    async def scene() -> None:
        async with house(tmp_path, {"reception": assistant(speech_config=SLOW)}) as place:
            await ask(place)
            usage = await used(place)
            live = [body for body in place.openai.requests if body["messages"][-1]["content"] == WORDS]
            assert len(live) == 1
            assert {name: usage["speculation"][name] for name in ("begun", "adopted", "dropped")} == {
                "begun": 1,
                "adopted": 1,
                "dropped": 0,
            }
            assert usage["speculation"]["tts"] == []

    play(scene())


def test_an_answer_to_other_words_is_closed_at_the_vendor_and_its_cost_told_apart(tmp_path: Path) -> None:
    async def scene() -> None:
        async with house(tmp_path, {"reception": assistant(speech_config=SLOW)}) as place:
            place.openai.first_token_ms = 3000.0
            place.deepgram.final_ms = 800.0

            def other(number: int) -> Utterance:
                heard = place.deepgram.connections[-1].audio_bytes > 0 and place.openai.requests
                return Utterance(("What time do you close?" if heard else WORDS,), seconds=1.2)

            place.deepgram.utterance = other  # type: ignore[method-assign]  # the final text is not what the interim was
            await ask(place)
            usage = await used(place)
            assert usage["speculation"]["dropped"] >= 1
            assert usage["speculation"]["estimated"] >= 1
            assert usage["speculation"]["llm"][0]["input_tokens"] > 0
            assert place.openai.cancelled >= 1
            (report,) = await place.reported()
            assert [m["content"] for m in report["messages"] if m["role"] == "user"] == ["What time do you close?"]

    play(scene())


def test_an_assistant_can_do_without(tmp_path: Path) -> None:
    async def scene() -> None:
        turn_taking = {**SLOW["turn_taking"], "speculative_replies": 0}
        plain = assistant(speech_config={"turn_taking": turn_taking})
        async with house(tmp_path, {"reception": plain}) as place:
            await ask(place)
            assert "speculation" not in await used(place)

    play(scene())


def test_the_machine_can_do_without(tmp_path: Path) -> None:
    async def scene() -> None:
        one = {"reception": assistant(speech_config=SLOW)}
        async with house(tmp_path, one, limits={"speculation_per_call": 0}) as place:
            await ask(place)
            assert "speculation" not in await used(place)

    play(scene())
