"""AGI requests, commands and replies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.wire import fastagi as wire
from sovereign_pbx.wire.malformed import Malformed

HEAD = b"agi_network: yes\nagi_channel: PJSIP/a-1\nagi_callerid: 100\nagi_arg_1: one\nagi_arg_2: \n\n"


def started(extra: bytes = b"") -> tuple[wire.Parser, list[wire.Event]]:
    parser = wire.Parser()
    return parser, parser.feed(HEAD + extra)


def test_a_request_gives_its_variables_and_its_arguments_in_order() -> None:
    _, (request,) = started()
    assert request == wire.Request({"network": "yes", "channel": "PJSIP/a-1", "callerid": "100"}, ("one", ""))


def test_a_value_may_hold_colons_and_bytes_that_are_no_utf8() -> None:
    (request,) = wire.Parser().feed(b"agi_calleridname: a: b\xff\n\n")
    assert isinstance(request, wire.Request)
    assert request.variables["calleridname"] == "a: b\udcff"


@pytest.mark.parametrize(
    "head", [b"GET / HTTP/1.1\n", b"Host: x\n\n", b"agi_network yes\n\n", b"agi_a: 1\nagi_a: 2\n\n"]
)
def test_what_is_no_agi_request_is_refused(head: bytes) -> None:
    with pytest.raises(Malformed):
        wire.Parser().feed(head + b"\n")


@pytest.mark.parametrize("flood", [b"a" * 9000, b"agi_x: y\n" * 300, b"agi_x: " + b"y" * 9000 + b"\n"])
def test_a_request_beyond_its_limits_is_refused(flood: bytes) -> None:
    with pytest.raises(Malformed):
        wire.Parser().feed(flood)


def test_a_request_of_few_long_lines_is_bounded_too() -> None:
    with pytest.raises(Malformed, match="over its limit"):
        wire.Parser().feed(b"".join(b"agi_%d: %s\n" % (n, b"y" * 5000) for n in range(4)))


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("200 result=1", wire.Reply(200, "1", "", "result=1")),
        ("200 result=1 (hello (you))", wire.Reply(200, "1", "hello (you)", "result=1 (hello (you))")),
        ("200 result=-1", wire.Reply(200, "-1", "", "result=-1")),
        ("200 result= (timeout)", wire.Reply(200, "", "timeout", "result= (timeout)")),
        ("510 Invalid or unknown command", wire.Reply(510, "", "", "Invalid or unknown command")),
        (
            "511 Command Not Permitted on a dead channel",
            wire.Reply(511, "", "", "Command Not Permitted on a dead channel"),
        ),
    ],
)
def test_a_reply_is_code_result_and_data(line: str, reply: wire.Reply) -> None:
    _, events = started(line.encode() + b"\n")
    assert events[1:] == [reply]
    assert reply.ok == (line.startswith("200 result=1"))


def test_a_usage_error_of_several_lines_is_one_reply() -> None:
    parser, _ = started()
    assert parser.feed(b"520-Invalid command syntax.  Proper usage follows:\nUsage: ANSWER\n 200 result=1\n") == []
    (reply,) = parser.feed(b"520 End of proper usage.\n")
    assert isinstance(reply, wire.Reply)
    assert (reply.code, reply.ok) == (520, False)
    assert "Usage: ANSWER" in reply.text


def test_a_usage_text_without_end_is_refused() -> None:
    parser, _ = started()
    with pytest.raises(Malformed, match="without end"):
        parser.feed(b"520-Usage\n" + b"more\n" * 200)


def test_a_hangup_line_is_out_of_band() -> None:
    _, events = started(b"HANGUP\n200 result=1\n")
    assert events[1:] == [wire.HungUp(), wire.Reply(200, "1", "", "result=1")]


def test_words_are_quoted_and_escaped() -> None:
    assert wire.command("SET VARIABLE", "A", 'say "hi" \\ now') == b'SET VARIABLE "A" "say \\"hi\\" \\\\ now"\n'


@pytest.mark.parametrize("word", ["a\nHANGUP", "a\rb", "a\0b"])
def test_a_word_can_not_begin_another_command(word: str) -> None:
    with pytest.raises(Malformed):
        wire.command("SET VARIABLE", "A", word)


def test_a_command_longer_than_asterisk_reads_at_once_is_refused() -> None:
    with pytest.raises(Malformed, match="over the limit"):
        wire.command("SET VARIABLE", "A", "x" * 2000)


@given(
    st.lists(st.text(st.characters(exclude_characters="\r\n\0", codec="utf-8"), max_size=50), min_size=1, max_size=5)
)
def test_a_command_is_read_back_word_for_word(words: list[str]) -> None:
    line = wire.command("SET VARIABLE", *words).decode()
    assert line.count("\n") == 1
    read, at = [], len("SET VARIABLE")
    while line[at] != "\n":
        at += 2  # blank and opening quote
        word = ""
        while line[at] != '"':
            at += line[at] == "\\"
            word += line[at]
            at += 1
        read.append(word)
        at += 1
    assert read == words


@given(st.lists(st.binary(max_size=200), max_size=20), st.booleans())
def test_garbage_is_parsed_or_refused(pieces: list[bytes], after_the_head: bool) -> None:
    parser = started()[0] if after_the_head else wire.Parser()
    try:
        for piece in pieces:
            parser.feed(piece)
    except Malformed:
        pass


@given(st.integers(1, len(HEAD) + 20))
def test_events_do_not_depend_on_packet_borders(border: int) -> None:
    stream = HEAD + b"200 result=0\nHANGUP\n"
    parser = wire.Parser()
    assert parser.feed(stream[:border]) + parser.feed(stream[border:]) == wire.Parser().feed(stream)
