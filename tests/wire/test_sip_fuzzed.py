"""A few thousand of the inputs that scripts/fuzz_sip.py makes a million of, the same every time."""

import math

import pytest

from scripts.fuzz_sip import CORPORA, fuzz, under_fire
from scripts.fuzzing import corpus
from scripts.fuzzing.inputs import Inputs
from scripts.fuzzing.parsers import TARGETS
from sovereign_pbx.testing import virtual_time


@pytest.mark.parametrize("name", list(TARGETS))
def test_broken_input_is_refused_in_order_and_in_time(name: str) -> None:
    *_, account = fuzz(name, TARGETS[name], Inputs(7, CORPORA[name]), 2000, math.inf)
    assert account.inputs == 2000
    assert 0 < account.taken < 2000  # some get through, or nothing behind the first line would be tried


def test_an_endpoint_under_fire_answers_in_proportion_and_keeps_nothing() -> None:
    fire = virtual_time.run(under_fire(Inputs(7, corpus.SIP), 2000, math.inf))
    assert fire.inputs == 2000 and fire.calls > 50
    assert fire.endpoint.counts["failed"] > 0  # calls with faults were among them
