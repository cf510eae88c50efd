"""Words out of character alignment."""

from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.core.values import Word
from sovereign_pbx.speech.tts.alignment import WordAssembler

texts = st.text(st.sampled_from("ab, é."), max_size=40)


@given(texts, st.data())
def test_words_come_out_whole_wherever_the_chunks_are_cut(text: str, data: st.DataObject) -> None:
    assembler = WordAssembler()
    words: list[Word] = []
    position = 0
    while position < len(text):
        cut = data.draw(st.integers(position + 1, len(text)))
        times = [float(index) for index in range(position, cut)]
        words += assembler.feed(text[position:cut], times, [time + 1 for time in times])
        position = cut
    words += assembler.rest()
    assert [word.text for word in words] == text.split()
    for word in words:
        assert text[int(word.start) : int(word.end)] == word.text


def test_audio_tags_are_no_words() -> None:
    assembler = WordAssembler()
    times = [float(index) for index in range(20)]
    words = assembler.feed("[soft", times, times) + assembler.feed("ly] Hi [x]there ", times, times)
    assert [word.text for word in words] == ["Hi", "there"]


def test_an_alignment_with_too_few_times_gives_the_words_it_has() -> None:
    assembler = WordAssembler()
    assert assembler.feed("Hello there", [0.0] * 6, [0.1] * 6) == (Word("Hello", 0.0, 0.1),)
