"""Several models, voices or recognisers as one. The parts are fakes here: timing and order are the point."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from sovereign_pbx.core.errors import ProviderError, ProviderFault
from sovereign_pbx.core.values import Message, ToolCall, Word
from sovereign_pbx.speech.fallback import closing
from sovereign_pbx.speech.llm import Abandoned, ChatEvent, Finished, TextDelta, ToolRequest, ToolSpec
from sovereign_pbx.speech.llm.fallback import FallbackChat
from sovereign_pbx.speech.standing import Choice, Choices, Standings
from sovereign_pbx.speech.stt import Heard, SttEvent
from sovereign_pbx.speech.stt.fallback import FallbackStt
from sovereign_pbx.speech.tts import Audio
from sovereign_pbx.speech.tts.fallback import FallbackVoice
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
        self.questions: list[list[Message]] = []
        self.texts: list[str] = []
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
        self.questions.append(list(messages))
        return self._play()

    def speak(self, text: str) -> AsyncIterator[Audio]:
        self.texts.append(text)
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
        told = await reply(FallbackChat(choices(first, second), switch_s=0.05))
        assert told == [Abandoned("first"), HELLO, END]
        assert asyncio.get_running_loop().time() - began < SOON_S
        assert first.left == 1

    run_clean(main())


def test_a_reply_that_breaks_off_is_gone_on_for_from_its_last_word() -> None:
    async def main() -> None:
        first = Part("first", TextDelta("We open at nine"), failure("first"))
        second = Part("second", TextDelta(" at nine and"), TextDelta(" close at six."), END)
        told = await reply(FallbackChat(choices(first, second)))
        assert "".join(event.text for event in told if isinstance(event, TextDelta)) == (
            "We open at nine and close at six."
        )
        assert Abandoned("first") in told
        (question,) = second.questions
        assert question[1] == Message("assistant", "We open at nine")
        assert question[2].role == "user"

    run_clean(main())


def test_a_model_without_a_spare_goes_on_with_its_own_reply_once() -> None:
    async def main() -> None:
        only = Part("only", TextDelta("We open"), failure("only"))
        heard: list[ChatEvent] = []
        with pytest.raises(ProviderError):
            async for event in FallbackChat(choices(only)).reply([]):
                heard.append(event)  # noqa: PERF401 - what came before the error is the point
        assert [event for event in heard if isinstance(event, TextDelta)] == [TextDelta("We open")]
        assert only.asked == 2

    run_clean(main())


def test_nothing_is_asked_again_after_a_tool_was_asked_for() -> None:
    async def main() -> None:
        first = Part("first", ToolRequest(ToolCall("t1", "book", "{}")), failure("first"))
        second = Part("second", HELLO, END)
        with pytest.raises(ProviderError):
            await reply(FallbackChat(choices(first, second)))
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


def spoken(text: str, count: int, *, timed: bool) -> Audio:
    """The first `count` words of `text`, 300 ms each."""
    words = tuple(Word(word, 0.3 * at, 0.3 * (at + 1)) for at, word in enumerate(text.split()[:count]))
    return Audio(b"\0\0" * 2400 * count, words if timed else ())


SENTENCE = "We repair bicycles of every make and age."


@pytest.mark.parametrize("kind", ["dropped", "stalled"])
def test_a_sentence_that_a_voice_breaks_off_is_finished_by_the_next_from_the_word_where_it_stopped(
    kind: ProviderFault,
) -> None:
    async def main() -> None:
        cut = None if kind == "stalled" else failure("first")
        first = Part("first", spoken(SENTENCE, 3, timed=True), cut)
        second = Part("second", spoken("of every make and age.", 5, timed=True))
        session = await FallbackVoice(choices(first, second), dry_s=-0.85).open(rate=8000, language="en")
        chunks = [chunk async for chunk in session.speak(SENTENCE)]
        assert second.texts == ["of every make and age."]
        words = [word for chunk in chunks for word in chunk.words]
        assert [word.text for word in words] == SENTENCE.split()
        assert words[-1].end == pytest.approx(0.3 * 8)
        assert session.spoke_with == "second"  # type: ignore[attr-defined] # what the phrase cache asks for
        await session.close()

    run_clean(main())


def test_a_word_that_is_cut_in_its_middle_is_said_again_whole() -> None:
    async def main() -> None:
        first = Part("first", spoken(SENTENCE, 3, timed=True), Audio(b"\0\0" * 1200), failure("first"))
        second = Part("second", SOUND)
        session = await FallbackVoice(choices(first, second)).open(rate=8000, language="en")
        _ = [chunk async for chunk in session.speak(SENTENCE)]
        assert second.texts == ["of every make and age."]

    run_clean(main())


def test_words_get_times_where_the_voices_tell_none_on_one_side_of_a_break() -> None:
    async def main() -> None:
        first = Part("first", spoken(SENTENCE, 3, timed=True), failure("first"))
        second = Part("second", spoken("of every make and age.", 5, timed=False))
        session = await FallbackVoice(choices(first, second)).open(rate=8000, language="en")
        words = [word for chunk in [chunk async for chunk in session.speak(SENTENCE)] for word in chunk.words]
        assert [word.text for word in words] == SENTENCE.split()
        assert words[3].start == pytest.approx(0.9)

    run_clean(main())


def test_a_voice_without_a_spare_finishes_its_own_sentence_on_a_new_connection() -> None:
    async def main() -> None:
        only = Part("only", spoken(SENTENCE, 3, timed=True), failure("only"))
        session = await FallbackVoice(choices(only)).open(rate=8000, language="en")
        with pytest.raises(ProviderError):  # it breaks off again
            _ = [chunk async for chunk in session.speak(SENTENCE)]
        assert only.texts == [SENTENCE, "of every make and age."]
        await session.close()
        assert only.closed

    run_clean(main())


def test_a_sentence_of_which_only_the_end_was_not_told_is_over() -> None:
    async def main() -> None:
        first = Part("first", spoken(SENTENCE, 8, timed=True), failure("first"))
        second = Part("second", SOUND)
        session = await FallbackVoice(choices(first, second)).open(rate=8000, language="en")
        assert len([chunk async for chunk in session.speak(SENTENCE)]) == 1
        assert second.asked == 0
        await session.close()

    run_clean(main())


def test_a_connection_that_failed_is_closed_when_the_last_sentence_on_it_has_ended() -> None:
    async def main() -> None:
        first, second = Part("first", spoken(SENTENCE, 3, timed=True), None), Part("second", SOUND)
        session = await FallbackVoice(choices(first, second), dry_s=-0.85).open(rate=8000, language="en")
        broken, going_on = session.speak(SENTENCE), session.speak(SENTENCE)
        assert await anext(going_on)  # two sentences at once, as in every call
        assert [chunk async for chunk in broken][-1] == Audio(SOUND.pcm, again=len("of every make and age."))
        await asyncio.sleep(0)
        assert not first.closed
        await going_on.aclose()  # type: ignore[attr-defined] # a generator
        await asyncio.sleep(0)
        assert first.closed
        await session.close()

    run_clean(main())


def test_a_voice_that_was_never_heard_is_not_tried_twice() -> None:
    async def main() -> None:
        only = Part("only", failure("only"))
        session = await FallbackVoice(choices(only)).open(rate=8000, language="en")
        with pytest.raises(ProviderError):
            await say(session)
        assert only.asked == 1

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
