"""The configuration file is changed and read again while a daemon answers calls."""

import asyncio
import logging
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import structlog
import tomli_w

from sovereign_pbx.api.keys import read_keys, write_keys
from sovereign_pbx.assistants.model import Assistant
from sovereign_pbx.calls.providers import Providers
from sovereign_pbx.config_difference import Change
from sovereign_pbx.config_findings import InvalidConfig
from sovereign_pbx.core.errors import Refused
from sovereign_pbx.reload import Step, take_effect
from sovereign_pbx.testing.audiosocket_caller import NotAnswered
from sovereign_pbx.testing.port_block import reserve_ports
from sovereign_pbx.webhooks.delivery import Deliverer
from tests.api.rest import make_key
from tests.calls.house import GREETING, House, assistant, house, play
from tests.leaks import open_descriptors
from tests.waiting import until

NEW_GREETING = "Good evening."


async def saved(place: House, **sections: Any) -> None:
    """The file is written anew with these sections."""
    if "limits" in sections:  # a busy machine that runs tests is no reason to refuse calls
        sections["limits"] = {"max_lag_ms": 0, **sections["limits"]}
    place.settings.update(sections)
    await asyncio.to_thread((place.folder / "config.toml").write_text, tomli_w.dumps(place.settings))


async def reloaded(place: House, **sections: Any) -> dict[str, Any]:
    await saved(place, **sections)
    return await place.daemon.reloader.reload()


@asynccontextmanager
async def calling(place: House, called: str = "100") -> AsyncIterator[None]:
    """Somebody is on the line, and has been greeted; he hangs up in the end."""
    async with place.caller(called) as caller:
        await caller.place()
        await until(lambda: caller.heard.sounds())
        yield
        await asyncio.sleep(1.5)  # the greeting is over, and counts as heard
        await caller.hang_up()


def said(report: dict[str, Any]) -> list[str]:
    return [message["content"] for message in report["messages"] if message["role"] == "assistant"]


def test_a_call_keeps_what_it_began_with_and_the_next_one_gets_the_new(tmp_path: Path) -> None:
    async def scene() -> None:
        async with house(tmp_path) as place:
            async with calling(place):
                changed = {"reception": assistant(first_message=NEW_GREETING, metadata={"version": 2})}
                told = await reloaded(place, assistants=changed)
                assert [change["key"] for change in told["changed"]] == [
                    "assistants.reception.first_message",
                    "assistants.reception.metadata.version",
                ]
            first = (await place.reported(1))[0]
            async with calling(place):
                pass
            second = (await place.reported(2))[1]
            assert (said(first), first["assistant"]["metadata"]) == ([GREETING], {})
            assert (said(second), second["assistant"]["metadata"]) == ([NEW_GREETING], {"version": 2})

    play(scene())


def test_what_a_call_uses_is_closed_when_it_has_ended_and_not_before(tmp_path: Path) -> None:
    async def scene() -> None:
        async with house(tmp_path) as place:
            shelf = place.daemon.in_use.services.providers._shop.built
            async with calling(place):
                openai = next(built.thing for key, built in shelf.items() if key[0] == "llm")
                providers = dict(place.settings["providers"])
                providers["openai"] = {**providers["openai"], "api_key": "another-key"}
                await reloaded(place, providers=providers)
                await asyncio.sleep(0.1)
                assert len(place.daemon.retiring) == 1
                assert openai in [built.thing for built in shelf.values()]
            await until(lambda: len(place.daemon.retiring) == 0)
            assert openai not in [built.thing for built in shelf.values()]
            kept = {key[0] for key in shelf}
            assert kept == {"stt", "tts"}  # their accounts are what they were
            async with calling(place):
                pass

    play(scene())


BROKEN: list[tuple[dict[str, Any], str]] = [
    ({"limits": {"max_cals": 1}}, 'unknown key "max_cals"'),
    ({"numbers": [{"number": "*", "assistant": "nobody"}]}, 'there is no assistant "nobody"'),
    ({"webhook": {"url": "https://example.com", "secret": "${env:NOT_SET_ANYWHERE}"}}, "NOT_SET_ANYWHERE is not set"),
    ({"assistants": {"reception": assistant(tts_config={"provider": "nobody"})}}, "there is no provider 'nobody'"),
    ({"recording": {"enabled": True, "dir": "/dev/null/recordings"}}, "is not a folder"),
]


@pytest.mark.parametrize(("sections", "words"), BROKEN)
def test_a_file_with_errors_changes_nothing(tmp_path: Path, sections: dict[str, Any], words: str) -> None:
    async def scene() -> None:
        async with house(tmp_path) as place:
            before = place.daemon.in_use
            with pytest.raises(InvalidConfig, match="1 error") as refused:
                await reloaded(place, **sections)
            (finding,) = refused.value.findings
            assert words in str(finding)
            assert str(finding).startswith(f"{tmp_path}/config.toml:")
            assert place.daemon.in_use is before
            async with calling(place):
                pass
            assert said((await place.reported())[0]) == [GREETING]

    play(scene())


def test_a_lowered_limit_harms_nobody_and_holds_for_newcomers(tmp_path: Path) -> None:
    async def scene() -> None:
        async with house(tmp_path) as place:
            async with calling(place), calling(place):
                told = await reloaded(place, limits={"max_calls": 1})
                assert told["changed"] == [{"key": "limits.max_calls", "before": "100", "after": "1"}]
                async with place.caller() as third:
                    with pytest.raises(NotAnswered):
                        await third.place()
            await place.reported(2)
            assert [row.end_reason for row in await place.rows()] == ["user_hangup", "user_hangup"]
            async with calling(place):
                pass

    play(scene())


def test_what_only_a_restart_changes_is_said_and_the_rest_takes_effect(tmp_path: Path) -> None:
    async def scene() -> None:
        async with house(tmp_path) as place:
            agi = place.settings["asterisk"]["agi"]["port"]
            asterisk = {**place.settings["asterisk"], "agi": {"port": agi + 5}}
            told = await reloaded(place, asterisk=asterisk, limits={"max_calls": 7})
            assert told["needs_restart"] == [{"key": "asterisk.agi.port", "before": str(agi), "after": str(agi + 5)}]
            assert place.daemon.desk.admission.limits.max_calls == 7
            again = await place.daemon.reloader.reload()  # it is said until it is done
            assert [change["key"] for change in again["needs_restart"]] == ["asterisk.agi.port"]
            assert again["changed"] == []

    play(scene())


def test_the_difference_names_objects_and_tells_no_secret(tmp_path: Path) -> None:
    async def scene() -> None:
        async with house(tmp_path) as place:
            providers = dict(place.settings["providers"])
            providers["openai"] = {**providers["openai"], "api_key": "hunter2-new"}
            told = await reloaded(
                place,
                providers={**providers, "mistral": {"api_key": "hunter2-more"}},
                assistants={"reception": assistant(), "night": assistant(name="Night")},
                numbers=[{"number": "100", "assistant": "reception"}],
                webhook={**place.settings["webhook"], "secret": "hunter2-hook"},
            )
            assert told["added"] == ["providers.mistral", "assistants.night", "numbers.100"]
            assert told["removed"] == ["numbers.*"]
            assert told["changed"] == [
                {"key": "webhook.secret", "before": "", "after": ""},
                {"key": "providers.openai.api_key", "before": "", "after": ""},
            ]
            assert "hunter2" not in str(told)
            assert place.daemon.config.redactor.redact("it is hunter2-new") == "it is ***"

    play(scene())


def test_the_level_of_the_log_changes(tmp_path: Path) -> None:
    async def scene() -> None:
        async with house(tmp_path, log={"level": "info"}) as place:
            await reloaded(place, log={"level": "error"})
            assert logging.getLogger().level == logging.ERROR
            await reloaded(place, log={"level": "info"})

    before, level = structlog.get_config(), logging.getLogger().level
    try:
        play(scene())
    finally:
        structlog.configure(**before)
        logging.getLogger().setLevel(level)


def test_a_number_of_the_api_is_shadowed_by_the_files_and_comes_back(tmp_path: Path) -> None:
    ports = reserve_ports()
    port = ports.take(socket.SOCK_STREAM)

    async def scene() -> None:
        async with house(tmp_path, http={"enabled": True, "port": port}) as place:
            key = await asyncio.to_thread(make_key, place.daemon.config)
            headers = {"Authorization": f"Bearer {key}"}
            async with aiohttp.ClientSession(f"http://127.0.0.1:{port}", headers=headers) as session:
                body = {"phone_number": "555", "name": "Made"}
                assert (await session.post("/api/v1/numbers", json=body)).status == 201
                numbers = list(place.settings["numbers"])
                written = [*numbers, {"number": "555", "name": "Written", "assistant": "reception"}]
                told = await reloaded(place, numbers=written)
                assert any("the number 555 stands in this file" in warning for warning in told["warnings"])
                assert (found := place.daemon.in_use.services.directory.number("555")) and found.name == "Written"
                await reloaded(place, numbers=numbers)
                assert (found := place.daemon.in_use.services.directory.number("555")) and found.name == "Made"

    try:
        play(scene())
    finally:
        ports.release()


@asynccontextmanager
async def with_api(folder: Path, **sections: Any) -> AsyncIterator[tuple[House, aiohttp.ClientSession]]:
    ports = reserve_ports()
    port = ports.take(socket.SOCK_STREAM)
    try:
        async with house(folder, http={"enabled": True, "port": port}, **sections) as place:
            key = await asyncio.to_thread(make_key, place.daemon.config)
            headers = {"Authorization": f"Bearer {key}"}
            async with aiohttp.ClientSession(f"http://127.0.0.1:{port}", headers=headers) as session:
                yield place, session
    finally:
        ports.release()


def test_the_api_reloads_and_goes_on_with_the_new_settings(tmp_path: Path) -> None:
    async def scene() -> None:
        async with with_api(tmp_path) as (place, session):
            await saved(place, http={**place.settings["http"], "requests_per_minute": 3})
            async with session.post("/api/v1/configuration/reload") as response:
                answer = await response.json()
                assert (response.status, answer["success"]) == (200, True)
            assert answer["changed"] == [{"key": "http.requests_per_minute", "before": "100", "after": "3"}]
            assert answer["needs_restart"] == []
            statuses = [(await session.get("/api/v1/calls")).status for _ in range(4)]
            assert statuses == [200, 200, 200, 429]
            health = await (await session.get("/api/v1/health")).json()
            assert health["checks"]["configuration"] == {
                "status": "ok",
                "loaded_at": answer["loaded_at"],
                "checksum": answer["checksum"],
                "needs_restart": [],
            }

    play(scene())


def test_the_api_says_what_is_wrong_with_the_file_and_where(tmp_path: Path) -> None:
    async def scene() -> None:
        async with with_api(tmp_path) as (place, session):
            await saved(place, limits={"max_cals": 1})
            async with session.post("/api/v1/configuration/reload") as response:
                answer = await response.json()
            assert (response.status, answer["code"]) == (422, "invalid_configuration")
            (line,) = answer["details"]
            assert line.startswith(f"{tmp_path}/config.toml:") and 'unknown key "max_cals"' in line
            health = await (await session.get("/api/v1/health")).json()
            assert health["checks"]["configuration"]["status"] == "degraded"
            metrics = await (await session.get("/metrics")).text()
            assert "sovereign_config_last_reload_successful 0.0" in metrics
            await saved(place, limits={})
            assert (await session.post("/api/v1/configuration/reload")).status == 200

    play(scene())


def test_a_key_that_may_not_change_things_may_not_reload(tmp_path: Path) -> None:
    async def scene() -> None:
        async with with_api(tmp_path) as (place, session):
            key = await asyncio.to_thread(make_key, place.daemon.config, ("read", "calls"))
            headers = {"Authorization": f"Bearer {key}"}
            assert (await session.post("/api/v1/configuration/reload", headers=headers)).status == 403

    play(scene())


def _steps() -> list[str]:
    return ["objects", "calls", "retention", "api", "delivery", "log"]


@pytest.mark.parametrize("failing", _steps())
def test_a_step_that_fails_takes_back_those_before_it(
    tmp_path: Path, failing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    def sabotaged(steps: list[Step]) -> None:
        tried.extend(step.name for step in steps)
        take_effect([step._replace(do=_half(step.do)) if step.name == failing else step for step in steps])

    def _half(do: Callable[[], object]) -> Callable[[], object]:
        def act() -> None:
            do()
            raise RuntimeError("the machine is on fire")

        return act

    async def scene() -> None:
        async with with_api(tmp_path) as (place, session):
            daemon = place.daemon
            before = (daemon.in_use, daemon.delivery, daemon.estate.edition, daemon.desk.admission.limits)
            runner, level = daemon.listener and daemon.listener.runner, logging.getLogger().level
            monkeypatch.setattr("sovereign_pbx.renewal.take_effect", sabotaged)
            with pytest.raises(Refused, match="could not be taken up"):
                await reloaded(
                    place,
                    assistants={"reception": assistant(first_message=NEW_GREETING)},
                    webhook={**place.settings["webhook"], "retry_hours": 1.0},
                    limits={"max_calls": 1},
                    retention={"content_days": 3, "metadata_days": 3},
                    log={"level": "error"},
                )
            assert tried == _steps()
            assert before == (daemon.in_use, daemon.delivery, daemon.estate.edition, daemon.desk.admission.limits)
            assert daemon.listener is not None and daemon.listener.runner is runner
            assert daemon.retention.content_days == 0
            assert (logging.getLogger().level, len(daemon.retiring)) == (level, 0)
            assert (await session.get("/api/v1/calls")).status == 200
            async with calling(place):
                pass
            assert said((await place.reported())[0]) == [GREETING]
            monkeypatch.setattr("sovereign_pbx.renewal.take_effect", take_effect)
            await saved(place, log={})
            assert (await session.post("/api/v1/configuration/reload")).status == 200

    config, level = structlog.get_config(), logging.getLogger().level
    logging.getLogger().setLevel(logging.WARNING)  # what `info` means to libraries
    try:
        play(scene())
    finally:
        structlog.configure(**config)
        logging.getLogger().setLevel(level)


PREPARATIONS = [
    "sovereign_pbx.renewal.make_folders",
    "sovereign_pbx.daemon.Daemon.new_in_use",
    "sovereign_pbx.daemon.Daemon.new_delivery",
    "sovereign_pbx.daemon.Daemon.application",
    "sovereign_pbx.renewal._load",
    "sovereign_pbx.renewal._retention",
    "sovereign_pbx.renewal._entries",
]


@pytest.mark.parametrize("failing", PREPARATIONS)
def test_a_preparation_that_fails_leaves_nothing_open(
    tmp_path: Path, failing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> None:
        async with with_api(tmp_path) as (place, _):
            await reloaded(place)
            await until(lambda: not len(place.daemon.retiring))
            before = await asyncio.to_thread(open_descriptors)

            def broken(*_: Any) -> None:
                raise RuntimeError("no room")

            monkeypatch.setattr(failing, broken)
            former, hook = place.daemon.in_use, {**place.settings["webhook"], "retry_hours": 1.0}
            with pytest.raises(Refused, match="could not be taken up"):
                await reloaded(place, limits={"max_calls": 3}, webhook=hook)
            assert await asyncio.to_thread(open_descriptors) == before
            assert place.daemon.in_use is former
            assert place.daemon.desk.admission.limits.max_calls == 100

    play(scene())


def test_what_fails_after_the_step_is_no_refusal_and_webhooks_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> None:
        async with house(tmp_path) as place:
            former = place.daemon.delivery.deliverer

            async def broken(self: Deliverer, grace_s: float = 3.0) -> None:
                monkeypatch.undo()
                await self.close(grace_s)
                raise RuntimeError("no room")

            monkeypatch.setattr(Deliverer, "close", broken)
            await reloaded(place, webhook={**place.settings["webhook"], "retry_hours": 1.0})
            assert place.daemon.delivery.deliverer is not former
            async with calling(place):
                pass
            await place.reported()

    play(scene())


def test_models_are_loaded_before_their_assistant_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        async with house(tmp_path) as place:
            seen: list[tuple[list[str], bool]] = []

            async def preload(self: Providers, assistants: Iterable[Assistant]) -> None:
                there = place.daemon.estate.directory.assistant("night") is not None
                seen.append(([one.name for one in assistants], there))

            monkeypatch.setattr(Providers, "preload", preload)
            night = assistant(name="Night", tts_config={"provider": "pico"})
            await reloaded(place, assistants={**place.settings["assistants"], "night": night})
            assert next(one for one in seen if "Night" in one[0]) == (["Night"], False)

    play(scene())


def test_two_reloads_at_once_take_turns_and_the_last_file_counts(tmp_path: Path) -> None:
    async def scene() -> None:
        async with house(tmp_path) as place:
            await saved(place, limits={"max_calls": 5})
            first = asyncio.create_task(place.daemon.reloader.reload())
            await asyncio.sleep(0)
            await saved(place, limits={"max_calls": 6})
            second = asyncio.create_task(place.daemon.reloader.reload())
            await asyncio.gather(first, second)
            assert place.daemon.desk.admission.limits.max_calls == 6

    play(scene())


def test_a_daemon_that_ends_takes_nothing_up(tmp_path: Path) -> None:
    async def scene() -> None:
        async with house(tmp_path) as place, calling(place):
            place.daemon.stop()
            with pytest.raises(Refused, match="is ending"):
                await reloaded(place, limits={"max_calls": 5})

    play(scene())


def test_while_calls_are_drained_nothing_is_taken_up(tmp_path: Path) -> None:
    async def scene() -> None:
        async with house(tmp_path) as place:
            place.daemon.desk.hold_off(True)
            with pytest.raises(Refused, match="takes no other configuration up"):
                await reloaded(place, limits={"max_calls": 5})
            place.daemon.desk.hold_off(False)
            await place.daemon.reloader.reload()
            assert place.daemon.desk.admission.limits.max_calls == 5

    play(scene())


def test_a_revoked_key_opens_nothing_any_more(tmp_path: Path) -> None:
    async def scene() -> None:
        async with with_api(tmp_path) as (place, session):
            other = await asyncio.to_thread(make_key, place.daemon.config, ("read",))
            headers = {"Authorization": f"Bearer {other}"}
            assert (await session.get("/api/v1/calls", headers=headers)).status == 200
            await asyncio.to_thread(_revoke_last, place.daemon.config.keys)
            assert (await session.post("/api/v1/configuration/reload")).status == 200
            assert (await session.get("/api/v1/calls", headers=headers)).status == 401

    play(scene())


def _revoke_last(path: Path) -> None:
    *others, last = read_keys(path)
    write_keys(path, [*others, replace(last, revoked_at="2026-11-20T00:00:00Z")])


def test_what_the_api_makes_while_the_file_is_read_is_there_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> None:
        async with with_api(tmp_path) as (place, session):

            async def meanwhile(*_: Any) -> None:
                body = {"phone_number": "555", "name": "Made"}
                assert (await session.post("/api/v1/numbers", json=body)).status == 201

            monkeypatch.setattr("sovereign_pbx.renewal._load", meanwhile)
            await reloaded(place, limits={"max_calls": 5})
            assert (found := place.daemon.in_use.services.directory.number("555")) and found.name == "Made"
            assert (await (await session.get("/api/v1/numbers")).json())["numbers"][-1]["name"] == "Made"

    play(scene())


def test_a_signal_asks_for_a_reload_and_systemd_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, ...]] = []
    monkeypatch.setattr("sovereign_pbx.service.notify", lambda *states: told.append(states))

    async def scene() -> None:
        async with house(tmp_path) as place:
            await saved(place, limits={"max_cals": 5})
            place.daemon.reloader.ask()
            await until(lambda: place.daemon.reloader.loaded.fault)
            await saved(place, limits={"max_calls": 5})
            place.daemon.reloader.ask()
            await until(lambda: place.daemon.desk.admission.limits.max_calls == 5)
            await until(lambda: len(told) >= 5)
            first, _, refused, second, ready = told[:5]
            assert first[0] == "READY=1"
            assert second[0] == "RELOADING=1" and second[1].removeprefix("MONOTONIC_USEC=").isdigit()
            assert refused[0] == "READY=1" and refused[1].endswith("the file as it is now was refused")
            assert ready[0] == "READY=1" and "configuration of" in ready[1]

    play(scene())


def test_webhooks_go_out_by_the_new_settings_each_once(tmp_path: Path) -> None:
    async def scene() -> None:
        async with house(tmp_path) as place:
            former = place.daemon.delivery
            async with calling(place):
                await reloaded(place, webhook={**place.settings["webhook"], "user_agent": "Another/2.0"})
                assert place.daemon.delivery is not former and former.session.closed
            await place.reported()
            ids = [one.webhook_id for one in place.receiver.got]
            assert len(ids) == len(set(ids))

    play(scene())


def test_fifty_reloads_leave_no_task_and_no_descriptor(tmp_path: Path) -> None:
    async def scene() -> None:
        async with with_api(tmp_path) as (place, session):

            async def once(number: int) -> None:
                hook = {**place.settings["webhook"], "retry_hours": 1.0 + number}
                await saved(place, limits={"max_calls": 10 + number}, webhook=hook)
                assert (await session.post("/api/v1/configuration/reload")).status == 200

            place.settings["http"]["requests_per_minute"] = 10_000
            await once(0)
            await until(lambda: not len(place.daemon.retiring))
            tasks, descriptors = len(asyncio.all_tasks()), len(await asyncio.to_thread(open_descriptors))
            for number in range(1, 51):
                await once(number)
            await until(lambda: not len(place.daemon.retiring), 10.0)
            assert len(asyncio.all_tasks()) <= tasks
            assert len(await asyncio.to_thread(open_descriptors)) <= descriptors

    play(scene())


def test_nothing_is_awaited_between_two_steps_and_audio_goes_on(tmp_path: Path) -> None:
    async def scene() -> None:
        async with house(tmp_path) as place:
            took: list[float] = []

            def timed(steps: list[Step]) -> None:
                began = time.perf_counter()
                take_effect(steps)
                took.append(time.perf_counter() - began)

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("sovereign_pbx.renewal.take_effect", timed)
                await reloaded(place, limits={"max_calls": 9})
            assert took and took[0] < 0.02  # less than a tick of 20 ms

    play(scene())


def test_changes_are_told_in_words() -> None:
    assert str(Change("limits.max_calls", "100", "50")) == "limits.max_calls 100 → 50"
    assert str(Change("mail.password")) == "mail.password"
