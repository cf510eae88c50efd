"""Orders to dial against a scripted manager interface: given once, whatever becomes of the answer."""

import asyncio
import string
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.core.errors import BadInput, Refused
from sovereign_pbx.pbx import harmless
from sovereign_pbx.pbx.asterisk import originator
from sovereign_pbx.pbx.asterisk.agi_text import own_variables
from sovereign_pbx.pbx.link import Decision, DialOrder
from tests.pbx.test_asterisk_pbx import Rig, channels, run
from tests.waiting import until

QUEUED = "Response: Success\r\nMessage: Originate successfully queued"


def order(destination: str = "+31201234567", **changes: Any) -> DialOrder:
    return DialOrder(**{"call_id": str(uuid4()), "destination": destination, "trunk": "carrier", **changes})


def play(scenario: Callable[[Rig], Awaitable[None]], **settings: Any) -> None:
    async def taking(rig: Rig) -> None:
        rig.server.answers.setdefault("Originate", lambda headers: QUEUED)
        rig.server.answers["Hangup"] = lambda headers: "Response: Success\r\nMessage: Channel Hungup"
        await scenario(rig)

    run(taking, **settings)


def sent(rig: Rig) -> dict[str, str]:
    (action,) = rig.server.actions("Originate")
    return action


def ended(rig: Rig) -> tuple[str, str]:
    ((_, how),) = rig.desk.unanswered
    return how.reason, how.why


def token(rig: Rig) -> str:
    name, _, value = sent(rig)["Variable"].splitlines()[0].partition("=")
    assert name == "SOVEREIGN_CALL"
    return value


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(originator, "_SECOND_LOOK_S", 0.05)
    monkeypatch.setattr(originator, "_LAST_EVENTS_S", 0.05)
    monkeypatch.setattr(originator, "_FORGOTTEN_S", 0.0)


def test_an_order_says_where_to_as_whom_and_for_how_long() -> None:
    async def scenario(rig: Rig) -> None:
        await rig.pbx.originate(order(caller_id="+31850835037", ring_s=25.0))
        action = sent(rig)
        assert (action["Channel"], action["Timeout"]) == ("PJSIP/+31201234567@carrier", "25000")
        assert (action["Context"], action["Exten"], action["Async"]) == ("sovereign-outbound", "s", "true")
        assert action["CallerID"] == "<+31850835037>"
        assert action["Variable"].splitlines()[1:] == ["__SOVEREIGN_DEST=+31201234567", "__SOVEREIGN_TRUNK=carrier"]

    play(scenario)


@pytest.mark.parametrize(
    ("changes", "channel"),
    [({"trunk": ""}, "Local/200@sovereign-dial/n"), ({"destination": "sip:a@b.c"}, "Local/uri@sovereign-dial/n")],
)
def test_what_has_no_trunk_or_is_a_uri_goes_through_the_administrators_context(
    changes: dict[str, str], channel: str
) -> None:
    async def scenario(rig: Rig) -> None:
        await rig.pbx.originate(order(**{"destination": "200", **changes}))
        assert sent(rig)["Channel"] == channel

    play(scenario)


@pytest.mark.parametrize(
    "changes",
    [
        {"destination": "200\r\nAction: Command"},
        {"destination": "200,1"},
        {"destination": "200@default", "trunk": ""},
        {"destination": "200/n", "trunk": ""},
        {"destination": ""},
        {"trunk": "a/b"},
        {"trunk": "a\r\nX: y"},
        {"caller_id": "1>\r\nX: y"},
        {"caller_id": '"x" <1>'},
    ],
)
def test_what_must_not_reach_asterisk_does_not(changes: dict[str, str]) -> None:
    async def scenario(rig: Rig) -> None:
        with pytest.raises(BadInput):
            await rig.pbx.originate(order(**changes))
        assert rig.server.actions("Originate") == []
        assert rig.pbx.health()["calls"] == 0

    play(scenario)


HOSTILE = st.text(max_size=80) | st.text("0123456789+,&@/|${}()[];\r\n\0 ", max_size=20)


@given(HOSTILE)
def test_no_number_and_no_trunk_can_be_more_than_one(text: str) -> None:
    for check in (harmless.number, harmless.trunk):
        try:
            passed = check(text)
        except BadInput:
            continue
        assert passed == text
        assert not set(passed) - set(string.ascii_letters + string.digits + "+_.-")


@given(st.dictionaries(HOSTILE, HOSTILE, max_size=40))
def test_no_variable_can_be_an_order(variables: dict[str, str]) -> None:
    for line in own_variables(variables):
        name, _, value = line.partition("=")
        assert name.startswith("__SOVEREIGN_VAR_") and name.isidentifier() and name.isascii()
        assert not set(value) & set(",;&|$`'\"\\[](){}<>=^%\r\n\0")


def test_variables_of_a_customer_are_harmless() -> None:
    odd = {"name": "O'Brien, Jan\r\nX: y", "a b": "1", "1st": "2", "x": "${SHELL(id)}", "long": "é" * 400}
    named = dict(text.split("=", 1) for text in own_variables(odd))
    assert named.keys() == {"__SOVEREIGN_VAR_name", "__SOVEREIGN_VAR_x", "__SOVEREIGN_VAR_long"}
    assert named["__SOVEREIGN_VAR_name"] == "O Brien  JanX: y"
    assert not set(",$(){}\r\n") & set("".join(named.values()))
    assert len(named["__SOVEREIGN_VAR_long"]) == 120
    assert len(own_variables({f"v{n}": "" for n in range(100)})) == 32


def test_the_dialplan_asks_with_a_key_of_its_own_and_is_told_to_answer() -> None:
    async def scenario(rig: Rig) -> None:
        wanted = order()
        await rig.pbx.originate(wanted)
        assert token(rig) != wanted.call_id
        assert await rig.ask("outbound", wanted.call_id) == {}
        assert await rig.ask("outbound", token(rig)) == {"SOVEREIGN_CALL": token(rig), "SOVEREIGN_ACTION": "answer"}
        assert rig.desk.picked == [wanted.call_id]
        assert await rig.ask("outbound", token(rig)) == {}  # a second time there is nothing to answer

    play(scenario)


def test_who_hangs_up_before_his_dialplan_has_asked_did_answer() -> None:
    async def scenario(rig: Rig) -> None:
        wanted = order()
        await rig.pbx.originate(wanted)
        await rig.ask("hangup", token(rig), "16")
        assert ended(rig)[0] == "user_hangup"
        assert rig.desk.gone_calls == [(wanted.call_id, 16)]
        rig.server.event("Hangup", Uniqueid=sent(rig)["ChannelId"], Cause="17")
        await asyncio.sleep(0.1)
        assert len(rig.desk.unanswered) == 1

    play(scenario)


def test_a_call_that_is_not_wanted_any_more_is_not_answered() -> None:
    async def scenario(rig: Rig) -> None:
        rig.desk.decision = Decision("reject")
        await rig.pbx.originate(order())
        assert await rig.ask("outbound", token(rig)) == {}
        assert rig.pbx.health()["calls"] == 0

    play(scenario)


def test_an_answer_that_is_lost_is_not_a_reason_to_dial_again() -> None:
    async def scenario(rig: Rig) -> None:
        rig.server.answers["Originate"] = lambda headers: rig.server.drop()
        wanted = order()
        await rig.pbx.originate(wanted)
        await until(lambda: rig.desk.unanswered)
        assert len(rig.server.actions("Originate")) == 1
        assert ended(rig) == ("error", "What became of the call is not known: Asterisk did not tell.")
        assert rig.desk.gone_calls == [(wanted.call_id, None)]

    play(scenario)


def test_an_order_whose_answer_is_lost_goes_on_where_its_channel_lives() -> None:
    async def scenario(rig: Rig) -> None:
        rig.server.answers["Originate"] = lambda headers: rig.server.drop()
        await rig.pbx.originate(order())
        ours = sent(rig)["ChannelId"]
        rig.server.answers["CoreShowChannels"] = channels(ours)
        await until(lambda: len(rig.server.actions("CoreShowChannels")) == 3)
        await asyncio.sleep(0.02)
        rig.server.event("Hangup", Uniqueid=ours, Cause="17")
        await until(lambda: rig.desk.unanswered)
        assert ended(rig)[0] == "busy"

    play(scenario)


def test_a_call_that_is_answered_while_the_manager_is_away_is_a_call() -> None:
    async def scenario(rig: Rig) -> None:
        await rig.pbx.originate(order())
        await rig.server.stop()
        assert (await rig.ask("outbound", token(rig)))["SOVEREIGN_ACTION"] == "answer"
        assert rig.desk.unanswered == []

    play(scenario)


def test_an_order_of_which_nothing_is_ever_heard_is_given_up() -> None:
    async def scenario(rig: Rig) -> None:
        await rig.pbx.originate(order(ring_s=0.05))
        await until(lambda: rig.desk.unanswered)
        assert ended(rig)[0] == "error"
        assert rig.pbx.health()["calls"] == 0

    play(scenario)


def test_a_refusal_by_asterisk_is_a_refusal_and_no_call() -> None:
    async def scenario(rig: Rig) -> None:
        rig.server.answers["Originate"] = lambda headers: "Response: Error\r\nMessage: Permission denied"
        with pytest.raises(Refused, match="add originate") as caught:
            await rig.pbx.originate(order())
        assert caught.value.code == "pbx_unavailable"
        assert (rig.pbx.health()["calls"], rig.desk.unanswered) == (0, [])

    play(scenario)


@pytest.mark.parametrize("configured", [True, False])
def test_without_the_manager_nothing_is_placed_and_it_is_said_why(configured: bool) -> None:
    async def scenario(rig: Rig) -> None:
        if configured:
            await rig.server.stop()
            await until(lambda: rig.pbx.ami is not None and not rig.pbx.ami.connected)
        with pytest.raises(Refused, match="not connected" if configured else "set .asterisk.ami. secret") as caught:
            await rig.pbx.originate(order())
        assert caught.value.code == "pbx_unavailable"

    play(scenario, ami=configured)


def test_no_more_are_placed_than_there_may_be_calls() -> None:
    async def scenario(rig: Rig) -> None:
        await rig.pbx.originate(order())
        with pytest.raises(Refused) as caught:
            await rig.pbx.originate(order())
        assert caught.value.code == "too_many_calls"

    play(scenario, max_calls=1)


def test_the_end_of_a_ringing_call_is_ordered_until_there_is_a_channel() -> None:
    async def scenario(rig: Rig) -> None:
        answers = iter(["Response: Error\r\nMessage: No such channel", "Response: Success\r\nMessage: Channel Hungup"])
        rig.server.answers["Hangup"] = lambda headers: next(answers)
        wanted = order()
        await rig.pbx.originate(wanted)
        await rig.pbx.hang_up(wanted.call_id)
        assert len(rig.server.actions("Hangup")) == 2

    play(scenario)


def test_a_ringing_call_that_could_not_be_ended_is_not_answered() -> None:
    async def scenario(rig: Rig) -> None:
        wanted = order()
        await rig.pbx.originate(wanted)
        key = token(rig)
        await rig.server.stop()
        await rig.pbx.hang_up(wanted.call_id)
        assert await rig.ask("outbound", key) == {}
        assert rig.desk.picked == []

    play(scenario)


Event = tuple[str, dict[str, str]]


OURS = "Local/100@sovereign-dial-0000002a;1"
SECOND = "Local/100@sovereign-dial-0000002a;2"
THEIRS = "PJSIP/agent-00000007"


def hangup(cause: str, channel: str = OURS) -> Event:
    return "Hangup", {"Uniqueid": "us" if channel == OURS else channel, "Channel": channel, "Cause": cause}


def response(said: str, reason: str) -> Event:
    return "OriginateResponse", {"Response": said, "Reason": reason}


DIALLED: Event = ("DialBegin", {"DestUniqueid": "us", "DestChannel": OURS})
FAILURE = response("Failure", "0")
ANSWERED: Event = ("DialEnd", {"DestUniqueid": "us", "DialStatus": "ANSWER"})
GONE: Event = ("HangupRequest", {"Uniqueid": "us", "Channel": OURS})
ANSWERED_BEHIND: Event = ("DialEnd", {"DestUniqueid": "c", "DestChannel": THEIRS, "DialStatus": "ANSWER"})
GONE_BEHIND: Event = ("HangupRequest", {"Uniqueid": "c", "Channel": THEIRS})
NO_ANSWER = {"DialStatus": "NOANSWER"}
# As Asterisk 22.10 tells of a call through the administrator's dialplan: the truth is three channels away
DECLINED_BEHIND_LOCAL: list[Event] = [
    ("Newchannel", {"Uniqueid": "us", "Channel": OURS}),
    ("Newchannel", {"Uniqueid": "b", "Channel": SECOND}),
    DIALLED,
    ("Newchannel", {"Uniqueid": "c", "Channel": THEIRS}),
    ("DialBegin", {"Uniqueid": "b", "Channel": SECOND, "DestUniqueid": "c", "DestChannel": THEIRS}),
    ("DialEnd", {"Uniqueid": "b", "Channel": SECOND, "DestUniqueid": "c", "DestChannel": THEIRS, **NO_ANSWER}),
    hangup("0"),
    hangup("34", SECOND),
    hangup("21", THEIRS),
    FAILURE,
]


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ([hangup("17"), FAILURE], "busy"),
        ([("DialEnd", {"DestUniqueid": "us", "DialStatus": "BUSY"}), hangup("0"), FAILURE], "busy"),
        (DECLINED_BEHIND_LOCAL, "rejected"),
        ([DIALLED, hangup("0"), response("Failure", "3")], "no_answer"),
        ([DIALLED, hangup("38")], "error"),
        ([FAILURE], "error"),
        ([hangup("16"), response("Success", "4")], "error"),
        ([GONE, ANSWERED, hangup("0"), response("Success", "4")], "user_hangup"),
        ([ANSWERED, GONE, hangup("16")], "user_hangup"),
        ([ANSWERED, hangup("16"), response("Success", "4")], "error"),
        ([DIALLED, GONE, hangup("0"), response("Failure", "3")], "no_answer"),
        ([GONE_BEHIND, ANSWERED_BEHIND, DIALLED, hangup("0"), response("Failure", "3")], "no_answer"),
    ],
)
@pytest.mark.parametrize("response_first", [True, False])
def test_the_end_is_judged_by_all_that_was_told(events: list[Event], reason: str, response_first: bool) -> None:
    async def scenario(rig: Rig) -> None:
        await rig.pbx.originate(order())
        action = sent(rig)
        for name, values in sorted(events, key=lambda event: response_first and event[0] != "OriginateResponse"):
            filled = {key: action["ChannelId"] if value == "us" else value for key, value in values.items()}
            rig.server.event(name, **filled, **({"ActionID": action["ActionID"]} if name == FAILURE[0] else {}))
        await until(lambda: rig.desk.unanswered)
        assert ended(rig)[0] == reason
        assert len(rig.desk.gone_calls) == 1

    play(scenario)
