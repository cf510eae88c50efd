import numpy as np
import pytest

from sovereign_pbx.media.comfort import LEVEL_DBM0, ComfortNoise
from sovereign_pbx.media.levels import dbfs
from sovereign_pbx.wire.g711 import alaw_to_pcm, pcm_to_alaw, pcm_to_ulaw, ulaw_to_pcm


@pytest.mark.parametrize("rate", [8000, 16000, 24000])
def test_the_noise_has_its_level(rate: int) -> None:
    noise = ComfortNoise(rate)
    second = b"".join(noise.next_frame() for _ in range(97))
    assert dbfs(second) == pytest.approx(LEVEL_DBM0 - 3.14 - 3.01, abs=0.2)


def test_every_frame_survives_either_codec_of_the_telephone() -> None:
    noise = ComfortNoise(8000)
    for _ in range(97):
        frame = noise.next_frame()
        for heard in (ulaw_to_pcm(pcm_to_ulaw(frame)), alaw_to_pcm(pcm_to_alaw(frame))):
            assert len(set(np.frombuffer(heard, "<i2").tolist())) > 1


def test_two_calls_do_not_hiss_in_step() -> None:
    first, second = ComfortNoise(8000), ComfortNoise(8000)
    assert first.next_frame() != second.next_frame()


def test_the_noise_goes_on_without_end() -> None:
    noise = ComfortNoise(8000)
    assert {len(noise.next_frame()) for _ in range(500)} == {320}
