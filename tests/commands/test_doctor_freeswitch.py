"""What `sovereign-pbx doctor` says of a FreeSWITCH: a played one, well and unwell."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Literal

import pytest

from sovereign_pbx.commands.doctor import freeswitch
from sovereign_pbx.commands.doctor.patient import Patient
from sovereign_pbx.commands.doctor.result import Result
from sovereign_pbx.config import examine
from sovereign_pbx.pbx.freeswitch.dialplan import render
from sovereign_pbx.pbx.freeswitch.parked_dialplan import render as render_parked
from sovereign_pbx.testing.freeswitch import FreeSwitch
from sovereign_pbx.testing.freeswitch_esl import PASSWORD
from sovereign_pbx.testing.freeswitch_leg import SipLegs


def patient_of(folder: Path, port: int, password: str = PASSWORD, more: str = "") -> Patient:
    path = folder / "config.toml"
    path.write_text(
        "[sip]\nenabled = true\n[freeswitch]\nenabled = true\n"
        f"{more}\n[freeswitch.esl]\nport = {port}\npassword = '{password}'\n"
    )
    path.chmod(0o600)
    examined = examine(str(path))
    assert examined.config is not None, examined.findings
    return Patient(examined, examined.config)


def found(
    folder: Path,
    look: Callable[[Patient], Awaitable[Result]],
    *,
    password: str = PASSWORD,
    more: str = "",
    loaded: str | None = None,
    prepare: Callable[[FreeSwitch], None] = lambda pbx: None,
) -> Result:
    async def whole() -> Result:
        async with FreeSwitch() as pbx:
            document = await asyncio.to_thread(render) if loaded is None else loaded
            pbx.load(document, address="127.0.0.1:5090", legs=SipLegs(("127.0.0.1", 1)))
            prepare(pbx)
            patient = await asyncio.to_thread(patient_of, folder, pbx.esl.port, password, more)
            return await look(patient)

    return asyncio.run(whole())


def test_a_well_one_is_told_with_its_version(tmp_path: Path) -> None:
    result = found(tmp_path, freeswitch.login)
    assert result.status == "ok" and "FreeSWITCH 1.10.12" in result.detail


@pytest.mark.parametrize("look", [freeswitch.modules, freeswitch.profile, freeswitch.dialplan])
def test_what_is_well_is_ok(tmp_path: Path, look: Callable[[Patient], Awaitable[Result]]) -> None:
    result = found(tmp_path, look)
    assert result.status == "ok", result.detail


def test_a_wrong_password_is_told_with_the_file_to_look_into(tmp_path: Path) -> None:
    result = found(tmp_path, freeswitch.login, password="wrong-one")
    assert result.status == "failed"
    assert "refused the event socket's login" in result.detail and "event_socket.conf.xml" in result.remedy
    assert "wrong-one" not in result.detail + result.remedy
    assert found(tmp_path, freeswitch.modules, password="wrong-one").status == "skipped"


def test_an_acl_is_told_as_such(tmp_path: Path) -> None:
    def rude(pbx: FreeSwitch) -> None:
        pbx.esl.rude = True

    result = found(tmp_path, freeswitch.login, prepare=rude)
    assert result.status == "failed" and "apply-inbound-acl" in result.remedy


def test_nobody_on_the_port_is_told_as_such(tmp_path: Path) -> None:
    result = asyncio.run(freeswitch.login(patient_of(tmp_path, 1)))
    assert result.status == "failed" and "mod_event_socket" in result.remedy


def test_without_a_password_it_is_said_what_does_not_work(tmp_path: Path) -> None:
    result = asyncio.run(freeswitch.login(patient_of(tmp_path, 1, "")))
    assert result.status == "warning" and "no calls placed" in result.detail


def test_a_module_that_is_missing_is_named(tmp_path: Path) -> None:
    def without(pbx: FreeSwitch) -> None:
        pbx.modules.remove("mod_dptools")

    result = found(tmp_path, freeswitch.modules, prepare=without)
    assert (result.status, result.detail) == ("failed", "not loaded: mod_dptools")


def test_a_profile_that_is_missing_is_named(tmp_path: Path) -> None:
    result = found(tmp_path, freeswitch.profile, more="profile = 'outside'")
    assert result.status == "failed" and "no Sofia profile outside" in result.detail


def test_a_dialplan_that_is_not_loaded_is_told_with_the_command_that_prints_it(tmp_path: Path) -> None:
    result = found(tmp_path, freeswitch.dialplan, loaded="<include/>")
    assert result.status == "failed" and "dialplan freeswitch --help" in result.remedy


def test_a_dialplan_for_another_port_is_told_so(tmp_path: Path) -> None:
    result = found(tmp_path, freeswitch.dialplan, loaded=render(sip="127.0.0.1:5099"))
    assert result.status == "failed" and "127.0.0.1:5099" in result.detail and "5090" in result.detail


def test_a_dialplan_of_another_configuration_is_a_warning(tmp_path: Path) -> None:
    result = found(tmp_path, freeswitch.dialplan, loaded=render(decide_s=30))
    assert result.status == "warning" and "reloadxml" in result.remedy


def test_without_freeswitch_there_is_nothing_to_look_at(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("")
    path.chmod(0o600)
    examined = examine(str(path))
    assert examined.config is not None
    assert freeswitch.looks(Patient(examined, examined.config)) == []


@pytest.mark.parametrize("media", ["unicast", "audio_fork"])
def test_without_sip_the_dialplan_that_parks_is_wanted(tmp_path: Path, media: Literal["unicast", "audio_fork"]) -> None:
    more = f"media = '{media}'"
    parked = render_parked(fallback="600 XML default", media=media)
    other = render_parked(media="unicast" if media == "audio_fork" else "audio_fork")
    assert found(tmp_path, freeswitch.dialplan, more=more, loaded=parked).status == "ok"
    assert found(tmp_path, freeswitch.dialplan, more=more, loaded=other).status == "warning"
    assert found(tmp_path, freeswitch.dialplan, more=more).status == "failed"
    assert found(tmp_path, freeswitch.dialplan, more=more, loaded="<include/>").status == "failed"
