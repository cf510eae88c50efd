import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sovereign_pbx.media.resample import HALF_WIDTH_MS, Resampler, filter_bank, resample

PAIRS = [
    (8000, 16000),
    (16000, 8000),
    (24000, 8000),
    (24000, 16000),
    (22050, 8000),
    (44100, 8000),
    (48000, 8000),
    (48000, 16000),
    (8000, 24000),
    (8000, 48000),
]


def sine(hertz: float, rate: int, seconds: float = 0.5, level: float = 16000.0) -> bytes:
    at = np.arange(int(rate * seconds)) / rate
    return np.rint(level * np.sin(2 * np.pi * hertz * at)).astype("<i2").tobytes()


def settled(pcm: bytes) -> NDArray[np.float64]:
    """The middle of it, away from where the filter runs in and out."""
    samples = np.frombuffer(pcm, "<i2").astype(np.float64)
    return samples[samples.size // 5 : -samples.size // 10]


def gain_db(src: int, dst: int, hertz: float) -> float:
    out = settled(Resampler(src, dst).process(sine(hertz, src)))
    return float(20 * np.log10(np.sqrt(np.mean(out * out)) / (16000 / np.sqrt(2)) + 1e-9))


@pytest.mark.parametrize(("src", "dst"), PAIRS)
def test_the_voice_band_passes_flat(src: int, dst: int) -> None:
    for hertz in (100, 300, 1000, 2000, 3000, 3400):
        assert abs(gain_db(src, dst, hertz)) < 0.05, hertz


@pytest.mark.parametrize(("src", "dst"), [(src, dst) for src, dst in PAIRS if src > dst])
def test_what_would_alias_into_the_voice_band_is_removed(src: int, dst: int) -> None:
    """A tone at 55 % of the new rate would come back at 45 % of it: at 8 kHz, 4.4 kHz as 3.6 kHz."""
    for part in (0.55, 0.575, 0.6, 0.75, 0.9):
        if dst * part < src / 2:
            assert gain_db(src, dst, dst * part) < -60, part


@pytest.mark.parametrize(("src", "dst"), [(src, dst) for src, dst in PAIRS if src < dst])
def test_images_above_the_source_band_are_removed(src: int, dst: int) -> None:
    spectrum = np.abs(np.fft.rfft(settled(Resampler(src, dst).process(sine(1000, src))) * 1.0))
    hertz = np.fft.rfftfreq(2 * (spectrum.size - 1), 1 / dst)
    assert spectrum[hertz > src / 2 + 600].max() < spectrum.max() * 10 ** (-60 / 20)


@pytest.mark.parametrize(("src", "dst"), PAIRS)
def test_the_delay_is_two_milliseconds(src: int, dst: int) -> None:
    converter = Resampler(src, dst)
    click = np.zeros(src // 10, "<i2")
    click[src // 20] = 30000
    out = np.abs(np.frombuffer(converter.process(click.tobytes()), "<i2").astype(int))
    delay_ms = (float(np.argmax(out)) / dst - 0.05) * 1000
    assert converter.delay_ms == pytest.approx(HALF_WIDTH_MS, abs=0.03)
    assert delay_ms == pytest.approx(converter.delay_ms, abs=1000 / dst)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(PAIRS), st.lists(st.integers(0, 700), min_size=1, max_size=12), st.integers(0, 2**32 - 1))
def test_the_output_does_not_depend_on_how_the_stream_was_cut(
    pair: tuple[int, int], cuts: list[int], seed: int
) -> None:
    pcm = np.random.default_rng(seed).integers(-32768, 32768, sum(cuts), dtype=np.int64).astype("<i2").tobytes()
    pcm = pcm + b"\x7f" * (seed % 2)  # an odd byte at the end must wait, not shift the rest
    whole = Resampler(*pair).process(pcm)
    converter, parts, at = Resampler(*pair), b"", 0
    for cut in cuts:
        parts += converter.process(pcm[at : at + cut])
        at += cut
    assert parts + converter.process(pcm[at:]) == whole


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(PAIRS), st.integers(1, 5000))
def test_the_stream_has_as_many_samples_as_the_rates_ask_for(pair: tuple[int, int], samples: int) -> None:
    src, dst = pair
    out = len(Resampler(src, dst).process(bytes(2 * samples))) // 2
    assert abs(out - samples * dst / src) <= max(1, dst / src)


@pytest.mark.parametrize(("src", "dst"), PAIRS)
def test_a_whole_utterance_comes_out_without_delay_and_as_long_as_it_was(src: int, dst: int) -> None:
    out = resample(sine(440, src), src, dst)
    assert len(out) == len(sine(440, dst))
    expected = np.frombuffer(sine(440, dst), "<i2").astype(float)
    error = np.frombuffer(out, "<i2") - expected
    inner = slice(dst // 100, -dst // 100)
    assert np.sqrt(np.mean(error[inner] ** 2)) < 60  # -49 dB: a tenth of a sample at 8 kHz


def test_the_same_rate_is_left_as_it_is() -> None:
    assert Resampler(8000, 8000).process(b"\1\2\3\4") == b"\1\2\3\4"
    assert resample(b"\1\2", 16000, 16000) == b"\1\2"
    assert resample(b"", 16000, 8000) == b""


def test_full_scale_is_clipped_and_never_wraps() -> None:
    square = np.where(np.arange(4000) // 40 % 2, 32767, -32768).astype("<i2")
    out = np.frombuffer(Resampler(24000, 8000).process(square.tobytes()), "<i2").astype(int)
    middle = out[200:-200]
    assert (np.abs(np.diff(middle)) < 66000).all() and middle.max() == 32767 and middle.min() == -32768


@pytest.mark.parametrize("rate", [0, -8000, 7999, 1_000_000])
def test_a_rate_that_no_telephone_has_is_refused(rate: int) -> None:
    with pytest.raises(ValueError, match="sample rate"):
        Resampler(rate, 8000)
    with pytest.raises(ValueError, match="sample rate"):
        resample(b"\0\0", 8000, rate)


def test_every_phase_of_a_bank_passes_direct_current_unchanged() -> None:
    for pair in PAIRS:
        assert np.allclose(filter_bank(*pair).sum(axis=1), 1.0, atol=1e-4)
