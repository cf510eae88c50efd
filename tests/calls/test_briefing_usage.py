"""What a briefing costs stands in the usage of its call."""

from pathlib import Path
from typing import Any

from sovereign_pbx.core.events import Instructed
from sovereign_pbx.core.values import TransferTerms
from sovereign_pbx.testing.colleague import Colleague
from sovereign_pbx.testing.providers.openai import Answer
from tests.calls.house import GREETING, QUESTION, house, play, quiet
from tests.calls.test_transfers import DIALLING, SALES, outcomes, receptionist


def test_its_words_and_the_summary_are_counted_with_the_calls_own(tmp_path: Path) -> None:
    def model(body: dict[str, Any]) -> Answer:
        return Answer("He asks when you open." if "colleague" in str(body["messages"][0]) else "At nine.")

    async def scene() -> None:
        async with house(tmp_path, receptionist(), **DIALLING) as place, place.caller() as caller:
            place.openai.script = model
            caller.colleagues = [Colleague(rings_s=1.0, keys="1")]
            await caller.place()
            await quiet(caller)
            await caller.say(QUESTION).finished.wait()
            await quiet(caller, after=1)
            (call,) = place.daemon.desk._calls.values()
            order = Instructed("transfer", "", destination=SALES, terms=TransferTerms(mode="attended"))
            await place.daemon.desk.instruct(call.id, order)
            (report,) = await place.reported()
            assert outcomes(report) == ["accepted"]
            usage = (await place.rows())[0].statistics["usage"]
            (asked,) = usage["llm"]
            assert asked["replies"] == 2
            (spoken,) = usage["tts"]
            words = "I have a caller for you: +31612345678. He asks when you open."
            assert spoken["characters"] >= len(GREETING) + len("At nine.") + len(words)

    play(scene())
