"""What the bench makes of what its callers met."""

import math
import os
import time

from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.commands.bench.load import Outcome, Spoken, work_out
from sovereign_pbx.commands.bench.process import Cpu, cpu_of, idle_seconds
from sovereign_pbx.commands.bench.signs import PROVIDERS_MS, percentile, signs_of
from sovereign_pbx.commands.bench.table import ROWS, SCRIPTED, markdown
from sovereign_pbx.testing.audiosocket_caller import CallerReport
from sovereign_pbx.testing.heard import Sound
from sovereign_pbx.testing.utterance import Utterance


def spoken(start: float, end: float, *, interrupts: bool = False) -> Spoken:
    utterance = Utterance(b"")
    utterance.started_at, utterance.ended_at = start, end
    return Spoken(utterance, interrupts)


def outcome(*said: Spoken, sounds: tuple[Sound, ...]) -> Outcome:
    found = Outcome()
    work_out(said, sounds, found)
    return found


def report(**changes: float) -> CallerReport:
    values = {"burst": 1, "hole_ms": 21.0, "real_time_ratio": 1.0, **changes}
    return CallerReport(
        decision_ms=1.0,
        first_frame_ms=4.0,
        first_sound_ms=values.get("first_sound_ms", 5.0),
        frames_sent=100,
        frames_heard=100,
        burst=int(values["burst"]),
        hole_ms=values["hole_ms"],
        real_time_ratio=values["real_time_ratio"],
        late_payloads=0,
        odd_frames=0,
        ending=None,
    )


# --- percentiles


def test_half_of_six_values_lie_at_or_below_the_median() -> None:
    assert percentile([6, 5, 4, 3, 2, 1], 0.5) == 3
    assert percentile([1, 2, 3, 4], 0.5) == 2
    assert percentile([], 0.5) is None


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200), st.integers(1, 100))
def test_a_percentile_is_the_least_value_with_that_share_at_or_below_it(values: list[float], hundredths: int) -> None:
    found = percentile(values, hundredths / 100)
    assert found in values
    assert found is not None
    needed = math.ceil(hundredths * len(values) / 100)
    assert sum(value <= found for value in values) >= needed
    assert sum(value < found for value in values) < needed


# --- one caller


def test_an_answer_is_waited_for_from_the_last_word_to_the_first_sound() -> None:
    found = outcome(spoken(1.0, 2.0), sounds=(Sound(0.0, 0.9), Sound(2.75, 6.0)))
    assert [round(ms) for ms in found.latencies_ms] == [750]
    assert found.unanswered == 0


def test_a_question_without_an_answer_in_time_is_unanswered() -> None:
    found = outcome(spoken(1.0, 2.0), spoken(11.0, 12.0), sounds=(Sound(7.0, 8.0), Sound(12.8, 14.0)))
    assert found.unanswered == 1
    assert [round(ms) for ms in found.latencies_ms] == [800]


def test_what_never_left_is_not_counted() -> None:
    assert outcome(Spoken(Utterance(b"")), sounds=()) == Outcome()


def test_an_interruption_is_measured_to_the_end_of_what_it_interrupted_and_answered_like_any_question() -> None:
    found = outcome(spoken(3.0, 4.0, interrupts=True), sounds=(Sound(2.0, 3.12), Sound(4.7, 6.0)))
    assert [round(ms) for ms in found.cuts_ms] == [120]
    assert [round(ms) for ms in found.latencies_ms] == [700]
    assert found.not_cut == 0


def test_an_assistant_that_speaks_on_was_not_cut() -> None:
    found = outcome(spoken(3.0, 4.0, interrupts=True), sounds=(Sound(2.0, 4.5),))
    assert (found.not_cut, found.cuts_ms) == (1, [])


def test_an_interruption_into_a_pause_cuts_nothing() -> None:
    found = outcome(spoken(3.0, 4.0, interrupts=True), sounds=(Sound(1.0, 2.9), Sound(4.7, 6.0)))
    assert (found.not_cut, found.cuts_ms) == (0, [])


# --- all callers


def test_the_worst_caller_speaks_for_bursts_holes_and_pace() -> None:
    callers = [Outcome(report=report()), Outcome(report=report(burst=3, hole_ms=60.0, real_time_ratio=0.98))]
    signs = signs_of(2, callers, cpu=Cpu(), memory_mb=1.0)
    assert (signs.worst_burst, signs.worst_hole_ms, signs.real_time_ratio) == (3, 60.0, 0.98)


def test_whoever_was_refused_lost_unanswered_or_not_silenced_shows() -> None:
    assert not signs_of(1, [Outcome(report=report(), latencies_ms=[750.0])], cpu=Cpu(), memory_mb=0.0).lost
    for bad in (Outcome(refused=True), Outcome(lost=True), Outcome(unanswered=1), Outcome(not_cut=1)):
        assert signs_of(1, [bad], cpu=Cpu(), memory_mb=0.0).lost


def test_the_overhead_is_what_the_vendors_did_not_take() -> None:
    signs = signs_of(1, [Outcome(latencies_ms=[PROVIDERS_MS + 30])], cpu=Cpu(), memory_mb=0.0)
    assert signs.overhead(signs.turn_p50_ms) == 30
    assert signs.as_json()["overhead_p95_ms"] == 30


def test_the_threads_are_the_whole() -> None:
    signs = signs_of(10, [], cpu=Cpu(whole=0.5, loop=0.25, turn_model=0.2), memory_mb=5.0)
    assert round(signs.other_threads, 6) == 0.05
    told = signs.as_json()
    assert round(told["cpu_per_call"], 6) == 0.05
    assert round(told["cpu_per_call_without_turn_model"], 6) == 0.03
    assert told["memory_per_call_mb"] == 0.5


def test_nobody_heard_anything_is_a_table_too() -> None:
    signs = signs_of(1, [Outcome(refused=True)], cpu=Cpu(), memory_mb=0.0)
    text = markdown([signs], {1: 0.001}, {"cores": 2}, scripted=True)
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len(table) == 2 + len(ROWS) + 1
    assert {line.count("|") for line in table} == {3}
    assert text.endswith("cores 2")


def test_the_overhead_of_vendors_that_are_not_scripted_is_not_told() -> None:
    signs = signs_of(1, [], cpu=Cpu(), memory_mb=0.0)
    text = markdown([signs], {}, {}, scripted=False)
    assert not any(name.strip() in text for name, _ in SCRIPTED)


# --- the process under test


def test_a_process_uses_no_less_than_its_first_thread() -> None:
    before = cpu_of(os.getpid())
    until = time.process_time() + 0.3
    while time.process_time() < until:
        pass
    used = cpu_of(os.getpid()).share_since(before, 1.0)
    # user and system time of process and thread are four counters, each rounded down to ticks, read twice
    rounding = 4.5 / os.sysconf("SC_CLK_TCK")
    assert used.whole > used.loop - rounding
    assert used.loop >= 0.3 - rounding
    assert used.turn_model == 0


def test_the_machine_has_been_idle_some_time() -> None:
    assert idle_seconds() > 0
