"""The numbers that are read when somebody asks, rather than counted when something happens."""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


def _number(metric: str, kind: str, text: str) -> float:
    made: float = field(default=0.0, metadata={"metric": metric, "kind": kind, "help": text})
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """Filled by the daemon for each scrape. Counters count from the start of the process."""

    calls_active: float = _number("calls_active", "gauge", "Calls in progress, ringing ones included.")
    ticks_late: float = _number("media_ticks_late", "counter", "Ticks of the media clock that came late.")
    ticks_skipped: float = _number("media_ticks_skipped", "counter", "Ticks given up after a long stall.")
    tick_worst_lag_seconds: float = _number("media_tick_worst_lag_seconds", "gauge", "The latest tick since the start.")
    frames_dropped: float = _number("media_frames_dropped", "counter", "Received frames dropped because they were old.")
    audiosocket_refused: float = _number("audiosocket_refused", "counter", "AudioSocket connections turned away.")
    agi_refused: float = _number("agi_refused", "counter", "FastAGI connections turned away.")
    sip_refused: float = _number("sip_refused", "counter", "SIP calls, and strangers' packets, turned away.")
    calls_held_back: float = _number(
        "calls_held_back", "gauge", "1 while nobody new is taken: the daemon drains, or the machine can't keep up."
    )
    tick_lag_p95_seconds: float = _number(
        "media_tick_lag_p95_seconds", "gauge", "95 % of the media clock's ticks in the last second were not later."
    )
    loop_worst_lag_seconds: float = _number(
        "loop_worst_lag_seconds", "gauge", "Longest wait of a timer of the event loop in the last 30 s."
    )
    loop_tasks: float = _number("loop_tasks", "gauge", "Tasks of the event loop.")
    store_queue: float = _number("store_queue", "gauge", "Writes that are not yet on disk.")
    store_commit_seconds: float = _number("store_commit_seconds", "gauge", "How long the last commit took.")
    webhooks_pending: float = _number("webhooks_pending", "gauge", "Webhooks not yet delivered.")
    webhooks_dead: float = _number("webhooks_dead", "gauge", "Webhooks given up.")
    config_last_reload_successful: float = _number(
        "config_last_reload_successful", "gauge", "Whether the configuration file was good when it was read last."
    )
    config_last_reload_success_timestamp_seconds: float = _number(
        "config_last_reload_success_timestamp_seconds", "gauge", "When the configuration in use was read (Unix time)."
    )
    log_lines_dropped: float = _number("log_lines_dropped", "counter", "Log lines that found no room.")


class VitalsCollector(Collector):
    """Shows the latest Vitals to Prometheus."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.latest = Vitals()

    def collect(self) -> Iterator[Metric]:
        for one in fields(Vitals):
            family = CounterMetricFamily if one.metadata["kind"] == "counter" else GaugeMetricFamily
            name = f"{self._prefix}_{one.metadata['metric']}"
            yield family(name, one.metadata["help"], value=getattr(self.latest, one.name))
