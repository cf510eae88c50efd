"""What Asterisk's own detection of answering machines says, read from the arguments of `/outbound`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.pbx.asterisk.agi_text import answered_by

CALL = "5c4d030f-3c6e-4a1e-9f0e-7a3f5f1b2a10"


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ([CALL, "HUMAN", "HUMAN-1000-800"], "person"),
        ([CALL, "MACHINE", "LONGGREETING-1520-1500"], "mailbox"),
        ([CALL, "MACHINE", "MAXWORDS-4-3"], "mailbox"),
        ([CALL, "MACHINE", "INITIALSILENCE-2500-2500"], "unknown"),
        ([CALL, "NOTSURE", "TOOLONG-5000"], "unknown"),
        ([CALL, "HANGUP", ""], "unknown"),
        ([CALL, "", ""], "unknown"),
        ([CALL], "unknown"),
        ([], "unknown"),
    ],
)
def test_asterisks_own_words_are_understood(arguments: list[str], found: str) -> None:
    assert answered_by(arguments) == found


@given(st.lists(st.text(), max_size=5))
def test_whatever_else_the_dialplan_says_is_as_if_it_had_not_listened(arguments: list[str]) -> None:
    said = arguments[1] if len(arguments) > 1 else ""
    assert answered_by(arguments) == "unknown" or said in ("HUMAN", "MACHINE")
