"""`[transfers]`, and what a destination of a transfer may say for itself."""

from pathlib import Path

import pytest

from sovereign_pbx.calls.transfer import PLAIN_TRANSFERS, TransferPolicy
from sovereign_pbx.config import Examined, examine
from sovereign_pbx.config_parts import transfer_policy
from sovereign_pbx.core.values import BLIND, TransferTerms
from sovereign_pbx.pbx.link import NextStep


def examined(folder: Path, text: str) -> Examined:
    path = folder / "config.toml"
    path.write_text(text)
    path.chmod(0o600)
    return examine(path, environ={})


def test_a_file_that_does_not_speak_of_transfers_has_the_usual_ones(tmp_path: Path) -> None:
    found = examined(tmp_path, "")
    assert found.config is not None
    assert transfer_policy(found.config) == PLAIN_TRANSFERS


def test_every_key_of_the_section_reaches_the_calls(tmp_path: Path) -> None:
    text = (
        '[transfers]\nring_seconds = 12\ncaller_id = "+31850835037"\ndiversion = false\nmusic = "jazz"\n'
        'after_answered = "fallback"\nmax_per_call = 2\n'
    )
    found = examined(tmp_path, text)
    assert found.config is not None, found.findings
    assert transfer_policy(found.config) == TransferPolicy(
        ring_s=12, caller_id="+31850835037", diversion=False, music="jazz", after_answered="fallback", max_per_call=2
    )


@pytest.mark.parametrize(
    "odd",
    ['caller_id = "anybody"', 'music = "a,b"', "ring_seconds = 1", "max_per_call = 16", 'after_answered = "talk"'],
)
def test_what_can_not_be_meant_is_an_error(tmp_path: Path, odd: str) -> None:
    assert examined(tmp_path, f"[transfers]\n{odd}\n").config is None


@pytest.mark.parametrize(
    ("caller_id", "shown"), [("caller", ""), ("number", "+31850835037"), ("+31201234567", "+31201234567")]
)
def test_the_person_called_is_shown_what_is_configured(caller_id: str, shown: str) -> None:
    step = TransferPolicy(caller_id=caller_id).step("100", None, BLIND, dialled="+31 85 083 5037")
    assert step == NextStep("dial", "100", caller_id=shown, diverted_from="+31850835037")


def test_a_line_that_is_no_number_is_not_shown_as_one() -> None:
    step = TransferPolicy(caller_id="number").step("100", None, BLIND, dialled="reception")
    assert (step.caller_id, step.diverted_from) == ("", "")


def test_a_transfers_own_terms_go_before_the_usual_ones() -> None:
    terms = TransferTerms(mode="attended", ring_s=7)
    step = TransferPolicy(ring_s=30, diversion=False, music="jazz").step("100", None, terms, dialled="")
    assert step == NextStep("dial", "100", ring_s=7, music="jazz", briefing=True)
