"""What a call's incoming sound came to, over every stream and codec that it had."""

from dataclasses import dataclass, replace

from sovereign_pbx.pbx.sip.rtp_voice import Voice
from sovereign_pbx.wire.rtp import Reception


@dataclass(slots=True)
class Account:
    """Sums. Packets: expected, received, lost (in `runs`), twice, late, dropped. Frames: frames, grown, shrunk."""

    expected: int = 0
    received: int = 0
    lost: int = 0
    twice: int = 0
    late: int = 0
    dropped: int = 0
    runs: int = 0
    frames: int = 0
    grown: int = 0
    shrunk: int = 0
    concealed_ms: float = 0.0

    def copy(self) -> "Account":
        return replace(self)

    def add_reception(self, reception: Reception) -> None:
        self.expected += reception.expected
        self.received += reception.received
        self.lost += reception.lost
        self.twice += reception.duplicates

    def add_voice(self, voice: Voice) -> None:
        buffer = voice.buffer
        self.late += buffer.late
        self.dropped += buffer.dropped
        self.runs += buffer.lost_runs
        self.frames += voice.frames
        self.grown += buffer.stretched
        self.shrunk += buffer.shrunk
        self.concealed_ms += voice.concealed_ms
