"""What the dialplan's account of a `dial` step comes to. The pairs are what Asterisk 22.10.1 said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.pbx.asterisk.dialled import dialled


@pytest.mark.parametrize(
    ("status", "causes", "after_s", "outcome"),
    [
        ("ANSWER", "16-NormalClearing", 9.0, "answered"),
        # behind a Local channel
        ("BUSY", "0-Userbusy", 0.1, "busy"),
        ("CONGESTION", "0-CallRejected", 0.1, "declined"),
        ("CHANUNAVAIL", "0", 0.1, "failed"),  # no such extension
        ("CHANUNAVAIL", "0", 1.0, "no_answer"),  # a telephone that says nothing, and a dialplan that gave up
        ("CHANUNAVAIL", "0-NormalClearing", 1.0, "no_answer"),  # one that rang
        ("CHANUNAVAIL", "0-Unallocatedunassignednumber", 0.1, "failed"),
        ("NOANSWER", "0-NormalClearing", 2.0, "no_answer"),
        ("NOANSWER", "0-CallRejected", 2.0, "no_answer"),  # a queue, which goes on with the others
        ("CHANUNAVAIL", "0-Userbusy-Subscriberabsent", 0.1, "busy"),  # a ring group
        # on a trunk
        ("BUSY", "17-Userbusy", 0.1, "busy"),
        ("CHANUNAVAIL", "21-CallRejected", 0.1, "declined"),
        ("CHANUNAVAIL", "3", 0.1, "failed"),
        ("CHANUNAVAIL", "19-Useralertingnoanswer", 0.1, "no_answer"),
        ("CONGESTION", "34-Circuitchannelcongestion", 3.0, "failed"),
        ("NOANSWER", "0", 2.0, "no_answer"),
        ("CANCEL", "0", 2.0, "no_answer"),
        ("DONTCALL", "", 0.1, "failed"),
    ],
)
def test_each_account_has_its_outcome(status: str, causes: str, after_s: float, outcome: str) -> None:
    found = dialled((status, causes), after_s)
    assert found is not None
    assert found.outcome == outcome


@pytest.mark.parametrize("arguments", [(), ("",), ("", ""), ("answer",), ("${DIALSTATUS}", "17")])
def test_an_account_that_is_none_says_nothing(arguments: tuple[str, ...]) -> None:
    assert dialled(arguments, 1.0) is None


def test_a_failure_says_why_in_words() -> None:
    found = dialled(("CHANUNAVAIL", "0-Unallocatedunassignednumber"), 0.1)
    assert found is not None
    assert (found.why, found.cause) == ("The call failed: nobody has this number (cause 1).", 1)


@given(st.lists(st.text(max_size=50), max_size=5), st.floats())
def test_whatever_a_dialplan_says_is_understood_or_passed_over(arguments: list[str], after_s: float) -> None:
    dialled(arguments, after_s)
    dialled(["CHANUNAVAIL", *arguments], after_s)
