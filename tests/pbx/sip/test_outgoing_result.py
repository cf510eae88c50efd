"""What became of an INVITE of ours, as the desk is told it."""

import pytest

from sovereign_pbx.pbx.sip.outgoing_result import Unanswered


@pytest.mark.parametrize(
    ("status", "cause", "reason", "told"),
    [
        (486, None, "busy", 17),
        (600, None, "busy", 17),
        (603, None, "rejected", 21),
        (403, None, "rejected", 21),
        (480, None, "no_answer", 19),
        (480, 17, "busy", 17),
        (480, 20, "error", 20),
        (480, 16, "no_answer", 16),
        (408, None, "no_answer", 19),
        (487, None, "no_answer", 19),
        (503, 17, "busy", 17),
        (503, 34, "error", 34),
        (500, 21, "rejected", 21),
        (404, None, "error", None),
        (404, 1, "error", 1),
        (484, None, "error", None),
        (488, None, "error", None),
        (302, None, "error", None),
        (407, None, "error", None),
    ],
)
def test_a_final_response_is_told_as_what_it_means(status: int, cause: int | None, reason: str, told: int) -> None:
    how = Unanswered(where="200 on trunk carrier", status=status, cause=cause).not_answered()
    assert (how.reason, how.cause) == (reason, told)


def test_a_busy_line_stays_busy_whatever_the_reason_header_says() -> None:
    assert Unanswered(where="200", status=486, cause=16).not_answered().reason == "busy"


def test_who_rang_as_long_as_he_was_to_ring_did_not_answer() -> None:
    assert Unanswered(where="200", status=487, gave_up=True).dialled().outcome == "no_answer"


def test_a_host_that_says_nothing_is_an_error_and_no_missing_answer() -> None:
    how = Unanswered(where="carrier", status=408, heard=False).not_answered()
    assert (how.reason, how.why) == ("error", "carrier does not answer: is it there, and does it listen for SIP?")


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (404, "nobody has this number"),
        (484, "incomplete or wrong"),
        (488, "no codec in common"),
        (401, "user name and password"),
        (302, "[dialling]"),
        (599, "ended without an answer (SIP 599)"),
    ],
)
def test_an_error_says_what_was_wrong(status: int, says: str) -> None:
    assert says in Unanswered(where="the trunk carrier", status=status).why


@pytest.mark.parametrize(
    ("status", "outcome"), [(486, "busy"), (603, "declined"), (480, "no_answer"), (404, "failed"), (503, "failed")]
)
def test_a_transfer_that_nobody_took_has_its_own_words(status: int, outcome: str) -> None:
    assert Unanswered(where="200", status=status).dialled().outcome == outcome


def test_a_fault_of_ours_is_told_as_it_is() -> None:
    how = Unanswered(where="200", fault="There is no free port for the sound.").not_answered()
    assert (how.reason, how.why) == ("error", "There is no free port for the sound.")
