"""FreeSWITCH's dialplan as text: rendered for an administrator's addresses, and the copy in the repository."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from sovereign_pbx.core.errors import ConfigError
from sovereign_pbx.pbx.freeswitch.dialplan import render

REPOSITORY = Path(__file__).resolve().parents[3]

# mod_dptools has all of them
APPLICATIONS = {"set", "unset", "export", "bridge", "transfer", "hangup"}
# switch_channel.c, CAUSE_CHART: what hangup may be told
CAUSES = {"EXCHANGE_ROUTING_ERROR", "NORMAL_CLEARING", "NORMAL_TEMPORARY_FAILURE"}


def contexts(text: str) -> dict[str, ElementTree.Element]:
    return {context.get("name", ""): context for context in ElementTree.fromstring(text)}


def actions(element: ElementTree.Element, application: str = "") -> list[tuple[str, str]]:
    found = [(one.get("application", ""), one.get("data", "")) for one in element.iter("action")]
    return [(name, data) for name, data in found if not application or name == application]


def test_the_copy_in_the_repository_is_the_default() -> None:
    assert (REPOSITORY / "dialplan/freeswitch/sovereign.xml").read_text("utf-8") == render()


def test_addresses_context_profile_and_fallback_are_filled_in() -> None:
    text = render(
        sip="[::1]:5099",
        context="bot",
        profile="external",
        fallback="600 XML default",
        decide_s=20,
        codecs=("PCMA",),
        transport="tcp",
    )
    bridges = actions(contexts(text)["bot"], "bridge")
    assert bridges == [
        (
            "bridge",
            "{media_timeout=2000,absolute_codec_string=^^:PCMA,sip_h_X-Sovereign-Call-UUID=${uuid}}"
            "[leg_progress_timeout=5,leg_timeout=32]sofia/external/$1@[::1]:5099;transport=tcp",
        )
    ]
    assert ("transfer", "600 XML default") in actions(contexts(text)["bot-after"])
    assert "@" not in re.sub(r"\$1@", "", text)
    assert "sovereign-fallback XML" not in text and 'name="sovereign"' not in text


def test_wideband_is_offered_with_its_rate() -> None:
    assert "absolute_codec_string=^^:L16@16000h@20i:G722:PCMU:PCMA," in render()


def test_every_application_is_one_that_every_freeswitch_has() -> None:
    found = actions(ElementTree.fromstring(render()))
    assert {name for name, _ in found} <= APPLICATIONS
    assert {data for name, data in found if name == "hangup" and not data.startswith("${")} <= CAUSES


def test_every_way_leads_to_a_context_that_is_there() -> None:
    known = set(contexts(render()))
    for _, data in actions(ElementTree.fromstring(render()), "transfer"):
        assert data.split(" ")[1:] == ["XML", data.split(" ")[2]] and data.split(" ")[2] in known


def test_the_call_is_not_answered_before_the_decision() -> None:
    assert not actions(ElementTree.fromstring(render()), "answer")


def test_nothing_that_a_caller_says_stands_in_a_dial_string() -> None:
    for _, data in actions(ElementTree.fromstring(render()), "bridge"):
        assert set(re.findall(r"\$\{?\w+", data)) == {"${uuid", "$1"}


def test_no_header_of_the_callers_comes_along() -> None:
    for extension in ElementTree.fromstring(render()).iter("extension"):
        found = actions(extension)
        if any(name == "bridge" for name, _ in found):
            at = [name for name, _ in found].index("bridge")
            assert found[at - 1] == ("set", "sip_copy_custom_headers=false")


def test_after_the_daemons_leg_there_is_always_something() -> None:
    for context in contexts(render()).values():
        for extension in context.iter("extension"):
            last = [name for name, _ in actions(extension)][-1]
            assert last in ("transfer", "hangup"), extension.get("name")


@pytest.mark.parametrize(
    "values",
    [
        {"sip": "host"},
        {"sip": 'host:1"/>'},
        {"context": "a b"},
        {"context": "a<b"},
        {"profile": "a/b"},
        {"fallback": "600"},
        {"fallback": "600 XML default' x"},
        {"fallback": "600 inline hangup"},
        {"decide_s": 0.0},
        {"codecs": ("OPUS",)},
        {"codecs": ()},
        {"transport": "sctp"},
    ],
)
def test_what_does_not_belong_into_a_dialplan_is_refused(values: dict[str, str]) -> None:
    with pytest.raises(ConfigError) as caught:
        render(**values)  # type: ignore[arg-type]  # each case has the type of its own parameter
    assert caught.value.key == next(iter(values))
