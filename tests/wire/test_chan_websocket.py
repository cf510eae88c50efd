"""chan_websocket's text messages, in both of their forms and in none."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.wire import chan_websocket as wire
from sovereign_pbx.wire.malformed import Malformed

PLAIN = (
    "MEDIA_START connection_id:sovereign channel:WebSocket/sovereign/0x7f channel_id:1763640000.2"
    " format:slin16 optimal_frame_size:640 ptime:20"
)
START = {
    "event": "MEDIA_START",
    "connection_id": "sovereign",
    "channel": "WebSocket/sovereign/0x7f",
    "channel_id": "1763640000.2",
    "format": "slin16",
    "optimal_frame_size": 640,
    "ptime": 20,
    "channel_variables": {"SOVEREIGN_MEDIA": "an-id"},
}
IN_JSON = json.dumps(START)


@pytest.mark.parametrize("text", [PLAIN, IN_JSON])
def test_media_start_says_rate_and_frame_in_both_forms(text: str) -> None:
    start = wire.media_start(wire.parse(text))
    assert (start.rate, start.frame_bytes, start.channel_id) == (16000, 640, "1763640000.2")


def test_only_json_tells_the_channels_variables() -> None:
    assert wire.parse(IN_JSON).variables == {"SOVEREIGN_MEDIA": "an-id"}
    assert wire.parse(PLAIN).variables == {}
    assert wire.parse(IN_JSON).is_json
    assert not wire.parse(PLAIN).is_json


def test_a_media_start_without_ptime_is_of_an_older_asterisk() -> None:
    assert wire.media_start(wire.parse(PLAIN.removesuffix(" ptime:20"))).rate == 16000


@pytest.mark.parametrize(
    "wrong",
    [
        {"event": "STATUS"},
        {"format": "ulaw"},
        {"optimal_frame_size": 320},
        {"optimal_frame_size": -640},
        {"optimal_frame_size": None},
        {"ptime": 40},
    ],
)
def test_a_media_start_of_anything_but_20_ms_of_signed_linear_is_malformed(wrong: dict[str, object]) -> None:
    with pytest.raises(Malformed):
        wire.media_start(wire.parse(json.dumps({**START, **wrong})))


@pytest.mark.parametrize(
    ("text", "digit"),
    [
        ("DTMF_END digit:1 channel_id:9.1", "1"),
        ("DTMF_END digit:# channel_id:9.1", "#"),
        ('{"event":"DTMF_END","channel_id":"9.1","digit":"a"}', "A"),
    ],
)
def test_a_digit_is_read_in_both_forms(text: str, digit: str) -> None:
    assert wire.digit(wire.parse(text)) == digit


@pytest.mark.parametrize("text", ["DTMF_END", "DTMF_END digit:", "DTMF_END digit:12", "DTMF_END digit:x"])
def test_what_is_no_digit_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        wire.digit(wire.parse(text))


@pytest.mark.parametrize(
    "text",
    [
        "STATUS channel_id:9.1 queue_length:14 xon_level:800 xoff_level:900 queue_full:false bulk_media:true",
        '{"event":"STATUS","channel_id":"9.1","queue_length":14,"queue_full":false,"bulk_media":true}',
    ],
)
def test_status_tells_how_much_is_queued(text: str) -> None:
    event = wire.parse(text)
    assert event.number("queue_length") == 14
    assert event.values["bulk_media"] == "true"


def test_an_errors_sentence_is_kept_whole() -> None:
    event = wire.parse("ERROR channel_id:9.1 error_text:FLUSH_MEDIA not supported: passthrough mode")
    assert event.values["error_text"] == "FLUSH_MEDIA not supported: passthrough mode"


def test_a_mark_tells_the_id_it_was_given() -> None:
    assert wire.parse("MEDIA_MARK_PROCESSED 17").values == {"correlation_id": "17"}
    assert wire.parse('{"event":"MEDIA_MARK_PROCESSED","correlation_id":"17"}').values == {"correlation_id": "17"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "{",
        "{}",
        "[1]",
        '{"event":7}',
        '{"event":""}',
        "ÄRGER",
        "a b:c " + "x" * 70000,
        "[" * 50000,
        "{" * 50000,
    ],
)
def test_rubbish_is_malformed_or_has_a_name(text: str) -> None:
    try:
        assert wire.parse(text).name
    except Malformed:
        return


@given(st.text(max_size=200))
def test_no_text_does_any_harm(text: str) -> None:
    try:
        event = wire.parse(text)
        wire.media_start(event)
    except Malformed:
        return


ANY = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.lists(st.integers(), max_size=2)
)


@given(st.dictionaries(st.text(max_size=8), ANY, max_size=4))
def test_no_json_does_any_harm(values: dict[str, object]) -> None:
    event = wire.parse(json.dumps({**values, "event": "STATUS"}))
    assert event.name == "STATUS"
    assert all(isinstance(value, str) for value in event.values.values())


def test_commands_are_said_in_the_form_of_the_connection() -> None:
    assert wire.command("FLUSH_MEDIA", as_json=False) == "FLUSH_MEDIA"
    assert wire.command("FLUSH_MEDIA", as_json=True) == '{"command":"FLUSH_MEDIA"}'
    assert wire.command("MARK_MEDIA", as_json=False, correlation_id="7") == "MARK_MEDIA 7"
    assert json.loads(wire.command("MARK_MEDIA", as_json=True, correlation_id="7"))["correlation_id"] == "7"


@pytest.mark.parametrize(("name", "given_id"), [("FLUSH", ""), ("MARK_MEDIA", "x" * 128), ("MARK_MEDIA", "1\nHANGUP")])
def test_a_command_that_asterisk_would_not_read_is_not_made(name: str, given_id: str) -> None:
    with pytest.raises(Malformed):
        wire.command(name, as_json=False, correlation_id=given_id)
