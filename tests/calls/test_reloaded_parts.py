"""What has an earlier and a later edition when the configuration is read again: providers, accounts, pace."""

import asyncio

import pytest

from sovereign_pbx.assistants.model import Assistant
from sovereign_pbx.calls.accounts import Accounts, Given
from sovereign_pbx.calls.campaign_pace import Place, TotalPace
from sovereign_pbx.calls.providers import Providers
from sovereign_pbx.core.errors import Refused
from sovereign_pbx.testing import virtual_time
from tests.waiting import until

OPENAI = {"provider": "openai", "model": "one"}
NOVA = {"provider": "deepgram"}
OLD = {"openai": {"api_key": "old-key"}, "deepgram": {"api_key": "same-key"}}
NEW = {"openai": {"api_key": "new-key"}, "deepgram": {"api_key": "same-key"}}


def test_what_fits_the_new_accounts_is_shared_and_what_does_not_is_made_anew() -> None:
    async def scene() -> None:
        former = Providers(OLD)
        model, recogniser = former.llm(OPENAI), former.stt(NOVA)
        latter = former.successor(NEW, idle_s=10.0)
        assert latter.stt(NOVA) is recogniser
        assert latter.llm(OPENAI) is not model
        assert former.llm(OPENAI) is model  # a call that has begun keeps its key
        await latter.aclose()

    asyncio.run(scene())


def test_when_the_last_call_has_left_only_what_nobody_needs_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        closed: list[object] = []
        former = Providers(OLD)
        model, recogniser = former.llm(OPENAI), former.stt(NOVA)
        for thing in (model, recogniser):
            monkeypatch.setattr(type(thing), "aclose", _noting(closed, type(thing).aclose))
        latter = former.successor(NEW, idle_s=10.0)
        await former.leave()
        assert closed == [model]
        assert latter.stt(NOVA) is recogniser
        await latter.aclose()
        assert closed == [model, recogniser]

    asyncio.run(scene())


def _noting(closed: list[object], aclose: object) -> object:
    async def noted(self: object) -> None:
        closed.append(self)
        await aclose(self)  # type: ignore[operator]  # the class's own, whichever it is

    return noted


def test_a_provider_that_two_editions_began_outlives_the_first() -> None:
    async def scene() -> None:
        former = Providers(OLD)
        latter = former.successor(OLD, idle_s=10.0)
        late = former.llm(OPENAI)  # by a call of the former, after the change
        assert latter.llm(OPENAI) is late
        await former.leave()
        assert latter.llm(OPENAI) is late
        await latter.aclose()

    asyncio.run(scene())


def test_loading_that_is_given_up_is_not_told_of_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        providers = Providers({})

        async def never(*_: object) -> None:
            assert "pico" in providers.loading
            await asyncio.Event().wait()

        monkeypatch.setattr(Providers, "_load", never)
        slow = Assistant.parse({"name": "slow", "tts_config": {"provider": "pico"}}, where="slow")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await providers.preload([slow])
        assert providers.loading == []
        await providers.aclose()

    asyncio.run(scene())


def test_a_key_given_through_the_api_counts_with_the_file_before_and_after() -> None:
    async def scene() -> None:
        former = Accounts({}, {"openai": Given(secret_id="1", api_key="given")})
        latter = former.rewritten({"deepgram": {"api_key": "written"}})
        assert latter["openai"] == {"api_key": "given"}
        await latter.set_key("mistral", "also-given")
        assert former["mistral"]["api_key"] == latter["mistral"]["api_key"] == "also-given"
        assert "deepgram" not in former

    asyncio.run(scene())


def test_a_key_that_the_file_has_now_can_no_longer_be_set_through_the_api() -> None:
    async def scene() -> None:
        latter = Accounts({}, {"openai": Given(api_key="given")}).rewritten({"openai": {"api_key": "written"}})
        assert latter["openai"]["api_key"] == "written"
        with pytest.raises(Refused, match="wins"):
            await latter.set_key("openai", "another")
        assert latter.rewritten({})["openai"]["api_key"] == "given"

    asyncio.run(scene())


def test_more_room_is_taken_at_once_and_less_room_turns_nobody_out() -> None:
    async def run() -> None:
        total = TotalPace(1, 1000, asyncio.get_running_loop().time)
        async with total.place() as first:
            first.keep()
        waiting = asyncio.create_task(_taken(total))
        await asyncio.sleep(1.0)
        assert not waiting.done()
        total.resize(2, 1000)
        second = await waiting
        total.resize(1, 1000)
        third = asyncio.create_task(_taken(total))
        first.leave()
        await asyncio.sleep(1.0)
        assert not third.done()  # there is one, and no more may be
        second.leave()
        await until(third.done)
        third.result().leave()

    async def _taken(total: TotalPace) -> Place:
        async with total.place() as place:
            place.keep()
        return place

    virtual_time.run(run())
