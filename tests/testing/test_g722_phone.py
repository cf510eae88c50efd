"""G.722 in the scripted phone."""

import numpy as np

from sovereign_pbx.testing.g722_phone import G722Ear, G722Mouth


def test_a_telephone_speaks_and_hears_g722() -> None:
    tone = np.asarray(8000 * np.sin(np.arange(16000) * (2 * np.pi * 6000 / 16000)), "<i2").tobytes()
    ear, mouth = G722Ear(), G722Mouth()
    for at in range(0, len(tone), 640):
        ear.decode(mouth.encode_wide(tone[at : at + 640]))
    heard = np.frombuffer(bytes(ear.wide), "<i2").astype(float)[1600:]
    spectrum = abs(np.fft.rfft(heard * np.hanning(len(heard))))
    assert abs(spectrum.argmax() * 16000 / len(heard) - 6000) < 5
    assert 4000 < np.sqrt((heard**2).mean()) < 7000


def test_what_a_g722_telephone_says_at_8_khz_is_heard_at_8_khz() -> None:
    tone = np.asarray(8000 * np.sin(np.arange(8000) * (2 * np.pi * 700 / 8000)), "<i2").tobytes()
    ear, mouth = G722Ear(), G722Mouth()
    heard = b"".join(ear.decode(mouth.encode(tone[at : at + 320])) for at in range(0, len(tone), 320))
    assert len(heard) == len(tone)
    samples = np.frombuffer(heard, "<i2").astype(float)[800:]
    assert abs(abs(np.fft.rfft(samples * np.hanning(len(samples)))).argmax() * 8000 / len(samples) - 700) < 5
