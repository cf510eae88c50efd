"""The daemon as an extension: it is registered, stays so, and says why it is not."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from sovereign_pbx.core.errors import LinkBroken
from sovereign_pbx.pbx.sip.registration import LAST_RETRY_S, Account, Registration, Registrations
from sovereign_pbx.testing import virtual_time
from tests.pbx.sip.registrar import Registrar

ACCOUNT = Account(name="office", host="pbx.example.com", user="800", username="800-auth", password="s3cret")


def lived(registrar: Registrar, seconds: float) -> dict[str, Any]:
    """How a registration stands after it has been kept so long."""

    async def run() -> dict[str, Any]:
        registration = Registration(ACCOUNT, registrar)
        task = asyncio.ensure_future(registration.run())
        await asyncio.sleep(seconds)
        found = registration.health()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return found

    return virtual_time.run(run())


@pytest.mark.parametrize("proxied", [False, True])
def test_a_password_is_proven_and_the_binding_is_ours(proxied: bool) -> None:
    registrar = Registrar(proxied=proxied)
    found = lived(registrar, 1)
    assert found == {"registered": True, "server": "pbx.example.com", "error": ""}
    name = "Proxy-Authorization" if proxied else "Authorization"
    assert [(name in request.headers) for request in registrar.requests] == [False, True]
    assert registrar.bound_s == 300


def test_it_is_renewed_at_about_half_its_time_and_never_runs_out() -> None:
    registrar = Registrar(open=True)
    assert lived(registrar, 3600)["registered"]
    gaps = [later - earlier for earlier, later in zip(registrar.times, registrar.times[1:], strict=False)]
    assert all(135 <= gap <= 165 for gap in gaps)
    assert len(gaps) >= 20


def test_a_shorter_time_that_the_registrar_grants_is_kept_to() -> None:
    registrar = Registrar(open=True, granted_s=60)
    lived(registrar, 600)
    gaps = [later - earlier for earlier, later in zip(registrar.times, registrar.times[1:], strict=False)]
    assert all(gap <= 33 for gap in gaps)


def test_a_longer_time_that_the_registrar_demands_is_asked_for() -> None:
    registrar = Registrar(least_s=900)
    assert lived(registrar, 10)["registered"]
    assert registrar.bound_s == 900


def test_a_nonce_that_is_too_old_is_no_wrong_password() -> None:
    registrar = Registrar(realm_lifetime_s=-1)
    lived(registrar, 1)
    assert len(registrar.requests) == 3  # without, with the old one, with the new one


def test_a_wrong_password_is_one_clear_error_and_a_seldom_try() -> None:
    registrar = Registrar(password="another")
    with capture_logs() as logs:
        found = lived(registrar, 600)
    assert found["error"] == "pbx.example.com refuses 800: 401 Unauthorized"
    errors = [entry for entry in logs if entry["log_level"] == "error"]
    assert len(errors) == 1
    assert "[registrations.office]" in errors[0]["remedy"]
    assert len(registrar.requests) <= 6
    assert "s3cret" not in str(logs)


@pytest.mark.parametrize("trouble", [503, 500, LinkBroken("no such host")])
def test_a_registrar_that_is_away_is_tried_again_ever_more_seldom(trouble: int | Exception) -> None:
    registrar = Registrar(open=True, answers=[trouble] * 8)
    found = lived(registrar, 2000)
    assert found == {"registered": True, "server": "pbx.example.com", "error": ""}
    gaps = [later - earlier for earlier, later in zip(registrar.times[:9], registrar.times[1:9], strict=False)]
    assert gaps[0] < 2.3
    assert gaps == sorted(gaps[:6]) + gaps[6:]
    assert max(gaps) <= 1.1 * LAST_RETRY_S


def test_a_registrar_that_is_silent_is_said_to_be() -> None:
    found = lived(Registrar(silent=True), 100)
    assert found == {
        "registered": False,
        "server": "pbx.example.com",
        "error": "pbx.example.com does not answer",
    }


def test_it_counts_as_registered_until_its_time_is_over_though_a_renewal_fails() -> None:
    registrar = Registrar(open=True, answers=[200, *[503] * 100])
    assert lived(registrar, 200)["registered"]
    registrar = Registrar(open=True, answers=[200, *[503] * 100])
    assert not lived(registrar, 400)["registered"]


def kept(registrar: Registrar, work: Callable[[Registrations], Awaitable[None]]) -> None:
    async def run() -> None:
        registrations = Registrations([ACCOUNT], registrar)
        registrations.start()
        await asyncio.sleep(1)
        await work(registrations)

    virtual_time.run(run())


def test_at_the_end_it_is_taken_back() -> None:
    registrar = Registrar()

    async def work(registrations: Registrations) -> None:
        assert registrations.missing == []
        await registrations.stop()
        assert registrations.missing == ["office"]

    kept(registrar, work)
    assert registrar.bound_s == 0
    assert registrar.requests[-1].headers.get("Expires") == "0"


def test_a_registrar_that_is_gone_does_not_hold_up_the_end() -> None:
    registrar = Registrar()

    async def work(registrations: Registrations) -> None:
        registrar.silent = True
        began = asyncio.get_running_loop().time()
        await registrations.stop()
        assert asyncio.get_running_loop().time() - began <= 2.1

    kept(registrar, work)


def test_a_call_to_an_extension_is_known_by_its_user() -> None:
    async def work(registrations: Registrations) -> None:
        assert registrations.of_user("800", "192.0.2.1") is ACCOUNT
        assert registrations.of_user("801", "192.0.2.1") is None
        await registrations.stop()

    kept(Registrar(), work)


def test_calls_go_out_through_it_as_its_extension() -> None:
    way = ACCOUNT.way
    assert (str(way.uri("200")), way.account, way.username) == ("sip:200@pbx.example.com", "800", "800-auth")
