import stat
import wave
from pathlib import Path

import numpy as np
import pytest

from sovereign_pbx.core.errors import BadInput
from sovereign_pbx.media.wav import HEADER_BYTES, MAX_DATA_BYTES, header, read_wav, write_wav


def test_what_is_written_is_read_back_channel_by_channel(tmp_path: Path) -> None:
    left, right = np.arange(100, dtype="<i2"), -np.arange(60, dtype="<i2")
    write_wav(tmp_path / "a.wav", 16000, left.tobytes(), right.tobytes())
    rate, samples = read_wav(tmp_path / "a.wav")
    assert rate == 16000 and samples.shape == (2, 100)
    assert (samples[0] == left).all() and (samples[1][:60] == right).all() and (samples[1][60:] == 0).all()


def test_other_programs_read_it_too(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", 8000, bytes(320))
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert (file.getframerate(), file.getnchannels(), file.getnframes()) == (8000, 1, 160)


def test_the_header_never_overflows_its_32_bits() -> None:
    assert len(header(8000, 2, 1 << 40)) == HEADER_BYTES
    assert header(8000, 2, 1 << 40) == header(8000, 2, MAX_DATA_BYTES)


@pytest.mark.parametrize("content", [b"", b"RIFF", b"not a wave file at all" * 10, header(8000, 1, 100)[:30]])
def test_a_file_that_is_no_wav_is_bad_input(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.wav"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=r"bad\.wav"):
        read_wav(path)


def test_other_sample_widths_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "wide.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(3)
        file.setframerate(8000)
        file.writeframes(bytes(300))
    with pytest.raises(BadInput, match="24 bits"):
        read_wav(path)
    assert stat.S_ISREG(path.stat().st_mode)
