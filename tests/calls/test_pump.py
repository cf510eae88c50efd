"""Events become commands one at a time, in order and on time."""

import asyncio
from collections.abc import Callable

from sovereign_pbx.calls.pump import Pump
from sovereign_pbx.core.events import Tick
from sovereign_pbx.testing import virtual_time


class Echoing:
    """A conversation whose commands are the events it is fed, and what `answer` makes of them."""

    def __init__(self, answer: Callable[[object], list[object]] = lambda event: [event]) -> None:
        self.deadline: float | None = None
        self.fed: list[tuple[object, float]] = []
        self._answer = answer

    def feed(self, event: object, now: float) -> list[object]:
        self.fed.append((event, now))
        return self._answer(event)


def test_an_event_that_a_command_causes_waits_until_the_other_commands_are_performed() -> None:
    async def scene() -> list[object]:
        done: list[object] = []

        def perform(command: object) -> None:
            done.append(command)
            if command == "first":
                pump.feed("caused")

        pump: Pump[object] = Pump(
            Echoing(lambda event: ["first", "second"] if event == "begin" else [event]), {str: perform}
        )
        pump.feed("begin")
        return done

    assert virtual_time.run(scene()) == ["first", "second", "caused"]


def test_the_conversation_is_told_when_its_deadline_has_passed_and_not_after_the_end() -> None:
    async def scene() -> None:
        loop = asyncio.get_running_loop()
        conversation = Echoing(lambda event: [])
        pump: Pump[object] = Pump(conversation, {})
        conversation.deadline = loop.time() + 2.0
        pump.feed("begin")
        conversation.deadline = loop.time() + 5.0
        pump.feed("later")  # the clock is set anew
        began = loop.time()
        conversation.deadline, deadline = None, conversation.deadline
        await asyncio.sleep(6.0)
        assert [event for event, _ in conversation.fed] == ["begin", "later", Tick()]
        assert conversation.fed[-1][1] == deadline == began + 5.0
        conversation.deadline = loop.time() + 1.0
        pump.feed("again")
        pump.stop()
        await asyncio.sleep(2.0)
        assert conversation.fed[-1][0] == "again"

    virtual_time.run(scene())


def test_a_command_that_fails_leaves_the_pump_ready_for_the_next_event() -> None:
    async def scene() -> list[object]:
        done: list[object] = []

        def perform(command: object) -> None:
            if command == "bad":
                raise ValueError(command)
            done.append(command)

        pump: Pump[object] = Pump(Echoing(), {str: perform})
        try:
            pump.feed("bad")
        except ValueError:
            pump.feed("good")
        return done

    assert virtual_time.run(scene()) == ["good"]
