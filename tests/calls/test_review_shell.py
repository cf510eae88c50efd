"""The shell round a conversation, on the loop that the daemon runs on."""

import asyncio
from typing import Any, cast

import uvloop

from sovereign_pbx.calls.record import CallRecord
from sovereign_pbx.calls.shell import Shell
from sovereign_pbx.calls.trace import Tracer
from sovereign_pbx.core.commands import Command
from sovereign_pbx.core.conversation import Conversation
from sovereign_pbx.core.events import Event, HungUp, NothingHeard, Tick
from sovereign_pbx.core.plan import Plan
from sovereign_pbx.store import Store


class Overdue:
    """A conversation whose next alarm is overdue, as after a loop that was held up."""

    def __init__(self) -> None:
        self.plan = Plan()
        self.deadline: float | None = None
        self.fed: list[Event] = []

    def feed(self, event: Event, now: float) -> list[Command]:
        self.fed.append(event)
        self.deadline = None if isinstance(event, Tick) else now - 1.0
        return []


def test_a_deadline_that_has_passed_does_not_end_the_call() -> None:
    async def scene() -> None:
        conversation = Overdue()
        unused: Any = None
        shell = Shell(
            conversation=cast(Conversation, conversation),
            record=CallRecord("c", cast(Store, None), lambda: None),
            tracer=Tracer(),
            spawn=unused,
            turn_model=None,
            send_digits=unused,
            leave=unused,
            lost=unused,
            enter=unused,
            agreed=unused,
            conceal=unused,
        )
        shell.feed(NothingHeard())
        shell.feed(HungUp())  # before the loop could ring
        await asyncio.sleep(0.05)
        assert [type(event) for event in conversation.fed] == [NothingHeard, HungUp, Tick]
        shell.stop()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scene())
