"""Rubbish within a call, and before one: everything is answered, nothing fails here, and the call ends as ever."""

import asyncio

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sovereign_pbx.wire.sip import Request
from tests.pbx.sip.stage import play, stage
from tests.pbx.sip.ua import UaCall, sdp
from tests.waiting import until

TEXT = st.text(st.characters(exclude_characters="\r\n\0", codec="utf-8"), max_size=60)
# A response copies From: what ends the quotes would make it one that the caller can't read
QUOTED = st.text(st.characters(exclude_characters='\r\n\0"\\', codec="utf-8"), max_size=60)
SDP_LINES = (
    "v=0",
    "o=- 1 1 IN IP4 127.0.0.1",
    "c=IN IP4 0.0.0.0",
    "c=IN IP6 ::",
    "m=audio 0 RTP/AVP 0",
    "m=audio 9 X 0",
    "m=audio 40000 RTP/AVP 0",
    "m=video 5 RTP/AVP 9",
    "a=inactive",
    "a=rtpmap:0 PCMA/1",
    "a=crypto:1 x inline:y",
)
LINES = st.lists(st.sampled_from(SDP_LINES), max_size=8)
BODIES = st.one_of(st.binary(max_size=200), LINES.map(lambda lines: "\r\n".join(lines).encode()))
NAMES = ("Content-Type", "Session-Expires", "Min-SE", "Supported", "Event", "Subscription-State", "Reason", "Privacy")
HEADERS = st.lists(st.tuples(st.sampled_from((*NAMES, "Remote-Party-ID", "X-Any", "Allow")), TEXT), max_size=4)
METHODS = st.sampled_from(["INVITE", "UPDATE", "INFO", "NOTIFY", "REFER", "OPTIONS", "MESSAGE", "PRACK", "FOO"])


def asked(call: UaCall, method: str, headers: list[tuple[str, str]], body: bytes) -> Request:
    """A request with these bytes, whatever they are."""
    known = dict(headers)
    made = call._made(method, list(known.items()), "", call.number + 1)
    call.number += 1
    made.body = body
    if body and "Content-Type" not in known:
        made.headers.add("Content-Type", "application/sdp")
    call.ua.send(made)
    return made


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(messages=st.lists(st.tuples(METHODS, HEADERS, BODIES), min_size=1, max_size=5))
def test_rubbish_within_a_call_is_answered_and_harms_nobody(
    messages: list[tuple[str, list[tuple[str, str]], bytes]],
) -> None:
    async def scene() -> None:
        async with stage() as s:
            s.ua.strict = False
            logs = s.logs
            await s.connected()
            call = s.ua.dialogs[0]
            for method, headers, body in messages:
                request = asked(call, method, headers, body)
                await call.answer_to(request)
                if method == "INVITE":
                    call.ack(sdp())
            assert s.pbx.endpoint.counts["failed"] == 0
            assert not [entry for entry in logs if entry["log_level"] == "error"]
            call.request("BYE")
            await until(lambda: not s.pbx.call_ids() and not len(s.pbx.legs))
            assert len(s.desk.gone_calls) == 1

    play(scene())


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(headers=HEADERS, body=BODIES, user=QUOTED)
def test_rubbish_in_an_invite_is_refused_or_a_call(headers: list[tuple[str, str]], body: bytes, user: str) -> None:
    async def scene() -> None:
        async with stage() as s:
            s.ua.strict = False
            logs = s.logs
            call = UaCall(s.ua, "100")
            s.ua.dialogs.append(call)
            call.first = asked(call, "INVITE", [*headers, ("From", f'"{user[:20]}" <sip:x@y>;tag={call.tag}')], body)
            await until(lambda: any(status >= 200 for status in call.statuses()))
            call.ack(sdp())
            await asyncio.sleep(0)
            assert s.pbx.endpoint.counts["failed"] == 0
            assert not [entry for entry in logs if entry["log_level"] == "error"]
            call.request("BYE")
            await until(lambda: not s.pbx.call_ids() and not len(s.pbx.legs) and not len(s.pbx.ports))
            assert len(s.desk.gone_calls) == len(s.desk.offers)

    play(scene())


def test_a_body_that_is_no_description_says_so() -> None:
    async def scene() -> None:
        async with stage() as s:
            call = s.ua.call(headers=[("Content-Type", "text/plain")], body="hello")
            await call.status(415)
            assert not s.desk.offers

    play(scene())
