"""One call's recording: begun when the caller may be recorded, paused by whoever asks for it, and accounted for."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

from sovereign_pbx.core.errors import Refused
from sovereign_pbx.media.recorder import Recorder
from sovereign_pbx.media.recording_file import PLAIN, SEALED
from sovereign_pbx.media.recording_writer import RecordingInfo

By = Literal["api", "tool", "keys"]
Note = Callable[[str, Mapping[str, Any]], None]

PAUSED: Final = "The recording is paused. Nothing of what is said now is kept in it."
GOES_ON: Final = "The recording goes on."
NOT_RECORDED: Final = "This call is not being recorded."
CUT_SHORT: Final = "the daemon was stopped during the call"
NOT_AGREED: Final = "the caller did not agree to be recorded"


class CallRecording:
    """`folder` None: the call is not recorded. `keys`: whom the file is encrypted for. `note`: an event for the call's
    history."""

    def __init__(
        self, call_id: str, folder: Path | None, *, keys: Sequence[bytes] = (), asks: bool = False, note: Note
    ) -> None:
        self.recorder: Recorder | None = None
        self._call_id = call_id
        self._folder = folder
        self._keys = keys
        self._asks = asks  # and only begins when the caller has agreed
        self._note = note
        self._wanted = False  # paused, by the model or by an order
        self._concealed = False  # paused, for keys

    def begin(self, rate: int) -> Recorder | None:
        """From the next tick on. None where the call is not recorded."""
        if self._folder is not None and self.recorder is None:
            name = f"{self._call_id}{SEALED if self._keys else PLAIN}"
            self.recorder = Recorder(self._folder / name, rate, recipients=self._keys)
        return self.recorder

    @property
    def active(self) -> bool:
        """Is there a recording that could be paused?"""
        return self.recorder is not None and not self.recorder.error

    def order(self, paused: bool) -> None:
        """The control API's. Raises Refused `not_recorded`."""
        if not self.active:
            raise Refused("not_recorded", "the call is not being recorded")
        self._wanted = paused
        self._apply("api")

    def ask(self, paused: bool) -> str:
        """The model's; what it is told."""
        if not self.active:
            return NOT_RECORDED
        self._wanted = paused
        self._apply("tool")
        return PAUSED if paused else GOES_ON

    def conceal(self, on: bool) -> None:
        """The caller keys in what nobody may know. An order to resume does not end that."""
        self._concealed = on
        if self.active:
            self._apply("keys")

    def _apply(self, by: By) -> None:
        recorder = self.recorder
        paused = self._wanted or self._concealed
        if recorder is None or recorder.paused == paused:
            return
        if paused:
            recorder.pause()
        else:
            recorder.resume()
        self._note("recording.paused" if paused else "recording.resumed", {"by": by, "at_s": recorder.position_s})

    async def close(self) -> tuple[str | None, dict[str, Any] | None]:
        """(path of the file, what the call's row says of it); (None, None) where the call was not to be recorded."""
        if self._folder is None:
            return None, None
        if self.recorder is None:
            return None, ({"error": NOT_AGREED} if self._asks else None)
        saved = await self.recorder.close()
        kept = str(saved.path) if saved.sha256 and saved.duration_s else None
        return kept, details_of(saved, sealed=bool(self._keys))


def left_behind(folder: Path | None, call_id: str) -> tuple[str | None, dict[str, Any] | None]:
    """What a killed daemon had recorded of the call: (path, what its row is to say). Blocks."""
    if folder is None:
        return None, None
    for ending in (PLAIN, SEALED):
        path = folder / f"{call_id}{ending}"
        if path.is_file():
            known = {"format": "wav", "encrypted": ending == SEALED, "bytes": path.stat().st_size}
            return str(path), {**known, "error": CUT_SHORT}
    return None, None


def details_of(saved: RecordingInfo, *, sealed: bool) -> dict[str, Any]:
    """What a row says of its recording: all that a lawyer asks for beside the sound."""
    details: dict[str, Any] = {
        "format": "wav",
        "encrypted": sealed,
        "duration_seconds": round(saved.duration_s, 2),
        "paused_seconds": saved.paused_s,
        "bytes": saved.bytes,
        "sha256": saved.sha256 or None,
    }
    return {**details, "error": saved.error} if saved.error else details
