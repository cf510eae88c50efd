"""The colleague's leg of an attended transfer: his line, what he hears on it, and what he answers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sovereign_pbx.assistants.model import Assistant
from sovereign_pbx.calls.briefing import Briefing
from sovereign_pbx.calls.session import Services
from sovereign_pbx.core.audio import frame_bytes
from sovereign_pbx.core.errors import LinkFinished
from sovereign_pbx.media.levels import samples_of
from sovereign_pbx.speech.tts import Voice
from sovereign_pbx.testing.providers.deepgram import Utterance
from tests.calls.house import INTERRUPTION, QUESTION, House, assistant, house, play
from tests.calls.realtime_house import live_assistant, live_house
from tests.media.scripted import ScriptedLink
from tests.waiting import until

WORDS = "I have a caller for you."
FRAME = frame_bytes(8000)


@dataclass
class Desk:
    """A colleague's telephone on a daemon."""

    house: House
    services: Services
    briefing: Briefing
    link: ScriptedLink

    def says(self, pcm: bytes = QUESTION) -> None:
        self.link.incoming.extend(pcm[at : at + FRAME].ljust(FRAME, b"\0") for at in range(0, len(pcm), FRAME))
        self.link.incoming.extend([bytes(FRAME)] * 50)

    def presses(self, key: str) -> None:
        assert self.link.listener is not None
        self.link.listener.digit(key)

    @property
    def loud_s(self) -> float:
        """How long he has heard something."""
        return sum(int(np.abs(samples_of(frame)).max()) > 500 for frame in self.link.sent) * 0.02

    def asked(self) -> list[str]:
        """What the voice was given to say."""
        texts = [
            str(message.get("text", "")) for socket in self.house.elevenlabs.sockets for message in socket.messages
        ]
        return [text.strip() for text in texts if text.strip()]


@asynccontextmanager
async def desk(folder: Path, words: str = WORDS, **changes: Any) -> AsyncIterator[Desk]:
    """Everything ready, nobody answered yet."""
    async with house(folder) as place:
        services = place.daemon.desk._services
        who = Assistant.parse({"name": "reception", **assistant(**changes)}, where="here")
        briefing = Briefing(services, who, words, call_id="a-call")
        try:
            yield Desk(place, services, briefing, ScriptedLink())
        finally:
            await briefing.close()
            assert not services.clock.lines
            assert not [task for task in asyncio.all_tasks() if "a-call" in task.get_name()]


def test_he_hears_the_words_and_the_question_and_takes_the_caller_by_a_key(tmp_path: Path) -> None:
    async def scene() -> None:
        async with desk(tmp_path) as at:
            await at.briefing.prepare()
            at.briefing.connect(at.link)
            await until(lambda: at.loud_s > 0.3)
            at.presses("1")
            assert await at.briefing.outcome() == "accepted"
            assert at.link.ended is not None
            assert not at.services.clock.lines
            assert WORDS in at.asked()

    play(scene())


def test_he_declines_by_a_key(tmp_path: Path) -> None:
    async def scene() -> None:
        async with desk(tmp_path) as at:
            at.briefing.connect(at.link)
            at.presses("2")
            assert await at.briefing.outcome() == "declined"

    play(scene())


def test_he_takes_the_caller_by_saying_yes_over_the_words(tmp_path: Path) -> None:
    async def scene() -> None:
        async with desk(tmp_path, words="A caller for you. " * 12) as at:
            at.house.deepgram.script = (Utterance(("Yes.",)),)
            await at.briefing.prepare()
            at.briefing.connect(at.link)
            await until(lambda: at.loud_s > 0.3)
            at.says(INTERRUPTION)
            async with asyncio.timeout(6):
                assert await at.briefing.outcome() == "accepted"

    play(scene())


def test_no_by_voice_declines(tmp_path: Path) -> None:
    async def scene() -> None:
        async with desk(tmp_path) as at:
            at.house.deepgram.script = (Utterance(("No, not now.",)),)
            await at.briefing.prepare()
            at.briefing.connect(at.link)
            await until(lambda: at.loud_s > 0.3)
            at.says(INTERRUPTION)
            async with asyncio.timeout(6):
                assert await at.briefing.outcome() == "declined"

    play(scene())


def test_a_hang_up_is_gone(tmp_path: Path) -> None:
    async def scene() -> None:
        async with desk(tmp_path) as at:
            at.briefing.connect(at.link)
            at.link.end(LinkFinished("the far end hung up"))
            assert await at.briefing.outcome() == "gone"

    play(scene())


def test_media_that_never_comes_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sovereign_pbx.calls.briefing._CONNECT_S", 0.05)

    async def scene() -> None:
        async with desk(tmp_path) as at:
            async with asyncio.timeout(2):
                assert await at.briefing.outcome() == "gone"

    play(scene())


def test_closing_it_settles_whoever_waits_and_lets_go_of_his_media(tmp_path: Path) -> None:
    async def scene() -> None:
        async with desk(tmp_path) as at:
            at.briefing.connect(at.link)
            waiting = asyncio.create_task(at.briefing.outcome())
            await until(lambda: bool(at.link.sent))
            await at.briefing.close()
            await at.briefing.close()
            assert await waiting == "gone"
            assert at.link.ended is not None
            await at.briefing.prepare()
            assert not at.briefing._sounds

    play(scene())


def test_whoever_gives_up_preparing_leaves_nothing_behind(tmp_path: Path) -> None:
    async def scene() -> None:
        async with desk(tmp_path) as at:
            at.house.elevenlabs.first_audio_ms = 3000
            preparing = asyncio.create_task(at.briefing.prepare())
            await until(lambda: bool(at.asked()))
            preparing.cancel()
            await asyncio.wait({preparing})
            assert not [task for task in asyncio.all_tasks() if "a-call" in task.get_name()]
            at.briefing.connect(at.link)
            assert at.link.ended is not None

    play(scene())


def test_a_yes_in_any_language_counts_where_the_recogniser_knows_several(tmp_path: Path) -> None:
    async def scene() -> None:
        stt = {"provider": "deepgram", "model": "nova-3", "language": "multi"}
        async with desk(tmp_path, stt_config=stt) as at:
            at.house.deepgram.script = (Utterance(("Doe maar.",)),)
            await at.briefing.prepare()
            at.briefing.connect(at.link)
            await until(lambda: at.loud_s > 0.3)
            at.says(INTERRUPTION)
            async with asyncio.timeout(6):
                assert await at.briefing.outcome() == "accepted"

    play(scene())


def test_a_second_link_and_one_after_the_end_are_closed(tmp_path: Path) -> None:
    async def scene() -> None:
        async with desk(tmp_path) as at:
            at.briefing.connect(at.link)
            second, third = ScriptedLink(), ScriptedLink()
            at.briefing.connect(second)
            assert second.ended is not None
            assert at.link.ended is None
            await at.briefing.close()
            at.briefing.connect(third)
            assert third.ended is not None

    play(scene())


def test_without_a_recogniser_he_is_asked_for_a_key_alone(tmp_path: Path) -> None:
    async def scene() -> None:
        async with desk(tmp_path, words="") as at:
            at.house.deepgram.faults.arm("refuse")
            await at.briefing.prepare()
            at.briefing.connect(at.link)
            await until(lambda: at.loud_s > 0.5)
            keys, question = (at.briefing._sounds[line].result() for line in ("keys", "question"))
            await until(lambda: at.loud_s > 0.9 * _loud_s(keys), 15)
            assert len(keys) < len(question)
            at.presses("1")
            assert await at.briefing.outcome() == "accepted"

    play(scene())


def test_without_a_voice_he_hears_a_beep_and_keys_count(tmp_path: Path) -> None:
    async def scene() -> None:
        async with desk(tmp_path, tts_config={"provider": "elevenlabs", "voice_id": "missing"}) as at:
            await at.briefing.prepare()
            at.briefing.connect(at.link)
            await until(lambda: at.loud_s > 0.2)
            await asyncio.sleep(0.5)
            assert at.loud_s < 0.5
            at.presses("1")
            assert await at.briefing.outcome() == "accepted"

    play(scene())


def test_a_voice_that_needs_its_time_is_waited_for_without_the_colleague_losing_anything(tmp_path: Path) -> None:
    async def scene() -> None:
        async with desk(tmp_path) as at:
            at.house.elevenlabs.first_audio_ms = 1500
            at.briefing.connect(at.link)  # nobody prepared anything
            await until(lambda: at.loud_s > 0.3)
            at.presses("1")
            assert await at.briefing.outcome() == "accepted"

    play(scene())


def test_a_fault_in_a_voice_is_no_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(self: object, voice: Voice, text: str, **rest: Any) -> None:
        raise RuntimeError("a fault of ours")

    async def scene() -> None:
        async with desk(tmp_path) as at:
            monkeypatch.setattr("sovereign_pbx.speech.phrases.PhraseCache.render", broken)
            await at.briefing.prepare()
            at.briefing.connect(at.link)
            await until(lambda: at.loud_s > 0.1)
            at.presses("2")
            assert await at.briefing.outcome() == "declined"

    play(scene())


def test_what_was_spoken_and_heard_is_counted_and_what_was_kept_is_not(tmp_path: Path) -> None:
    async def scene() -> None:
        async with desk(tmp_path) as at:
            await at.briefing.prepare()
            at.briefing.connect(at.link)
            at.says()
            await until(lambda: sum(at.briefing.heard_s.values()) > 0.5)
            said = sum(len(text) for text in at.briefing._texts.values())
            assert at.briefing.characters == {"elevenlabs/eleven_flash_v2_5": said}
            assert list(at.briefing.heard_s) == ["deepgram/nova-3"]
            again = Briefing(at.services, at.briefing._assistant, "Another.", call_id="a-call")
            await again.prepare()
            assert again.characters == {"elevenlabs/eleven_flash_v2_5": len("Another.")}
            await again.close()

    play(scene())


def test_what_he_is_told_of_one_caller_is_kept_nowhere(tmp_path: Path) -> None:
    async def scene() -> None:
        async with desk(tmp_path) as at:
            await at.briefing.prepare()
            voice = at.briefing._voice()
            assert voice is not None
            cache = at.services.phrases
            assert cache.get(voice, WORDS, rate=8000, language="en") is None
            again = "Sorry, I have no answer from you yet."
            assert cache.get(voice, again, rate=8000, language="en") is not None

    play(scene())


def test_a_realtime_model_without_another_voice_reads_the_words_itself(tmp_path: Path) -> None:
    async def scene() -> None:
        async with live_house(tmp_path) as place:
            services = place.house.daemon.desk._services
            who = Assistant.parse({"name": "reception", **live_assistant()}, where="here")
            briefing = Briefing(services, who, WORDS, call_id="a-call")
            link = ScriptedLink()
            await briefing.prepare()
            briefing.connect(link)
            await until(lambda: sum(int(np.abs(samples_of(frame)).max()) > 500 for frame in link.sent) > 20)
            assert link.listener is not None
            link.listener.digit("1")
            assert await briefing.outcome() == "accepted"
            await briefing.close()
            opened = len(place.vendor.sessions)
            again = Briefing(services, who, "Another caller.", call_id="a-call")
            await again.prepare()
            assert len(place.vendor.sessions) == opened + 1  # the question is kept
            await again.close()

    play(scene())


def _loud_s(pcm: bytes) -> float:
    frames = (pcm[at : at + FRAME] for at in range(0, len(pcm), FRAME))
    return sum(int(np.abs(samples_of(frame)).max()) > 500 for frame in frames) * 0.02
