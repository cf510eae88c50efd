import asyncio
import os
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import structlog
from numpy.typing import NDArray

from sovereign_pbx.core.errors import ConfigError
from sovereign_pbx.media import turn
from sovereign_pbx.media.turn import TurnModel

SPEECH = np.random.default_rng(1).standard_normal(16000).astype(np.float32)


class ScriptedSession:
    """Stands in for the model: answers what `answer` says of the features."""

    def __init__(self, answer: Callable[[], float]) -> None:
        self.answer = answer
        self.features: list[NDArray[np.float32]] = []
        self.threads: set[str] = set()

    def run(self, outputs: None, feed: dict[str, NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        (features,) = feed.values()
        assert features.shape == (1, 80, 800) and list(feed) == ["input_features"]
        self.features.append(features)
        self.threads.add(threading.current_thread().name)
        self.priority = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
        return [np.array([[self.answer()]], np.float32)]


def model(monkeypatch: pytest.MonkeyPatch, answer: Callable[[], float], **arguments: float) -> TurnModel:
    monkeypatch.setattr(turn, "_load", lambda path: ScriptedSession(answer))
    return TurnModel(Path("scripted"), **arguments)  # type: ignore[arg-type]  # the keywords are its own


def test_a_score_is_the_models_probability_and_is_made_off_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        turns = model(monkeypatch, lambda: 0.75)
        assert await turns.score(lambda: SPEECH) == 0.75
        session = turns._session
        assert isinstance(session, ScriptedSession)
        assert all(name.startswith("turn-model") for name in session.threads)
        await turns.close()

    asyncio.run(scenario())


@pytest.mark.skipif(sys.platform != "linux", reason="threads have priorities of their own on Linux only")
def test_the_loop_goes_before_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        turns = model(monkeypatch, lambda: 0.5)
        await turns.score(lambda: SPEECH)
        session = turns._session
        assert isinstance(session, ScriptedSession)
        own = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
        assert session.priority == min(own + 10, 19)
        await turns.close()

    asyncio.run(scenario())


def test_the_end_of_the_audio_counts_and_shorter_audio_has_silence_in_front(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        turns = model(monkeypatch, lambda: 0.5)
        session = turns._session
        assert isinstance(session, ScriptedSession)
        long = np.concatenate((np.ones(16000, np.float32), np.tile(SPEECH, 8)))
        await turns.score(lambda: long)
        await turns.score(lambda: np.tile(SPEECH, 8))
        assert (session.features[0] == session.features[1]).all()
        await turns.score(lambda: SPEECH)
        assert session.features[2][0, :, :600].max() < session.features[2][0, :, 720:].max()
        await turns.close()

    asyncio.run(scenario())


def test_a_score_that_comes_too_late_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        go = threading.Event()

        def slow() -> float:
            go.wait(10)
            return 0.9

        turns = model(monkeypatch, slow, timeout_s=0.02)
        assert await turns.score(lambda: SPEECH) is None
        assert turns.statistics()["late"] == 1
        go.set()
        await turns.close()

    asyncio.run(scenario())


def test_when_too_many_wait_the_next_one_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        go = threading.Event()

        def slow() -> float:
            go.wait(10)
            return 0.9

        turns = model(monkeypatch, slow, most_waiting=2, timeout_s=10.0)
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            first = [group.create_task(turns.score(lambda: SPEECH)) for _ in range(2)]
            await asyncio.sleep(0)
            assert await turns.score(lambda: SPEECH) is None
            assert turns.statistics()["refused"] == 1
            go.set()
        assert [task.result() for task in first] == [pytest.approx(0.9)] * 2
        assert await turns.score(lambda: SPEECH) == pytest.approx(0.9)
        await turns.close()

    asyncio.run(scenario())


def test_a_model_that_raises_is_none_and_is_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        def broken() -> float:
            raise RuntimeError("no memory")

        turns = model(monkeypatch, broken)
        with structlog.testing.capture_logs() as logs:
            assert await turns.score(lambda: SPEECH) is None
        assert [entry["event"] for entry in logs] == ["turn_model_failed"]
        assert turns.statistics()["failed"] == 1
        await turns.close()

    asyncio.run(scenario())


def test_closing_gives_up_what_waits_without_cancelling_who_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        go = threading.Event()

        def slow() -> float:
            go.wait(10)
            return 0.9

        turns = model(monkeypatch, slow, timeout_s=10.0)
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            asked = [group.create_task(turns.score(lambda: SPEECH)) for _ in range(3)]
            await asyncio.sleep(0)
            closing = group.create_task(turns.close())
            await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
            go.set()
            await closing
        assert sorted(str(task.result()) for task in asked)[1:] == ["None", "None"]
        assert await turns.score(lambda: SPEECH) is None

    asyncio.run(scenario())


def test_who_is_cancelled_while_waiting_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        go = threading.Event()

        def slow() -> float:
            go.wait(10)
            return 0.9

        turns = model(monkeypatch, slow, timeout_s=10.0)
        task = asyncio.get_running_loop().create_task(turns.score(lambda: SPEECH))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go.set()
        await turns.close()
        assert turns.statistics()["waiting"] == 0

    asyncio.run(scenario())


def test_a_file_that_is_no_model_is_an_error_with_its_remedy(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    with pytest.raises(ConfigError, match="models fetch smart-turn"):
        TurnModel(tmp_path / "bad.onnx")


@pytest.mark.speech
def test_a_finished_sentence_scores_higher_than_the_same_one_cut_in_the_middle() -> None:
    from sovereign_pbx.media.upsample import upsample
    from sovereign_pbx.speech.models import locate
    from tests.media.test_vad_speech import voice

    turns = TurnModel(locate("smart-turn"), timeout_s=10.0)
    pause = np.zeros(1600, "<i2")
    sentences = [np.frombuffer(speech, "<i2") for speech in voice()[2:]]

    async def scenario() -> None:
        whole, cut = [], []
        for samples in sentences:
            whole.append(await turns.score(partial(upsample, np.concatenate((samples, pause)))))
            cut.append(await turns.score(partial(upsample, np.concatenate((samples[: samples.size * 3 // 5], pause)))))
        await turns.close()
        assert np.mean([score or 0 for score in whole]) > np.mean([score or 0 for score in cut]) + 0.3, (whole, cut)

    asyncio.run(scenario())
