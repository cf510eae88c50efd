"""On the real Asterisk: a card is keyed in on a SIP telephone, and only the tool that charges it gets to know it."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from sovereign_pbx.testing.providers.openai import Answer
from tests.calls.house import QUESTION
from tests.calls.scene_stage import Stage, play, stage
from tests.calls.test_keys import CARD, PAID, PROMPT, charging, kept, paying, payment
from tests.waiting import until

pytestmark = [pytest.mark.pbx, pytest.mark.timeout(120)]


def act(root: Path, folder: Path, scene: Any, **sections: Any) -> None:
    async def body() -> None:
        async with stage(root, folder, phrases=(PROMPT, PAID), **sections) as made:
            await scene(made)
            await made.check_nothing_left()

    play(body())


def test_a_masked_card_is_in_no_log_no_row_and_no_webhook_but_the_tools(
    asterisk_root: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Every key comes twice here, by AudioSocket and by AMI's DTMF events, at log level debug."""

    async def scene(on: Stage) -> None:
        on.openai.script = paying
        on.receiver.answer = charging
        person = await on.greeted()
        await person.ask(QUESTION)
        await person.hears(PROMPT)
        await person.call.press(CARD)
        await person.hears(PAID)
        await person.hang_up()
        await on.until_row(lambda row: row.summary is not None)
        (asked,) = on.webhooks("tool-calls")
        arguments = asked.body["message"]["tool_call_list"][0]["function"]["arguments"]
        assert arguments == {"card": CARD, "euros": 12}
        assert CARD not in str([got.body for got in on.webhooks() if got.event != "tool-calls"])
        assert CARD not in str(list(on.openai.requests))
        assert (await on.values("digits_collected")) == {
            "collector": "card_number",
            "outcome": "complete",
            "count": 16,
        }

    act(asterisk_root, tmp_path, scene, assistants=payment(mask=True))
    stored = kept(tmp_path)
    assert stored
    assert CARD.encode() not in stored
    logged = "".join(capfd.readouterr())
    assert "digits_collected" in logged
    assert CARD not in logged
    assert "digit=" not in logged


def test_the_first_key_stops_the_prompt_and_none_is_lost(asterisk_root: Path, tmp_path: Path) -> None:
    long = " ".join([PROMPT] * 4)

    async def scene(on: Stage) -> None:
        on.phrases.add(long)
        on.openai.script = lambda body: (
            Answer(PAID)
            if any(message["role"] == "tool" for message in body["messages"])
            else Answer(tools=(("card_number", "{}"),))
        )
        person = await on.greeted()
        asked_at = await person.ask(QUESTION)
        await person.hears_beginning(after=asked_at)
        await asyncio.sleep(0.5)
        loop = asyncio.get_running_loop()
        pressed_at = loop.time()
        began = time.perf_counter()
        await person.call.press(CARD, press_s=0.08, gap_s=0.08)
        await person.hears(PAID)
        (cut,) = [one for one in person.heard() if one.start < pressed_at < one.end + 1.0]
        print(f"first key to silence, ms: {round((cut.end - pressed_at) * 1000)}")  # noqa: T201  a measurement
        assert cut.end - pressed_at < 0.6  # the key is told at its release, after 80 ms
        assert time.perf_counter() - began < 10
        await until(lambda: any(f'"digits": "{CARD}"' in str(request) for request in on.openai.requests))
        await person.hang_up()

    reception = payment(mask=False)
    reception["reception"]["digits"]["collectors"][0]["prompt"] = long
    act(asterisk_root, tmp_path, scene, assistants=reception)
