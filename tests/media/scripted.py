"""A link whose frames the test puts in, and a listener that keeps what it was told."""

from collections import deque

from sovereign_pbx.core.audio import frame_bytes
from sovereign_pbx.core.errors import LinkClosed, LinkEnded
from sovereign_pbx.media.link import LinkKind, LinkListener, LinkQuality


class ScriptedLink:
    """Strict as the real ones: refuses frames of the wrong size, sends nothing after its end."""

    kind: LinkKind = "scripted"

    def __init__(self, rate: int = 8000) -> None:
        self.rate = rate
        self.listener: LinkListener | None = None
        self.incoming: deque[bytes] = deque()
        self.sent: list[bytes] = []
        self._ended: LinkEnded | None = None

    def take(self) -> bytes | None:
        return self.incoming.popleft() if self.incoming else None

    def put(self, frame: bytes) -> None:
        assert len(frame) == frame_bytes(self.rate)
        if self._ended is None:
            self.sent.append(frame)

    def flush(self) -> None:
        pass

    def quality(self) -> LinkQuality | None:
        return None

    def close(self) -> None:
        self.end(LinkClosed("closed"))

    def end(self, how: LinkEnded) -> None:
        if self._ended is None:
            self._ended = how
            if self.listener is not None:
                self.listener.ended(how)

    @property
    def ended(self) -> LinkEnded | None:
        return self._ended

    def statistics(self) -> dict[str, int]:
        return {"frames_out": len(self.sent)}


class Diary:
    """A listener that writes down what it is told, and raises where `raises` names the event."""

    def __init__(self, raises: str = "") -> None:
        self.told: list[tuple[str, object]] = []
        self.frames: list[bytes] = []
        self.raises = raises

    def _note(self, name: str, value: object) -> None:
        self.told.append((name, value))
        if name == self.raises:
            raise RuntimeError(f"{name} failed")

    def heard(self, frame: bytes) -> None:
        self.frames.append(frame)
        if self.raises == "heard":
            raise RuntimeError("heard failed")

    def speech_started(self, at: float) -> None:
        self._note("speech_started", at)

    def speech_stopped(self, at: float) -> None:
        self._note("speech_stopped", at)

    def playout_started(self, segment: int) -> None:
        self._note("playout_started", segment)

    def playout_finished(self, segment: int) -> None:
        self._note("playout_finished", segment)

    def line_ended(self, how: LinkEnded) -> None:
        self._note("line_ended", type(how).__name__)

    def digit(self, digit: str) -> None:
        self._note("digit", digit)
