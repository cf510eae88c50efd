"""Codecs: what goes in comes out, as well as each of them can."""

import numpy as np
import pytest
from numpy.typing import NDArray

from sovereign_pbx.pbx.sip import codecs
from sovereign_pbx.pbx.sip.codecs import available, codec

RATE = {"PCMU": 8000, "PCMA": 8000, "G722": 16000, "L16": 16000}
FRAME_BYTES = {"PCMU": 160, "PCMA": 160, "G722": 160, "L16": 640}


def sine(hertz: float, rate: int, amplitude: float = 8000) -> NDArray[np.int16]:
    return np.rint(amplitude * np.sin(2 * np.pi * hertz * np.arange(rate) / rate)).astype("<i2")


def through(name: str, samples: NDArray[np.int16]) -> NDArray[np.float64]:
    spoken, size = codec(name), RATE[name] // 50
    parts = [spoken.decode(spoken.encode(samples[at : at + size].tobytes())) for at in range(0, samples.size, size)]
    return np.frombuffer(b"".join(parts), "<i2").astype(float)


def residue_db(name: str, hertz: float) -> float:
    """What is not the sine, against the sine: the best fit of any phase is taken out, so delay is no error."""
    rate = RATE[name]
    heard = through(name, sine(hertz, rate))[rate // 10 :]
    at = 2 * np.pi * hertz * np.arange(rate // 10, rate) / rate
    basis = np.stack([np.sin(at), np.cos(at)])
    fitted = np.linalg.lstsq(basis.T, heard, rcond=None)[0] @ basis
    assert abs(20 * np.log10(np.sqrt(2) * fitted.std() / 8000)) < 1, "the level has changed"
    return float(20 * np.log10((heard - fitted).std() / fitted.std()))


@pytest.mark.parametrize("name", ["PCMU", "PCMA", "G722", "L16"])
def test_a_frame_has_the_size_that_its_clock_says(name: str) -> None:
    spoken = codec(name)
    payload = spoken.encode(bytes(RATE[name] // 50 * 2))
    assert len(payload) == FRAME_BYTES[name]
    units = 320 if name == "L16" else 160
    assert len(payload) == units * spoken.unit_bytes
    assert len(spoken.decode(payload)) == RATE[name] // 50 * 2


@pytest.mark.parametrize(
    ("name", "hertz", "worst_db"),
    # G.711: 33 dB over most of its range (G.712). G.722 at 64 kbit/s: the lower band's 6 bits, the upper band's 2.
    [
        ("PCMU", 1000, -33),
        ("PCMA", 1000, -33),
        ("G722", 300, -30),
        ("G722", 1000, -30),
        ("G722", 3000, -28),
        ("G722", 6000, -12),
        ("L16", 6000, -70),
    ],
)
def test_noise_of_the_coding_is_what_the_recommendation_allows(name: str, hertz: float, worst_db: float) -> None:
    assert residue_db(name, hertz) < worst_db


def test_g722_needs_no_agreement_on_where_its_decoder_begins() -> None:
    """Adaptation leaks: a decoder that missed the beginning comes to the same after a while (ITU-T G.722 §1.5)."""
    spoken, late = codec("G722"), codec("G722")
    samples = sine(700, 16000)
    payloads = [spoken.encode(samples[at : at + 320].tobytes()) for at in range(0, 16000, 320)]
    whole = [spoken.decode(payload) for payload in payloads]
    part = [late.decode(payload) for payload in payloads[10:]]
    one, other = (np.frombuffer(parts[-1], "<i2").astype(float) for parts in (whole, part))
    assert np.abs(one - other).max() < 400


def test_what_is_not_installed_is_not_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    assert available(("L16", "G722", "PCMU")) == ("L16", "G722", "PCMU")
    monkeypatch.setattr(codecs, "find_spec", lambda name: None)
    assert available(("L16", "G722", "PCMU")) == ("L16", "PCMU")
