"""The call that `sovereign-pbx doctor` makes to the daemon's own SIP endpoint."""

import asyncio
from pathlib import Path

import pytest

from sovereign_pbx.commands.doctor import sip_call
from sovereign_pbx.commands.doctor.patient import Patient
from sovereign_pbx.commands.doctor.result import Result
from sovereign_pbx.config import examine
from sovereign_pbx.pbx.link import Decision, NextStep
from tests.pbx.sip.stage import play, stage
from tests.pbx.stage import tone_frame

ANNA = '[assistants.anna]\nname = "Anna"\nfirst_message = "Hello."\n[[numbers]]\nnumber = "100"\nassistant = "anna"\n'


def patient(folder: Path, port: int = 5090, more: str = "", base: str = ANNA) -> Patient:
    path = folder / "config.toml"
    path.write_text(f"{base}[sip]\nenabled = true\nport = {port}\n{more}")
    path.chmod(0o600)
    examined = examine(path, environ={})
    assert examined.config is not None, examined.findings
    found = Patient(examined, examined.config)
    found.daemon = {}
    return found


def judged(folder: Path, decision: Decision, *, hertz: int = 0, base: str = ANNA) -> Result:
    """What doctor says of a daemon that decides so, and speaks in this tone."""
    results: list[Result] = []

    async def scene() -> None:
        async with stage(decision) as s:
            s.desk.step = NextStep("hangup")

            async def speak() -> None:
                number = 0
                while True:
                    for link in s.desk.links.values():
                        link.take()
                        link.put(tone_frame(number, hertz) if hertz else bytes(320))
                    number += 1
                    if decision.early and number == 50:
                        next(iter(s.desk.links.values())).close()
                    await asyncio.sleep(0.02)

            speaking = asyncio.ensure_future(speak())
            found = await asyncio.to_thread(patient, folder, s.pbx.endpoint.address("udp")[1], base=base)
            results.append(await sip_call.sip_call(found))
            speaking.cancel()
            await asyncio.gather(speaking, return_exceptions=True)

    play(scene())
    return results[0]


def test_a_daemon_that_greets_its_callers_is_well(tmp_path: Path) -> None:
    result = judged(tmp_path, Decision("answer"), hertz=400)
    assert (result.status, result.facts["lost"]) == ("ok", 0)
    assert "greeting" in result.detail


def test_an_assistant_without_a_greeting_is_not_waited_for(tmp_path: Path) -> None:
    result = judged(
        tmp_path, Decision("answer"), base=ANNA.replace('first_message = "Hello."\n', 'first_message = ""\n')
    )
    assert (result.status, "greeting" in result.detail) == ("ok", False)


def test_silence_after_the_answer_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sip_call, "GREETING_S", 0.3)
    result = judged(tmp_path, Decision("answer"))
    assert result.status == "failed"
    assert "no greeting was heard" in result.detail


@pytest.mark.parametrize(
    ("decision", "says"),
    [(Decision("fallback"), "is sent to the fallback"), (Decision("busy"), "is refused: SIP/2.0 486")],
)
def test_a_call_that_is_not_taken_is_a_finding(tmp_path: Path, decision: Decision, says: str) -> None:
    result = judged(tmp_path, decision)
    assert result.status == "failed"
    assert says in result.detail


def test_words_of_refusal_are_told_from_a_fault(tmp_path: Path) -> None:
    assert judged(tmp_path, Decision("answer", early=True), hertz=400).status == "warning"


def test_where_nothing_listens_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sip_call, "AFTER_DECISION_S", 0.2)
    result = asyncio.run(sip_call.sip_call(patient(tmp_path, 9, "decide_timeout_seconds = 1\n")))
    assert result.status == "failed"
    assert "nothing answers on 127.0.0.1:9" in result.detail


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ('transports = ["tcp"]\n', "over UDP"),
        ('username = "pbx"\npassword = "s3cret-pbx"\n', "must prove a password"),
        ('codecs = ["L16"]\n', "speaks G.711"),
        ('permit = ["192.0.2.1"]\n', "does not name this machine (127.0.0.1)"),
    ],
)
def test_what_its_telephone_can_not_do_is_not_tried(tmp_path: Path, more: str, says: str) -> None:
    result = asyncio.run(sip_call.sip_call(patient(tmp_path, more=more)))
    assert result.status == "skipped"
    assert says in result.detail


def test_without_a_daemon_or_a_number_there_is_no_call(tmp_path: Path) -> None:
    bare = patient(tmp_path, base='[assistants.anna]\nname = "Anna"\n')
    assert "no number" in asyncio.run(sip_call.sip_call(bare)).detail
    bare.daemon = None
    assert asyncio.run(sip_call.sip_call(bare)).status == "skipped"


def test_where_sip_is_not_listened_for_nothing_is_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(ANNA)
    path.chmod(0o600)
    examined = examine(path, environ={})
    assert examined.config is not None
    assert not sip_call.looks(Patient(examined, examined.config), wanted=True)
