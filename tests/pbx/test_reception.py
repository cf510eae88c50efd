"""What the dialplan is told before the answer and after the conversation, whatever the desk does."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from structlog.testing import capture_logs

from sovereign_pbx.pbx.asterisk.audiosocket import AudioSocketServer
from sovereign_pbx.pbx.asterisk.fastagi import FastAgiServer
from sovereign_pbx.pbx.asterisk.lines import Lines
from sovereign_pbx.pbx.asterisk.put_through import PutThrough
from sovereign_pbx.pbx.asterisk.reception import Deadlines, Reception
from sovereign_pbx.pbx.link import Decision, NextStep
from sovereign_pbx.pbx.steps import MAX_ROUNDS
from sovereign_pbx.wire import audiosocket as wire
from tests.pbx.agi_client import AgiClient
from tests.pbx.desk import ScriptedDesk
from tests.waiting import until


class Rig:
    """A reception between a scripted desk and AGI clients."""

    def __init__(self, *, max_calls: int = 10, **deadlines: float) -> None:
        self.desk = ScriptedDesk()
        self.lines = Lines(max_calls, self.desk.gone)
        self.audiosocket = AudioSocketServer("127.0.0.1", 0, on_connect=self._connected)
        times = Deadlines(**deadlines)
        self.put_through = PutThrough(
            self.desk, self.lines, self.audiosocket, connect_s=times.connect_s, briefing_s=times.next_s
        )
        reception = Reception(self.desk, self.lines, self.audiosocket, times, self.put_through)
        handlers = {
            "inbound": reception.inbound,
            "next": reception.next,
            "hangup": reception.hangup,
            "through": self.put_through.through,
            "brief": self.put_through.brief,
            "briefed": self.put_through.briefed,
        }
        self.agi = FastAgiServer("127.0.0.1", 0, handlers)
        self.clients: list[AgiClient] = []
        self.brought: list[asyncio.StreamWriter] = []

    def _connected(self, token: str, link: Any) -> None:
        if self.put_through.audio_came(token, link):
            return
        line = self.lines.by_token(token)
        assert line is not None
        line.link = link
        self.lines.enter(line, "talking")

    def client(self) -> AgiClient:
        self.clients.append(AgiClient(self.agi.address))
        return self.clients[-1]

    async def ask(self, path: str, *arguments: str, **variables: str) -> dict[str, str]:
        return await self.client().ask(path, *arguments, **variables)

    async def answered(self) -> str:
        """A call whose audio is up; its token."""
        token = (await self.ask("inbound"))["SOVEREIGN_CALL"]
        await self.bring_audio(token)
        return token

    async def bring_audio_of(self, token: str) -> None:
        """Whatever becomes of it."""
        _, writer = await asyncio.open_connection(*self.audiosocket.address)
        self.brought.append(writer)
        writer.write(wire.encode(wire.ID, UUID(token).bytes))

    async def bring_audio(self, token: str) -> None:
        await self.bring_audio_of(token)
        await until(lambda: (line := self.lines.by_token(token)) is not None and line.phase == "talking")


def run(scenario: Callable[[Rig], Awaitable[None]], **options: Any) -> None:
    async def body() -> None:
        rig = Rig(**options)
        await rig.agi.start()
        await rig.audiosocket.start()
        try:
            await scenario(rig)
        finally:
            for writer in rig.brought:
                writer.close()
            for client in rig.clients:
                await client.close()
            await rig.agi.close()
            await rig.audiosocket.close()

    asyncio.run(body())


# --- before the answer


def test_an_answered_call_gets_an_id_that_audiosocket_expects() -> None:
    async def scenario(rig: Rig) -> None:
        told = await rig.ask("inbound")
        assert told["SOVEREIGN_ACTION"] == "answer"
        assert told["SOVEREIGN_CALL"] == rig.desk.offers[0].call_id
        assert rig.audiosocket.statistics()["expected"] == 1
        assert rig.desk.gone_calls == []

    run(scenario)


def test_an_offer_says_who_calls_whom() -> None:
    async def scenario(rig: Rig) -> None:
        await rig.ask("inbound", "8000", "SOVEREIGN_LANGUAGE=nl", "FROM_DID=+311", calleridname="Zoë \udcff\x07")
        (offer,) = rig.desk.offers
        assert (offer.caller, offer.caller_name, offer.called) == ("100", "Zoë \ufffd", "8000")
        assert (offer.channel, offer.pbx_id) == ("PJSIP/caller-00000001", "1700000000.1")
        assert offer.variables == {"SOVEREIGN_LANGUAGE": "nl", "FROM_DID": "+311"}

    run(scenario)


@pytest.mark.parametrize(
    ("variables", "called"),
    [({}, "200"), ({"dnid": "unknown"}, "s"), ({"dnid": "unknown", "extension": "9000"}, "9000")],
)
def test_the_number_dialled_is_found_without_arguments_too(variables: dict[str, str], called: str) -> None:
    async def scenario(rig: Rig) -> None:
        await rig.ask("inbound", callerid="unknown", **variables)
        assert (rig.desk.offers[0].called, rig.desk.offers[0].caller) == (called, "")

    run(scenario)


@pytest.mark.parametrize(
    ("decision", "told"),
    [
        (Decision("reject"), {"SOVEREIGN_ACTION": "reject", "SOVEREIGN_CAUSE": "21"}),
        (Decision("reject", cause=1), {"SOVEREIGN_ACTION": "reject", "SOVEREIGN_CAUSE": "1"}),
        (Decision("busy"), {"SOVEREIGN_ACTION": "busy", "SOVEREIGN_CAUSE": "17"}),
        (Decision("divert", "+31201234567"), {"SOVEREIGN_ACTION": "divert", "SOVEREIGN_DEST": "+31201234567"}),
        (Decision("fallback"), {"SOVEREIGN_ACTION": "fallback"}),
    ],
)
def test_every_other_decision_reaches_the_dialplan_and_ends_our_part(decision: Decision, told: dict[str, str]) -> None:
    async def scenario(rig: Rig) -> None:
        rig.desk.decision = decision
        assert await rig.ask("inbound") == told
        await until(lambda: len(rig.desk.gone_calls) == 1)
        assert rig.desk.gone_calls == [(rig.desk.offers[0].call_id, None)]
        assert len(rig.lines) == 0

    run(scenario)


@pytest.mark.parametrize("evil", ["", "1,1", "1&PJSIP/2", "${X}", "$[1]", "1|2", "a b", "1\n2", '1"', "x" * 129])
def test_a_destination_that_the_dialplan_might_act_on_becomes_a_fallback(evil: str) -> None:
    async def scenario(rig: Rig) -> None:
        rig.desk.decision = Decision("divert", evil)
        assert await rig.ask("inbound") == {"SOVEREIGN_ACTION": "fallback"}

    run(scenario)


@pytest.mark.parametrize("decision", [RuntimeError("a fault"), Decision("reject", cause=400), TimeoutError()])
def test_a_desk_that_fails_becomes_a_fallback(decision: Any) -> None:
    async def scenario(rig: Rig) -> None:
        rig.desk.decision = decision
        assert await rig.ask("inbound") == {"SOVEREIGN_ACTION": "fallback"}
        assert len(rig.desk.gone_calls) == 1

    with capture_logs() as logs:
        run(scenario)
    assert {entry["event"] for entry in logs} & {"decision_failed", "decision_refused", "decision_too_late"}


def test_a_desk_that_is_too_slow_becomes_a_fallback() -> None:
    async def scenario(rig: Rig) -> None:
        rig.desk.delay_s = 30
        assert await rig.ask("inbound") == {"SOVEREIGN_ACTION": "fallback"}
        assert rig.desk.cancelled == 1
        assert len(rig.desk.gone_calls) == 1

    run(scenario, decide_s=0.05)


@pytest.mark.parametrize("leave", [AgiClient.hang_up, AgiClient.vanish])
def test_a_caller_who_hangs_up_while_it_rings_cancels_the_decision(leave: Callable[[AgiClient], None]) -> None:
    async def scenario(rig: Rig) -> None:
        rig.desk.delay_s = 30
        client = rig.client()
        await client.connect()
        client.request("inbound")
        await until(lambda: len(rig.desk.offers) == 1)
        leave(client)
        await until(lambda: len(rig.desk.gone_calls) == 1)
        assert rig.desk.cancelled == 1
        assert len(rig.lines) == 0

    run(scenario)


def test_calls_over_the_limit_fall_back_without_asking() -> None:
    async def scenario(rig: Rig) -> None:
        await rig.ask("inbound", uniqueid="1.1")
        assert await rig.ask("inbound", uniqueid="1.2") == {"SOVEREIGN_ACTION": "fallback"}
        assert len(rig.desk.offers) == 1

    run(scenario, max_calls=1)


def test_a_channel_that_calls_again_has_left_its_first_call() -> None:
    async def scenario(rig: Rig) -> None:
        await rig.ask("inbound")
        await rig.ask("inbound")
        first, second = rig.desk.offers
        assert rig.desk.gone_calls == [(first.call_id, None)]
        assert [line.call_id for line in rig.lines] == [second.call_id]

    run(scenario)


def test_an_answer_that_asterisk_does_not_take_is_undone() -> None:
    async def scenario(rig: Rig) -> None:
        client = rig.client()
        client.replies = b"511 Command Not Permitted on a dead channel\n"
        await client.ask("inbound")
        await until(lambda: len(rig.desk.gone_calls) == 1)
        assert rig.audiosocket.statistics()["expected"] == 0

    run(scenario)


# --- after the conversation


@pytest.mark.parametrize(
    ("step", "told"),
    [
        (NextStep("hangup"), {"SOVEREIGN_NEXT": "hangup"}),
        (
            NextStep("dial", "sip:a@example.org"),
            {"SOVEREIGN_NEXT": "dial", "SOVEREIGN_DEST": "sip:a@example.org", "SOVEREIGN_RING": "30"},
        ),
        (
            NextStep("dial", "101", "carrier", 2.6, "+31850835037", "8000", "waiting", True),
            {
                "SOVEREIGN_NEXT": "dial",
                "SOVEREIGN_DEST": "101",
                "SOVEREIGN_TRUNK": "carrier",
                "SOVEREIGN_RING": "3",
                "SOVEREIGN_CALLERID": "+31850835037",
                "SOVEREIGN_DIVERTED": "8000",
                "SOVEREIGN_MUSIC": "waiting",
                "SOVEREIGN_BRIEF": "yes",
            },
        ),
        (NextStep("fallback"), {"SOVEREIGN_NEXT": "fallback"}),
    ],
)
def test_the_next_step_reaches_the_dialplan(step: NextStep, told: dict[str, str]) -> None:
    async def scenario(rig: Rig) -> None:
        token = await rig.answered()
        rig.desk.step = step
        assert await rig.ask("next", token) == told
        assert rig.desk.asked_next == [token]
        if step.step == "fallback":
            await until(lambda: rig.desk.gone_calls == [(token, None)])

    run(scenario)


def test_talking_again_is_the_same_call_under_a_new_id() -> None:
    async def scenario(rig: Rig) -> None:
        first = await rig.answered()
        rig.brought[-1].close()
        rig.desk.step = NextStep("talk")
        told = await rig.ask("next", first)
        assert told["SOVEREIGN_NEXT"] == "talk"
        second = told["SOVEREIGN_CALL"]
        assert second != first
        await rig.bring_audio(second)
        rig.desk.step = NextStep("hangup")
        assert await rig.ask("next", second) == {"SOVEREIGN_NEXT": "hangup"}
        assert rig.desk.asked_next == [first, first]
        assert await rig.ask("next", first) == {"SOVEREIGN_NEXT": "fallback"}

    run(scenario)


@pytest.mark.parametrize("arguments", [(), ("",), ("not-an-id",), (str(uuid4()),)])
def test_an_unknown_call_falls_back(arguments: tuple[str, ...]) -> None:
    async def scenario(rig: Rig) -> None:
        assert await rig.ask("next", *arguments) == {"SOVEREIGN_NEXT": "fallback"}
        assert rig.desk.asked_next == []

    run(scenario)


def test_a_call_whose_audio_never_came_falls_back_whatever_the_desk_says() -> None:
    async def scenario(rig: Rig) -> None:
        rig.desk.step = NextStep("talk")
        token = (await rig.ask("inbound"))["SOVEREIGN_CALL"]
        assert await rig.ask("next", token) == {"SOVEREIGN_NEXT": "fallback"}
        await until(lambda: rig.desk.gone_calls == [(token, None)])
        assert rig.desk.asked_next == [token]
        assert rig.audiosocket.statistics()["expected"] == 0

    run(scenario)


@pytest.mark.parametrize(
    "step",
    [
        RuntimeError("a fault"),
        NextStep("dial", "1,1"),
        NextStep("dial"),
        NextStep("dial", "101", ring_s=0),
        NextStep("dial", "101", ring_s=float("nan")),
        NextStep("dial", "101", caller_id="1)&System(x"),
        NextStep("dial", "101", diverted_from="8000,x"),
        NextStep("dial", "101", music="default)U(x"),
    ],
)
def test_a_step_that_fails_becomes_a_fallback(step: Any) -> None:
    async def scenario(rig: Rig) -> None:
        token = await rig.answered()
        rig.desk.step = step
        assert await rig.ask("next", token) == {"SOVEREIGN_NEXT": "fallback"}

    with capture_logs() as logs:
        run(scenario)
    assert {entry["event"] for entry in logs} & {"next_step_failed", "next_step_refused"}


def test_a_step_that_comes_too_late_becomes_a_fallback() -> None:
    async def scenario(rig: Rig) -> None:
        token = await rig.answered()
        rig.desk.delay_s = 30
        assert await rig.ask("next", token) == {"SOVEREIGN_NEXT": "fallback"}
        assert rig.desk.cancelled == 1

    run(scenario, next_s=0.05)


def test_a_call_that_runs_in_a_circle_falls_back() -> None:
    async def scenario(rig: Rig) -> None:
        token = await rig.answered()
        rig.desk.step = NextStep("dial", "100")
        for _ in range(MAX_ROUNDS):
            assert (await rig.ask("next", token))["SOVEREIGN_NEXT"] == "dial"
        assert await rig.ask("next", token) == {"SOVEREIGN_NEXT": "fallback"}

    run(scenario)


def test_a_call_that_is_to_be_hung_up_is_not_asked_about() -> None:
    async def scenario(rig: Rig) -> None:
        token = await rig.answered()
        line = rig.lines.by_call(token)
        assert line is not None
        line.hang_up = True
        assert await rig.ask("next", token) == {"SOVEREIGN_NEXT": "hangup"}
        assert rig.desk.asked_next == []

    run(scenario)


def test_the_hangup_extension_tells_the_cause_once() -> None:
    async def scenario(rig: Rig) -> None:
        token = await rig.answered()
        await rig.ask("hangup", token, "16")
        await rig.ask("hangup", token, "16")
        assert rig.desk.gone_calls == [(token, 16)]

    run(scenario)


@pytest.mark.parametrize("cause", ["0", "", "x", "999", "-1", "¹"])
def test_a_cause_that_is_none_is_not_told(cause: str) -> None:
    async def scenario(rig: Rig) -> None:
        token = await rig.answered()
        await rig.ask("hangup", token, cause)
        assert rig.desk.gone_calls == [(token, None)]

    run(scenario)
