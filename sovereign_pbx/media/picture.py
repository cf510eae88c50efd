"""A picture of a call: both sides' sound on one time axis with what was said, and where each answer's time went.

Needs matplotlib (the extra `plot`), which is imported only here and only when a picture is drawn.
"""

import importlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sovereign_pbx.core.errors import ConfigError
from sovereign_pbx.core.values import TurnRecord
from sovereign_pbx.media.turn_bars import EDGES_IN, draw_bars, height_in, spans
from sovereign_pbx.media.wav import read_wav

_WIDTH_IN: Final = 14.0
_STRIP_IN: Final = 1.75
_HEAD_IN: Final = 0.95
_FOOT_IN: Final = 0.45
_MARGIN_IN: Final = 0.45
_LABELS_IN: Final = 3.3  # what was said, beside the bars
_STRIP_S: Final = 16.0  # fits a sentence's text above its sound
_MOST_STRIPS: Final = 24  # longer calls get longer strips
_COLUMNS: Final = 1500
_CHARACTER_IN: Final = 0.066  # of the 8 point text

_INK: Final = "#1f2933"
_FAINT: Final = "#7b8794"
_RULE: Final = "#e4e7eb"
_CALLER: Final = "#2f6f9f"
_ASSISTANT: Final = "#c8702a"
_WAIT: Final = "#f3d250"
_CUT: Final = "#b3261e"


@dataclass(frozen=True, slots=True)
class _Strip:
    """One line of the picture: the axes, and the seconds of the call that it shows."""

    axes: Any
    start: float
    end: float

    def shows(self, at: float | None) -> bool:
        return at is not None and self.start <= at < self.end


def draw(wav_path: Path | None, turns: Sequence[TurnRecord], out: Path, title: str) -> None:
    """Draw the stereo recording at `wav_path` (caller left, assistant right) with `turns` marked, and below it the
    parts of each answer's wait, as a PNG. Without a recording there are the parts alone.

    Raises ConfigError without matplotlib or where there is nothing to draw, BadInput for a file that is no recording,
    OSError as files do.
    """
    sound = read_wav(wav_path) if wav_path is not None else None
    ends = [turn.ended_at for turn in turns]
    duration = max(sound[1][0].size / sound[0], 1.0) if sound is not None else max(ends, default=0.0)
    if sound is None and not height_in(turns):
        raise ConfigError("there is no recording and no answered turn to draw")
    figure, strips = _layout(duration if sound is not None else 0.0, turns)
    if sound is not None:
        _sound(strips, *sound)
        _speech(strips, turns)
    _head(figure, turns, duration, title, with_sound=sound is not None)
    with warnings.catch_warnings():
        # A script that the font lacks is drawn as boxes; a warning for every letter helps nobody.
        warnings.simplefilter("ignore", UserWarning)
        figure.savefig(out, dpi=110, facecolor="white", format="png")


def _sound(strips: list[_Strip], rate: int, channels: NDArray[np.int16]) -> None:
    caller, assistant = (channels[0], channels[-1]) if len(channels) > 1 else (channels[0], channels[0] * 0)
    for samples, colour, centre in ((caller, _CALLER, 1.05), (assistant, _ASSISTANT, -1.05)):
        loudest = max(int(samples.max(initial=0)), -int(samples.min(initial=0)), 3000)
        for strip in strips:
            _wave(strip, samples[int(strip.start * rate) : int(strip.end * rate)], rate, colour, centre, loudest)


def _speech(strips: list[_Strip], turns: Sequence[TurnRecord]) -> None:
    for strip in strips:
        _marks(strip, turns)
    _texts(strips, [(turn.started_at, turn.said) for turn in turns if turn.said], 2.36, _CALLER)
    _texts(
        strips, [(at, _heard(turn)) for turn in turns if (at := turn.reply_started_at) is not None], -2.5, _ASSISTANT
    )


def _layout(duration: float, turns: Sequence[TurnRecord]) -> tuple[Any, list[_Strip]]:
    """Room for the strips of `duration` seconds (none for 0), and the bars already drawn below them."""
    try:
        matplotlib = importlib.import_module("matplotlib.figure")
    except ImportError as exc:
        raise ConfigError("matplotlib is not installed", remedy="pip install 'sovereign-pbx[plot]'") from exc
    length = max(_STRIP_S, duration / _MOST_STRIPS)
    count = max(1, int(np.ceil(duration / length - 0.02))) if duration else 0
    bars = height_in(turns)
    height = _HEAD_IN + count * _STRIP_IN + bars + _FOOT_IN
    figure = matplotlib.Figure(figsize=(_WIDTH_IN, height))
    strips = []
    for number in range(count):
        bottom = (height - _HEAD_IN - (number + 1) * _STRIP_IN) / height
        left, width = _MARGIN_IN / _WIDTH_IN, 1 - 2 * _MARGIN_IN / _WIDTH_IN
        axes = figure.add_axes((left, bottom, width, _STRIP_IN * 0.86 / height))
        strips.append(_Strip(axes, number * length, (number + 1) * length))
        _frame(strips[-1])
    if bars:
        left = _LABELS_IN / _WIDTH_IN
        width = 1 - left - _MARGIN_IN / _WIDTH_IN
        axes = figure.add_axes((left, _FOOT_IN * 1.2 / height, width, (bars - EDGES_IN) / height))
        draw_bars(axes, turns)
    return figure, strips


def _frame(strip: _Strip) -> None:
    axes = strip.axes
    axes.set_xlim(strip.start, strip.end)
    axes.set_ylim(-2.7, 2.7)
    axes.set_yticks([])
    for side in ("left", "right", "top", "bottom"):
        axes.spines[side].set_visible(False)
    step = next(step for step in (1, 2, 5, 10, 30, 60, 300) if (strip.end - strip.start) / step <= 20)
    ticks = np.arange(np.ceil(strip.start / step) * step, strip.end + 1e-6, step)
    axes.set_xticks(ticks, [f"{int(at) // 60}:{int(at) % 60:02d}" for at in ticks])
    axes.tick_params(axis="x", colors=_FAINT, labelsize=7.5, length=3, color=_RULE, pad=2)
    axes.grid(axis="x", color=_RULE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.axhline(0, color=_RULE, linewidth=0.8)


def _wave(strip: _Strip, piece: NDArray[np.int16], rate: int, colour: str, centre: float, loudest: int) -> None:
    """The outline of one side's sound: lowest and highest sample of each column, scaled so that soft speech shows."""
    if not piece.size:
        return
    edges = np.linspace(0, round((strip.end - strip.start) * rate), _COLUMNS + 1).astype(int)[:-1]
    edges = edges[edges < piece.size]
    level = np.sign(piece) * (np.abs(piece.astype(np.float32)) / loudest) ** 0.6
    low, high = np.minimum.reduceat(level, edges), np.maximum.reduceat(level, edges)
    at = strip.start + edges / rate
    strip.axes.fill_between(at, centre + low, centre + high, color=colour, linewidth=0.3, alpha=0.95)


def _marks(strip: _Strip, turns: Sequence[TurnRecord]) -> None:
    for turn in turns:
        _wait(strip, turn)
        if turn.said and strip.shows(turn.started_at):
            strip.axes.plot([turn.started_at] * 2, [0.05, 2.15], color=_CALLER, linewidth=0.9)
        if turn.interrupted and strip.shows(turn.ended_at):
            strip.axes.plot([turn.ended_at] * 2, [-2.15, 0], color=_CUT, linewidth=1.4)
            strip.axes.text(
                turn.ended_at, -2.1, " interrupted", color=_CUT, fontsize=7.5, va="bottom", fontweight="bold"
            )


def _heard(turn: TurnRecord) -> str:
    return turn.heard + (" —" if turn.interrupted else "")


def _wait(strip: _Strip, turn: TurnRecord) -> None:
    """The pause between the caller's last sound and the assistant's first one, in its parts and with its length."""
    ended, began = turn.speech_ended_at, turn.reply_started_at
    if ended is None or began is None or began <= ended:
        return
    if began <= strip.start or ended >= strip.end:
        return
    parts = spans(turn.timing) if turn.timing is not None else [(0.0, (began - ended) * 1000, _WAIT)]
    for begin, length, colour in parts:
        start, end = ended + begin / 1000, ended + (begin + length) / 1000
        if start < strip.end and end > strip.start:
            strip.axes.axvspan(max(start, strip.start), min(end, strip.end), color=colour, alpha=0.45, linewidth=0)
    if strip.shows(began):
        label = f"{round((began - ended) * 1000)} ms"
        strip.axes.text(began, 0.0, f" {label}", color=_INK, fontsize=8, va="center", ha="left", fontweight="bold")


def _texts(strips: Sequence[_Strip], texts: Sequence[tuple[float, str]], height: float, colour: str) -> None:
    """Each text from its time on, as far as the next one leaves room; what a strip can't hold goes on in the next."""
    followers = [*(at for at, _ in texts), strips[-1].end][1:]
    for (at, text), following in zip(texts, followers, strict=True):
        rest = " ".join(text.split())
        for strip in strips:
            if not rest or strip.end <= at or strip.start >= following:
                continue
            begin = max(at, strip.start)
            here, rest = _split(rest, _room(strip, begin, following), last=following <= strip.end)
            escaped = here.replace("$", r"\$")  # a dollar sign would begin a formula
            strip.axes.text(begin, height, escaped, color=colour, fontsize=8, va="center", ha="left", clip_on=False)


def _room(strip: _Strip, begin: float, following: float) -> int:
    """Characters between two times on a strip."""
    per_second = (_WIDTH_IN - 2 * _MARGIN_IN) / (strip.end - strip.start) / _CHARACTER_IN
    return int((min(following, strip.end) - begin) * per_second) - 1


def _split(text: str, room: int, *, last: bool) -> tuple[str, str]:
    """What fits into `room` characters, at a word's end, and the rest; `last` cuts instead of leaving a rest."""
    if len(text) <= room:
        return text, ""
    if last:
        return text[: max(room - 1, 1)].rsplit(" ", 1)[0].rstrip(" ,.;:") + "…", ""
    at = text.rfind(" ", 0, max(room + 1, 0))
    return (text[:at], text[at + 1 :]) if at > 0 else ("", text)


def _head(figure: Any, turns: Sequence[TurnRecord], duration: float, title: str, *, with_sound: bool) -> None:
    height = figure.get_size_inches()[1]
    left = _MARGIN_IN / _WIDTH_IN
    figure.text(
        left, 1 - 0.34 / height, title.replace("$", r"\$"), fontsize=14, color=_INK, fontweight="bold", va="center"
    )
    figure.text(left, 1 - 0.66 / height, _summary(turns, duration), fontsize=9, color=_FAINT, va="center")
    if not with_sound:
        return
    right = 1 - left
    for text, colour, offset in (
        ("caller", _CALLER, 2.7),
        ("assistant", _ASSISTANT, 1.95),
        ("answer's delay", _WAIT, 0.95),
    ):
        at = right - offset / _WIDTH_IN
        figure.text(at, 1 - 0.34 / height, "■", color=colour, fontsize=10, va="center", ha="right")
        figure.text(at + 0.004, 1 - 0.34 / height, text, color=_INK, fontsize=9, va="center")


def _summary(turns: Sequence[TurnRecord], duration: float) -> str:
    delays = sorted(
        (turn.reply_started_at - turn.speech_ended_at) * 1000
        for turn in turns
        if turn.reply_started_at is not None and turn.speech_ended_at is not None
    )
    parts = [f"{int(duration) // 60}:{int(duration) % 60:02d} min", f"{len(turns)} turns"]
    interrupted = sum(turn.interrupted for turn in turns)
    if interrupted:
        parts.append(f"{interrupted} interrupted")
    if delays:
        parts.append(f"answers after {round(delays[len(delays) // 2])} ms (median), {round(delays[-1])} ms at most")
    return "  ·  ".join(parts)
