"""Our AGI interpreter beside Asterisk's own."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.testing.agi_interpreter import AgiInterpreter, split
from sovereign_pbx.testing.asterisk import PrivateAsterisk
from sovereign_pbx.testing.sip_caller import SipPhone
from sovereign_pbx.wire import fastagi

COMMANDS = [
    "CHANNEL STATUS",
    "NOOP",
    "noop hello",
    "ANSWER",
    "ANSWER",
    "CHANNEL STATUS",
    "CHANNEL STATUS nosuch",
    r'SET VARIABLE R "a \"q\" \\ b"',
    "GET VARIABLE R",
    "GET VARIABLE NOPE",
    "GET VARIABLE",
    "GET VARIABLE a b",
    "SET VARIABLE x",
    "SET VARIABLE x y z",
    "GET FULL VARIABLE ${R}",
    "GET FULL VARIABLE ${NOPE}",
    "GET FULL VARIABLE",
    'VERBOSE "hello there" 3',
    "VERBOSE hi",
    "VERBOSE",
    "BOGUS thing",
    "SET NOTHING",
    "SET",
    "",
    "EXEC",
    "EXEC NoOp",
    "EXEC NoOp a b",
    'SET VARIABLE "R" ""',
    "GET VARIABLE R",
    'SET VARIABLE "unterminated',
    'SET  VARIABLE\tR  "two""joined" ',
    "GET VARIABLE R",
    r"SET VARIABLE R a\ b\\",
    "GET VARIABLE R",
    "set variable R lower",
    "GET VARIABLE R",
    "HANGUP nosuch",
]

DIALPLAN = "[phones](+)\nexten => agi,1,AGI(agi://127.0.0.1:{port}/script)\n same => n,Hangup()\n"


async def from_asterisk(root: Path) -> list[str]:
    replies: list[str] = []
    done = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\n\n")
        for command in COMMANDS:
            writer.write(command.encode() + b"\n")
            replies.append(await read_reply(reader))
        writer.close()
        done.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    dialplan = DIALPLAN.format(port=server.sockets[0].getsockname()[1])
    async with (
        PrivateAsterisk(root, dialplan=dialplan) as pbx,
        SipPhone(pbx.sip_address, port=pbx.caller_port) as phone,
    ):
        call = await phone.call("agi")
        await asyncio.wait_for(done.wait(), 20)
        await call.over()
    server.close()
    await server.wait_closed()
    return replies


async def read_reply(reader: asyncio.StreamReader) -> str:
    """One reply; of a usage text only its first line."""
    first = (await reader.readline()).decode().rstrip("\n")
    line = first
    while first.startswith("520-") and not line.startswith("520 "):
        line = (await reader.readline()).decode()
    return first


@pytest.mark.pbx
def test_every_command_is_answered_as_asterisk_answers_it(asterisk_root: Path) -> None:
    theirs = asyncio.run(from_asterisk(asterisk_root))
    interpreter = AgiInterpreter({})
    ours = [interpreter.answer(command).partition("\n")[0] for command in COMMANDS]
    assert list(zip(COMMANDS, ours, strict=True)) == list(zip(COMMANDS, theirs, strict=True))


WORDS = st.lists(
    st.text(st.characters(exclude_characters="\r\n\0", codec="utf-8"), max_size=40), min_size=1, max_size=5
)


@given(WORDS)
def test_what_the_daemon_quotes_arrives_as_it_was(words: list[str]) -> None:
    line = fastagi.command("SET", *words).decode().rstrip("\n")
    assert split(line) == ["SET", *words]


def test_an_application_that_does_not_exist_is_minus_two() -> None:
    interpreter = AgiInterpreter({}, lambda application, options: -2)
    assert interpreter.answer("EXEC NoSuchApp x") == "200 result=-2\n"
    assert interpreter.applications == [("NoSuchApp", "x")]


def test_hangup_is_obeyed_and_remembered() -> None:
    interpreter = AgiInterpreter({})
    assert interpreter.answer("HANGUP") == "200 result=1\n"
    assert interpreter.hung_up
