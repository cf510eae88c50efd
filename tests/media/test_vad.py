from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import structlog
from numpy.typing import NDArray

from sovereign_pbx.core.audio import frame_bytes
from sovereign_pbx.media.scorer import CONTEXT, WINDOW, WINDOW_S, EnergyScorer
from sovereign_pbx.media.vad import EnergyDetector, SpeechDetector
from sovereign_pbx.media.vad_state import HANGOVER_S, IDLE_S, VadEvent, VadState

LOUD = np.full(160, 8000, "<i2").tobytes()


class ScriptedScorer(EnergyScorer):
    """Scores by a function of the slot and the number of its window; remembers what it was asked."""

    def __init__(self, score: Callable[[int, int], float]) -> None:
        super().__init__()
        self._says = score
        self.counts: dict[int, int] = {}
        self.batches: list[int] = []
        self.forgotten: list[int] = []

    def forget(self, slot: int) -> None:
        self.forgotten.append(slot)

    def score(self, slots: NDArray[np.intp], windows: NDArray[np.float32]) -> NDArray[np.float32]:
        assert windows.shape == (slots.size, CONTEXT + WINDOW) and windows.dtype == np.float32
        self.batches.append(slots.size)
        scores = []
        for slot in slots.tolist():
            scores.append(self._says(slot, self.counts.get(slot, 0)))
            self.counts[slot] = self.counts.get(slot, 0) + 1
        return np.array(scores, dtype=np.float32)


def hear(
    scores: Callable[[int], float], windows: int, rate: int = 8000
) -> tuple[list[tuple[float, VadEvent]], SpeechDetector]:
    """Feed loud audio for `windows` windows; window n gets scores(n). Time starts at 0."""
    detector = SpeechDetector(None, scorer=ScriptedScorer(lambda _slot, n: scores(n)))
    state, told = detector.attach(rate), []
    frame = b"\x40\x1f" * (frame_bytes(rate) // 2)
    for tick in range(1, int(windows * WINDOW_S / 0.02) + 1):
        event = detector.step([state], [frame], tick * 0.02)[0]
        if event is not None:
            told.append((tick * 0.02, event))
    return told, detector


def between(first: int, last: int, inside: float = 0.9, outside: float = 0.01) -> Callable[[int], float]:
    return lambda n: inside if first <= n < last else outside


@pytest.mark.parametrize("rate", [8000, 16000, 24000, 48000])
def test_speech_begins_where_its_first_window_begins_and_ends_a_hangover_before_its_last(rate: int) -> None:
    told, _ = hear(between(10, 30), 60, rate)
    (at_start, started), (at_stop, stopped) = told
    assert (started.kind, stopped.kind) == ("started", "stopped")
    assert started.at == pytest.approx(10 * WINDOW_S, abs=0.003)
    assert stopped.at == pytest.approx(30 * WINDOW_S - HANGOVER_S, abs=0.003)
    assert at_start == pytest.approx(12 * WINDOW_S, abs=0.021)
    assert at_stop == pytest.approx(33 * WINDOW_S, abs=0.021)


def test_a_single_window_is_a_click_and_no_speech() -> None:
    assert hear(between(10, 11), 40)[0] == []


def test_a_dip_between_the_thresholds_neither_begins_nor_ends_speech() -> None:
    told, _ = hear(lambda n: 0.42 if n % 2 or not 10 <= n < 30 else 0.9, 60)
    assert [event.kind for _, event in told] == ["started"]


def test_a_closure_of_two_windows_does_not_end_speech() -> None:
    told, _ = hear(lambda n: 0.1 if n in (15, 16) else between(10, 30)(n), 60)
    assert [event.kind for _, event in told] == ["started", "stopped"]


def test_windows_too_quiet_to_be_speech_are_not_scored() -> None:
    scorer = ScriptedScorer(lambda slot, n: 0.01)
    detector = SpeechDetector(None, scorer=scorer)
    state = detector.attach()
    for tick in range(100):
        detector.step([state], [bytes(320)], tick * 0.02)
    assert scorer.batches == []
    assert detector.statistics()["skipped"] == detector.statistics()["windows"] == 62


def test_while_somebody_speaks_even_silence_is_scored_so_that_the_end_is_heard() -> None:
    scorer = ScriptedScorer(lambda slot, n: 0.9 if n < 5 else 0.0)
    detector = SpeechDetector(None, scorer=scorer)
    state = detector.attach()
    told = []
    for tick in range(40):
        told += detector.step([state], [LOUD if tick < 8 else bytes(320)], tick * 0.02)
    assert [event.kind for event in told if event] == ["started", "stopped"]
    assert sum(scorer.batches) == 8


def test_without_frames_for_a_second_speech_is_over() -> None:
    detector = SpeechDetector(None, scorer=ScriptedScorer(lambda slot, n: 0.9))
    state = detector.attach()
    for tick in range(50):
        detector.step([state], [LOUD], tick * 0.02)
    last = 49 * 0.02
    assert state.speaking
    assert detector.step([state], [None], last + IDLE_S - 0.01) == [None]
    (event,) = detector.step([state], [None], last + IDLE_S)
    assert event is not None and event.kind == "stopped"
    assert event.at == pytest.approx(last - HANGOVER_S, abs=WINDOW_S)
    assert detector.step([state], [None], last + 5) == [None]


def test_the_model_is_reset_every_two_seconds_but_only_in_clear_silence() -> None:
    scorer = ScriptedScorer(lambda slot, n: 0.9 if n < 150 else 0.2 if n < 250 else 0.05)
    detector = SpeechDetector(None, scorer=scorer)
    state = detector.attach()
    scorer.forgotten.clear()
    resets = []
    for tick in range(int(400 * WINDOW_S / 0.02)):
        before = len(scorer.forgotten)
        detector.step([state], [LOUD], tick * 0.02)
        if len(scorer.forgotten) > before:
            resets.append(scorer.counts[state.slot])
    assert resets == [255, 317, 379]
    assert detector.statistics()["resets"] == 3


def test_all_lines_are_scored_in_one_run_and_each_keeps_its_own_state() -> None:
    scorer = ScriptedScorer(lambda slot, n: 0.9 if slot == 1 and n >= 3 else 0.0)
    detector = SpeechDetector(None, scorer=scorer)
    states = [detector.attach(8000), detector.attach(16000), detector.attach(8000)]
    wide = b"\x40\x1f" * 320
    told: list[tuple[int, VadEvent]] = []
    for tick in range(20):
        events = detector.step(states, [LOUD, wide, LOUD], tick * 0.02)
        told += [(index, event) for index, event in enumerate(events) if event]
    assert [(index, event.kind) for index, event in told] == [(1, "started")]
    assert set(scorer.batches) == {3}


def test_two_frames_at_once_are_two_frames_of_audio() -> None:
    one, _ = hear(between(10, 20), 40)
    detector = SpeechDetector(None, scorer=ScriptedScorer(lambda slot, n: between(10, 20)(n)))
    state, told = detector.attach(), []
    for tick in range(2, 65, 2):
        event = detector.step([state], [LOUD * 2], tick * 0.02)[0]
        if event is not None:
            told.append(event)
    assert [event.at for event in told] == pytest.approx([event.at for _, event in one], abs=1e-6)


def test_a_slot_that_was_given_back_starts_afresh() -> None:
    scorer = ScriptedScorer(lambda slot, n: 0.0)
    detector = SpeechDetector(None, scorer=scorer)
    first = detector.attach()
    detector.detach(first)
    scorer.forgotten.clear()
    assert detector.attach().slot == first.slot
    assert scorer.forgotten == [first.slot]


def test_a_missing_or_damaged_model_is_replaced_by_loudness_with_a_warning(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    for path, event in (
        (None, "vad_model_missing"),
        (tmp_path / "none.onnx", "vad_model_unusable"),
        (tmp_path / "bad.onnx", "vad_model_unusable"),
    ):
        with structlog.testing.capture_logs() as logs:
            assert SpeechDetector(path).kind == "energy"
        assert [(entry["event"], entry["log_level"]) for entry in logs] == [(event, "warning")]


def test_a_model_that_fails_in_the_middle_of_calls_is_replaced_by_loudness() -> None:
    class Failing(ScriptedScorer):
        kind: Literal["silero", "energy"] = "silero"

        def score(self, slots: NDArray[np.intp], windows: NDArray[np.float32]) -> NDArray[np.float32]:
            raise RuntimeError("out of memory")

    detector = SpeechDetector(None, scorer=Failing(lambda slot, n: 0.0))
    state = detector.attach()
    with structlog.testing.capture_logs() as logs:
        told = [detector.step([state], [LOUD], tick * 0.02)[0] for tick in range(20)]
    assert detector.kind == "energy"
    assert [event.kind for event in told if event] == ["started"]
    assert [entry["event"] for entry in logs] == ["vad_model_failed"]


def test_the_energy_detector_hears_a_tone_over_noise_and_follows_a_room_that_gets_louder() -> None:
    generator = np.random.default_rng(3)
    detector = EnergyDetector()
    state: VadState = detector.attach()
    told = []
    for tick in range(1500):
        level = 60 if tick < 500 else 105
        noise = generator.standard_normal(160) * level
        if 300 <= tick < 350 or 1400 <= tick < 1450:
            noise += 6000 * np.sin(np.arange(160) / 4)
        event = detector.step([state], [noise.astype("<i2").tobytes()], tick * 0.02)[0]
        if event is not None:
            told.append((event.kind, event.at))
    assert [kind for kind, _ in told] == ["started", "stopped"] * 2
    assert [at for _, at in told] == pytest.approx([6.0, 7.0, 28.0, 29.0], abs=0.15)
