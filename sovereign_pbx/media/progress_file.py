"""How far ffmpeg is, from the file that its `-progress` writes."""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_LOOK_S: Final = 0.2
_TIME: Final = re.compile(rb"^out_time_us=(\d+)\s*$", re.MULTILINE)
_TAIL: Final = 4096


@contextmanager
def told_by(path: Path, progress: Callable[[float], None] | None) -> Iterator[Path]:
    """While the block runs, tell `progress` (on a thread) how many seconds are done, and the last of it at the end."""
    if progress is None:
        yield path
        return
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_LOOK_S):
            progress(done_s(path))

    watcher = threading.Thread(target=watch, name="ffmpeg-progress", daemon=True)
    watcher.start()
    try:
        yield path
    finally:
        over.set()
        watcher.join()
        progress(done_s(path))


def done_s(path: Path) -> float:
    """Seconds of sound written so far; 0 where nothing is known."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL))
            found = _TIME.findall(file.read(_TAIL))
    except OSError:
        return 0.0
    return int(found[-1]) / 1e6 if found else 0.0
