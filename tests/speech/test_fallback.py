"""Several models, voices or recognisers as one. The parts are fakes here: timing and order are the point."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from sovereign_pbx.core.errors import ProviderError, ProviderFault
from sovereign_pbx.core.values import Message, Word
from sovereign_pbx.speech.fallback import FallbackChat, FallbackVoice, closing
from sovereign_pbx.speech.llm import ChatEvent, Finished, TextDelta, ToolSpec
from sovereign_pbx.speech.standing import Choice, Choices, Standings
from sovereign_pbx.speech.stt import Heard, SttEvent
from sovereign_pbx.speech.stt.fallback import FallbackStt
from sovereign_pbx.speech.tts import Audio
from tests.speech.hearing import Hearing
from tests.speech.running import SOON_S, eventually, run_clean


def choices(*parts: Any) -> Choices[Any]:
    return Choices([Choice(part, part.name) for part in parts], Standings())


def failure(name: str, kind: ProviderFault = "dropped") -> ProviderError:
    return ProviderError(name, "llm", kind)


class Part:
    """A fake model or voice: gives `items`, an exception among them is raised, None waits for ever."""

    def __init__(self, name: str, *items: Any, opens: BaseException | None = None) -> None:
        self.name = self.key = name
        self.items = items
        self.opens = opens
        self.asked = 0
        self.left = 0
        self.closed = False

    async def _play(self) -> AsyncIterator[Any]:
        self.asked += 1
        try:
            for item in self.items:
                if item is None:
                    await asyncio.sleep(3600)
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            self.left += 1

    def reply(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> AsyncIterator[ChatEvent]:
        return self._play()

    def speak(self, text: str) -> AsyncIterator[Audio]:
        return self._play()

    async def warm(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> None:
        self.asked += 1

    async def open(self, *, rate: int, language: str) -> "Part":
        if self.opens is not None:
            raise self.opens
        return self

    async def close(self) -> None:
        self.closed = True

    async def aclose(self) -> None:
        self.closed = True


HELLO = TextDelta("Hello.")
END = Finished("stop")


async def reply(chat: FallbackChat) -> list[ChatEvent]:
    return [event async for event in chat.reply([Message("user", "Hi")])]


def test_a_model_that_fails_before_its_first_word_is_replaced_and_then_left_alone() -> None:
    async def main() -> None:
        first, second = Part("first", failure("first")), Part("second", HELLO, END)
        chat = FallbackChat(choices(first, second))
        assert await reply(chat) == [HELLO, END]
        assert await reply(chat) == [HELLO, END]
        assert (first.asked, second.asked) == (1, 2)

    run_clean(main())


def test_a_model_that_stalls_is_replaced_in_time_and_its_stream_closed() -> None:
    async def main() -> None:
        first, second = Part("first", None), Part("second", HELLO, END)
        began = asyncio.get_running_loop().time()
        assert await reply(FallbackChat(choices(first, second), switch_s=0.05)) == [HELLO, END]
        assert asyncio.get_running_loop().time() - began < SOON_S
        assert first.left == 1

    run_clean(main())


def test_a_reply_that_has_begun_is_never_restarted() -> None:
    async def main() -> None:
        first, second = Part("first", HELLO, failure("first")), Part("second", HELLO, END)
        heard: list[ChatEvent] = []
        with pytest.raises(ProviderError):
            async for event in FallbackChat(choices(first, second)).reply([]):
                heard.append(event)  # noqa: PERF401 - what came before the error is the point
        assert heard == [HELLO]
        assert second.asked == 0

    run_clean(main())


def test_when_every_model_fails_the_last_ones_error_is_reported() -> None:
    async def main() -> None:
        chat = FallbackChat(choices(Part("first", failure("first")), Part("second", failure("second", "denied"))))
        with pytest.raises(ProviderError) as caught:
            await reply(chat)
        assert (caught.value.provider, caught.value.kind) == ("second", "denied")

    run_clean(main())


def test_a_single_model_has_its_own_deadlines_and_is_asked_again_after_a_failure() -> None:
    async def main() -> None:
        only = Part("only", failure("only", "denied"))
        chat = FallbackChat(choices(only), switch_s=0.01)
        for _ in range(2):
            with pytest.raises(ProviderError):
                await reply(chat)
        assert only.asked == 2
        await chat.aclose()
        assert only.closed

    run_clean(main())


def test_closing_a_reply_closes_the_models_stream() -> None:
    async def main() -> None:
        first = Part("first", HELLO, None)
        async with closing(FallbackChat(choices(first)).reply([])) as events:
            assert await anext(events) == HELLO
        assert first.left == 1

    run_clean(main())


SOUND = Audio(b"\0\0" * 160)


async def say(session: Any) -> list[Audio]:
    return [chunk async for chunk in session.speak("Hello.")]


def test_a_voice_that_cannot_be_opened_is_replaced() -> None:
    async def main() -> None:
        voice = FallbackVoice(choices(Part("first", opens=failure("first")), Part("second", SOUND)))
        session = await voice.open(rate=8000, language="en")
        assert await say(session) == [SOUND]
        assert voice.key == "first"
        assert session.spoke_with == "second"  # type: ignore[attr-defined] # what the phrase cache asks for

    run_clean(main())


def test_when_no_voice_can_be_opened_the_last_error_is_reported() -> None:
    async def main() -> None:
        voice = FallbackVoice(choices(Part("first", opens=failure("first")), Part("second", opens=failure("second"))))
        with pytest.raises(ProviderError, match="second"):
            await voice.open(rate=8000, language="en")

    run_clean(main())


def test_a_voice_that_fails_at_a_segment_is_replaced_for_the_rest_of_the_call() -> None:
    async def main() -> None:
        first, second = Part("first", failure("first")), Part("second", SOUND)
        both = choices(first, second)
        session = await FallbackVoice(both).open(rate=8000, language="en")
        assert await say(session) == [SOUND]
        both.worked(both.all[0])  # well again: a caller still does not hear the voice change back
        assert await say(session) == [SOUND]
        assert (first.asked, second.asked) == (1, 2)
        await session.close()
        assert first.closed
        assert second.closed

    run_clean(main())


def test_a_segment_that_has_begun_is_never_restarted_in_another_voice() -> None:
    async def main() -> None:
        voice = FallbackVoice(choices(Part("first", SOUND, failure("first")), Part("second", SOUND)))
        with pytest.raises(ProviderError):
            await say(await voice.open(rate=8000, language="en"))

    run_clean(main())


def test_a_voice_that_stalls_is_replaced_in_time() -> None:
    async def main() -> None:
        voice = FallbackVoice(choices(Part("first", None), Part("second", SOUND)), switch_s=0.05)
        assert await say(await voice.open(rate=8000, language="en")) == [SOUND]

    run_clean(main())


class Ears:
    """A fake recogniser that notes what it is told, and fails or speaks when the test says so."""

    def __init__(self, name: str, opens: ProviderError | None = None) -> None:
        self.name = name
        self.opens = opens
        self.told: list[str] = []
        self.frames: list[bytes] = []
        self.words: asyncio.Queue[SttEvent | ProviderError | None] = asyncio.Queue()
        self.closed = 0

    async def open(self, *, rate: int, language: str, keyterms: Sequence[str] = ()) -> "Ears":
        if self.opens is not None:
            raise self.opens
        return self

    def send(self, frame: bytes) -> None:
        self.frames.append(frame)
        self.told.append("audio")

    def speech(self, speaking: bool) -> None:
        self.told.append("speaking" if speaking else "silent")

    def finalize(self) -> None:
        self.told.append("finalize")

    async def __aiter__(self) -> AsyncIterator[SttEvent]:
        while (item := await self.words.get()) is not None:
            if isinstance(item, ProviderError):
                raise item
            yield item

    async def close(self) -> None:
        self.closed += 1
        self.words.put_nowait(None)

    async def aclose(self) -> None:
        pass


async def listening(stt: FallbackStt) -> tuple[Hearing, "asyncio.Task[None]"]:
    heard = Hearing(await stt.open(rate=8000, language="en"))
    return heard, asyncio.create_task(heard.listen())


def test_the_next_recogniser_hears_what_the_lost_one_had_not_made_final_in_the_same_order() -> None:
    async def main() -> None:
        first, second = Ears("first"), Ears("second")
        heard, task = await listening(FallbackStt(choices(first, second)))
        frames = [bytes([number]) * 320 for number in range(100)]
        for frame in frames[:50]:
            heard.stream.send(frame)
        first.words.put_nowait(Heard("One.", True, (Word("One.", 0.2, 0.8),)))
        await eventually(lambda: heard.finals == ["One."], "the first final came")
        heard.stream.speech(True)
        for frame in frames[50:60]:
            heard.stream.send(frame)
        heard.stream.speech(False)
        heard.stream.finalize()
        first.words.put_nowait(failure("first"))
        await eventually(lambda: "finalize" in second.told, "the second was told everything")
        heard.stream.send(frames[60])
        assert second.frames == frames[40:61]
        told = [word for word in second.told if word != "audio"]
        assert told == ["speaking", "silent", "finalize"]
        assert second.told.index("speaking") == 10
        second.words.put_nowait(Heard("Two.", True, (Word("Two.", 0.2, 0.4),)))
        await eventually(lambda: heard.finals == ["One.", "Two."], "the second final came")
        last = heard.events[-1]
        assert isinstance(last, Heard)
        assert last.words[0].start == pytest.approx(1.0)
        assert first.closed == 1
        await heard.stream.close()
        await task

    run_clean(main())


def test_a_recogniser_that_cannot_be_opened_is_replaced_before_the_call() -> None:
    async def main() -> None:
        first, second = Ears("first", failure("first", "denied")), Ears("second")
        heard, task = await listening(FallbackStt(choices(first, second)))
        heard.stream.send(bytes(320))
        assert second.told == ["audio"]
        await heard.stream.close()
        await task

    run_clean(main())


def test_when_the_last_recogniser_is_lost_its_error_is_reported() -> None:
    async def main() -> None:
        first, second = Ears("first"), Ears("second", failure("second", "refused"))
        heard, task = await listening(FallbackStt(choices(first, second)))
        first.words.put_nowait(failure("first"))
        await task
        assert heard.error is not None
        assert heard.error.provider == "second"
        await heard.stream.close()

    run_clean(main())


def test_a_recogniser_that_was_lost_may_come_back_when_the_next_one_is_lost_after_working() -> None:
    async def main() -> None:
        first, second = Ears("first"), Ears("second")
        heard, task = await listening(FallbackStt(choices(first, second)))
        first.words.put_nowait(failure("first"))
        second.words.put_nowait(Heard("Yes.", True))
        second.words.put_nowait(failure("second"))
        first.words.put_nowait(None)  # left behind by the close of the lost stream
        await task
        assert heard.error is None
        assert heard.finals == ["Yes."]
        await heard.stream.close()

    run_clean(main())


def test_a_single_recogniser_keeps_no_copy_of_the_audio() -> None:
    async def main() -> None:
        only = Ears("only")
        heard, task = await listening(FallbackStt(choices(only)))
        heard.stream.speech(True)
        heard.stream.send(bytes(320))
        assert only.told == ["speaking", "audio"]
        only.words.put_nowait(failure("only"))
        await task
        assert heard.error is not None
        await heard.stream.close()

    run_clean(main())


def test_speech_that_began_before_the_audio_kept_is_still_known() -> None:
    async def main() -> None:
        first, second = Ears("first"), Ears("second")
        heard, task = await listening(FallbackStt(choices(first, second)))
        heard.stream.speech(True)
        for _ in range(20):
            heard.stream.send(bytes(320))
        first.words.put_nowait(Heard("So far", True))
        await eventually(lambda: bool(heard.finals), "the final came")
        heard.stream.send(bytes(320))
        first.words.put_nowait(failure("first"))
        await eventually(lambda: bool(second.frames), "the second hears")
        assert second.told == ["speaking", "audio"]
        await heard.stream.close()
        await task

    run_clean(main())
