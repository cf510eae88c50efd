"""Steps are told of once to everybody who listens, and nobody who listens can break one."""

import asyncio

import pytest
import structlog

from sovereign_pbx.calls.trace import Trace, Tracer, log_trace
from sovereign_pbx.core.errors import ProviderError


def watched() -> tuple[Tracer, list[Trace]]:
    tracer, seen = Tracer(), list[Trace]()
    tracer.watch(seen.append)
    return tracer, seen


def test_a_step_is_told_at_its_start_and_with_its_duration_at_its_end() -> None:
    tracer, seen = watched()
    with tracer.step("llm.reply", messages=3):
        pass
    assert [(trace.name, trace.phase, trace.keys) for trace in seen] == [
        ("llm.reply", "started", {"messages": 3}),
        ("llm.reply", "complete", {"messages": 3}),
    ]
    assert seen[0].seconds is None
    assert seen[1].seconds is not None and 0 <= seen[1].seconds < 1


def test_a_failed_step_is_told_with_its_error_which_goes_on() -> None:
    tracer, seen = watched()
    error = ValueError("no")
    with pytest.raises(ValueError, match="no"), tracer.step("tool.call"):
        raise error
    assert (seen[1].phase, seen[1].error) == ("failed", error)


def test_a_cancelled_step_is_no_failure() -> None:
    tracer, seen = watched()
    with pytest.raises(asyncio.CancelledError), tracer.step("llm.reply"):
        raise asyncio.CancelledError
    assert seen[1].phase == "cancelled"


def test_an_event_has_no_duration() -> None:
    tracer, seen = watched()
    tracer.emit("turn", number=1)
    assert seen == [Trace("turn", "event", {"number": 1})]


def test_an_observer_that_fails_breaks_neither_the_step_nor_the_next_observer() -> None:
    tracer = Tracer()
    seen: list[Trace] = []

    def fail(trace: Trace) -> None:
        raise RuntimeError("observer")

    tracer.watch(fail)
    tracer.watch(seen.append)
    with structlog.testing.capture_logs() as lines, tracer.step("a"):
        pass
    assert [trace.phase for trace in seen] == ["started", "complete"]
    assert [line["event"] for line in lines] == ["observer_failed", "observer_failed"]


def test_an_observer_can_leave_and_then_nothing_is_made_for_nobody() -> None:
    tracer = Tracer()
    seen: list[Trace] = []
    leave = tracer.watch(seen.append)
    tracer.emit("one")
    leave()
    tracer.emit("two")
    assert [trace.name for trace in seen] == ["one"]
    assert tracer.step("a") is tracer.step("b")


def test_an_observer_that_leaves_while_it_is_told_disturbs_nobody() -> None:
    tracer = Tracer()
    seen: list[Trace] = []
    leave = tracer.watch(lambda trace: leave())
    tracer.watch(seen.append)
    with tracer.step("a"):
        pass
    assert [trace.phase for trace in seen] == ["started", "complete"]


def test_failures_are_logged_with_what_failed_and_how_long_it_took() -> None:
    tracer = Tracer()
    tracer.watch(log_trace)
    with structlog.testing.capture_logs() as lines:
        with pytest.raises(ProviderError), tracer.step("stt.open", provider="deepgram", secretive=object()):
            raise ProviderError("deepgram", "stt", "refused")
        with pytest.raises(ZeroDivisionError), tracer.step("tool.call"):
            raise ZeroDivisionError
        tracer.emit("turn", turn=1)
    told = [line for line in lines if line["log_level"] != "debug"]
    assert [(line["event"], line["log_level"]) for line in told] == [
        ("stt.open.failed", "warning"),
        ("tool.call.failed", "error"),
    ]
    assert told[0]["error"] == "stt provider deepgram refused"
    assert told[0]["provider"] == "deepgram" and "secretive" not in told[0]
    assert isinstance(told[1]["exc_info"], ZeroDivisionError)
