"""Every number is there under its documented name."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from sovereign_pbx.api.metrics import PARTS, Metrics
from sovereign_pbx.api.vitals import Vitals
from sovereign_pbx.calls.trace import Tracer
from sovereign_pbx.core.errors import ProviderError, WebhookError
from sovereign_pbx.core.values import TurnRecord, TurnTiming
from sovereign_pbx.webhooks.delivery import Attempt

DOCS = Path(__file__).parents[2] / "docs" / "operations.md"


def samples(metrics: Metrics, vitals: Vitals = Vitals()) -> dict[str, float]:  # noqa: B008 - frozen
    found = {}
    for family in text_string_to_metric_families(metrics.render(vitals).decode()):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def turn(timing: TurnTiming | None, *, interrupted: bool = False) -> TurnRecord:
    return TurnRecord(1, "hello", "hi", 0.0, 1.0, 1.5, 2.0, interrupted, timing)


def test_a_turn_is_counted_with_its_latency_and_each_part_of_it() -> None:
    metrics, tracer = Metrics(), Tracer()
    tracer.watch(metrics.observe)
    timing = TurnTiming(endpointing_ms=400, stt_ms=50, llm_ms=300, tool_ms=0, clause_ms=20, tts_ms=120, link_ms=10)
    tracer.emit("turn", turn=turn(timing, interrupted=True))
    tracer.emit("turn", turn=turn(None))
    found = samples(metrics)
    assert found["sovereign_turns_total"] == 2
    assert found["sovereign_barge_ins_total"] == 1
    assert found["sovereign_turn_latency_seconds_sum"] == pytest.approx(0.9)
    parts = [found[f"sovereign_turn_part_seconds_sum{{part={part}}}"] for part in PARTS]
    assert sum(parts) == pytest.approx(found["sovereign_turn_latency_seconds_sum"])
    assert PARTS == ("endpointing", "stt", "llm", "tool", "clause", "tts", "link")


def test_calls_are_counted_by_how_they_ended() -> None:
    metrics, tracer = Metrics(), Tracer()
    tracer.watch(metrics.observe)
    tracer.emit("ended", reason="user_hangup", seconds=84.0)
    tracer.emit("ended", reason="rejected")
    tracer.emit("refused", offer=None, why="calls")
    tracer.emit("transfer", mode="attended", outcome="declined")
    found = samples(metrics)
    assert found["sovereign_transfers_total{mode=attended,outcome=declined}"] == 1
    assert found["sovereign_calls_total{end_reason=user_hangup}"] == 1
    assert found["sovereign_calls_total{end_reason=rejected}"] == 1
    assert (found["sovereign_call_seconds_count"], found["sovereign_call_seconds_sum"]) == (1, 84)
    assert found["sovereign_calls_refused_total{why=calls}"] == 1


def test_a_failed_step_counts_the_fault_of_its_provider_or_webhook() -> None:
    metrics, tracer = Metrics(), Tracer()
    tracer.watch(metrics.observe)
    with pytest.raises(ProviderError), tracer.step("stt.open"):
        raise ProviderError("deepgram", "stt", "stalled")
    with pytest.raises(WebhookError), tracer.step("tool.call"):
        raise WebhookError("http://x/", "timeout")
    with tracer.step("tool.call"):
        pass
    found = samples(metrics)
    assert found["sovereign_provider_failures_total{kind=stalled,provider=deepgram,stage=stt}"] == 1
    assert found["sovereign_webhook_answer_failures_total{kind=timeout,step=tool.call}"] == 1
    assert found["sovereign_step_seconds_count{outcome=failed,step=tool.call}"] == 1
    assert found["sovereign_step_seconds_count{outcome=complete,step=tool.call}"] == 1


def test_deliveries_are_counted_by_event_and_outcome() -> None:
    metrics = Metrics()
    metrics.webhook(Attempt("status-update", "failed", "timeout", 15.0))
    metrics.webhook(Attempt("status-update", "delivered", "", 0.1))
    found = samples(metrics)
    assert found["sovereign_webhook_deliveries_total{event=status-update,outcome=failed}"] == 1
    assert found["sovereign_webhook_deliveries_total{event=status-update,outcome=delivered}"] == 1
    assert found["sovereign_webhook_delivery_seconds_sum{event=status-update}"] == pytest.approx(15.1)


def test_every_vital_sign_is_shown_as_it_is_now() -> None:
    metrics = Metrics()
    first = Vitals(**{one.name: float(n) for n, one in enumerate(fields(Vitals))})
    found = samples(metrics, first)
    for n, one in enumerate(fields(Vitals)):
        suffix = "_total" if one.metadata["kind"] == "counter" else ""
        assert found[f"sovereign_{one.metadata['metric']}{suffix}"] == n
    assert samples(metrics)["sovereign_calls_active"] == 0


def test_the_process_itself_is_shown() -> None:
    assert samples(Metrics())["process_resident_memory_bytes"] > 0


def test_two_registries_do_not_mix() -> None:
    one, other = Metrics(), Metrics()
    one.call_refused("calls")
    assert "sovereign_calls_refused_total{why=calls}" not in samples(other)


def test_the_documented_metrics_are_the_ones_there_are() -> None:
    text = Metrics().render(Vitals()).decode()
    families = {family.name for family in text_string_to_metric_families(text) if family.name.startswith("sovereign_")}
    documented = set(re.findall(r"^\| `(sovereign_\w+)` \|", DOCS.read_text("utf-8"), re.MULTILINE))
    counters = {name for name in documented if name.endswith("_total")}
    assert documented - counters | {name.removesuffix("_total") for name in counters} == families


def test_the_quality_of_links_is_measured_by_kind_and_what_is_unknown_is_not_counted() -> None:
    metrics, tracer = Metrics(), Tracer()
    tracer.watch(metrics.observe)
    figures = {"codec": "PCMU", "mos": 4.1, "loss_percent": 2.0, "jitter_ms": 30.0, "far_loss_percent": None}
    tracer.emit("media", link="rtp", figures={**figures, "far_jitter_ms": 5.0, "round_trip_ms": None})
    found = samples(metrics)
    assert found["sovereign_media_mos_sum{link=rtp}"] == pytest.approx(4.1)
    assert found["sovereign_media_loss_ratio_sum{direction=in,link=rtp}"] == pytest.approx(0.02)
    assert found["sovereign_media_loss_ratio_count{direction=out,link=rtp}"] == 0
    assert found["sovereign_media_jitter_seconds_sum{direction=in,link=rtp}"] == pytest.approx(0.03)
    assert found["sovereign_media_jitter_seconds_sum{direction=out,link=rtp}"] == pytest.approx(0.005)
    assert found["sovereign_media_round_trip_seconds_count{link=rtp}"] == 0
