"""`GET /voices`: what is really there, and a dead vendor that costs only its own (contract §23)."""

import asyncio
from pathlib import Path

from sovereign_pbx.calls.voices import RETRY_S, VoiceBook
from sovereign_pbx.core.errors import ProviderError
from sovereign_pbx.speech.tts.listing import Account, ListedVoice
from sovereign_pbx.testing.providers.elevenlabs import ScriptedElevenLabs
from tests.api.rest import serving_rest

ANNA = ListedVoice(id="anna", name="Anna", language="nl", description={"en": "Calm"})


def test_the_voices_of_this_machine_and_of_the_account_are_listed_with_their_provider(tmp_path: Path) -> None:
    async def run() -> None:
        async with ScriptedElevenLabs() as vendor:
            account = {"api_key": "test-key", "base_url": vendor.url}
            async with serving_rest(tmp_path, providers={"elevenlabs": account}) as api:
                got = await api.get("/voices")
                voices = {(voice["provider"], voice["id"]): voice for voice in got.body["voices"]}
                assert voices["hibari", "heart"]["language"] == "en-US"
                assert voices["pico", "de-DE"]["description"] == {"en": "Woman, German", "nl": "Vrouw, Duits"}
                assert voices["elevenlabs", "anna"] == {
                    "id": "anna",
                    "name": "Anna",
                    "provider": "elevenlabs",
                    "language": "nl",
                    "description": {"en": "A calm voice for the telephone."},
                }
                assert "language" not in voices["elevenlabs", "ben"]
                only = (await api.get("/voices", provider="elevenlabs", language="nl")).body["voices"]
                assert [voice["id"] for voice in only] == ["anna"]
                await api.get("/voices")
                assert vendor.lists == 1

    asyncio.run(run())


def test_a_key_that_is_refused_leaves_the_others_listed(tmp_path: Path) -> None:
    async def run() -> None:
        async with ScriptedElevenLabs() as vendor:
            account = {"api_key": "wrong", "base_url": vendor.url}
            async with serving_rest(tmp_path, providers={"elevenlabs": account}) as api:
                got = await api.get("/voices")
                assert got.status == 200
                assert {"hibari", "pico"} <= {voice["provider"] for voice in got.body["voices"]} - {"elevenlabs"}

    asyncio.run(run())


class ScriptedLister:
    def __init__(self) -> None:
        self.asked: list[tuple[str, Account]] = []
        self.dead = False

    async def __call__(self, provider: str, account: Account) -> list[ListedVoice]:
        self.asked.append((provider, account))
        if self.dead:
            raise ProviderError(provider, "tts", "stalled")
        return [ANNA]


def test_a_vendor_that_died_keeps_its_last_voices_and_is_left_in_peace_for_a_while() -> None:
    async def run() -> None:
        lister, clock = ScriptedLister(), [0.0]
        book = VoiceBook({}, lister=lister, providers=("elevenlabs",), now=lambda: clock[0])
        assert [voice["id"] for voice in await book.all()] == ["anna"]
        lister.dead = True
        clock[0] = 601.0
        for _ in range(3):
            assert [voice["id"] for voice in await book.all()] == ["anna"]
        assert len(lister.asked) == 2
        clock[0] += RETRY_S
        await book.all()
        assert len(lister.asked) == 3

    asyncio.run(run())


def test_with_another_key_the_list_is_fetched_anew() -> None:
    async def run() -> None:
        lister = ScriptedLister()
        accounts = {"elevenlabs": {"api_key": "one"}}
        book = VoiceBook(accounts, lister=lister, providers=("elevenlabs",))
        await book.all()
        accounts["elevenlabs"] = {"api_key": "two"}
        lister.dead = True
        assert await book.all() == []  # the voices of another account are not shown
        assert len(lister.asked) == 2

    asyncio.run(run())
