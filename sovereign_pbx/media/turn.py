"""Has the caller finished, or only paused? A small acoustic model listens to how the last words were said.

The model is Smart Turn v3 (BSD-2-Clause, weights by Daily; see THIRD-PARTY). One answer costs about 50 ms of CPU, so
it runs on a thread of its own, and an answer that would come too late is not waited for.
"""

import asyncio
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime
import structlog
from numpy.typing import NDArray

from sovereign_pbx.core.errors import ConfigError
from sovereign_pbx.media.log_mel import RATE, log_mel

log = structlog.get_logger(__name__)

THREAD_NAME: Final = "turn-model"
WINDOW_S: Final = 8.0
_NICE: Final = 10
_SAMPLES: Final = int(WINDOW_S * RATE)


class TurnModel:
    """Scores ends of turns for all calls, `threads` at a time.

    Bounded: when `most_waiting` scores are under way, or one is not there within `timeout_s`, the answer is None and
    the turn policy decides without it. Making one loads 9 MB and warms up (about 0.3 s): not on a running loop.
    """

    def __init__(self, model_path: Path, *, threads: int = 1, most_waiting: int = 8, timeout_s: float = 0.5) -> None:
        self._session = _load(model_path)
        self._timeout_s = timeout_s
        self._most_waiting = most_waiting
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=THREAD_NAME, initializer=_step_back)
        self._lock = threading.Lock()
        self._waiting = 0
        self._closed = False
        self._scored = self._refused = self._late = self._failed = 0
        self._costs_ms: deque[float] = deque(maxlen=256)

    async def score(self, audio16k: Callable[[], NDArray[np.float32]]) -> float | None:
        """The probability that the utterance at the end of `audio16k` is complete, or None for want of time.

        `audio16k` is called on the model's thread and returns 16 kHz float in [-1, 1]; its last 8 s count.
        """
        future = self._submit(audio16k)
        if future is None:
            return None
        try:
            async with asyncio.timeout(self._timeout_s):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            self._late += 1
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise  # else it is `close` that gave this score up
        except Exception as exc:
            self._failed += 1
            log.warning("turn_model_failed", error=str(exc))
        return None

    def _submit(self, audio: Callable[[], NDArray[np.float32]]) -> Future[float] | None:
        with self._lock:
            if self._closed or self._waiting >= self._most_waiting:
                self._refused += 1
                return None
            self._waiting += 1
            future = self._pool.submit(self._judge, audio)
        future.add_done_callback(self._done)
        return future

    def _done(self, _: Future[float]) -> None:
        with self._lock:
            self._waiting -= 1

    def _judge(self, audio: Callable[[], NDArray[np.float32]]) -> float:
        began = time.perf_counter()
        probability = _run(self._session, audio())
        with self._lock:
            self._scored += 1
            self._costs_ms.append((time.perf_counter() - began) * 1000)
        return probability

    async def close(self) -> None:
        """Let go of the threads; scores that wait are given up."""
        with self._lock:
            self._closed = True
        await asyncio.to_thread(self._pool.shutdown, wait=True, cancel_futures=True)

    def statistics(self) -> dict[str, float]:
        """scored, refused (queue full), late (past the deadline), failed, waiting, median_ms of a score."""
        costs = sorted(self._costs_ms) or [0.0]
        return {
            "scored": self._scored,
            "refused": self._refused,
            "late": self._late,
            "failed": self._failed,
            "waiting": self._waiting,
            "median_ms": costs[len(costs) // 2],
        }


def _step_back() -> None:
    """Give the thread its name (for `top -H` and the bench), and the loop the right of way.

    A score may come 20 ms later, a frame may not: with a processor contended for, ticks of the media clock came 16 to
    35 ms late (p95) beside a thread that runs at +10, and 36 to 70 ms beside one that does not.
    """
    if sys.platform == "linux":  # elsewhere a priority is a process's, not a thread's
        with suppress(OSError):
            Path("/proc/thread-self/comm").write_text(THREAD_NAME, "ascii")
            thread = threading.get_native_id()
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + _NICE)


def _load(model_path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(str(model_path), options, providers=["CPUExecutionProvider"])
        _run(session, np.zeros(_SAMPLES, dtype=np.float32))
    except Exception as exc:  # onnxruntime raises its own, undocumented errors
        raise ConfigError(
            f"turn model {model_path} can't be used: {exc}",
            remedy="fetch it again: sovereign-pbx models fetch smart-turn",
        ) from exc
    return session


def _run(session: onnxruntime.InferenceSession, audio: NDArray[np.float32]) -> float:
    window = np.zeros(_SAMPLES, dtype=np.float32)
    recent = audio[-_SAMPLES:]
    window[_SAMPLES - recent.size :] = recent  # the model was trained with the silence in front
    (probability,) = session.run(None, {"input_features": log_mel(window)[None]})
    return float(probability[0, 0])
