"""Of several providers the one that served is named: usage is counted, and paid, under that name."""

from sovereign_pbx.calls.usage import served_by
from sovereign_pbx.speech.llm import Finished
from sovereign_pbx.speech.llm.fallback import FallbackChat
from sovereign_pbx.speech.stt.fallback import FallbackStt
from sovereign_pbx.speech.tts import Audio
from sovereign_pbx.speech.tts.fallback import FallbackVoice
from tests.speech.running import eventually, run_clean
from tests.speech.test_fallback import END, HELLO, Ears, Part, choices, failure, listening, reply, say


def test_a_reply_names_the_model_that_gave_it() -> None:
    async def main() -> None:
        first, second = Part("first", failure("first")), Part("second", HELLO, END)
        ended = (await reply(FallbackChat(choices(first, second))))[-1]
        assert isinstance(ended, Finished)
        assert ended.model == "second"

    run_clean(main())


def test_a_voice_session_names_who_spoke_last() -> None:
    async def main() -> None:
        first, second = Part("first", failure("first")), Part("second", Audio(b"\0\0"))
        session = await FallbackVoice(choices(first, second)).open(rate=8000, language="en")
        assert served_by(session) == "first"
        await say(session)
        assert served_by(session) == "second"

    run_clean(main())


def test_a_recogniser_names_who_listens() -> None:
    async def main() -> None:
        first, second = Ears("first"), Ears("second")
        heard, task = await listening(FallbackStt(choices(first, second)))
        assert served_by(heard.stream) == "first"
        first.words.put_nowait(failure("first"))
        await eventually(lambda: served_by(heard.stream) == "second", "the second took over")
        await heard.stream.close()
        await task

    run_clean(main())
