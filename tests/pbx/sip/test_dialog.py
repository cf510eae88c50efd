"""Who speaks to whom (RFC 3261 §12)."""

import pytest

from sovereign_pbx.pbx.sip.dialog import Dialog
from sovereign_pbx.wire.malformed import Malformed
from sovereign_pbx.wire.sip import Headers
from tests.pbx.sip.messages import request, response

ROUTES = [("Record-Route", "<sip:near@10.0.0.1;lr>, <sip:far@10.0.0.2;lr>")]


def offered(*headers: tuple[str, str]) -> Dialog:
    return Dialog.offered(request(headers=headers), "ours")


def test_requests_go_to_the_contact_with_both_tags() -> None:
    bye = offered().request("BYE")
    assert bye.uri == "sip:phone@127.0.0.1:5060"
    assert bye.headers.get("From") == "<sip:100@127.0.0.1>;tag=ours"
    assert bye.headers.get("To") == "Jan <sip:201@127.0.0.1>;tag=theirs"


def test_our_sequence_grows_by_one_with_each_request() -> None:
    dialog = offered()
    first, second = dialog.request("INFO"), dialog.request("BYE")
    assert int(second.headers.get("CSeq").split()[0]) == int(first.headers.get("CSeq").split()[0]) + 1


def test_an_ack_has_the_number_of_its_invite() -> None:
    dialog = offered()
    assert dialog.request("ACK", number=7).headers.get("CSeq") == "7 ACK"


def test_proxies_are_passed_in_their_order_by_who_was_called() -> None:
    bye = offered(*ROUTES).request("BYE")
    assert bye.headers.all("Route") == ["<sip:near@10.0.0.1;lr>", "<sip:far@10.0.0.2;lr>"]
    assert offered(*ROUTES).next_hop.host == "10.0.0.1"


def test_proxies_are_passed_in_reverse_by_who_called() -> None:
    answer = response(200, ("To", "<sip:100@127.0.0.1>;tag=theirs"), ("Contact", "<sip:x@10.9.9.9>"), *ROUTES)
    dialog = Dialog.placed(request(headers=[("From", "<sip:me@127.0.0.1>;tag=ours")]), answer)
    assert dialog.next_hop.host == "10.0.0.2"
    assert dialog.key == ("one-call", "ours")


def test_a_proxy_of_the_strict_kind_stands_in_the_uri() -> None:
    bye = offered(("Record-Route", "<sip:strict@10.0.0.1>")).request("BYE")
    assert (bye.uri, bye.headers.all("Route")) == ("sip:strict@10.0.0.1", ["<sip:phone@127.0.0.1:5060>"])


@pytest.mark.parametrize(("number", "taken"), [(1, False), (0, False), (2, True), (9, True)])
def test_requests_that_come_out_of_order_are_told_from_new_ones(number: int, taken: bool) -> None:
    assert offered().follows(request("BYE", sequence=number)) is taken


def test_another_tag_is_another_dialog() -> None:
    assert offered().is_of(request("BYE"))
    assert not offered().is_of(request("BYE", headers=[("From", "<sip:201@127.0.0.1>;tag=other")]))


def test_a_new_contact_is_where_requests_go_from_then_on() -> None:
    dialog = offered()
    dialog.refresh(Headers([("Contact", "<sip:moved@10.1.1.1>")]))
    assert dialog.request("BYE").uri == "sip:moved@10.1.1.1"
    dialog.refresh(Headers([("Contact", "<mailto:nobody@10.1.1.1>")]))
    assert dialog.request("BYE").uri == "sip:moved@10.1.1.1"


@pytest.mark.parametrize("contact", ["<tel:+31612345678>", "*"])
def test_an_invite_that_can_not_be_called_back_makes_no_dialog(contact: str) -> None:
    with pytest.raises(Malformed):
        offered(("Contact", contact))


def test_a_hundred_proxies_are_too_many() -> None:
    with pytest.raises(Malformed):
        offered(*[("Record-Route", f"<sip:10.0.0.{number};lr>") for number in range(100)])
