"""What the network made of a call's sound: asked of each of its links when it ends, told, and kept with the call.

A call has several links where its caller came back from a transfer. It keeps the figures of the worst one, with their
number: figures that are mixed belong to no sound that anybody has heard, and it is the worst that is complained about.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

import structlog

from sovereign_pbx.calls.trace import Tracer
from sovereign_pbx.media.line import Line
from sovereign_pbx.media.link import LinkQuality, MediaLink

log = structlog.get_logger(__name__)

POOR_MOS: Final = 3.0  # below it half of all people or more call a connection poor (ITU-T G.107, annex B)
LEAST_S: Final = 2.0  # a hundred frames; of fewer a late one at the beginning decides the figures

# From where on a figure alone is heard: what an administrator looks at when calls sound bad.
_LOSS_PERCENT: Final = 2.0
_JITTER_MS: Final = 30.0
_ROUND_TRIP_MS: Final = 300.0
_SILENT: Final = (
    "not a single packet came from the PBX: a firewall on the way, or an address that it can't reach"
    " (sip.advertise_host, asterisk.advertise_host)"
)
_UNKNOWN: Final = "neither loss nor delay explains it: compare with a call from the same telephone to another number"


class MediaQuality:
    """Of one call. `line_over` for each line that it had; `shown` is what its row says. `expects`: the caller is to be
    heard, and not only spoken to."""

    def __init__(self, tracer: Tracer, *, expects: bool = True) -> None:
        self._tracer = tracer
        self._expects = expects
        self._known: list[MediaLink] = []
        self._links: list[tuple[float, dict[str, Any]]] = []

    def line_over(self, line: Line) -> None:
        """Told twice, it counts once."""
        if any(known is line.link for known in self._known):
            return
        self._known.append(line.link)
        found = told(line, self._tracer, expects=self._expects)
        if found is not None:
            self._links.append((line.seconds, found))

    @property
    def shown(self) -> dict[str, Any] | None:
        """The worst link's figures, unknown ones None; None where no link knew anything. A link of less than two
        seconds counts where there is no other."""
        lasting = [found for seconds, found in self._links if seconds >= LEAST_S]
        figures = lasting or [found for _, found in self._links]
        if not figures:
            return None
        return {**min(figures, key=lambda found: float(found["mos"])), "links": len(self._links)}


def told(line: Line, tracer: Tracer, *, expects: bool = True) -> dict[str, Any] | None:
    """What the link of a line that is over knows of its sound, logged and told to observers; None: nothing.

    Where nothing has come there is nothing to judge, and a call of two seconds ought to have brought something.
    """
    link, seconds = line.link, line.seconds
    if not line.heard_s:
        if expects and seconds >= LEAST_S:
            log.warning("media.one_way", link=link.kind, seconds=round(seconds, 1), look_at=_SILENT)
        return None
    quality = link.quality()
    if quality is None or not math.isfinite(quality.mos):
        return None
    figures = figures_of(quality)
    tracer.emit("media", link=link.kind, figures=figures)
    log.info("media.quality", link=link.kind, **figures)
    if quality.mos < POOR_MOS and seconds >= LEAST_S:
        log.warning("media.poor", link=link.kind, mos=figures["mos"], look_at=look_at(quality))
    return {"link": link.kind, **figures}


def figures_of(quality: LinkQuality) -> dict[str, Any]:
    """By the names of LinkQuality, rounded; None: not known."""
    return {
        name: _rounded(value, 2 if name == "mos" else 1) if isinstance(value, float | int) else value
        for name, value in asdict(quality).items()
    }


def _rounded(value: float, places: int) -> float | None:
    return round(float(value), places) if math.isfinite(value) else None


def look_at(quality: LinkQuality) -> str:
    """Where an administrator begins."""
    found = [
        (quality.loss_percent, _LOSS_PERCENT, "sound is lost or too late on its way from the PBX to this machine"),
        (quality.far_loss_percent, _LOSS_PERCENT, "the PBX does not get all that this machine sends"),
        (quality.jitter_ms, _JITTER_MS, "what the PBX sends comes unevenly: [sip] jitter_max_ms, and the load of both"),
        (quality.far_jitter_ms, _JITTER_MS, "what this machine sends reaches the PBX unevenly: the load of both"),
        (quality.round_trip_ms, _ROUND_TRIP_MS, "the way to the PBX is long"),
    ]
    causes = [text for value, limit, text in found if value is not None and value >= limit]
    return "; ".join(causes) or _UNKNOWN


def in_a_line(shown: Mapping[str, Any]) -> str:
    """For people: `MOS 4.2 (PCMU over rtp): 0.4 % lost, jitter 3 ms, …`; what is not known is left out."""
    parts = [
        _part(shown, "loss_percent", "{:g} % lost"),
        _part(shown, "jitter_ms", "jitter {:g} ms"),
        _part(shown, "delay_ms", "kept back {:g} ms"),
        _part(shown, "concealed_ms", "{:g} ms made up"),
        _part(shown, "far_loss_percent", "{:g} % lost at the far end"),
        _part(shown, "far_jitter_ms", "its jitter {:g} ms"),
        _part(shown, "round_trip_ms", "round trip {:g} ms"),
    ]
    several = f"; the worst of {shown['links']} links" if (shown.get("links") or 1) > 1 else ""
    figures = ", ".join(part for part in parts if part)
    return f"MOS {shown.get('mos')} ({shown.get('codec')} over {shown.get('link')}): {figures}{several}"


def _part(shown: Mapping[str, Any], name: str, form: str) -> str:
    value = shown.get(name)
    return form.format(value) if isinstance(value, float | int) else ""
