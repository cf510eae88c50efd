"""The times of RFC 3261 §17, in seconds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timers:
    """`t1`: a round trip, as it is supposed; `t2`: the longest pause between repetitions; `t4`: the longest that a
    message stays in the network."""

    t1: float = 0.5
    t2: float = 4.0
    t4: float = 5.0
    trying: float = 0.2  # a server that has nothing better to say by then sends 100 (§17.2.1)
    ringing: float = (
        300.0  # §16.6: a proxy's timer C is above three minutes; what rings longer was forgotten by its owner
    )

    @property
    def life(self) -> float:
        """Timers B, D, F, H, J and L: 64 T1."""
        return 64 * self.t1
