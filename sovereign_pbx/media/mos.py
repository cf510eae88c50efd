"""How good a call sounds, from what the network did to it: the E-model.

R = 93.2 - Id - Ie,eff (ITU-T G.107, every parameter but delay and loss at its default), with
Id by the approximation of Cole and Rosenbluth ("Voice over IP performance monitoring", 2001), Ie,eff by G.107 (7-29),
and R turned into MOS by G.107 annex B.

The scale is that of narrowband telephony for every codec, so that links can be compared: G.722 and L16 count as
undistorted, which G.711 is on this scale by definition. How much better wideband sounds it can't tell; that would be
G.107.1's own scale, whose figures must not be set beside these.
"""

from typing import Final

DEFAULT_R: Final = 93.2
# ITU-T G.113 appendix I: equipment impairment, and robustness against loss with concealment.
_EQUIPMENT: Final = 0.0
_ROBUSTNESS: Final = 25.1


def rating(loss_percent: float, burstiness: float, delay_ms: float) -> float:
    """The transmission rating R, 0 to 93.2.

    `burstiness`: how much longer runs of lost packets are than by chance, 1 at least (G.107's BurstR).
    `delay_ms`: one way, mouth to ear.
    """
    loss = min(100.0, max(0.0, loss_percent))
    delay = max(0.0, delay_ms)
    impairment = 0.024 * delay + 0.11 * max(0.0, delay - 177.3)
    lossy = _EQUIPMENT
    if loss:
        lossy += (95 - _EQUIPMENT) * loss / (loss / max(1.0, burstiness) + _ROBUSTNESS)
    return min(DEFAULT_R, max(0.0, DEFAULT_R - impairment - lossy))


def mos(loss_percent: float, burstiness: float, delay_ms: float) -> float:
    """1 (unusable) to 4.5."""
    r = rating(loss_percent, burstiness, delay_ms)
    # The polynomial dips below 1 for R under 6.5.
    return max(1.0, 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6)


def burstiness(lost: int, runs: int, expected: int) -> float:
    """BurstR of `lost` packets in `runs` runs among `expected`: the mean run over the mean run of random loss."""
    if not lost or not runs or expected <= lost:
        return 1.0
    return max(1.0, lost / runs * (1 - lost / expected))
