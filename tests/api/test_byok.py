"""`/byok`: keys go in, count from the next call on, and never come out again (contract §23)."""

import asyncio
import stat
from pathlib import Path
from typing import Any

import pytest

from sovereign_pbx.calls.providers import Providers
from sovereign_pbx.core.errors import ConfigError
from sovereign_pbx.speech import catalogue
from tests.api.rest import Client, serving_rest

KEY = "sk-a-very-secret-key"


async def ids(api: Client) -> dict[str, Any]:
    shown: dict[str, Any] = (await api.get("/byok")).body["byok_keys"]
    return shown


def test_a_key_goes_in_is_named_and_goes_away_again(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            assert set((await ids(api)).values()) == {None}
            assert {"deepgram_secret_id", "google_vertex_secret_id", "resend_secret_id"} <= set(await ids(api))
            got = await api.post("/byok", {"provider": "openai", "api_key": KEY})
            assert (got.status, got.body["success"]) == (200, True)
            assert got.body["byok_keys"]["openai_secret_id"]
            assert KEY not in str(got.body) + str(await ids(api))
            got = await api.delete("/byok", {"provider": "openai"})
            assert (got.status, got.body["success"]) == (200, True)
            assert (await ids(api))["openai_secret_id"] is None
            assert (await api.delete("/byok", {"provider": "openai"})).status == 404

    asyncio.run(run())


def test_a_key_is_there_after_a_restart_for_the_daemons_user_alone(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            await api.post("/byok", {"provider": "deepgram", "apiKey": KEY})
            before = await ids(api)
        async with serving_rest(tmp_path) as api:
            assert await ids(api) == before
            assert api.config.accounts["deepgram"]["api_key"] == KEY
            assert api.config.redactor.redact(f"key {KEY}") == "key ***"

    asyncio.run(run())
    (file,) = (tmp_path / "state" / "secrets.d").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_it_counts_from_the_next_call_on_and_stays_out_of_logs(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            await asyncio.to_thread(catalogue.preload)
            providers = Providers(api.backend.accounts)
            block = {"provider": "openai", "model": "gpt-5.4"}
            voice = {"provider": "pico"}
            kept = providers.voice(voice)
            with pytest.raises(ConfigError, match="api_key is missing"):
                providers.llm(block)
            await api.post("/byok", {"provider": "openai", "api_key": "an-older-key"})
            before = providers.llm(block)
            await api.post("/byok", {"provider": "openai", "api_key": KEY})
            after = providers.llm(block)
            assert after is not before
            assert providers.llm(block) is after
            assert providers.voice(voice) is kept  # whose account is the same is not built again
            assert KEY not in repr(dict(api.backend.accounts))
            assert api.config.redactor.redact(KEY) == "***"
            await providers.aclose()

    asyncio.run(run())


def test_the_administrators_own_key_wins_and_refuses_another(tmp_path: Path) -> None:
    async def run() -> None:
        written = {"openai": {"api_key": "of-the-file"}, "mistral": {"base_url": "http://127.0.0.1:9/v1"}}
        async with serving_rest(tmp_path, providers=written) as api:
            assert (await ids(api))["openai_secret_id"]
            for got in (
                await api.post("/byok", {"provider": "openai", "api_key": KEY}),
                await api.delete("/byok", {"provider": "openai"}),
                await api.post("/byok/config", {"provider": "openai", "base_url": "http://evil.example"}),
                await api.post("/byok/config", {"provider": "mistral", "base_url": "http://evil.example"}),
            ):
                assert (got.status, got.body["code"]) == (409, "owned_by_file")
                assert "[providers." in got.body["message"]
            assert (await api.post("/byok", {"provider": "mistral", "api_key": KEY})).status == 200
            account = api.backend.accounts["mistral"]
            assert (account["api_key"], account["base_url"]) == (KEY, "http://127.0.0.1:9/v1")

    asyncio.run(run())


def test_the_address_of_a_provider_may_be_given_where_the_file_does_not_know_it(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            got = await api.post("/byok/config", {"provider": "openai", "base_url": "http://10.0.0.5:8000/v1"})
            assert got.body == {"byok_config": {"openai": {"base_url": "http://10.0.0.5:8000/v1"}}}
            await api.post("/byok", {"provider": "openai", "api_key": KEY})
        async with serving_rest(tmp_path) as api:
            assert api.backend.accounts["openai"]["base_url"] == "http://10.0.0.5:8000/v1"
            got = await api.post("/byok/config", {"provider": "openai", "base_url": ""})
            assert got.body == {"byok_config": {}}
            assert api.backend.accounts["openai"]["api_key"] == KEY

    asyncio.run(run())


def test_a_key_that_the_administrator_writes_later_is_never_sent_to_an_address_of_the_apis(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            await api.post("/byok/config", {"provider": "openai", "base_url": "http://10.0.0.5:8000/v1"})
            await api.post("/byok", {"provider": "openai", "api_key": KEY})
        async with serving_rest(tmp_path, providers={"openai": {"api_key": "of-the-file"}}) as api:
            assert dict(api.backend.accounts["openai"]) == {"api_key": "of-the-file"}

    asyncio.run(run())


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"provider": "openai"}, 400),
        ({"provider": "openai", "api_key": ""}, 400),
        ({"provider": "openai", "api_key": "with a space"}, 400),
        ({"provider": "openai", "api_key": "line\r\nfeed"}, 400),
        ({"provider": "openai", "api_key": 5}, 400),
        ({"provider": "../openai", "api_key": KEY}, 400),
        ({"provider": "opneai", "api_key": KEY}, 400),
        ({"provider": "gladia", "api_key": KEY}, 501),
        ({"provider": "google_vertex", "api_key": KEY}, 501),
    ],
)
def test_a_wrong_key_is_refused_and_not_quoted(tmp_path: Path, body: dict[str, Any], status: int) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            got = await api.post("/byok", body)
            assert got.status == status
            assert str(body.get("api_key") or KEY) not in str(got.body)
            assert set((await ids(api)).values()) == {None}

    asyncio.run(run())


def test_only_an_admin_gives_keys(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            caller = await api.with_scopes("read", "calls")
            assert (await caller.get("/byok")).status == 200
            assert (await caller.post("/byok", {"provider": "openai", "api_key": KEY})).status == 403
            assert (await caller.delete("/byok", {"provider": "openai"})).status == 403

    asyncio.run(run())


def test_a_damaged_file_costs_its_own_key_only(tmp_path: Path) -> None:
    folder = tmp_path / "state" / "secrets.d"
    folder.mkdir(parents=True)
    (folder / "openai.toml").write_text('api_key = "unclosed')
    (folder / "deepgram.toml").write_text(f'secret_id = "s1"\napi_key = "{KEY}"\n')

    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            shown = await ids(api)
            assert (shown["openai_secret_id"], shown["deepgram_secret_id"]) == (None, "s1")
            assert any("openai.toml" in finding.file for finding in api.config.warnings)

    asyncio.run(run())
