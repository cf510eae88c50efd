"""Providers are shared, and do not pile up where every call brings settings of its own."""

import asyncio

from sovereign_pbx.calls.providers import Providers
from sovereign_pbx.daemon import in_background
from tests.waiting import until

ACCOUNTS = {"openai": {"api_key": "test-key"}, "deepgram": {"api_key": "test-key"}}


def test_blocks_that_differ_with_every_call_are_forgotten_when_no_call_can_be_using_them() -> None:
    async def scene() -> None:
        time = [0.0]
        providers = Providers(ACCOUNTS, most=4, idle_s=100.0, now=lambda: time[0])
        for number in range(50):
            time[0] += 10.0
            providers.llm({"provider": "openai", "model": f"model-{number}"})
        assert len(providers._shop.built) <= 4 + 100 / 10
        await providers.aclose()

    asyncio.run(scene())


def test_what_a_call_may_still_be_using_is_kept() -> None:
    async def scene() -> None:
        providers = Providers(ACCOUNTS, most=1, idle_s=100.0, now=lambda: 0.0)
        first = providers.llm({"provider": "openai", "model": "one"})
        providers.llm({"provider": "openai", "model": "two"})
        assert providers.llm({"provider": "openai", "model": "one"}) is first
        await providers.aclose()

    asyncio.run(scene())


def test_callers_own_terms_make_no_recogniser_of_their_own() -> None:
    async def scene() -> None:
        providers = Providers(ACCOUNTS)
        blocks = [{"provider": "deepgram", "keyterms": [name]} for name in ("Jansen", "de Vries")]
        assert providers.stt(blocks[0]) is providers.stt(blocks[1])
        await providers.aclose()

    asyncio.run(scene())


def test_work_in_the_background_that_breaks_is_told_at_once() -> None:
    async def breaks() -> None:
        raise RuntimeError("no clock")

    async def scene() -> None:
        told: list[BaseException] = []
        async with in_background(breaks(), "clock", told.append):
            await until(lambda: told)
        assert str(told[0]) == "no clock"

    asyncio.run(scene())
