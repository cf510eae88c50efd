from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import structlog

from sovereign_pbx.media import scorer as scorer_module
from sovereign_pbx.media.scorer import CONTEXT, WINDOW, EnergyScorer, SileroScorer
from sovereign_pbx.media.silero_graph import batched_graph
from sovereign_pbx.speech.models import locate


def windows(count: int, level: float = 0.1, seed: int = 1) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return (generator.standard_normal((count, CONTEXT + WINDOW)) * level).astype(np.float32)


def test_a_model_of_another_kind_is_not_laid_out_anew() -> None:
    for content in (b"", b"no model"):
        with pytest.raises((KeyError, ValueError)):
            batched_graph(content)


def test_loudness_scores_a_loud_window_high_and_a_quiet_one_low() -> None:
    scorer = EnergyScorer()
    scorer.reserve(2)
    slots = np.array([0, 1], np.intp)
    scores = scorer.score(slots, np.concatenate((windows(1, 0.2), windows(1, 0.001))))
    assert scores[0] > 0.9 and scores[1] == 0


def test_each_slot_has_its_own_floor_and_forgets_it_on_demand() -> None:
    scorer = EnergyScorer()
    scorer.reserve(2)
    for _ in range(2000):
        scorer.score(np.array([0], np.intp), windows(1, 0.05))
    both = scorer.score(np.array([0, 1], np.intp), np.repeat(windows(1, 0.05), 2, axis=0))
    assert both[0] < 0.1 < 0.9 < both[1]
    scorer.forget(0)
    assert scorer.score(np.array([0], np.intp), windows(1, 0.05))[0] > 0.9


@pytest.mark.speech
def test_the_batched_graph_gives_the_scores_of_the_published_one() -> None:
    path = locate("silero-vad")
    published = onnxruntime.InferenceSession(str(path))
    scorer = SileroScorer(path)
    assert scorer.batched
    scorer.reserve(5)
    slots = np.arange(5, dtype=np.intp)
    state = np.repeat(scorer._state[:, :1], 5, axis=1)
    for step in range(30):
        batch = windows(5, 0.3 * (step % 3), seed=step)
        feed = {"input": batch, "state": state, "sr": np.array(16000, np.int64)}
        expected, state = published.run(None, feed)
        assert scorer.score(slots, batch) == pytest.approx(expected[:, 0], abs=1e-4)


@pytest.mark.speech
def test_a_slot_that_is_forgotten_scores_as_a_fresh_one() -> None:
    scorer = SileroScorer(locate("silero-vad"))
    scorer.reserve(3)
    used, fresh = np.array([1], np.intp), np.array([2], np.intp)
    for step in range(40):
        scorer.score(used, windows(1, 0.4, seed=step))
    probe = windows(1, 0.1)
    changed = scorer.score(used, probe)[0]
    scorer.forget(1)
    assert scorer.score(used, probe)[0] == scorer.score(fresh, probe)[0] != changed


@pytest.mark.speech
def test_a_layout_that_gives_other_scores_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    path = locate("silero-vad")
    model = bytearray(batched_graph(path.read_bytes()))
    weights = np.frombuffer(model, np.uint8).copy()
    weights[model.index(b"\x4a", 200_000) + 4000 :][:40_000:4] ^= 0x40
    monkeypatch.setattr(scorer_module, "batched_graph", lambda content: weights.tobytes())
    with structlog.testing.capture_logs() as logs:
        scorer = SileroScorer(path)
    assert not scorer.batched
    assert [entry["event"] for entry in logs] == ["vad_model_unbatched"]
    assert scorer.score(np.zeros(1, np.intp), windows(1)).shape == (1,)


@pytest.mark.speech
def test_a_graph_that_cannot_be_laid_out_anew_runs_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(content: bytes) -> bytes:
        raise KeyError("stft.forward_basis_buffer")

    monkeypatch.setattr(scorer_module, "batched_graph", unknown)
    path: Path = locate("silero-vad")
    with structlog.testing.capture_logs() as logs:
        scorer = SileroScorer(path)
    assert not scorer.batched and [entry["event"] for entry in logs] == ["vad_model_unbatched"]
    plain = scorer.score(np.zeros(1, np.intp), windows(1))
    monkeypatch.undo()
    assert SileroScorer(path).score(np.zeros(1, np.intp), windows(1)) == pytest.approx(plain, abs=1e-4)
