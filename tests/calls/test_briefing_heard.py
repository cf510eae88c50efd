"""A briefing with a real voice and real ears: what the colleague hears, and what he says, as speech."""

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from sovereign_pbx.assistants.model import Assistant
from sovereign_pbx.calls.briefing import Briefing
from sovereign_pbx.calls.session import Services
from sovereign_pbx.core.audio import frame_bytes
from sovereign_pbx.core.errors import ProviderError
from tests.calls.house import assistant, house, play
from tests.media.scripted import ScriptedLink
from tests.speech.test_whisper import transcribed
from tests.waiting import until

pytestmark = [pytest.mark.speech, pytest.mark.timeout(180)]

WORDS = "I have a caller for you. She asks when her bicycle is ready."
HERE = assistant(
    stt_config={"provider": "whisper", "model": "tiny.en", "language": "en"},
    tts_config={"provider": "hibari", "language": "en"},
)
FRAME = frame_bytes(8000)


class Telephone:
    """What a colleague says into his link; silence goes on until its end."""

    def __init__(self, services: Services, who: Assistant) -> None:
        self.link = ScriptedLink()
        self._services, self._who = services, who

    async def made(self, text: str) -> bytes:
        voice = self._services.providers.voice(self._who.tts_config)
        for _ in range(5):  # it may be loading still
            with suppress(ProviderError):
                await (await voice.open(rate=8000, language="en")).close()
                break
        return (await self._services.phrases.render(voice, text, rate=8000, language="en", keep=False)).pcm

    def says(self, pcm: bytes) -> None:
        self.link.incoming.extend(pcm[at : at + FRAME].ljust(FRAME, b"\0") for at in range(0, len(pcm), FRAME))

    async def breathe(self) -> None:
        while self.link.ended is None:
            if len(self.link.incoming) < 5:
                self.link.incoming.append(bytes(FRAME))
            await asyncio.sleep(0.01)

    @property
    def heard(self) -> bytes:
        return b"".join(self.link.sent)


def test_he_hears_what_it_is_about_and_a_spoken_yes_takes_the_caller_but_his_name_does_not(tmp_path: Path) -> None:
    async def scene() -> None:
        async with house(tmp_path, {"reception": HERE}) as place:
            services = place.daemon.desk._services
            who = Assistant.parse({"name": "reception", **HERE}, where="here")
            await until(lambda: not services.providers.loading, 60)
            telephone = Telephone(services, who)
            name, yes = await telephone.made("Yes, Peter Johnson speaking."), await telephone.made("Yes please.")
            briefing = Briefing(services, who, WORDS, call_id="a-call")
            await briefing.prepare()
            briefing.connect(telephone.link)
            breathing = asyncio.create_task(telephone.breathe())
            telephone.says(name)
            asked = asyncio.create_task(briefing.outcome())
            sounds = [briefing._sounds[line].result() for line in ("words", "question")]
            said_s = sum(map(len, sounds)) / 16000
            await until(lambda: len(telephone.heard) / 16000 > said_s + 5.0, 60)
            assert not asked.done()
            telephone.says(yes)
            assert await asyncio.wait_for(asked, 20) == "accepted"
            await briefing.close()
            await breathing
            (text,) = await transcribed("tiny.en", "en", [telephone.heard])
            assert "bicycle" in text.lower(), text
            assert "press" in text.lower(), text

    play(scene())
