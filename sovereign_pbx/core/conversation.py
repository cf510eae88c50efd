"""A conversation, without a clock, a link or a provider: events and the time go in, commands come out.

    conversation = Conversation(plan)
    for command in conversation.feed(Answered(), now):
        perform(command)
    # wait for the next event, or for `conversation.deadline`, and then feed `Tick()`

The shell performs the commands in order and feeds whatever comes of them; it never decides. Who has the floor is
decided by the table in `turn.py`, carried out by the moves in `moves/` on the working memory in `talk.py`.
"""

from sovereign_pbx.core.alarms import Alarm
from sovereign_pbx.core.commands import Command
from sovereign_pbx.core.events import Event, Tick
from sovereign_pbx.core.moves import guessing, take
from sovereign_pbx.core.plan import Plan
from sovereign_pbx.core.talk import Talk
from sovereign_pbx.core.turn import Column, State
from sovereign_pbx.core.values import Message


class Conversation:
    """One call's conversation. Not shared between threads; `feed` never blocks and never raises."""

    __slots__ = ("_talk",)

    def __init__(self, plan: Plan) -> None:
        self._talk = Talk(plan)

    def feed(self, event: Event, now: float) -> list[Command]:
        """Take what happened at `now` (seconds on one clock that never goes back); return what is to be done."""
        talk = self._talk
        talk.now = max(now, talk.now)
        if isinstance(event, Tick):
            self._ring(event)
        else:
            self._take(type(event), event)
        guessing.review(talk, event)
        if talk.state is not State.ENDED:
            talk.tidy()
        commands, talk.out = talk.out, []
        return commands

    @property
    def deadline(self) -> float | None:
        """When a `Tick` must be fed unless another event changes it; None: the clock has nothing to say."""
        return self._talk.alarms.deadline

    @property
    def state(self) -> State:
        """Who has the floor."""
        return self._talk.state

    @property
    def away(self) -> bool:
        """The caller is being put through, and may come back; also while he is on hold."""
        talk = self._talk
        return State.AWAY in (talk.state, talk.beneath if talk.state is State.HELD else talk.state)

    @property
    def exchange(self) -> float | None:
        """The exchange that is under way, by the time at which it began; None between two of them."""
        return self._talk.turn.started_at if self._talk.turn is not None else None

    @property
    def plan(self) -> Plan:
        """The plan as it stands: a workflow changes it from node to node."""
        return self._talk.plan

    def keyed(self, name: str) -> str:
        """The last complete entry of the masked collector `name`, "" where there is none. For a tool's request only."""
        return self._talk.digits.kept(name)

    @property
    def history(self) -> tuple[Message, ...]:
        """What has been said, as far as it can't change any more: exactly the messages that were `Remember`ed."""
        return tuple(self._talk.history.remembered)

    def __repr__(self) -> str:
        talk = self._talk
        parts = [talk.state.name if talk.state is not State.HELD else f"HELD over {talk.beneath.name}"]
        if talk.place:
            parts.append(f"at {talk.place}")
        if talk.reply is not None:
            parts.append(f"reply {talk.reply.number} {'streaming' if talk.reply.streaming else 'complete'}")
        parts.append(f"{len(talk.ledger.queue)} queued{' (paused)' if talk.ledger.paused else ''}")
        if talk.tools:
            parts.append(f"{len(talk.tools)} tools in flight")
        if talk.failures:
            parts.append(f"{talk.failures} failures")
        if self.deadline is not None:
            parts.append(f"deadline in {self.deadline - talk.now:.3f} s")
        return f"<Conversation [{' | '.join(parts)}]>"

    def _ring(self, event: Tick) -> None:
        """Let every alarm ring that is due, each once: what it sets anew belongs to the next tick."""
        talk = self._talk
        rung: set[Alarm] = set()
        while (alarm := talk.alarms.ring(talk.now, rung)) is not None:
            rung.add(alarm)
            self._take(alarm, event)

    def _take(self, column: Column, event: Event) -> None:
        """And what was kept back of an answer that is adopted thereby, as if it came now."""
        talk = self._talk
        take(talk, column, event)
        while talk.kept_back:
            kept = talk.kept_back.popleft()
            take(talk, type(kept), kept)
