"""Prometheus metrics, in a registry of their own: every name, label and bucket of the project in one place."""

import threading
from collections.abc import Callable, Mapping
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from sovereign_pbx.api.vitals import Vitals, VitalsCollector
from sovereign_pbx.calls.trace import Trace
from sovereign_pbx.core.errors import ProviderError, WebhookError
from sovereign_pbx.core.values import TurnRecord, TurnTiming
from sovereign_pbx.webhooks.delivery import Attempt

PREFIX = "sovereign"

# Where the goals lie (0.5 to 0.8 s for a turn) the buckets are narrow enough to read a p95 from.
_TURN_S = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
_PART_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0, 5.0)
_STEP_S = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0, 30.0)
_MOS = (1.5, 2.0, 2.5, 3.0, 3.3, 3.6, 3.8, 4.0, 4.1, 4.2, 4.3, 4.4)
_LOSS = (0.0, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5)
_JITTER_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2)
_ROUND_TRIP_S = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
_CALL_S = (5, 15, 30, 60, 120, 300, 600, 1200, 3600)

PARTS = tuple(name.removesuffix("_ms") for name in TurnTiming.__dataclass_fields__)
"""The parts of a turn's latency, in their order; together they are the whole."""


class Sound:
    """What networks made of calls, a link at a time. `direction`: "in" is what we heard, "out" what the far end did."""

    def __init__(self, histogram: Callable[..., Histogram]) -> None:
        self._mos = histogram("media_mos", "Quality of links, 1 to 4.5 (ITU-T G.107).", _MOS, "link")
        self._loss = histogram("media_loss_ratio", "Share of sound that was lost.", _LOSS, "link", "direction")
        self._jitter = histogram("media_jitter_seconds", "Jitter of links (RFC 3550).", _JITTER_S, "link", "direction")
        self._round_trip = histogram("media_round_trip_seconds", "Way there and back.", _ROUND_TRIP_S, "link")

    def measured(self, link: str, figures: Mapping[str, Any]) -> None:
        """`figures` as a call's `media_quality`. What is not known is not counted."""
        found = (
            (self._mos.labels(link), "mos", 1),
            (self._loss.labels(link, "in"), "loss_percent", 100),
            (self._loss.labels(link, "out"), "far_loss_percent", 100),
            (self._jitter.labels(link, "in"), "jitter_ms", 1000),
            (self._jitter.labels(link, "out"), "far_jitter_ms", 1000),
            (self._round_trip.labels(link), "round_trip_ms", 1000),
        )
        for histogram, name, scale in found:
            value = figures.get(name)
            if value is not None:
                histogram.observe(value / scale)


class Metrics:
    """Counts what happens. Methods may be called from any thread and cost microseconds.

    `observe` is for `Tracer.watch`, `webhook` for
    `Deliverer(observe=…)`; the rest is for whoever knows.
    """

    def __init__(self) -> None:
        # A `_created` beside each counter doubles the series and says nothing here.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the package left this one unannotated
        self.registry = CollectorRegistry()
        self._vitals = VitalsCollector(PREFIX)
        self.registry.register(self._vitals)
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._rendering = threading.Lock()
        self._calls = self._counter("calls", "Calls that ended, by reason.", "end_reason")
        self._call_s = self._histogram("call_seconds", "Length of answered calls.", _CALL_S)
        self._refused = self._counter("calls_refused", "Callers for whom there was no room.", "why")
        self._turns = self._counter("turns", "Turns of conversations.")
        self._turn_s = self._histogram(
            "turn_latency_seconds", "From the caller's last word to the first answer.", _TURN_S
        )
        self._part_s = self._histogram(
            "turn_part_seconds", "The parts of turn latency; their sum is the whole.", _PART_S, "part"
        )
        self._barge_ins = self._counter("barge_ins", "Turns in which the caller interrupted the assistant.")
        self._faults = self._counter("provider_failures", "Failures of providers.", "stage", "provider", "kind")
        self._answers = self._counter("webhook_answer_failures", "Webhooks that gave no usable answer.", "step", "kind")
        self._guesses = self._counter("speculative_replies", "Answers begun before a turn was decided.", "outcome")
        self._waste = self._counter("speculation_waste", "What dropped ones took; tokens partly estimated.", "unit")
        self._step_s = self._histogram("step_seconds", "Steps of calls.", _STEP_S, "step", "outcome")
        self._transfers = self._counter("transfers", "Attempts to put a caller through.", "mode", "outcome")
        self._sound = Sound(self._histogram)
        self._sent = self._counter("webhook_deliveries", "Attempts to deliver a webhook.", "event", "outcome")
        self._sent_s = self._histogram("webhook_delivery_seconds", "Length of attempts.", _STEP_S, "event")
        for part in PARTS:
            self._part_s.labels(part)

    # --- what happens

    def observe(self, trace: Trace) -> None:
        """A step's end, or one of the events `turn` (turn=TurnRecord), `refused` (why=…), `transfer` (mode=…,
        outcome=…), `media` (link=…, figures=…), `ended` (reason=…, seconds=…)."""
        if trace.phase == "event":
            self._event(trace)
        elif trace.seconds is not None:
            self._step_s.labels(trace.name, trace.phase).observe(trace.seconds)
            if isinstance(trace.error, ProviderError):
                self.provider_failed(trace.error)
            elif isinstance(trace.error, WebhookError):
                self._answers.labels(trace.name, trace.error.kind).inc()

    def call_ended(self, reason: str, seconds: float | None = None) -> None:
        """`seconds`: how long the conversation was; None if it was never answered."""
        self._calls.labels(reason).inc()
        if seconds is not None:
            self._call_s.observe(seconds)

    def call_refused(self, why: str) -> None:
        self._refused.labels(why).inc()

    def turn_closed(self, turn: TurnRecord) -> None:
        self._turns.inc()
        if turn.interrupted:
            self._barge_ins.inc()
        if turn.timing is None:
            return
        self._turn_s.observe(turn.timing.total_ms / 1000)
        for part in PARTS:
            self._part_s.labels(part).observe(getattr(turn.timing, f"{part}_ms") / 1000)

    def provider_failed(self, error: ProviderError) -> None:
        self._faults.labels(error.stage, error.provider, error.kind).inc()

    def webhook(self, attempt: Attempt) -> None:
        self._sent.labels(attempt.event, attempt.outcome).inc()
        self._sent_s.labels(attempt.event).observe(attempt.seconds)

    # --- what is shown

    def render(self, vitals: Vitals) -> bytes:
        """The text format. Takes milliseconds: call it in a thread."""
        with self._rendering:  # one scrape's vitals must not appear in another's answer
            self._vitals.latest = vitals
            return generate_latest(self.registry)

    def _event(self, trace: Trace) -> None:
        if trace.name == "turn":
            self.turn_closed(trace.keys["turn"])
        elif trace.name == "speculation":
            self._speculated(trace.keys)
        elif trace.name == "speculation.spoken":
            self._waste.labels("characters").inc(trace.keys["characters"])
        elif trace.name == "refused":
            self.call_refused(trace.keys["why"])
        elif trace.name == "transfer":
            self._transfers.labels(trace.keys["mode"], trace.keys["outcome"]).inc()
        elif trace.name == "media":
            self._sound.measured(trace.keys["link"], trace.keys["figures"])
        elif trace.name == "ended":
            self.call_ended(trace.keys["reason"], trace.keys.get("seconds"))

    def _speculated(self, keys: Mapping[str, Any]) -> None:
        self._guesses.labels(keys["outcome"]).inc()
        if keys["outcome"] == "dropped":
            self._waste.labels("input_tokens").inc(keys["input"])
            self._waste.labels("output_tokens").inc(keys["output"])

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"{PREFIX}_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"{PREFIX}_{name}", text, labels, buckets=buckets, registry=self.registry)
