"""The torture messages of RFC 4475 against a live endpoint: which of them are answered, and how."""

import pytest

from tests.pbx.sip.endpoint_rig import Rig, run
from tests.waiting import until
from tests.wire.test_sip_torture import REFUSED
from tests.wire.torture_messages import NAMES, torture

ANSWERS = {
    **{name: status for name, status in REFUSED.items() if status},
    "badaspec": 200,
    "badbranch": 200,
    "baddn": 200,
    "bext01": 420,
    "cparam01": 405,
    "cparam02": 405,
    "dblreq": 405,
    "esc02": 501,
    "escnull": 405,
    "intmeth": 501,
    "invut": 415,
    "lwsdisp": 200,
    "mpart01": 405,
    "novelsc": 416,
    "regaut01": 405,
    "regescrt": 405,
    "sdp01": 406,
    "semiuri": 200,
    "transports": 200,
    "unkscm": 416,
    "unksm2": 405,
    "zeromf": 200,  # a last hop may answer OPTIONS (RFC 3261 §11)
}
CALLS = ("baddate", "esc01", "inv2543", "longreq", "wsinv")
NO_ANSWER = ("bcast", "bigcode", "noreason", "scalarlg", "unreason")


def symmetric(name: str) -> bytes:
    """The message, asking for its answer back where it comes from, as a test needs it that has no port 5060."""
    data = torture(name)
    first = data.index(b"\r\nVia") if b"\r\nVia" in data else 0
    return data[:first] + data[first:].replace(b";branch", b";rport;branch", 1)


def test_each_of_them_has_its_verdict() -> None:
    assert sorted([*ANSWERS, *CALLS, *NO_ANSWER]) == NAMES


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_what_is_answered_gets_one_answer_that_is_hardly_longer(name: str) -> None:
    async def test(one: Rig) -> None:
        data = symmetric(name)
        answer = await one.peer.ask(data)
        assert answer.status == ANSWERS[name]
        assert one.calls == [] and one.endpoint.statistics()["transactions"] == 0
        assert one.peer.bytes_in <= len(data) + 300

    run(test)


@pytest.mark.parametrize("name", CALLS)
def test_what_is_a_call_is_offered(name: str) -> None:
    async def test(one: Rig) -> None:
        one.peer.send(torture(name))
        await until(lambda: len(one.calls) == 1)

    run(test)


@pytest.mark.parametrize("name", NO_ANSWER)
def test_what_is_an_answer_to_nobody_is_dropped(name: str) -> None:
    async def test(one: Rig) -> None:
        one.peer.send(torture(name))
        await one.peer.nothing()
        assert one.calls == []

    run(test)
