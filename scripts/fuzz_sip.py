#!/usr/bin/env python3
"""Throw a million broken messages at everything that reads SIP, SDP, RTP and RTCP.

    .venv/bin/python scripts/fuzz_sip.py --inputs 1000000

First at the parsers: each may refuse with `Malformed` and must do nothing else, in time that the length allows and
without keeping anything. Then at a live endpoint in virtual time: what comes back must be no more than came and a
constant, and nothing may be left afterwards. Ends with status 1 at the first input that breaks a rule, and prints it
with the seed that makes it again.
"""

import argparse
import asyncio
import gc
import logging
import random
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import structlog
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from scripts.fuzzing import corpus
from scripts.fuzzing.inputs import Inputs
from scripts.fuzzing.live import Fire
from scripts.fuzzing.parsers import TARGETS, Target
from sovereign_pbx.testing import virtual_time

SHARES = {"SIP": 0.35, "SIP stream": 0.15, "SDP": 0.2, "RTP, RTCP": 0.2}  # the rest is for the endpoint
CORPORA = {"SIP": corpus.SIP, "SIP stream": corpus.SIP, "SDP": corpus.SDP, "RTP, RTCP": corpus.RTP}
LONGEST_S = 1.0  # of processor time; the largest input that takes its time in order needs 0.03 s
MOST_GROWTH_KB = 50_000
CLOCK_EVERY = 256


class Failed(Exception):
    """An input broke a rule."""


@dataclass(slots=True)
class Account:
    """What became of the inputs of one target."""

    inputs: int = 0
    taken: int = 0
    octets: int = 0
    slowest_s: float = 0.0
    slowest_bytes: int = 0

    def line(self, name: str) -> str:
        slow = f"slowest {self.slowest_s * 1000:.1f} ms ({self.slowest_bytes} bytes)"
        return f"{name:12} {self.inputs:9} inputs, {self.octets / 1e6:8.1f} MB, {self.taken:8} taken, {slow}"


def fuzz(name: str, target: Target, inputs: Inputs, count: int, deadline: float) -> Iterator[Account]:
    """Yields the account after each input. Raises Failed."""
    account = Account()
    while account.inputs < count and (account.inputs % CLOCK_EVERY or time.monotonic() < deadline):
        data = inputs.any()
        took, taken = _timed(name, target, data, inputs.random)
        if took > account.slowest_s:  # once more, for it may be the garbage collector's time
            took = min(took, _timed(name, target, data, inputs.random)[0])
        if took > account.slowest_s:
            account.slowest_s, account.slowest_bytes = took, len(data)
        account.taken += taken
        if took > LONGEST_S:
            raise Failed(f"{name}: {took:.2f} s for {len(data)} bytes\n{data!r}")
        account.inputs += 1
        account.octets += len(data)
        yield account


def _timed(name: str, target: Target, data: bytes, rng: random.Random) -> tuple[float, bool]:
    """The processor time of one input, and whether it was taken. Raises Failed."""
    began = time.thread_time()
    try:
        taken = target(data, rng)
    except Exception as exc:
        raise Failed(f"{name}: {type(exc).__name__}: {exc}\n{data!r}") from exc
    return time.thread_time() - began, taken


async def under_fire(inputs: Inputs, count: int, deadline: float, progress: Progress | None = None) -> Fire:
    """An endpoint that takes `count` messages. Raises Failed."""
    fire = Fire(inputs.random)
    await fire.endpoint.start()
    bar = progress.add_task("endpoint", total=count) if progress else None
    for number in range(count):
        data = inputs.any()
        try:
            fire.throw(data)
        except Exception as exc:
            raise Failed(f"endpoint: {type(exc).__name__}: {exc}\n{data!r}") from exc
        if number % CLOCK_EVERY == 0:
            await asyncio.sleep(1)  # timers run out as they would under a long attack
            if time.monotonic() > deadline:
                break
        if progress and bar is not None:
            progress.advance(bar)
    await fire.settle()
    return fire


def resident_kb() -> int:
    """Now, not at its highest."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() // 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=1_000_000, help="how many in all (default: a million)")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop earlier")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32), help="makes a run again")
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    print(f"seed {arguments.seed}")
    try:
        run(arguments.inputs, arguments.seconds, arguments.seed)
    except (Failed, AssertionError) as exc:
        print(f"FAILED with seed {arguments.seed}: {exc}", file=sys.stderr)
        return 1
    return 0


def run(total: int, seconds: float, seed: int) -> None:
    """Raises Failed."""
    began = time.monotonic()
    columns = (TextColumn("{task.description:12}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        share = 0.0
        for name in TARGETS:
            share += SHARES[name]
            _parser(name, Inputs(seed, CORPORA[name]), int(total * SHARES[name]), began + seconds * share, progress)
        count = total - sum(int(total * share) for share in SHARES.values())
        _endpoint(Inputs(seed, corpus.SIP), count, began + seconds, progress)


def _parser(name: str, inputs: Inputs, count: int, deadline: float, progress: Progress) -> None:
    bar = progress.add_task(name, total=count)
    for _ in fuzz(name, TARGETS[name], inputs, 500, deadline):  # what is loaded and cached at first
        pass
    gc.collect()
    before, account = resident_kb(), Account()
    for account in fuzz(name, TARGETS[name], inputs, count, deadline):
        progress.update(bar, completed=account.inputs)
    gc.collect()
    growth = resident_kb() - before
    progress.console.print(f"{account.line(name)}, memory {growth:+d} kB", soft_wrap=True)
    if growth > MOST_GROWTH_KB:
        raise Failed(f"{name}: memory grew by {growth} kB")


def _endpoint(inputs: Inputs, count: int, deadline: float, progress: Progress) -> None:
    before = resident_kb()
    fire = virtual_time.run(under_fire(inputs, count, deadline, progress))
    gc.collect()
    progress.console.print(
        f"endpoint     {fire.inputs:9} inputs, {fire.bytes_in / 1e6:8.1f} MB in, {fire.bytes_out / 1e6:.1f} MB out, "
        f"{fire.answers} answers, {fire.calls} requests handed on, at most {fire.most_more} bytes more than came, "
        f"nothing left, memory {resident_kb() - before:+d} kB",
        soft_wrap=True,
    )


if __name__ == "__main__":
    sys.exit(main())
