"""Calls that sipp plays: scenarios as lists of steps, and one run of the program."""

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sovereign_pbx.testing.private_tree import PrivateTree
from sovereign_pbx.testing.sipp_tree import PROGRAM

Step = str

DEADLINE_S = 45
SDP = (
    "v=0\no=sipp 1 {version} IN IP4 [local_ip]\ns=-\nc=IN IP4 [local_ip]\nt=0 0\n"
    "m=audio [media_port] RTP/AVP 0 101\na=rtpmap:101 telephone-event/8000\na={direction}"
)


def request(
    method: str,
    *,
    number: int,
    dialog: bool = True,
    branch: str = "[branch]",
    extra: Sequence[str] = (),
    body: str = "",
    uri: str = "sip:100@[remote_ip]:[remote_port]",
) -> str:
    """The text of a request. `dialog`: To with the tag that the answer gave."""
    lines = [
        f"{method} {uri} SIP/2.0",
        f"Via: SIP/2.0/[transport] [local_ip]:[local_port];branch={branch}",
        'From: "Jan" <sip:201@[local_ip]:[local_port]>;tag=[pid]sipp[call_number]',
        f"To: <sip:100@[remote_ip]:[remote_port]>{'[peer_tag_param]' if dialog else ''}",
        "Call-ID: [call_id]",
        f"CSeq: {number} {method}",
        "Contact: <sip:201@[local_ip]:[local_port];transport=[transport]>",
        "Max-Forwards: 70",
        *extra,
        *(["Content-Type: application/sdp"] if body else []),
        "Content-Length: [len]",
    ]
    return "\n".join([*lines, "", body, ""])


def offer(direction: str = "sendrecv", version: int = 1) -> str:
    return SDP.format(direction=direction, version=version)


def send(text: str) -> Step:
    return f"<send><![CDATA[\n{text}\n]]></send>"


def recv(status: int, *, optional: bool = False, saying: str = "") -> Step:
    """An answer; `saying`: what must stand in its body."""
    found = (
        f'<action><ereg regexp="{saying}" search_in="body" check_it="true" assign_to="1"/></action>' if saying else ""
    )
    return f'<recv response="{status}"{" optional=" + chr(34) + "true" + chr(34) if optional else ""}>{found}</recv>'


def reply(status: str, *, cseq: str = "[last_CSeq:]", body: str = "") -> Step:
    """An answer of sipp's ("180 Ringing") to the last request of ours."""
    answer = [
        f"SIP/2.0 {status}",
        *("[last_Via:]", "[last_From:]", "[last_To:];tag=[pid]sipp[call_number]", "[last_Call-ID:]", cseq),
        "Contact: <sip:sipp@[local_ip]:[local_port]>",
        *(["Content-Type: application/sdp"] if body else []),
        "Content-Length: [len]",
    ]
    return send("\n".join([*answer, "", body, ""]))


def expect(method: str) -> Step:
    return f'<recv request="{method}"/>'


def taken(method: str) -> Step:
    """A request of ours, answered with 200."""
    return expect(method) + reply("200 OK").replace(";tag=[pid]sipp[call_number]", "")


def pause(milliseconds: int) -> Step:
    return f'<pause milliseconds="{milliseconds}"/>'


INVITE = send(request("INVITE", number=1, dialog=False, body=offer()))
RINGS = (recv(100, optional=True), recv(180, optional=True))
ACK = send(request("ACK", number=1))
ANSWERED = (INVITE, *RINGS, recv(200), ACK)
BYE = (send(request("BYE", number=9)), recv(200))


@dataclass(frozen=True, slots=True)
class Played:
    """How a scenario ended; `errors` in sipp's own words."""

    code: int
    errors: str
    messages: str

    def received(self, start: str) -> int:
        """How many messages beginning with `start` reached sipp."""
        return self.messages.count(f"\n\n{start}")


async def play(
    tree: PrivateTree,
    steps: Sequence[Step],
    address: tuple[str, int],
    folder: Path,
    *,
    transport: str = "u1",
    crossing: bool = False,
) -> Played:
    """One call to `address`. `crossing`: an answer may come while something else is being sent. Raises TimeoutError."""
    remote = f"{address[0]}:{address[1]}"
    patient = ["-default_behaviors", "all,-abortunexp"] if crossing else []
    return await _run(tree, steps, folder, ["-t", transport, "-p", free_port(), *patient, remote])


async def take(tree: PrivateTree, steps: Sequence[Step], port: int, folder: Path) -> Played:
    """One call that comes to `port`; `steps` begin with its request. Raises TimeoutError."""
    return await _run(tree, steps, folder, ["-t", "u1", "-p", port])


async def _run(tree: PrivateTree, steps: Sequence[Step], folder: Path, how: Sequence[object]) -> Played:
    scenario, errors, messages = (folder / name for name in ("scenario.xml", "errors.log", "messages.log"))
    known = '<Reference variables="1"/>' if any("assign_to" in step for step in steps) else ""
    text = f'<?xml version="1.0"?>\n<scenario name="scene">{"".join(steps)}{known}</scenario>\n'
    scenario.write_text(text, encoding="utf-8")
    arguments: list[object] = ["-sf", scenario, "-m", 1, "-r", 1, "-nostdin", "-i", "127.0.0.1", "-mp", free_port()]
    arguments += ["-timeout", DEADLINE_S, "-timeout_error"]
    arguments += ["-trace_err", "-error_file", errors, "-trace_msg", "-message_file", messages, *how]
    process = await asyncio.create_subprocess_exec(
        *tree.command(PROGRAM, *map(str, arguments)),
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={"TERM": "xterm", "TERMINFO": str(tree.root / "usr/share/terminfo")},
    )
    try:
        async with asyncio.timeout(DEADLINE_S + 10):
            _, said = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    told = [said.decode(errors="replace"), _read(errors)]
    return Played(process.returncode or 0, "\n".join(told), _read(messages))


def _read(path: Path) -> str:
    return path.read_text(errors="replace").replace("\r", "") if path.exists() else ""


def free_port() -> int:
    """Free at this moment, and the next one most likely too."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1]) & ~1
