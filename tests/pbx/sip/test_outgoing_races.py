"""Whatever comes in whatever order while a caller is put through: it ends, once, and nothing is left of it."""

import asyncio
from collections.abc import Callable

import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sovereign_pbx.pbx.link import NextStep
from sovereign_pbx.pbx.sip.outgoing import SipControl, SipControlSettings
from sovereign_pbx.wire.sip import Request
from tests.pbx.sip.far_end import Caller, FarEnd
from tests.pbx.sip.stage import stage
from tests.waiting import until

TAKES_REFER = (("Allow", "INVITE, ACK, BYE, CANCEL, REFER, NOTIFY"), ("Supported", "timer, replaces"))

events = st.lists(
    st.sampled_from(
        (
            "colleague rings",
            "colleague answers",
            "colleague is busy",
            "colleague hangs up",
            "caller hangs up",
            "briefing ends",
            "notify well",
            "notify badly",
            "daemon hangs up",
            "wait",
        )
    ),
    min_size=1,
    max_size=8,
)


class Office:
    """One PBX with caller and colleague, and everything that may happen to the two."""

    def __init__(self, far: FarEnd, caller: Caller, hang_up: Callable[[], object], end_briefing: Callable[[], object]):
        self.far, self.caller = far, caller
        self._hang_up, self._end_briefing = hang_up, end_briefing
        self._settled = False  # the colleague has had his final response
        self._gone: set[str] = set()

    @property
    def invite(self) -> Request | None:
        return next(iter(self.far.came("INVITE")), None)

    async def happens(self, event: str) -> None:
        match event.split():
            case ["colleague", what, *_] if self.invite is not None:
                self._colleague(self.invite, what)
            case ["caller", *_]:
                self._caller_leaves()
            case ["briefing", *_]:
                self._end_briefing()
            case ["notify", how] if self.far.came("REFER"):
                self.caller.notify("200 OK" if how == "well" else "503 Service Unavailable")
            case ["daemon", *_]:
                self._hang_up()
        await asyncio.sleep(0.005)

    def end(self) -> None:
        """Whoever is still there hangs up."""
        if self.invite is not None and not self._settled:
            self._colleague(self.invite, "is")
        self._caller_leaves()

    def _colleague(self, invite: Request, what: str) -> None:
        if what == "rings" and not self._settled:
            self.far.reply(invite, 180)
        elif what in ("answers", "is") and not self._settled:
            self._settled = True
            self.far.reply(invite, 200 if what == "answers" else 486)
        elif what == "hangs" and self.far.came("ACK") and "colleague" not in self._gone:
            self._gone.add("colleague")
            self.far.request(invite, "BYE")

    def _caller_leaves(self) -> None:
        if "caller" not in self._gone and not self.caller.came("BYE"):
            self._gone.add("caller")
            self.caller.hang_up()


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(events, st.booleans())
def test_a_transfer_ends_once_and_leaves_nothing(order: list[str], briefing: bool) -> None:
    async def scene() -> None:
        control = SipControl(SipControlSettings())
        async with FarEnd(lambda far, invite: None) as far, stage(controls=[control]) as s:
            caller = far.call(s.pbx.endpoint.address("udp"), TAKES_REFER)
            await caller.answered()
            await until(lambda: s.desk.links)
            (call_id,) = s.desk.links
            far.answers = lambda request: 202 if request.method == "REFER" else 200
            tasks: list[asyncio.Task[None]] = []

            def hang_up() -> None:
                tasks.append(asyncio.ensure_future(s.pbx.hang_up(call_id)))

            def end_briefing() -> None:
                for link in s.desk.briefing_links:
                    link.close()

            s.desk.steps = [NextStep("dial", "200", ring_s=5.0, briefing=briefing), NextStep("hangup")]
            s.desk.links[call_id].close()
            office = Office(far, caller, hang_up, end_briefing)
            await until(lambda: office.invite is not None)
            for event in order:
                await office.happens(event)
            office.end()
            await until(lambda: s.desk.gone_calls)
            await until(lambda: not s.pbx.call_ids() and not len(s.pbx.legs) and not len(s.pbx.ports), 20.0)
            await asyncio.gather(*tasks)
            assert len(s.desk.gone_calls) == 1
            assert len(s.desk.through) <= 1
            assert control.health()["bridges"] == control.health()["ringing"] == 0

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scene())
