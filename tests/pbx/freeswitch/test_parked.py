"""Calls without SIP, on a played FreeSWITCH that fails the test wherever the real one would crash or go silent."""

import asyncio
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from sovereign_pbx.core.errors import BadInput, ConfigError, LinkClosed, Refused
from sovereign_pbx.pbx.freeswitch import parked_pbx
from sovereign_pbx.pbx.freeswitch.control import FreeSwitchControl, FreeSwitchSettings
from sovereign_pbx.pbx.freeswitch.parked_dialplan import render
from sovereign_pbx.pbx.freeswitch.parked_pbx import ParkedPbx, ParkedSettings
from sovereign_pbx.pbx.link import Decision, DialOrder, NextStep
from sovereign_pbx.testing.freeswitch_channel import Person
from tests.pbx.freeswitch.parked_stage import CALLER, SPEECH, Stage, play
from tests.waiting import until

REPOSITORY = Path(__file__).parents[3]


def test_a_caller_is_rung_answered_and_heard() -> None:
    async def scenario(stage: Stage) -> None:
        caller = await stage.talking("300")
        offer = stage.desk.offers[0]
        assert (offer.called, offer.pbx_id) == ("300", caller.uuid)
        stage.switch.sound_of(caller).speech = CALLER * 300
        await until(lambda: CALLER * 3 in stage.hears(stage.link()))
        stage.switch.press(caller, "5")
        await until(lambda: stage.desk.digits == ["5"])
        assert stage.pbx.call_ids() == {offer.call_id}
        await stage.switch.hang_up(caller)
        await until(lambda: stage.desk.gone_calls == [(offer.call_id, 16)])
        assert stage.pbx.call_ids() == frozenset()

    play(scenario)


@pytest.mark.parametrize(
    ("decision", "cause"),
    [
        (Decision("busy"), "17"),
        (Decision("reject"), "21"),
        (Decision("reject", cause=27), "27"),
    ],
)
def test_a_call_is_turned_away_before_the_answer(decision: Decision, cause: str) -> None:
    async def scenario(stage: Stage) -> None:
        stage.desk.decision = decision
        caller = await stage.switch.call("300")
        await caller.over.wait()
        assert caller.cause == cause
        await until(lambda: len(stage.desk.gone_calls) == 1)
        assert "read_codec" not in caller.variables

    play(scenario)


@pytest.mark.parametrize("decision", [Decision("fallback"), RuntimeError("no"), Decision("reject", cause=500)])
def test_a_fallback_and_whatever_goes_wrong_is_the_administrators_queue(decision: Any) -> None:
    async def scenario(stage: Stage) -> None:
        stage.desk.decision = decision
        caller = await stage.switch.call("300")
        await until(lambda: "transfer(600 XML default)" in caller.done)
        await until(lambda: len(stage.desk.gone_calls) == 1)
        assert caller.uuid not in stage.switch.scheduled
        await stage.switch.hang_up(caller)

    play(scenario)


def test_a_caller_may_be_sent_elsewhere_before_the_answer() -> None:
    async def scenario(stage: Stage) -> None:
        stage.desk.decision = Decision("divert", "sip:ann@example.org")
        caller = await stage.switch.call("300")
        await caller.over.wait()
        assert stage.switch.redirected == {caller.uuid: "sip:ann@example.org"}
        stage.desk.decision = Decision("divert", "100")
        stage.switch.people["user/100"] = Person("answer")
        second = await stage.switch.call("300")
        await until(lambda: "bridge(user/100)" in second.done)
        await stage.switch.hang_up(second)

    play(scenario)


def test_words_of_refusal_are_heard_before_any_answer() -> None:
    async def scenario(stage: Stage) -> None:
        stage.desk.decision = Decision("answer", early=True)
        caller = await stage.talking()
        assert caller.state == "EARLY"
        stage.say_goodbye(NextStep("hangup"))
        await caller.over.wait()
        assert not caller.up
        assert caller.cause == "31"

    play(scenario)


@pytest.mark.parametrize("after_ms", [0, 5, 25, 60])
def test_a_caller_who_leaves_at_any_moment_breaks_nothing(after_ms: int) -> None:
    async def scenario(stage: Stage) -> None:
        stage.desk.delay_s = 0.02
        caller = await stage.switch.call("300")
        await asyncio.sleep(after_ms / 1000)
        await stage.switch.hang_up(caller, "ORIGINATOR_CANCEL")
        await until(lambda: len(stage.desk.gone_calls) == len(stage.desk.offers))
        await until(lambda: stage.pbx.call_ids() == frozenset())

    play(scenario)


def test_sound_that_somebody_played_over_comes_back() -> None:
    async def scenario(stage: Stage) -> None:
        caller = await stage.talking()
        link = stage.link()
        for _ in range(2):
            await stage.switch.play_to(caller)
            await until(lambda: SPEECH * 5 in stage.played(caller))
        assert link.ended is None
        assert len(stage.desk.links) == 1
        await stage.switch.hang_up(caller)

    play(scenario)


def test_after_the_conversation_the_caller_is_hung_up_or_goes_on_or_talks_again() -> None:
    async def scenario(stage: Stage) -> None:
        caller = await stage.talking()
        first = stage.link()
        stage.say_goodbye(NextStep("talk"))
        await until(lambda: stage.link() is not first)
        await until(lambda: stage.played(caller).endswith(SPEECH))
        stage.say_goodbye(NextStep("fallback"))
        await until(lambda: "transfer(600 XML default)" in caller.done)
        await stage.switch.hang_up(caller)
        second = await stage.talking()
        stage.say_goodbye(NextStep("hangup"))
        await second.over.wait()
        assert second.cause == "16"
        await until(lambda: len(stage.desk.gone_calls) == 2)

    play(scenario)


def test_a_caller_is_put_through_and_comes_back() -> None:
    async def scenario(stage: Stage) -> None:
        stage.switch.people["user/100"] = Person("answer", after_s=0.5)
        caller = await stage.talking()
        call_id = stage.call_id
        stage.say_goodbye(NextStep("dial", "100"), NextStep("talk"))
        await until(lambda: caller.partner is not None)
        await until(lambda: stage.desk.through == [call_id])
        heard = stage.switch.heard[caller.uuid]
        assert any(heard[-16000:]), "it rang for him meanwhile"
        colleague = caller.partner
        assert colleague is not None
        await stage.switch.hang_up(colleague)
        await until(lambda: len(stage.desk.dialled) == 2)
        await until(lambda: SPEECH * 3 in stage.played(caller))
        assert [how.outcome for how in stage.desk.dialled if how is not None] == ["answered"]
        await stage.switch.hang_up(caller)
        await until(lambda: stage.desk.gone_calls == [(call_id, 16)])

    play(scenario)


@pytest.mark.parametrize(("manner", "outcome"), [("busy", "busy"), ("decline", "declined"), ("unknown", "failed")])
def test_who_is_not_taken_stays_with_the_assistant(manner: Any, outcome: str) -> None:
    async def scenario(stage: Stage) -> None:
        stage.switch.people["user/100"] = Person(manner)
        caller = await stage.talking()
        stage.say_goodbye(NextStep("dial", "100"), NextStep("talk"))
        await until(lambda: len(stage.desk.dialled) == 2)
        assert stage.desk.dialled[1] is not None
        assert stage.desk.dialled[1].outcome == outcome
        await until(lambda: stage.played(caller).endswith(SPEECH))
        await stage.switch.hang_up(caller)

    play(scenario)


@pytest.mark.parametrize("taken", [True, False])
def test_a_colleague_is_briefed_first_and_takes_him_or_not(taken: bool) -> None:
    async def scenario(stage: Stage) -> None:
        stage.switch.people["user/100"] = colleague = Person("answer")
        stage.desk.takes = taken
        caller = await stage.talking()
        stage.say_goodbye(NextStep("dial", "100", briefing=True), NextStep("talk"))
        await until(lambda: bool(stage.desk.briefing_links))
        his = colleague.channels[-1]
        await until(lambda: SPEECH * 3 in stage.played(his))
        stage.desk.briefing_links[0].close()
        if taken:
            await until(lambda: caller.partner is not None)
            await stage.switch.hang_up(his)
        await until(lambda: len(stage.desk.dialled) == 2)
        assert stage.desk.dialled[1] is not None
        assert stage.desk.dialled[1].outcome == ("answered" if taken else "declined")
        await until(lambda: SPEECH * 3 in stage.played(caller))
        await his.over.wait()
        await stage.switch.hang_up(caller)

    play(scenario)


def order(destination: str = "100") -> DialOrder:
    return DialOrder(call_id="c0ffee00-0000-4000-8000-000000000001", destination=destination, ring_s=5.0)


def test_a_call_is_placed_and_talked() -> None:
    async def scenario(stage: Stage) -> None:
        stage.switch.people["user/100"] = person = Person("answer", after_s=0.1)
        await stage.pbx.originate(order())
        await until(lambda: order().call_id in stage.desk.links)
        assert stage.desk.picked == [order().call_id]
        await until(lambda: SPEECH in stage.played(person.channels[-1]))
        await stage.pbx.send_digits(order().call_id, "1w#")
        assert stage.switch.digits == {person.channels[-1].uuid: "1#"}
        await stage.pbx.hang_up(order().call_id)
        await until(lambda: [gone for gone, _ in stage.desk.gone_calls] == [order().call_id])

    play(scenario)


def test_a_call_that_nobody_takes_is_told_so() -> None:
    async def scenario(stage: Stage) -> None:
        stage.switch.people["user/100"] = Person("busy")
        await stage.pbx.originate(order())
        await until(lambda: len(stage.desk.gone_calls) == 1)
        assert [how.reason for _, how in stage.desk.unanswered] == ["busy"]
        with pytest.raises(BadInput):
            await stage.pbx.originate(order("100 &park"))
        assert stage.pbx.call_ids() == frozenset()

    play(scenario)


def test_without_a_daemon_a_caller_is_in_his_fallback(monkeypatch: pytest.MonkeyPatch) -> None:
    """At any moment: while it rings, and in the middle of the conversation."""
    monkeypatch.setattr(parked_pbx, "HOLD_EVERY_S", 0.1)

    async def scenario(stage: Stage) -> None:
        talking = await stage.talking()
        stage.desk.delay_s = 60
        ringing = await stage.switch.call("300")
        await until(lambda: len(stage.desk.offers) == 2)
        await stage.switch.esl.stop()  # for FreeSWITCH it is as if we were gone
        for caller in (talking, ringing):
            await until(lambda caller=caller: "transfer(600 XML default)" in caller.done)  # type: ignore[misc]  # a default argument's type
            await stage.switch.hang_up(caller)
        await stage.switch.esl.start()
        await until(lambda: len(stage.desk.gone_calls) == 2)

    play(scenario, faster=5)


def test_a_daemon_that_stops_leaves_every_caller_to_the_fallback() -> None:
    async def scenario(stage: Stage) -> None:
        caller = await stage.talking()
        link = stage.link()
        await stage.pbx.stop()
        await until(lambda: "transfer(600 XML default)" in caller.done)
        assert isinstance(link.ended, LinkClosed)
        assert len(stage.desk.gone_calls) == 1
        await stage.switch.hang_up(caller)

    play(scenario)


def test_a_channel_that_names_a_token_of_nobody_is_not_taken() -> None:
    async def scenario(stage: Stage) -> None:
        stranger = await stage.switch.call("11111111-1111-4111-8111-111111111111", context="sovereign-brief")
        await stranger.over.wait()
        assert stage.pbx.health()["invites"]["refused_unknown"] == 1
        assert stage.desk.offers == []

    play(scenario)


def test_calls_over_the_limit_go_to_the_fallback() -> None:
    async def scenario(stage: Stage) -> None:
        first = await stage.talking()
        second = await stage.switch.call("300")
        await until(lambda: "transfer(600 XML default)" in second.done)
        with pytest.raises(Refused):
            await stage.pbx.originate(order())
        for caller in (first, second):
            await stage.switch.hang_up(caller)

    play(scenario, max_calls=1)


def test_the_audit_tells_every_call() -> None:
    async def scenario(stage: Stage) -> None:
        caller = await stage.talking()
        found = await stage.pbx.audit()
        assert found["asked"]
        line = {"call_id": stage.call_id, "channel": caller.name, "pbx_id": caller.uuid, "phase": "talking"}
        assert found["lines"] == [line]
        assert stage.pbx.health()["status"] == "ok"
        assert stage.pbx.health()["calls"] == 1
        await stage.switch.hang_up(caller)

    play(scenario)


@pytest.mark.parametrize(
    ("key", "wrong"), [("media_host", {"media_host": "0.0.0.0"}), ("esl.host", {"peer_host": "8.8.8.8"})]
)
def test_sound_over_an_open_network_is_a_configuration_error(key: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        ParkedPbx(ParkedSettings(**wrong), FreeSwitchControl(FreeSwitchSettings(password="x")))
    assert caught.value.key == f"freeswitch.{key}"


def test_without_an_event_socket_there_is_no_way() -> None:
    with pytest.raises(ConfigError) as caught:
        ParkedPbx(ParkedSettings(), FreeSwitchControl(FreeSwitchSettings()))
    assert caught.value.key == "freeswitch.esl.password"


def test_the_copy_in_the_repository_is_the_default() -> None:
    assert (REPOSITORY / "dialplan/freeswitch/sovereign_parked.xml").read_text("utf-8") == render()


def test_the_printed_dialplan_is_xml_with_what_it_was_given() -> None:
    text = render(context="bot", fallback="600 XML default", decide_s=5.5)
    names = [one.get("name") for one in ElementTree.fromstring(text)]
    assert names == ["bot", "bot-parked", "bot-back", "bot-outbound", "bot-brief", "bot-fallback"]
    assert "+10 fallback XML bot-parked" in text
    assert "@" not in text.partition("<include>")[2]


def test_the_printed_dialplan_uses_what_mod_dptools_has() -> None:
    used = {one.get("application") for one in ElementTree.fromstring(render()).iter("action")}
    assert used == {"export", "hangup", "park", "sched_cancel", "sched_transfer", "set", "transfer", "unset"}


def test_every_park_has_a_way_out_that_needs_no_daemon() -> None:
    """But for `again`, where the way out that the daemon has put off is under way still."""
    for condition in ElementTree.fromstring(render()).iter("condition"):
        done = [one.get("application") for one in condition.iter("action")]
        if "park" in done and condition.get("expression") != "^again$":
            assert "sched_transfer" in done[: done.index("park")]


@pytest.mark.parametrize("wrong", [{"context": "a b"}, {"fallback": 'x"/>'}, {"decide_s": 0}])
def test_what_does_not_belong_into_a_dialplan_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        render(**wrong)
