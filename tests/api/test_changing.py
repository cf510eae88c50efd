"""Changes at once, and a disk that refuses: nothing is lost, nothing contradicts itself."""

import asyncio
from pathlib import Path

from tests.api.rest import Client, serving_rest


def test_many_who_change_one_object_at_once_lose_nothing(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            path = f"/assistants/{(await api.post('/assistants', {'name': 'Desk'})).body['assistant']['id']}"
            got = await asyncio.gather(*(api.patch(path, {f"mine_{n}": n}) for n in range(20)))
            assert {one.status for one in got} == {200}
            wanted = {f"mine_{n}": n for n in range(20)}
            assert wanted.items() <= (await api.get(path)).body["assistant"].items()
        async with serving_rest(tmp_path) as api:
            assert wanted.items() <= (await api.get(path)).body["assistant"].items()

    asyncio.run(run())


def test_of_many_who_make_the_same_at_once_one_does(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            spellings = ("+31850835037", "0031850835037", "+31 85 083 5037") * 3
            numbers = await asyncio.gather(*(api.post("/numbers", {"phone_number": one}) for one in spellings))
            assert sorted(got.status for got in numbers) == [201] + [409] * 8
            server = {"name": "Orders", "url": "https://example.com/"}
            servers = await asyncio.gather(*(api.post("/mcp-servers", server) for _ in range(9)))
            assert sorted(got.status for got in servers) == [201] + [409] * 8

    asyncio.run(run())


async def linked_while_it_goes(api: Client, n: int) -> None:
    assistant = (await api.post("/assistants", {"name": "Desk"})).body["assistant"]["id"]
    number = {"phone_number": f"20{n}", "assistant_id": assistant}
    made, gone = await asyncio.gather(api.post("/numbers", number), api.delete(f"/assistants/{assistant}"))
    assert gone.status == 200 and made.status in (201, 400)
    if made.status == 201:
        found = await api.get(f"/numbers/{made.body['number']['id']}")
        assert found.body["number"]["assistant_id"] is None


def test_nothing_is_linked_to_what_is_going_at_the_same_moment(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            await asyncio.gather(*(linked_while_it_goes(api, n) for n in range(10)))

    asyncio.run(run())


def test_what_the_disk_refuses_is_503_and_changes_nothing(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            made = (await api.post("/assistants", {"name": "Desk"})).body["assistant"]
            folder = tmp_path / "state" / "assistants.d"
            await asyncio.to_thread(folder.rename, tmp_path / "away")
            await asyncio.to_thread(folder.write_text, "no folder")
            path = f"/assistants/{made['id']}"
            for refused in (
                await api.post("/assistants", {"name": "Other"}),
                await api.patch(path, {"name": "Other"}),
                await api.delete(path),
            ):
                assert (refused.status, refused.body["code"]) == (503, "service_unavailable")
                assert str(tmp_path) not in str(refused.body)
            assert (await api.get("/assistants")).body == {"assistants": [made]}
            await asyncio.to_thread(folder.unlink)
            await asyncio.to_thread((tmp_path / "away").rename, folder)
            assert (await api.patch(path, {"name": "Other"})).status == 200

    asyncio.run(run())


def test_a_file_that_was_damaged_costs_its_own_object_alone(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving_rest(tmp_path) as api:
            first, second = [(await api.post("/assistants", {"name": name})).body["assistant"] for name in "ab"]
        file = tmp_path / "state" / "assistants.d" / f"{first['id']}.toml"
        await asyncio.to_thread(file.write_text, "name = ")
        async with serving_rest(tmp_path) as api:
            assert (await api.get("/assistants")).body == {"assistants": [second]}
            assert str(file) in str(api.config.warnings)

    asyncio.run(run())


def test_secrets_of_what_the_api_made_are_kept_out_of_the_log_also_after_a_restart(tmp_path: Path) -> None:
    async def run() -> None:
        hidden = ("a webhook secret", "a tool secret", "a sip password", "a token of mcp")
        tool = {"name": "f", "description": "F.", "server": {"url": "https://e.com/", "secret": hidden[1]}}
        async with serving_rest(tmp_path) as api:
            desk = {"name": "Desk", "webhook_secret": hidden[0], "llm_config": {"tools": [tool]}}
            await api.post("/assistants", desk)
            await api.post("/sip-trunks", {"name": "Carrier", "auth_password": hidden[2]})
            await api.post("/mcp-servers", {"name": "M", "url": "https://e.com/", "headers": {"X": hidden[3]}})
            assert not any(secret in api.config.redactor.redact(", ".join(hidden)) for secret in hidden)
        async with serving_rest(tmp_path) as api:
            assert not any(secret in api.config.redactor.redact(", ".join(hidden)) for secret in hidden)

    asyncio.run(run())
