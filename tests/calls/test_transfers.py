"""Whole calls whose callers are put through: who is taken, who comes back, and what everybody is told of it."""

import asyncio
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from sovereign_pbx.core.errors import Refused
from sovereign_pbx.core.events import Instructed
from sovereign_pbx.core.values import TransferTerms
from sovereign_pbx.pbx.asterisk.audiosocket_link import AudioSocketLink
from sovereign_pbx.pbx.link import Dialled, NextStep
from sovereign_pbx.testing.audiosocket_caller import AudioSocketCaller
from sovereign_pbx.testing.colleague import Colleague
from sovereign_pbx.testing.providers.openai import Answer
from tests.calls.house import QUESTION, House, assistant, house, play
from tests.calls.test_media_quality import FINE
from tests.waiting import until

SALES, BACK = "+31201234567", "I am sorry, I could not reach them."
DIALLING = {"dialling": {"allow": ["+3120*", "100"]}}
ATTENDED = TransferTerms(mode="attended", summary="He asks when you open.")


def model(*transfers: str, attended: bool = False) -> Any:
    """Puts the caller through to one after the other, says so when nobody takes him, and knows the opening hours."""
    left = list(transfers)

    def answer(body: dict[str, Any]) -> Answer:
        last = body["messages"][-1]
        if last["role"] == "system" and "what became of the transfer" in last["content"]:
            return Answer(BACK)
        if last["role"] == "user" and left:
            return Answer(tools=(("transfer_call", f'{{"destination": "{left.pop(0)}"}}'),))
        return Answer("We open at nine.")

    return answer


def receptionist(**destination: Any) -> dict[str, Any]:
    block = dict(assistant()["llm_config"])
    named = {"number": SALES, "description": "Sales", "message": "I put you through to sales.", **destination}
    block["tools"] = [{"type": "transfer_call", "destinations": [named, {"number": "100", "description": "Service"}]}]
    return {"reception": assistant(llm_config=block)}


def now() -> float:
    return asyncio.get_running_loop().time()


async def quiet(caller: AudioSocketCaller, since: float = 0.0) -> None:
    """Wait until the assistant has begun to speak after `since`, and has been silent again."""

    def silent() -> bool:
        sounds = caller.heard.sounds()
        return bool(sounds) and sounds[-1].start > since and now() - sounds[-1].end > 0.8

    await until(silent, 15.0)


class Gone(NamedTuple):
    """Who is put through: his call, and a moment after the last word that he heard before."""

    call_id: str
    at: float


async def goes(place: House, caller: AudioSocketCaller, *, terms: TransferTerms | None = None) -> Gone:
    """Is greeted, and is put through by an order."""
    before = {call.id for call in place.daemon.desk._calls.values()}
    await caller.place()
    await quiet(caller)
    (call_id,) = {call.id for call in place.daemon.desk._calls.values()} - before
    terms, at = terms or TransferTerms(), now()
    await place.daemon.desk.instruct(call_id, Instructed("transfer", "", destination=SALES, terms=terms))
    await until(lambda: caller.steps, 5.0)
    return Gone(call_id, at)


def outcomes(report: dict[str, Any]) -> list[str]:
    return [attempt["outcome"] for attempt in report["call"].get("transfers", [])]


def said(report: dict[str, Any]) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in report["messages"]]


def test_who_is_not_answered_is_back_with_the_assistant_and_everything_works_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AudioSocketLink, "quality", lambda link: FINE)

    async def scene() -> None:
        recording = {"recording": {"enabled": True}}
        async with house(tmp_path, receptionist(), **DIALLING, **recording) as place, place.caller() as caller:
            place.openai.script = model(SALES)
            caller.colleagues = [Colleague(status="NOANSWER", rings_s=2.0)]
            await caller.place()
            await quiet(caller)
            await caller.say(QUESTION).finished.wait()
            await until(lambda: caller.steps == ["dial"], 15)
            away_at = now()
            await until(lambda: caller.steps == ["dial", "talk"], 15)
            back_at = now()
            await until(lambda: caller.heard.sounds()[-1].start > away_at, 3)
            waited_s = caller.heard.sounds()[-1].start - back_at
            assert waited_s < 1.0, f"{waited_s:.2f} s of silence after the return"
            await quiet(caller)
            asked_at = now()
            await caller.say(QUESTION).finished.wait()
            await quiet(caller, since=asked_at)
            await caller.hang_up()
            (report,) = await place.reported()
            assert report["call"]["media_quality"]["links"] == 2
            assert [text for role, text in said(report) if role == "assistant"] == [
                "Hello, how can I help?",
                "I put you through to sales.",
                BACK,
                "We open at nine.",
            ]
            assert len(place.deepgram.connections) == 2  # the first would have been closed by its vendor
            assert (report["end_reason"], outcomes(report)) == ("user_hangup", ["no_answer"])
            (row,) = await place.rows()
            assert row.recording is not None
            assert row.duration_seconds == pytest.approx(row.recording["duration_seconds"], abs=1.0)
            assert row.transfers[0]["seconds"] == pytest.approx(2.0, abs=0.8)

    play(scene())


@pytest.mark.parametrize(
    ("status", "causes", "outcome"),
    [("BUSY", "17", "busy"), ("CHANUNAVAIL", "20", "failed"), ("CONGESTION", "21", "declined")],
)
def test_each_way_of_not_being_taken_has_its_name(tmp_path: Path, status: Any, causes: str, outcome: str) -> None:
    async def scene() -> None:
        async with house(tmp_path, receptionist(), **DIALLING) as place, place.caller() as caller:
            place.openai.script = model()
            caller.colleagues = [Colleague(status=status, causes=causes)]
            gone = await goes(place, caller)
            await quiet(caller, since=gone.at)
            await caller.hang_up()
            (report,) = await place.reported()
            assert outcomes(report) == [outcome]
            assert said(report)[-1] == ("assistant", BACK)

    play(scene())


def test_the_report_of_who_is_taken_does_not_wait_for_the_end_of_his_talk(tmp_path: Path) -> None:
    async def scene() -> None:
        async with house(tmp_path, receptionist(), **DIALLING) as place, place.caller() as caller:
            colleague = Colleague(rings_s=0.5, talks_s=4.0)
            caller.colleagues = [colleague]
            await goes(place, caller)
            (report,) = await place.reported()
            assert caller.steps == ["dial"]  # they talk still
            assert (report["end_reason"], outcomes(report)) == ("transferred", ["accepted"])
            assert colleague.taken
            await caller.over(10)
            assert caller.steps == ["dial", "hangup"]

    play(scene())


def test_after_a_talk_the_dialplans_fallback_may_have_the_caller(tmp_path: Path) -> None:
    async def scene() -> None:
        after = {"transfers": {"after_answered": "fallback"}}
        async with house(tmp_path, receptionist(), **DIALLING, **after) as place, place.caller() as caller:
            caller.colleagues = [Colleague(talks_s=0.3)]
            await goes(place, caller)
            await caller.over(10)
            assert caller.steps == ["dial", "fallback"]

    play(scene())


def test_of_a_call_that_is_forgotten_the_dialplans_word_decides(tmp_path: Path) -> None:
    """A daemon that was restarted meanwhile, or a talk of hours."""

    async def scene() -> None:
        async with house(tmp_path, receptionist(), **DIALLING) as place:
            desk = place.daemon.desk
            assert await desk.next_step("long ago", Dialled("answered")) == NextStep("hangup")
            assert await desk.next_step("long ago", Dialled("busy")) == NextStep("fallback")
            assert await desk.next_step("long ago") == NextStep("fallback")
            desk.put_through("long ago")
            assert not await desk.briefing("long ago")
            assert not await desk.briefed("long ago")

    play(scene())


@pytest.mark.parametrize("refusals", [1, 2])
def test_ears_that_can_not_be_had_again_are_tried_twice_before_people_take_over(tmp_path: Path, refusals: int) -> None:
    async def scene() -> None:
        async with house(tmp_path, receptionist(), **DIALLING) as place, place.caller() as caller:
            place.openai.script = model()
            caller.colleagues = [Colleague(status="BUSY", rings_s=0.5)]
            gone = await goes(place, caller)
            place.deepgram.faults.arm("refuse", times=refusals)
            if refusals == 1:
                await quiet(caller, since=gone.at)
                asked_at = now()
                await caller.say(QUESTION).finished.wait()
                await quiet(caller, since=asked_at)
                await caller.hang_up()
                (report,) = await place.reported()
                assert said(report)[-1] == ("assistant", "We open at nine.")
            else:
                await caller.over(15)
                assert caller.steps[-1] == "fallback"
                (report,) = await place.reported()
                assert (report["end_reason"], outcomes(report)) == ("error", ["busy"])

    play(scene())


def test_a_caller_who_gives_up_while_it_rings_has_hung_up(tmp_path: Path) -> None:
    async def scene() -> None:
        async with house(tmp_path, receptionist(), **DIALLING) as place, place.caller() as caller:
            caller.colleagues = [Colleague(rings_s=30)]
            await goes(place, caller)
            await asyncio.sleep(0.5)
            await caller.hang_up()
            (report,) = await place.reported()
            assert (report["end_reason"], outcomes(report)) == ("user_hangup", ["caller_gone"])

    play(scene())


def test_what_the_person_called_sees_and_the_caller_hears_is_as_configured(tmp_path: Path) -> None:
    async def scene() -> None:
        section = {"transfers": {"caller_id": "number", "music": "jazz", "ring_seconds": 12}}
        numbers = [{"number": "+31850835037", "assistant": "reception"}]
        settings = {**DIALLING, **section, "numbers": numbers}
        async with house(tmp_path, receptionist(), **settings) as place, place.caller("+31850835037") as caller:
            caller.colleagues = [Colleague(rings_s=30)]
            await goes(place, caller)
            told = {name.removeprefix("SOVEREIGN_"): text for name, text in caller.variables.items()}
            assert told["DEST"] == SALES
            assert (told["CALLERID"], told["DIVERTED"]) == ("+31850835037", "+31850835037")
            assert (told["MUSIC"], told["RING"]) == ("jazz", "12")
            await caller.hang_up()

    play(scene())


@pytest.mark.parametrize(
    ("colleague", "outcome"),
    [
        (Colleague(keys="1"), "accepted"),
        (Colleague(keys="2"), "declined"),
        (Colleague(vanishes=True), "declined"),
    ],
    ids=["takes", "declines", "vanishes"],
)
def test_a_colleague_who_is_briefed_gets_the_caller_only_if_he_takes_him(
    tmp_path: Path, colleague: Colleague, outcome: str
) -> None:
    async def scene() -> None:
        async with house(tmp_path, receptionist(), **DIALLING) as place, place.caller() as caller:
            place.openai.script = model()
            caller.colleagues = [colleague]
            gone = await goes(place, caller, terms=ATTENDED)
            if outcome == "accepted":
                await caller.over(15)
            else:
                await until(lambda: caller.steps == ["dial", "talk"], 15)
                await quiet(caller, since=gone.at)
                await caller.hang_up()
            (report,) = await place.reported()
            assert (colleague.taken, outcomes(report)) == (outcome == "accepted", [outcome])
            assert report["end_reason"] == ("transferred" if outcome == "accepted" else "user_hangup")
            asked = [*place.elevenlabs.sockets, *place.elevenlabs.requests]
            assert any("He asks when you open." in str(each.messages) for each in asked)

    play(scene())


def test_another_destination_may_be_tried_when_the_first_is_busy(tmp_path: Path) -> None:
    async def scene() -> None:
        async with house(tmp_path, receptionist(), **DIALLING) as place, place.caller() as caller:
            place.openai.script = model(SALES, "100")
            caller.colleagues = [Colleague(status="BUSY", rings_s=1.0), Colleague()]
            await caller.place()
            await quiet(caller)
            await caller.say(QUESTION).finished.wait()
            await until(lambda: caller.steps == ["dial"], 15)
            away_at = now()
            await quiet(caller, since=away_at)
            await caller.say(QUESTION).finished.wait()
            await caller.over(15)
            (report,) = await place.reported()
            assert [each["destination"] for each in report["call"]["transfers"]] == [SALES, "100"]
            assert outcomes(report) == ["busy", "accepted"]

    play(scene())


def test_orders_while_it_rings(tmp_path: Path) -> None:
    """Nobody could hear words, and a second transfer would be one too many; an end is an end, there too."""

    async def scene() -> None:
        async with house(tmp_path, receptionist(), **DIALLING) as place, place.caller() as caller:
            caller.colleagues = [Colleague(rings_s=3.0, status="NOANSWER")]
            gone = await goes(place, caller)
            desk = place.daemon.desk
            for order in (Instructed("say", "Hello?"), Instructed("transfer", "", destination=SALES)):
                with pytest.raises(Refused) as caught:
                    await desk.instruct(gone.call_id, order)
                assert caught.value.code == "call_not_active"
            await desk.instruct(gone.call_id, Instructed("inject", "He is a good customer."))
            await desk.instruct(gone.call_id, Instructed("end"))
            (report,) = await place.reported()
            assert (report["end_reason"], outcomes(report)) == ("api_end_call", ["failed"])
            await caller.over(10)
            assert caller.steps == ["dial", "hangup"]

    play(scene())


def test_orders_for_more_transfers_than_are_wanted_are_refused(tmp_path: Path) -> None:
    async def scene() -> None:
        settings = {**DIALLING, "transfers": {"max_per_call": 1}}
        async with house(tmp_path, receptionist(), **settings) as place, place.caller() as caller:
            place.openai.script = model()
            caller.colleagues = [Colleague(status="BUSY")]
            gone = await goes(place, caller)
            await quiet(caller, since=gone.at)
            with pytest.raises(Refused) as caught:
                await place.daemon.desk.instruct(gone.call_id, Instructed("transfer", "", destination=SALES))
            assert caught.value.code == "too_many_transfers"
            await caller.hang_up()

    play(scene())


def test_a_dialplan_that_does_not_say_what_came_of_it_brings_the_caller_back_too(tmp_path: Path) -> None:
    async def scene() -> None:
        async with house(tmp_path, receptionist(), **DIALLING) as place, place.caller() as caller:
            place.openai.script = model()
            caller.colleagues = [Colleague(status="", causes="")]  # type: ignore[arg-type]  # as the one of 0.3
            gone = await goes(place, caller)
            await quiet(caller, since=gone.at)
            await caller.hang_up()
            (report,) = await place.reported()
            assert outcomes(report) == ["no_answer"]

    play(scene())


def test_media_that_does_not_come_back_ends_the_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        monkeypatch.setattr("sovereign_pbx.calls.transfers._MEDIA_S", 0.3)
        async with house(tmp_path, receptionist(), **DIALLING) as place, place.caller() as caller:
            place.openai.script = model()

            async def never() -> bool:
                await asyncio.sleep(1.0)
                return False

            caller.colleagues = [Colleague(status="BUSY", rings_s=0.5)]
            gone = await goes(place, caller)
            caller._connect = never  # type: ignore[method-assign]  # its audio is refused
            (report,) = await place.reported()
            assert (report["end_reason"], outcomes(report)) == ("error", ["busy"])
            assert await place.daemon.desk.next_step(gone.call_id) == NextStep("fallback")

    play(scene())


def test_who_was_picked_up_unseen_has_been_put_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call picked up at another telephone does not pass the dialplan's question; it stops ringing all the same."""

    async def scene() -> None:
        monkeypatch.setattr("sovereign_pbx.calls.transfers._UNTOLD_S", 0.5)
        settings = {**DIALLING, "transfers": {"ring_seconds": 3}}
        async with house(tmp_path, receptionist(), **settings) as place, place.caller() as caller:
            caller.colleagues = [Colleague(rings_s=30)]
            await goes(place, caller)
            (report,) = await place.reported()
            assert (report["end_reason"], outcomes(report)) == ("transferred", ["accepted"])
            await caller.hang_up()

    play(scene())
