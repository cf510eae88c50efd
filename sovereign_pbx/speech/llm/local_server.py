"""The local model's server process: started on first use, shared by every assistant, ended with the last one."""

import json
import os
import secrets
import select
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from sovereign_pbx.core.errors import ConfigError, ProviderError, ProviderFault
from sovereign_pbx.speech.llm.local_turns import RightOfWay

log = structlog.get_logger(__name__)

STOP_S: Final = 3.0
_LINE_LIMIT: Final = 65536


class ServerKey(NamedTuple):
    """What makes two assistants share one server."""

    model_path: str
    threads: int
    prompt_threads: int
    slots: int
    context: int
    cache_mib: int
    nice: int


class LocalServer:
    """One process and its address. Thread-safe; `address` and `stop` block."""

    def __init__(self, key: ServerKey, start_s: float) -> None:
        self._key = key
        self._start_s = start_s
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._address = ""
        self._stopped = False
        self.turns = RightOfWay()
        # Other users of the machine can reach 127.0.0.1 as well: they don't have the key.
        self.api_key = secrets.token_hex(16)

    @property
    def running(self) -> bool:
        """Whether the process lives and has told its address."""
        process = self._process
        return process is not None and bool(self._address) and process.poll() is None

    def address(self) -> str:
        """The base URL, starting the process when it is not running. Raises ProviderError."""
        with self._lock:
            if self._stopped:
                raise _failed("refused", "it was stopped")
            if not self.running:
                self._end()
                self._start()
            return self._address + "/v1"

    def stop(self) -> None:
        """End the process."""
        with self._lock:
            self._stopped = True
            self._end()

    def _start(self) -> None:
        started = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "sovereign_pbx.speech.llm.local_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,  # the terminal's Ctrl-C is for the daemon, which ends its workers itself
        )
        try:
            self._address = self._told(self._process, started + self._start_s)
        except BaseException:
            self._end()
            raise
        log.info("local_model_started", pid=self._process.pid, ms=round((time.monotonic() - started) * 1000))

    def _told(self, process: "subprocess.Popen[str]", deadline: float) -> str:
        """Hand over the settings, wait for the line that says where it listens."""
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(json.dumps({**self._key._asdict(), "api_key": self.api_key}) + "\n")
            process.stdin.flush()
        except OSError as exc:
            raise _failed("refused", "its process ended at once") from exc
        ready, _, _ = select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            raise _failed("stalled", f"the model was not loaded within {self._start_s:g} s")
        line = process.stdout.readline(_LINE_LIMIT)
        try:
            answer = json.loads(line)
        except ValueError as exc:
            raise _failed("denied", f"its process ended with {process.wait(STOP_S)} while it loaded the model") from exc
        if "address" not in answer:
            raise _failed("denied", str(answer.get("error", "no address")))
        return str(answer["address"])

    def _end(self) -> None:
        process, self._process, self._address = self._process, None, ""
        if process is None:
            return
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.close()  # which ends it
        except OSError:
            pass
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def check_model(path: str) -> Path:
    """The model's file; ConfigError when it is none."""
    file = Path(path).expanduser()
    try:
        with file.open("rb") as opened:
            magic = opened.read(4)
    except OSError as exc:
        raise ConfigError(f"{file}: {exc.strerror}", key="model_path", remedy="name a GGUF file") from exc
    if magic != b"GGUF":
        raise ConfigError(f"{file} is not a GGUF file", key="model_path", remedy="name a GGUF file")
    return file


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def _failed(kind: ProviderFault, detail: str) -> ProviderError:
    return ProviderError("local", "llm", kind, detail)


_shared: dict[ServerKey, tuple[LocalServer, int]] = {}
_shared_lock = threading.Lock()


def lease(key: ServerKey, start_s: float) -> LocalServer:
    """The server for `key`; not started yet. Give it back with `release`."""
    with _shared_lock:
        server, users = _shared.get(key) or (LocalServer(key, start_s), 0)
        _shared[key] = (server, users + 1)
        return server


def release(key: ServerKey) -> None:
    """One user less; the last one stops the process, which blocks for up to three seconds."""
    with _shared_lock:
        server, users = _shared[key]
        if users > 1:
            _shared[key] = (server, users - 1)
            return
        del _shared[key]
    server.stop()
