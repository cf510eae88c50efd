"""Whom a caller's PBX is referred to, and whether it can be."""

from sovereign_pbx.pbx.sip.replaces import Replaced, takes_refer
from sovereign_pbx.wire.sip import Request
from sovereign_pbx.wire.sip_address import Uri
from sovereign_pbx.wire.sip_headers import Headers


def invite(**headers: str) -> Request:
    return Request("INVITE", "sip:800@192.0.2.9", Headers((name, value) for name, value in headers.items()))


def test_the_dialog_to_be_replaced_is_named_within_the_address_of_its_other_end() -> None:
    replaced = Replaced(call_id="a1@192.0.2.9", to_tag="theirs", from_tag="ours")
    target = Uri.parse("sip:200@192.0.2.1:5060;ob")
    referred = replaced.refer_to(target)
    assert referred == "sip:200@192.0.2.1:5060;ob?Replaces=a1%40192.0.2.9%3Bto-tag%3Dtheirs%3Bfrom-tag%3Dours"
    assert Uri.parse(referred).header("Replaces") == "a1@192.0.2.9;to-tag=theirs;from-tag=ours"
    assert not target.headers


def test_a_pbx_that_names_refer_and_replaces_can_be_referred() -> None:
    assert takes_refer(invite(Allow="INVITE, ACK, Refer", Supported="timer, replaces"))


def test_a_pbx_that_lacks_either_can_not() -> None:
    assert not takes_refer(invite(Allow="INVITE, ACK", Supported="replaces"))
    assert not takes_refer(invite(Allow="INVITE, REFER", Supported="timer"))
    assert not takes_refer(invite())
