"""What Asterisk's calls can do, over everything that can bring their sound.

The behaviours are tests of their own, over AudioSocket at 8 kHz; here they are seen over the other links.
`scripts/draw-links.py` plays all of them over all links and draws the table of docs/links.md.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sovereign_pbx.pbx.link import Decision
from tests.calls import test_link_scenes as conversations
from tests.pbx import links
from tests.pbx import test_asterisk_audit as audits
from tests.pbx import test_asterisk_calls as calls
from tests.pbx import test_asterisk_decisions as decisions
from tests.pbx import test_asterisk_failures as failures
from tests.pbx import test_asterisk_outbound as outbound
from tests.pbx import test_asterisk_transfers as transfers
from tests.pbx.links import Link, over


@dataclass(frozen=True, slots=True)
class Behaviour:
    """`usual`: seen in every run of the tests, and not only when the table is drawn."""

    group: str
    title: str
    test: Callable[..., None]
    values: dict[str, Any]
    usual: bool

    def see(self, root: Path, folder: Path) -> None:
        """Raises AssertionError and whatever a test raises."""
        given = {"asterisk_root": root, "tmp_path": folder, **self.values}
        self.test(**{name: given[name] for name in inspect.signature(self.test).parameters})


def seen(group: str, title: str, test: Callable[..., None], *, usual: bool = False, **values: Any) -> Behaviour:
    return Behaviour(group, title, test, values, usual)


BEHAVIOURS = (
    seen(
        "Before the answer",
        "the call is answered, both hear each other",
        decisions.test_an_answered_caller_and_the_assistant_hear_each_other,
        usual=True,
    ),
    seen(
        "Before the answer",
        "busy",
        decisions.test_a_refused_call_is_never_answered,
        decision=Decision("busy"),
        status=486,
    ),
    seen(
        "Before the answer",
        "rejected",
        decisions.test_a_refused_call_is_never_answered,
        decision=Decision("reject"),
        status=403,
    ),
    seen(
        "Before the answer", "sent elsewhere", decisions.test_a_diverted_call_rings_where_it_was_sent, destination="100"
    ),
    seen("Before the answer", "the fallback", decisions.test_a_call_the_desk_does_not_want_falls_back),
    seen(
        "Before the answer",
        "the caller gives up while it rings",
        decisions.test_a_caller_who_hangs_up_while_it_rings_cancels_the_decision,
    ),
    seen("In the call", "keys pressed are told once", calls.test_a_digit_is_told_once, usual=True, ami=True),
    seen("In the call", "keys pressed, without a manager interface", calls.test_a_digit_is_told_once, ami=False),
    seen("In the call", "tones sent are heard", calls.test_digits_are_heard_by_the_caller_one_by_one, usual=True),
    seen(
        "In the call",
        "hold for longer than any time-out, and back",
        calls.test_a_held_call_lives_as_long_as_frames_go_out,
        usual=True,
    ),
    seen(
        "In the call",
        "the caller hangs up",
        calls.test_a_caller_who_hangs_up_is_reported_within_half_a_second,
        usual=True,
    ),
    seen("In the call", "the daemon hangs up, with a cause", calls.test_the_daemon_hangs_up, usual=True, ami=True),
    seen("In the call", "the daemon hangs up, without a manager interface", calls.test_the_daemon_hangs_up, ami=False),
    seen(
        "In the call",
        "the conversation ends, and so does the call",
        calls.test_after_the_conversation_the_caller_is_hung_up,
        usual=True,
    ),
    seen(
        "In the call",
        "a whole conversation: a tool, an interruption, keys, a recording of both, the report",
        conversations.converse,
    ),
    seen(
        "Put through",
        "to somebody who answers",
        calls.test_after_the_conversation_the_caller_is_put_through,
        usual=True,
    ),
    seen(
        "Put through",
        "to somebody busy: he talks to the assistant again",
        calls.test_a_caller_whom_nobody_takes_comes_back_and_talks_again,
        usual=True,
        destination="101",
    ),
    seen(
        "Put through",
        "with a briefing, which is heard and understood",
        transfers.test_who_is_briefed_is_heard_while_the_caller_hears_music,
        usual=True,
        trunk="carrier",
    ),
    seen(
        "Put through",
        "the colleague declines after the briefing",
        transfers.test_who_declines_after_the_briefing_is_let_go_and_the_caller_comes_back,
        usual=True,
    ),
    seen(
        "Put through",
        "the colleague hangs up during the briefing",
        transfers.test_who_hangs_up_during_the_briefing_has_not_taken_the_caller,
    ),
    seen(
        "Put through",
        "the caller hangs up during the briefing",
        transfers.test_a_caller_who_hangs_up_during_the_briefing_ends_it,
    ),
    seen(
        "Put through",
        "the daemon is lost during the briefing",
        transfers.test_a_daemon_that_is_lost_during_the_briefing_keeps_nobody_apart,
    ),
    seen(
        "Calls placed",
        "somebody answers",
        outbound.test_somebody_who_answers_hears_the_assistant,
        usual=True,
        trunk="agent",
    ),
    seen(
        "Calls placed",
        "busy",
        outbound.test_a_refusal_is_told_for_what_it_is,
        trunk="agent",
        manner="busy",
        told=("busy", 17),
    ),
    seen("Calls placed", "nobody answers", outbound.test_the_ring_time_out_is_no_answer, trunk="agent", manner="ring"),
    seen("Failures", "the connection of the sound breaks", failures.test_a_link_that_breaks_in_mid_call, usual=True),
    seen("Failures", "the daemon stops in mid-call", failures.test_daemon_stopped_in_mid_call, usual=True),
    seen("Failures", "the daemon is killed in mid-call", failures.test_daemon_killed_in_mid_call, usual=True),
    seen(
        "Failures",
        "the daemon is frozen in mid-call, and killed by its watchdog",
        failures.test_daemon_frozen_in_mid_call,
    ),
    seen("Failures", "Asterisk is killed and comes back", calls.test_asterisk_itself_restarts),
    seen(
        "Failures",
        "Asterisk freezes, and is noticed by its silence",
        calls.test_a_frozen_asterisk_is_noticed_by_its_silence,
    ),
    seen("Failures", "the manager interface is lost and comes back", calls.test_ami_lost_and_back),
    seen(
        "Failures",
        "calls under way differ in nothing for the audit",
        audits.test_calls_under_way_differ_in_nothing,
        usual=True,
    ),
    seen(
        "Failures",
        "a caller whom the daemon has lost is given to the fallback",
        audits.test_a_caller_whom_the_daemon_has_lost_is_given_to_the_fallback,
        usual=True,
    ),
)

USUAL = tuple((behaviour, link) for behaviour in BEHAVIOURS for link in links.USUAL if behaviour.usual)


@pytest.mark.pbx
@pytest.mark.parametrize(
    ("behaviour", "link"), USUAL, ids=[f"{behaviour.title} over {link.name}" for behaviour, link in USUAL]
)
def test_the_behaviour_is_the_same_over_every_link(
    asterisk_root: Path, tmp_path: Path, behaviour: Behaviour, link: Link
) -> None:
    with over(link):
        behaviour.see(asterisk_root, tmp_path)


def test_the_table_of_the_documentation_has_every_behaviour_over_every_link() -> None:
    page = (Path(__file__).parents[2] / "docs/links.md").read_text("utf-8")
    lines = page.partition("<!-- table: ")[2].partition("<!-- end of table -->")[0].splitlines()
    assert lines[1] == "| behaviour | " + " | ".join(link.name for link in links.LINKS) + " |"
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[3:]]
    rows = {row[0]: row[1:] for row in table}
    for behaviour in BEHAVIOURS:
        assert rows[behaviour.title] == ["✓"] * len(links.LINKS), behaviour.title
