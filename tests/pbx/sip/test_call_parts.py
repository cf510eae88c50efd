"""The small parts of a call over SIP: how it is refused, digits in INFO, what a REFER came to, the ringing tone."""

import asyncio
from itertools import islice

import numpy as np
import pytest

from sovereign_pbx.core.errors import BadInput
from sovereign_pbx.pbx.link import Decision, NextStep
from sovereign_pbx.pbx.sip import refusal
from sovereign_pbx.pbx.sip.info_digits import digit_of, relayed
from sovereign_pbx.pbx.sip.referral import Referral
from sovereign_pbx.pbx.sip.ringback import quiet, ringing
from tests.pbx.sip.messages import request


@pytest.mark.parametrize(
    ("decision", "status", "reason"),
    [
        (Decision("busy"), 486, "Q.850;cause=17"),
        (Decision("reject"), 603, "Q.850;cause=21"),
        (Decision("reject", cause=1), 404, "Q.850;cause=1"),
        (Decision("reject", cause=34), 503, "Q.850;cause=34"),
        (Decision("reject", cause=99), 603, "Q.850;cause=99"),
        (Decision("fallback"), 503, "Q.850;cause=41"),
    ],
)
def test_each_decision_has_its_status_and_its_reason(decision: Decision, status: int, reason: str) -> None:
    found = refusal.of_decision(decision, "pbx:5060")
    assert found.status == status
    assert dict(found.headers())["Reason"].startswith(reason)


@pytest.mark.parametrize(
    ("wanted", "contact"),
    [
        ("200", "<sip:200@pbx:5060>"),
        ("+31201112222", "<sip:+31201112222@pbx:5060>"),
        ("*8#", "<sip:*8%23@pbx:5060>"),
        ("200@other", "<sip:200@other>"),
        ("sip:200@other", "<sip:200@other>"),
    ],
)
def test_a_caller_is_sent_elsewhere_by_a_302(wanted: str, contact: str) -> None:
    found = refusal.of_decision(Decision("divert", wanted), "pbx:5060")
    assert (found.status, dict(found.headers())["Contact"]) == (302, contact)


@pytest.mark.parametrize("wanted", ["", "200>\r\nVia: x", "a&b", "1,2", "x" * 200])
def test_a_caller_is_never_sent_to_what_is_no_destination(wanted: str) -> None:
    with pytest.raises(BadInput):
        refusal.of_decision(Decision("divert", wanted), "pbx")


def test_words_heard_before_the_answer_end_in_a_refusal_that_is_no_failure() -> None:
    assert refusal.of_step(NextStep("hangup")).status == 480
    assert refusal.of_step(NextStep("fallback")) == refusal.FALLBACK


@pytest.mark.parametrize(
    ("kind", "body", "digit"),
    [
        ("application/dtmf-relay", "Signal=5\r\nDuration=160\r\n", "5"),
        ("application/dtmf-relay", "Signal= *\r\nDuration= 160", "*"),
        ("application/dtmf-relay", "Duration=160\r\nsignal=d", "D"),
        ("application/dtmf-relay", "Signal=11\r\n", "#"),
        ("Application/DTMF-Relay; x=1", "Signal=0\n", "0"),
        ("application/dtmf", "7\r\n", "7"),
        ("application/dtmf", "10", "*"),
        ("application/dtmf-relay", "Signal=99", ""),
        ("application/dtmf-relay", "", ""),
        ("application/dtmf", "flash", ""),
        ("application/media_control+xml", "<x/>", None),
        ("", "5", None),
    ],
)
def test_digits_in_info(kind: str, body: str, digit: str | None) -> None:
    headers = [("Content-Type", kind)] if kind else []
    found = request("INFO", headers=headers or [("Subject", "x")])
    found.body = body.encode()
    if not kind:
        found.headers.remove("Content-Type")
    assert digit_of(found) == digit


@pytest.mark.parametrize("digit", list("0123456789*#ABCD"))
def test_a_digit_that_we_send_is_one_that_we_understand(digit: str) -> None:
    headers, body = relayed(digit)
    found = request("INFO", headers=headers)
    found.body = body
    assert digit_of(found) == digit


def notify(status: str, state: str = "active", event: str = "refer") -> Referral:
    async def tell() -> Referral:
        made = Referral()
        message = request("NOTIFY", headers=[("Event", event), ("Subscription-State", state)])
        message.body = f"SIP/2.0 {status}\r\n".encode()
        made.notified(message)
        made.over()
        return made

    return asyncio.run(tell())


def test_a_refer_comes_to_what_its_notify_says() -> None:
    assert asyncio.run(notify("200 OK").outcome()) == 200
    assert asyncio.run(notify("486 Busy Here", "terminated;reason=noresource").outcome()) == 486


def test_notifies_of_other_events_say_nothing_of_a_refer() -> None:
    assert asyncio.run(notify("200 OK", event="message-summary").outcome()) == 0


@pytest.mark.parametrize("rate", [8000, 16000])
def test_the_ringing_tone_is_425_hertz_for_one_second_of_five(rate: int) -> None:
    second = b"".join(islice(ringing(rate), 50))
    samples = np.frombuffer(second, "<i2").astype(float)
    assert len(samples) == rate
    assert abs(np.fft.rfft(samples)).argmax() == 425
    pause = np.frombuffer(b"".join(islice(ringing(rate), 50, 250)), "<i2").astype(float)
    assert 0 < np.sqrt((pause**2).mean()) < 40  # comfort noise, not nothing
    again = b"".join(islice(ringing(rate), 250, 251))
    assert again == second[: rate // 25]


def test_quiet_is_noise_and_not_nothing() -> None:
    assert any(b"".join(islice(quiet(8000), 5)))
