"""`sovereign-pbx doctor` on a real Asterisk: what it says of each fault, and a call that proves the sound."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from sovereign_pbx.commands.doctor import asterisk, call, reconciliation
from sovereign_pbx.commands.doctor.patient import Patient
from sovereign_pbx.config import examine
from sovereign_pbx.pbx.asterisk.dialplan import render
from sovereign_pbx.testing.asterisk import AmiAccount
from sovereign_pbx.testing.providers.deepgram import Utterance
from tests.asterisk_of import asterisk_of
from tests.calls.house import assistant, play
from tests.commands.clinic import FALLBACK, Clinic, clinic

pytestmark = pytest.mark.pbx


def test_a_well_installation_is_told_so_and_its_sound_is_proved_both_ways(asterisk_root: Path, tmp_path: Path) -> None:
    async def scene() -> None:
        async with clinic(asterisk_root, tmp_path) as it:
            found = await it.examine()
            unwell = {name for name, check in found.checks.items() if check["status"] not in ("ok", "skipped")}
            unwell.discard("daemon")  # it shares its process with this test and may say that its clock was late
            assert not unwell, found.output
            assert found.status == 0
            facts = found.checks["test call"]["facts"]
            assert facts["said"] == "What time do you open?"
            assert 0 <= facts["greeting_ms"] < 1000
            assert 0 < facts["reply_ms"] < 5000
            assert -40 < facts["level_dbfs"] < -6
            (row,) = await it.house.rows()
            assert (row.id, row.caller_phone, row.status) == (facts["call_id"], row.caller_phone, "ended")
            assert row.caller_phone is not None and row.caller_phone.startswith("0000")
            assert len(await it.house.reported()) == 1

    play(scene())


def test_a_wrong_secret_is_told_as_such_and_the_rest_is_skipped(asterisk_root: Path, tmp_path: Path) -> None:
    async def scene() -> None:
        async with clinic(asterisk_root, tmp_path) as it:
            await it.log_in_as(AmiAccount("sovereign", "wrong-secret"))
            found = await it.examine()
            assert found.status == 1
            assert found.of("asterisk login") == "failed"
            assert "refused the AMI login of 'sovereign'" in found.says("asterisk login")
            assert "manager.conf" in found.says("asterisk login")
            for name in ("asterisk rights", "asterisk version", "dialplan", "test call"):
                assert found.of(name) == "skipped", name
            assert "wrong-secret" not in found.output

    play(scene())


def test_without_the_right_to_originate_the_call_is_skipped_with_the_line_that_grants_it(
    asterisk_root: Path, tmp_path: Path
) -> None:
    async def scene() -> None:
        async with clinic(asterisk_root, tmp_path, write="call,reporting") as it:
            found = await it.examine()
            assert (found.status, found.of("asterisk rights"), found.of("test call")) == (0, "ok", "skipped")
            assert "[sovereign]: write = call,originate,reporting" in found.says("test call")
            assert await it.house.rows() == []

    play(scene())


def test_missing_rights_are_named_with_the_line_for_manager_conf(asterisk_root: Path, tmp_path: Path) -> None:
    async def scene() -> None:
        async with clinic(asterisk_root, tmp_path, write="originate") as it:
            found = await it.examine(call=False)
            assert found.of("asterisk rights") == "failed"
            assert "write lacks call, reporting" in found.says("asterisk rights")
            assert "giving callers back who were lost" in found.says("asterisk rights")
            assert "[sovereign]: write = call,originate,reporting" in found.says("asterisk rights")
            assert found.of("dialplan") == "skipped"

    play(scene())


def test_rights_that_own_the_machine_are_a_warning(asterisk_root: Path, tmp_path: Path) -> None:
    async def scene() -> None:
        async with clinic(asterisk_root, tmp_path) as it:
            await it.log_in_as(it.asterisk.ami_all)
            found = await it.examine(call=False)
            assert found.of("asterisk rights") == "warning"
            assert "agi, command, config, system" in found.says("asterisk rights")
            assert found.status == 0
            assert (await it.examine(call=False, strict=True)).status == 1

    play(scene())


def test_calls_of_which_the_daemon_knows_nothing_are_a_warning(
    asterisk_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciliation, "BETWEEN_S", 0.1)

    async def scene() -> None:
        async with clinic(asterisk_root, tmp_path) as it:
            assert (await it.examine(call=False)).of("reconciliation") == "ok"
            async with it.house.caller() as caller:
                await caller.place()  # not through this Asterisk: a connection without a channel
                await asyncio.sleep(1.1)  # the health that was told a moment ago is kept for a second
                found = await it.examine(call=False)
                assert found.of("reconciliation") == "warning"
                assert "0 channels to the daemon, which has 1 connections" in found.says("reconciliation")
                assert "calls audit" in found.says("reconciliation")
                await caller.hang_up()

    play(scene())


@pytest.mark.parametrize("kind", ["agi", "aoc", "command", "config", "message", "system", "user"])
def test_each_class_that_is_not_needed_is_named(asterisk_root: Path, tmp_path: Path, kind: str) -> None:
    async def scene() -> None:
        async with clinic(asterisk_root, tmp_path, write=f"call,reporting,{kind}") as it:
            found = await it.examine(call=False)
            assert (found.of("asterisk rights"), f"may also use {kind}" in found.says("asterisk rights")) == (
                "warning",
                True,
            )
            assert "write = call,reporting; then" in found.says("asterisk rights")

    play(scene())


def test_a_login_that_is_told_nothing_of_calls_is_a_warning(asterisk_root: Path, tmp_path: Path) -> None:
    async def scene() -> None:
        async with clinic(asterisk_root, tmp_path, read="dtmf") as it:
            found = await it.examine()
            assert found.of("test call") == "warning"
            assert "read lacks call" in found.says("test call")

    play(scene())


@pytest.mark.parametrize(
    ("name", "plan", "rendered", "status", "words"),
    [
        ("absent", "", {"context": "elsewhere"}, "failed", "no context sovereign-inbound"),
        ("another port", FALLBACK, {"agi": "127.0.0.1:1"}, "failed", "it asks agi at 127.0.0.1:1"),
        ("another machine", FALLBACK, {"audiosocket": "10.1.2.3:{audio}"}, "failed", "listens on 127.0.0.1:"),
        ("no fallback", "", {}, "warning", "you have no fallback"),
        ("a fallback that is not there", "", {"fallback": "queues,600,1"}, "warning", "you have no fallback"),
        ("a fallback elsewhere", "[queues]\nexten => 600,1,Answer()\n", {"fallback": "queues,600,1"}, "ok", "queues"),
    ],
    ids=lambda value: value if isinstance(value, str) and "=" not in value else "",
)
def test_the_dialplan_that_is_loaded_is_read(
    asterisk_root: Path, tmp_path: Path, name: str, plan: str, rendered: dict[str, Any], status: str, words: str
) -> None:
    async def scene() -> None:
        async with clinic(asterisk_root, tmp_path) as it:
            port = asterisk_of(it.house.daemon).audiosocket_address[1]
            await it.load(plan, **{key: value.format(audio=port) for key, value in rendered.items()})
            found = await it.examine(call=False)
            assert (found.of("dialplan"), words in found.says("dialplan")) == (status, True), found.says("dialplan")

    play(scene())


def test_a_dialplan_that_somebody_has_changed_is_a_warning(asterisk_root: Path, tmp_path: Path) -> None:
    async def scene() -> None:
        async with clinic(asterisk_root, tmp_path) as it:
            await it.load(FALLBACK + "[sovereign-inbound](+)\nexten => s,99,NoOp()\n")
            found = await it.examine(call=False)
            assert found.of("dialplan") == "warning"
            assert "not the one that this version prints" in found.says("dialplan")

    play(scene())


ALLOWING: dict[str, Any] = {"dialling": {"allow": ["+31*"]}}


def test_where_calls_are_to_be_placed_the_right_to_do_so_is_looked_for(asterisk_root: Path, tmp_path: Path) -> None:
    async def scene() -> None:
        async with clinic(asterisk_root, tmp_path, write="call,reporting", **ALLOWING) as it:
            found = await it.examine(call=False)
            assert found.of("asterisk rights") == "warning"
            assert "may not place any" in found.says("asterisk rights")
            assert "[sovereign]: write = call,originate,reporting" in found.says("asterisk rights")

    play(scene())


def test_where_calls_are_to_be_placed_their_context_is_looked_for(asterisk_root: Path, tmp_path: Path) -> None:
    async def scene() -> None:
        async with clinic(asterisk_root, tmp_path, **ALLOWING) as it:
            assert (await it.examine(call=False)).of("dialplan") == "ok"
            agi, audio = asterisk_of(it.house.daemon).agi_address, asterisk_of(it.house.daemon).audiosocket_address
            text = await asyncio.to_thread(render, agi=f"{agi[0]}:{agi[1]}", audiosocket=f"{audio[0]}:{audio[1]}")
            await it.asterisk.replace_dialplan(text.replace("[sovereign-outbound]", "[elsewhere]") + FALLBACK)
            found = await it.examine(call=False)
            assert found.of("dialplan") == "warning"
            assert "no context sovereign-outbound" in found.says("dialplan")
            await it.asterisk.replace_dialplan(text.replace("/outbound,", "/inbound,") + FALLBACK)
            assert "does not ask the daemon" in (await it.examine(call=False)).says("dialplan")

    play(scene())


def test_a_module_that_is_not_loaded_is_named(asterisk_root: Path, tmp_path: Path) -> None:
    async def scene() -> None:
        async with clinic(asterisk_root, tmp_path, extra={"modules.conf": "load = func_module.so\n"}) as it:
            assert (await it.examine(call=False)).of("asterisk version") == "ok"
            await it.asterisk.cli("module unload app_exec.so")
            found = await it.examine(call=False)
            assert found.of("asterisk version") == "failed"
            assert "has not loaded app_exec.so" in found.says("asterisk version")

    play(scene())


def test_a_call_that_the_fallback_takes_is_no_proof(asterisk_root: Path, tmp_path: Path) -> None:
    async def scene() -> None:
        assistants = {"reception": assistant(is_active=False)}
        async with clinic(asterisk_root, tmp_path, assistants) as it:
            found = await it.examine(number="100")
            assert found.of("test call") == "failed"
            assert "answered by your fallback" in found.says("test call")

    play(scene())


def test_a_call_that_nobody_takes_says_why(asterisk_root: Path, tmp_path: Path) -> None:
    async def scene() -> None:
        async with clinic(asterisk_root, tmp_path, {"reception": assistant(is_active=False)}) as it:
            await it.load("[sovereign-fallback]\nexten => s,1,Hangup(17)\n")
            found = await it.examine(number="100")
            assert found.of("test call") == "failed"
            assert "nobody answered Local/100@sovereign/n (busy)" in found.says("test call")

    play(scene())


def test_a_call_on_which_nothing_is_heard_is_told_to_be_silent(
    asterisk_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call, "GREETING_S", 2.5)
    monkeypatch.setattr(call, "ANSWER_S", 1.5)

    async def scene() -> None:
        async with clinic(asterisk_root, tmp_path, {"reception": assistant(first_message="")}) as it:
            it.house.deepgram.script = (Utterance(("",)),)
            found = await it.examine()
            assert found.of("test call") == "failed"
            assert "silent: nothing was heard" in found.says("test call")
            assert "calls show" in found.says("test call")

    play(scene())


def test_an_assistant_that_lets_the_caller_speak_first_is_well(
    asterisk_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call, "GREETING_S", 2.5)

    async def scene() -> None:
        async with clinic(asterisk_root, tmp_path, {"reception": assistant(first_message="")}) as it:
            found = await it.examine()
            assert found.of("test call") == "ok", found.says("test call")
            assert found.checks["test call"]["facts"]["greeting_ms"] is None

    play(scene())


def test_a_voice_that_is_lost_before_the_call_is_the_fallbacks_turn(asterisk_root: Path, tmp_path: Path) -> None:
    async def scene() -> None:
        async with clinic(asterisk_root, tmp_path) as it:
            it.house.elevenlabs.faults.arm("refuse")
            found = await it.examine()
            assert found.of("tts elevenlabs anna") == "failed"
            assert found.of("test call") == "failed"
            assert "answered by your fallback" in found.says("test call")

    play(scene())


def test_a_recogniser_that_hears_nothing_is_told_apart_from_a_broken_line(
    asterisk_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call, "ANSWER_S", 1.5)

    async def scene() -> None:
        async with clinic(asterisk_root, tmp_path) as it:
            it.house.deepgram.script = (Utterance(("",)),)
            found = await it.examine()
            assert found.of("test call") == "failed"
            assert "look at the recogniser" in found.says("test call")

    play(scene())


def test_a_doctor_who_is_interrupted_hangs_up(asterisk_root: Path, tmp_path: Path) -> None:
    async def scene() -> None:
        async with clinic(asterisk_root, tmp_path) as it:
            examining = asyncio.create_task(it.examine())
            await _until_calls(it)
            examining.cancel()
            await asyncio.gather(examining, return_exceptions=True)
            await it.asterisk.wait_for_channels(0)

    play(scene())


def test_a_doctor_who_is_interrupted_while_it_rings_hangs_up_too(asterisk_root: Path, tmp_path: Path) -> None:
    async def scene() -> None:
        async with clinic(asterisk_root, tmp_path) as it:
            it.house.elevenlabs.faults.arm("stall", "first")  # the greeting keeps the caller waiting for 2.5 s
            placing = asyncio.create_task(_only_the_call(it))
            await _until_calls(it)
            placing.cancel()
            await asyncio.gather(placing, return_exceptions=True)
            await it.asterisk.wait_for_channels(0, 1.5)

    play(scene())


async def _only_the_call(it: Clinic) -> None:
    found = await asyncio.to_thread(examine, it.config)
    assert found.config is not None
    patient = Patient(found, found.config, daemon={}, dialplan_loaded=True)
    try:
        await asterisk.login(patient)
        await asterisk.rights(patient)
        await call.call(patient)
    finally:
        await patient.close()


async def _until_calls(it: Clinic) -> None:
    async with asyncio.timeout(30):
        while len(it.house.daemon.desk) == 0:  # noqa: ASYNC110 - the daemon tells nobody of its calls
            await asyncio.sleep(0.02)
