"""Transactions against the clock of RFC 3261, in virtual time."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from sovereign_pbx.pbx.sip.timers import Timers
from sovereign_pbx.pbx.sip.transaction_client import ClientTransaction
from sovereign_pbx.pbx.sip.transaction_server import ServerTransaction
from sovereign_pbx.pbx.sip.transactions import Transactions, ack_key, server_key
from sovereign_pbx.testing import virtual_time
from sovereign_pbx.wire.sip import Request, Response, response_to
from tests.pbx.sip.wires import KeptFlow, request

TIMERS = Timers()


def run(test: Coroutine[Any, Any, None]) -> None:
    virtual_time.run(test)


class Server:
    """A request that came over `flow`."""

    def __init__(self, method: str = "INVITE", flow: KeptFlow | None = None) -> None:
        self.flow = flow or KeptFlow()
        self.table = Transactions(100)
        self.told: list[str] = []
        self.one = ServerTransaction(
            request(method),
            self.flow,
            TIMERS,
            on_answered=self.table.answered,
            on_ended=self.table.remove_server,
        )
        self.table.add_server(self.one)
        self.one.on_cancel = lambda: self.told.append("cancel")
        self.one.on_ack = lambda ack: self.told.append("ack")
        self.one.on_no_ack = lambda: self.told.append("no ack")

    def ack(self) -> Request:
        """As a peer acknowledges a 2xx: another branch, the tags of the dialog."""
        return request("ACK", branch="z9hG4bKack", to_tag=self.one.tag)


class Client:
    """A request of ours over `flow`."""

    def __init__(self, method: str = "INVITE", flow: KeptFlow | None = None, timeout_s: float = 32.0) -> None:
        self.flow = flow or KeptFlow()
        self.ended = 0
        self.cancels: list[Request] = []
        self.forks: list[Response] = []
        bare = request(method)
        bare.headers.remove("Via")
        self.one = ClientTransaction(
            bare,
            TIMERS,
            on_ended=self._end,
            on_cancel=lambda cancel, branch, flow: self.cancels.append(cancel),
            on_fork=self.forks.append,
            timeout_s=timeout_s,
        )

    def begin(self) -> "Client":
        self.one.begin(self.flow)
        return self

    def answer(self, status: int, tag: str = "far") -> Response:
        response = response_to(self.one.request, status, tag=tag, headers=[("Contact", "<sip:far@127.0.0.1>")])
        self.one.came(response)
        return response

    def _end(self, transaction: ClientTransaction) -> None:
        self.ended += 1


# --- requests that came


def test_a_server_with_nothing_to_say_sends_trying_after_200_ms() -> None:
    async def test() -> None:
        server = Server()
        await asyncio.sleep(0.19)
        assert server.flow.statuses == []
        await asyncio.sleep(0.02)
        assert server.flow.statuses == [100]

    run(test())


def test_who_answers_in_time_sends_no_trying() -> None:
    async def test() -> None:
        server = Server()
        server.one.reply(180)
        await asyncio.sleep(1)
        assert server.flow.statuses == [180]

    run(test())


def test_a_repeated_request_gets_the_last_answer_again() -> None:
    async def test() -> None:
        server = Server()
        server.one.came_again()
        server.one.reply(180)
        server.one.reply(183)
        server.one.came_again()
        assert server.flow.statuses == [180, 183, 183]

    run(test())


@pytest.mark.parametrize("status", [200, 486])
def test_a_final_answer_is_repeated_until_it_is_given_up(status: int) -> None:
    async def test() -> None:
        server = Server()
        server.one.reply(status)
        await asyncio.sleep(31.9)
        # at 0, 0.5, 1.5, 3.5 and then every 4 s
        assert server.flow.statuses == [status] * 11
        assert server.told == [] and len(server.table) == 1
        await asyncio.sleep(0.2)
        assert server.told == ["no ack"] and len(server.table) == 0
        await asyncio.sleep(60)
        assert len(server.flow.statuses) == 11

    run(test())


def test_the_ack_of_a_2xx_is_found_by_its_dialog_and_ends_the_repetition() -> None:
    async def test() -> None:
        server = Server()
        server.one.reply(200)
        await asyncio.sleep(0.6)
        found = server.table.for_ack(server.ack())
        assert found is server.one
        found.acked(server.ack())
        found.acked(server.ack())
        assert server.one.acknowledged.is_set() and server.one.ack is not None
        await asyncio.sleep(20)
        assert server.flow.statuses == [200, 200] and server.told == ["ack"]
        server.one.came_again()  # a late repetition of the INVITE makes no second call
        assert len(server.flow.statuses) == 2 and server.table.server(request()) is server.one
        await asyncio.sleep(13)
        assert len(server.table) == 0 and server.told == ["ack"]

    run(test())


def test_the_ack_of_a_refusal_is_found_by_its_branch() -> None:
    async def test() -> None:
        server = Server()
        server.one.reply(486)
        ack = request("ACK", to_tag=server.one.tag)
        assert server.table.for_ack(ack) is server.one
        server.one.acked(ack)
        await asyncio.sleep(4.9)
        assert server.flow.statuses == [486] and len(server.table) == 1
        await asyncio.sleep(0.2)
        assert len(server.table) == 0

    run(test())


def test_an_ack_with_another_tag_is_nobodys() -> None:
    async def test() -> None:
        server = Server()
        server.one.reply(200)
        assert server.table.for_ack(request("ACK", branch="z9hG4bKack", to_tag="other")) is None
        server.one.close()

    run(test())


def test_over_tcp_a_refusal_is_sent_once_and_a_2xx_repeated() -> None:
    async def test() -> None:
        refused, taken = Server(flow=KeptFlow("tcp")), Server(flow=KeptFlow("tcp"))
        refused.one.reply(486)
        taken.one.reply(200)
        await asyncio.sleep(1)
        assert refused.flow.statuses == [486] and taken.flow.statuses == [200, 200]
        refused.one.close()
        taken.one.close()

    run(test())


def test_only_the_first_final_answer_is_sent() -> None:
    async def test() -> None:
        server = Server()
        server.one.reply(200)
        server.one.reply(486)
        server.one.reply(180)
        assert server.flow.statuses == [200]
        server.one.close()

    run(test())


def test_a_cancelled_invite_is_told_and_ends_with_487() -> None:
    async def test() -> None:
        server = Server()
        server.one.reply(180)
        server.one.cancelled(request("CANCEL"))
        server.one.cancelled(request("CANCEL"))
        assert server.told == ["cancel"] and server.flow.statuses == [180, 487]
        server.one.close()

    run(test())


def test_a_cancel_that_crosses_the_answer_changes_nothing() -> None:
    async def test() -> None:
        server = Server()
        server.one.reply(200)
        server.one.cancelled(request("CANCEL"))
        assert server.told == [] and server.flow.statuses == [200]
        server.one.close()

    run(test())


def test_who_cancels_may_be_answered_otherwise() -> None:
    async def test() -> None:
        server = Server()
        server.one.on_cancel = lambda: server.one.respond(response_to(server.one.request, 486))
        server.one.cancelled(request("CANCEL"))
        assert server.flow.statuses == [486]
        server.one.close()

    run(test())


def test_a_callback_that_fails_leaves_the_transaction_in_order() -> None:
    async def test() -> None:
        server = Server()
        server.one.on_cancel = lambda: [][0]
        server.one.cancelled(request("CANCEL"))
        assert server.flow.statuses == [487]
        server.one.close()

    run(test())


def test_every_answer_has_the_same_tag_unless_it_brings_its_own() -> None:
    async def test() -> None:
        server = Server()
        server.one.reply(180)
        server.one.respond(response_to(server.one.request, 200))
        assert all(f";tag={server.one.tag}".encode() in data for data in server.flow.sent)
        server.one.close()

    run(test())


def test_a_refusal_for_strangers_is_sent_once_and_forgotten() -> None:
    async def test() -> None:
        server = Server()
        server.one.respond_once(response_to(server.one.request, 401))
        await asyncio.sleep(40)
        assert server.flow.statuses == [401] and len(server.table) == 0 and server.told == []

    run(test())


def test_an_answered_request_that_is_no_invite_is_kept_for_its_repetitions() -> None:
    async def test() -> None:
        server, stream = Server("BYE"), Server("BYE", KeptFlow("tcp"))
        server.one.reply(200)
        stream.one.reply(200)
        await asyncio.sleep(31)
        server.one.came_again()
        assert server.flow.statuses == [200, 200] and len(stream.table) == 0
        await asyncio.sleep(2)
        assert len(server.table) == 0 and server.told == []

    run(test())


@pytest.mark.parametrize(("method", "statuses"), [("INVITE", [100, 480]), ("BYE", [])])
def test_what_nobody_answers_is_not_kept_for_ever(method: str, statuses: list[int]) -> None:
    async def test() -> None:
        server = Server(method)
        await asyncio.sleep(500)
        assert len(server.table) == 0
        assert sorted(set(server.flow.statuses)) == statuses

    run(test())


def test_requests_by_rfc_2543_are_told_apart_without_a_branch() -> None:
    old = "SIP/2.0/UDP 127.0.0.1:5060"
    assert server_key(request(via=old)) == server_key(request(via=old))
    assert server_key(request(via=old)) == server_key(request("ACK", via=old, to_tag="x"), "INVITE")
    assert server_key(request(via=old)) != server_key(request(via=old, number=2))
    assert server_key(request(via=old)) != server_key(request(via=old, call_id="other"))
    assert server_key(request(branch="z9hG4bK")) == server_key(request(branch="z9hG4bK"))


def test_a_branch_counts_together_with_the_place_it_comes_from() -> None:
    elsewhere = "SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK1"
    assert server_key(request(via=elsewhere)) != server_key(request(branch="z9hG4bK1"))
    assert ack_key(request("ACK", to_tag="a")) == ("c1", "peer", "a", 1)


def test_a_request_that_came_by_another_way_is_merged() -> None:
    async def test() -> None:
        server = Server()
        again = request(branch="z9hG4bK2")
        assert server.table.server(again) is None and server.table.merged(again)
        assert not server.table.merged(request(number=2))
        server.one.close()
        assert not server.table.merged(again)

    run(test())


# --- requests of ours


def test_an_invite_is_repeated_until_it_times_out() -> None:
    async def test() -> None:
        client = Client().begin()
        final = await client.one.final()
        assert (final.status, client.ended) == (408, 1)
        assert client.flow.methods == ["INVITE"] * 7  # at 0, 0.5, 1.5, 3.5, 7.5, 15.5 and 31.5 s
        assert len(set(client.flow.sent)) == 1

    run(test())


def test_any_other_request_is_repeated_at_most_every_four_seconds() -> None:
    async def test() -> None:
        client = Client("BYE").begin()
        assert (await client.one.final()).status == 408
        assert client.flow.methods == ["BYE"] * 11

    run(test())


def test_over_tcp_nothing_is_repeated() -> None:
    async def test() -> None:
        client = Client(flow=KeptFlow("tcp")).begin()
        assert (await client.one.final()).status == 408
        assert client.flow.methods == ["INVITE"]

    run(test())


def test_an_invite_that_rings_is_waited_for() -> None:
    async def test() -> None:
        client = Client().begin()
        heard: list[int] = []
        client.one._on_provisional = lambda response: heard.append(response.status)
        client.answer(100)
        client.answer(180)
        await asyncio.sleep(120)
        assert client.flow.methods == ["INVITE"] and client.one.answer is None and heard == [100, 180]
        client.answer(200)
        assert (await client.one.final()).status == 200

    run(test())


def test_a_refusal_is_acknowledged_in_its_own_transaction_each_time_it_comes() -> None:
    async def test() -> None:
        client = Client().begin()
        client.answer(486)
        client.answer(486)
        assert client.flow.methods == ["INVITE", "ACK", "ACK"]
        invite, ack = client.flow.request(0), client.flow.request(1)
        assert ack.headers.all("Via") == invite.headers.all("Via")[:1] and ack.uri == invite.uri
        assert ack.headers.get("To").endswith(";tag=far") and ack.headers.get("CSeq") == "1 ACK"
        await asyncio.sleep(33)
        assert client.ended == 1

    run(test())


def test_the_ack_of_a_2xx_is_its_owners_and_sent_again_when_that_comes_again() -> None:
    async def test() -> None:
        client = Client().begin()
        client.answer(200)
        client.answer(200)  # before the owner had time: nothing yet to send again
        assert client.flow.methods == ["INVITE"]
        client.one.acknowledge(b"ACK once more", "far")
        client.answer(200)
        assert client.flow.sent[1:] == [b"ACK once more"] and client.forks == []
        client.one.close()

    run(test())


def test_a_second_telephone_that_answers_is_told_of() -> None:
    async def test() -> None:
        client = Client().begin()
        client.answer(200)
        client.one.acknowledge(b"ACK", "far")
        other = client.answer(200, tag="other")
        assert client.forks == [other]
        client.one.close()

    run(test())


def test_cancel_waits_for_a_first_sign_of_life() -> None:
    async def test() -> None:
        client = Client().begin()
        client.one.cancel("Q.850;cause=16")
        await asyncio.sleep(1)
        assert client.cancels == []
        client.answer(100)
        client.answer(180)
        assert len(client.cancels) == 1
        cancel, invite = client.cancels[0], client.flow.request(0)
        assert cancel.headers.all("Via") == invite.headers.all("Via")
        assert cancel.headers.get("CSeq") == "1 CANCEL" and cancel.headers.get("Reason") == "Q.850;cause=16"
        client.answer(487)
        assert (await client.one.final()).status == 487

    run(test())


def test_an_invite_whose_cancel_brings_nothing_is_over_after_32_s() -> None:
    async def test() -> None:
        client = Client().begin()
        client.answer(180)
        client.one.cancel()
        async with asyncio.timeout(33):
            assert (await client.one.final()).status == 408

    run(test())


def test_an_invite_that_rings_for_longer_than_anybody_waits_is_cancelled() -> None:
    async def test() -> None:
        client = Client().begin()
        client.answer(180)
        await asyncio.sleep(299)
        assert client.cancels == []
        assert (await client.one.final()).status == 408 and len(client.cancels) == 1

    run(test())


def test_cancel_after_the_answer_does_nothing() -> None:
    async def test() -> None:
        client = Client().begin()
        client.answer(180)
        client.answer(200)
        client.one.cancel()
        assert client.cancels == []
        client.one.close()

    run(test())


def test_who_waits_is_told_when_everything_is_let_go() -> None:
    async def test() -> None:
        client = Client().begin()
        client.one.close()
        assert (await client.one.final()).status == 503 and client.ended == 1

    run(test())


def test_giving_up_waiting_does_not_give_up_the_request() -> None:
    async def test() -> None:
        client = Client().begin()
        waiting = asyncio.ensure_future(client.one.final())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        client.answer(200)
        assert (await client.one.final()).status == 200
        client.one.close()

    run(test())


def test_the_request_that_was_given_stays_as_it_was() -> None:
    async def test() -> None:
        client = Client()
        given = client.one.request
        client.begin()
        assert "Via" not in given.headers and "Via" in client.one.request.headers
        client.one.close()

    run(test())
