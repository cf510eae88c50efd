"""FreeSWITCH's event socket: what came from a real one is read whole, and nothing breaks out of a command."""

import json
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.wire import esl
from sovereign_pbx.wire.malformed import Malformed
from tests.wire import esl_recordings

VALUES = st.text(max_size=60).filter(lambda text: not set(text) & set("\r\n\0"))


def messages(data: bytes) -> list[esl.Message]:
    return esl.Parser().feed(data)


def test_the_recorded_inbound_socket_is_read_whole() -> None:
    found = messages(esl_recordings.stream("inbound"))
    kinds = [message.kind for message in found]
    assert kinds.count("auth/request") == 2
    assert kinds.count("text/disconnect-notice") == 2
    assert kinds.count("api/response") == 3
    replies = [message.reply for message in found if message.kind == "command/reply"]
    assert "+OK accepted" in replies and "-ERR invalid" in replies
    [job] = [esl.event(message) for message in found if message.is_event]
    assert (job.name, job.get("Job-Command"), job.body) == ("BACKGROUND_JOB", "uuid_exists", "false")
    assert job.get("Event-Date-Local") == "2026-11-20 05:24:16"


def test_the_recorded_outbound_socket_is_read_whole() -> None:
    found = messages(esl_recordings.stream("outbound"))
    connected = esl.event(found[0])
    assert connected.name == "CHANNEL_DATA"
    assert connected.get("Reply-Text") == "+OK\n"
    assert connected.variable("sip_full_from") == "<sip:tester@127.0.0.1>;tag=416bd0a5"
    names = [esl.event(message).name for message in found if message.is_event]
    assert names == [
        "CHANNEL_EXECUTE",
        "CHANNEL_PROGRESS_MEDIA",
        "CHANNEL_ANSWER",
        "CHANNEL_EXECUTE_COMPLETE",
        "DTMF",
        "CHANNEL_HANGUP",
        "CHANNEL_UNPARK",
        "CHANNEL_EXECUTE_COMPLETE",
        "CHANNEL_STATE",
        "CHANNEL_STATE",
        "CHANNEL_HANGUP_COMPLETE",
    ]
    assert found[-1].get("Content-Disposition") == "disconnect"
    assert "ClueCon" in found[-1].body


@pytest.mark.parametrize("name", esl_recordings.NAMES)
@given(data=st.data())
def test_however_it_is_split_the_same_messages_come(name: str, data: st.DataObject) -> None:
    whole = esl_recordings.stream(name)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=12)))
    parser = esl.Parser()
    found = []
    for begin, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
        found += parser.feed(whole[begin:end])
    assert found == messages(whole)


@given(
    st.dictionaries(st.from_regex(r"[A-Z][A-Za-z-]{0,20}", fullmatch=True), VALUES, max_size=6), st.text(max_size=50)
)
def test_an_event_is_read_as_it_was_written(headers: dict[str, str], body: str) -> None:
    headers = {name: value.strip() for name, value in headers.items() if name.lower() != "content-length"}
    headers = {name: value for name, value in headers.items() if len({n.lower() for n in headers}) == len(headers)}
    [message] = messages(esl.encode_event({"Event-Name": "CUSTOM", **headers}, body))
    found = esl.event(message)
    assert all(found.get(name) == value for name, value in headers.items() if name != "Event-Name")


@pytest.mark.parametrize("name", esl_recordings.NAMES)
def test_events_are_written_byte_by_byte_as_a_real_one_wrote_them(name: str) -> None:
    recorded = [message for message in messages(esl_recordings.stream(name)) if message.is_event]
    assert recorded
    for message in recorded:
        head, _, body = message.body.partition("\n\n")
        once = dict.fromkeys(head.split("\n"))  # CHANNEL_HANGUP_COMPLETE tells its cause twice
        headers = {line.split(": ", 1)[0]: unquote(line.split(": ", 1)[1]) for line in once}
        headers.pop("Content-Length", None)
        [written] = messages(esl.encode_event(headers, body))
        assert written.body == "\n".join(once) + "\n\n" + body


def test_a_body_is_counted_in_bytes() -> None:
    [job, after] = messages(esl.encode_event({"Event-Name": "BACKGROUND_JOB"}, "+OK Zoë\n") + b"A: b\n\n")
    assert esl.event(job).body == "+OK Zoë\n"
    assert after.get("a") == "b"


def test_an_event_in_json_is_read_too() -> None:
    text = json.dumps({"Event-Name": "CUSTOM", "Event-Subclass": "avmd::beep", "Event-Sequence": 4, "_body": "x"})
    [message] = messages(f"Content-Length: {len(text)}\nContent-Type: text/event-json\n\n{text}".encode())
    found = esl.event(message)
    assert (found.name, found.body, found.get("event-sequence")) == ("avmd::beep", "x", "")


@pytest.mark.parametrize(
    "data",
    [
        b"no header\n\n",
        b"Content-Length: -1\n\n",
        b"Content-Length: 1e3\n\n",
        b"Content-Length: 99999999999\n\n",
        b"A: b\n" * 60_000,
        b"A: b\n" * 5_000 + b"\n",
        b"x" * (esl.MAX_HEAD_BYTES + 1),
    ],
)
def test_what_is_no_event_socket_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        messages(data)


@given(st.binary(max_size=400))
def test_rubbish_is_refused_or_read_and_nothing_else(data: bytes) -> None:
    try:
        for message in messages(data):
            esl.event(message)
    except Malformed:
        pass


@pytest.mark.parametrize("body", ["[]", "{", "1", "[" * 100_000])
def test_an_event_that_is_no_json_object_is_refused(body: str) -> None:
    with pytest.raises(Malformed):
        esl.event(esl.Message({"content-type": "text/event-json"}, body))


@pytest.mark.parametrize("evil", ["a\nexit", "a\r\nexit", "a\0"])
def test_nothing_breaks_out_of_a_command(evil: str) -> None:
    with pytest.raises(Malformed):
        esl.command(evil)
    with pytest.raises(Malformed):
        esl.command("sendmsg", {"hangup-cause": evil})
    with pytest.raises(Malformed):
        esl.command("sendmsg", {evil: "x"})


@given(VALUES, VALUES, st.text(max_size=40))
def test_a_command_is_one_command_whatever_is_in_it(line: str, value: str, body: str) -> None:
    sent = esl.command(f"api {line}", {"Job-UUID": value}, body)
    head, _, content = sent.partition(b"\n\n")
    assert head.split(b"\n")[:2] == [f"api {line}".encode(), f"Job-UUID: {value}".encode()]
    assert content == body.encode()


@pytest.mark.parametrize("name", esl_recordings.NAMES)
def test_commands_are_written_as_those_that_a_real_one_took(name: str) -> None:
    for sent in esl_recordings.commands(name):
        line, *lines = sent.decode().split("\n")
        headers = dict(one.split(": ", 1) for one in lines)
        assert esl.command(line, headers) == sent + b"\n\n"


@pytest.mark.parametrize("value", ["a b", "a,b", "a}b", "{", "'", '"', "a\\", "${x}", "a\nb", "a|b", "^^:a", "[", "\0"])
def test_a_variable_that_would_end_its_list_is_refused(value: str) -> None:
    with pytest.raises(Malformed):
        esl.channel_variables({"a": value})


@pytest.mark.parametrize("name", ["", "a b", "a=b", "1", "a,b", "a\n"])
def test_a_name_that_is_no_variable_is_refused(name: str) -> None:
    with pytest.raises(Malformed):
        esl.channel_variables({name: "x"})


def test_variables_stand_in_braces() -> None:
    assert esl.channel_variables({"a": "1", "sip_h_Diversion": "<sip:+31@x>;reason=deflection"}) == (
        "{a=1,sip_h_Diversion=<sip:+31@x>;reason=deflection}"
    )
    assert esl.channel_variables({}) == ""


@pytest.mark.parametrize("text", ["", "a b", "a\nb", "'a'", "$a", "a\\b", "\0"])
def test_a_word_is_one_word(text: str) -> None:
    with pytest.raises(Malformed):
        esl.word("the channel", text)
