"""Recordings become what `[recording] format` says, one after the other and in a process of their own, when their calls
are over. The WAV stays until the new file has been read back and is in the books.

There is no queue that could be lost: what is still to be done is what still lies in the folder as WAV.
"""

import asyncio
import contextlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec
import structlog

from sovereign_pbx.calls.recording_files import call_of
from sovereign_pbx.core.errors import SovereignError
from sovereign_pbx.media.recording_export import Format
from sovereign_pbx.media.recording_file import PLAIN
from sovereign_pbx.store import CallRow

log = structlog.get_logger(__name__)

LOOK_S: Final = 15.0
_LEAST_S: Final = 60.0  # and a quarter of the recording's length, on a machine that is busy with calls
_WORKER: Final = "sovereign_pbx.calls.recording_worker"


class Calls(Protocol):
    """As much of the store as is needed."""

    async def call(self, call_id: str) -> CallRow | None: ...

    async def change_call(self, call_id: str, changes: Mapping[str, Any]) -> None: ...


class Converter:
    """Converts what is in `folder`. `run` is its life. A recording that can't be converted stays as it is, its row says
    why, and it is tried again when the daemon starts anew."""

    def __init__(
        self, calls: Calls, folder: Path, to: Format, *, bitrate_kbps: int = 0, look_s: float = LOOK_S
    ) -> None:
        self._calls = calls
        self._folder = folder
        self._to = to
        self._bitrate_kbps = bitrate_kbps
        self._look_s = look_s
        self._given_up: set[Path] = set()

    async def run(self) -> None:
        """Look for work now and then, until cancelled."""
        while True:
            try:
                await self.convert_all()
            except (SovereignError, OSError) as exc:  # the disk or the database may be well again soon
                log.warning("recordings.not_converted", error=str(exc))
            await asyncio.sleep(self._look_s)

    async def convert_all(self) -> int:
        """Convert what is ready; how many were. Raises OSError, StoreError."""
        done = 0
        for source in await asyncio.to_thread(lambda: sorted(self._folder.glob(f"*{PLAIN}"))):
            if source not in self._given_up and await self._attend(source):
                done += 1
        return done

    async def _attend(self, source: Path) -> bool:
        row = await self._calls.call(call_of(source.name))
        if row is None or row.recording is None or not row.recording_path:
            return False  # goes on, or is nobody's
        if Path(row.recording_path).name != source.name:
            await self._tidy(source, Path(row.recording_path))
            return False
        if not row.recording.get("sha256"):
            return False
        target = source.with_suffix(f".{self._to}")
        made = await self._made(source, target, float(row.recording.get("duration_seconds") or 0.0))
        if "error" in made:
            self._given_up.add(source)
            log.error("recording.not_converted", call_id=row.id, path=str(source), error=made["error"])
            await self._calls.change_call(row.id, {"recording": {**row.recording, "conversion_error": made["error"]}})
            return False
        about = {key: value for key, value in row.recording.items() if key != "conversion_error"}
        about |= {"format": self._to, "sha256": made["sha256"], "bytes": made["bytes"]}
        about["original_sha256"] = row.recording["sha256"]
        await self._calls.change_call(row.id, {"recording_path": str(target), "recording": about})
        await asyncio.to_thread(source.unlink, missing_ok=True)
        log.info("recording.converted", call_id=row.id, path=str(target), bytes=made["bytes"])
        return True

    async def _tidy(self, source: Path, kept: Path) -> None:
        """A daemon that was killed between the books and the disk has left the WAV behind."""
        if await asyncio.to_thread(source.with_name(kept.name).is_file):
            await asyncio.to_thread(source.unlink, missing_ok=True)

    async def _made(self, source: Path, target: Path, seconds: float) -> dict[str, Any]:
        order = {"source": str(source), "target": str(target), "format": self._to, "bitrate_kbps": self._bitrate_kbps}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", _WORKER),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        within_s = _LEAST_S + seconds / 4
        try:
            async with asyncio.timeout(within_s):
                answer, _ = await process.communicate(msgspec.json.encode(order))
            made = msgspec.json.decode(answer)
            return made if isinstance(made, dict) else {"error": "the converting process answered nonsense"}
        except TimeoutError:
            return {"error": f"it took longer than {within_s:.0f} s"}
        except msgspec.DecodeError:
            return {"error": f"the converting process ended with {process.returncode} and said nothing"}
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
