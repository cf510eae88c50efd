"""The private Asterisk itself."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sovereign_pbx.testing.asterisk import AsteriskFailed, PrivateAsterisk

pytestmark = pytest.mark.pbx


async def ami_login(pbx: PrivateAsterisk, user: str, secret: str) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", pbx.ami_port)
    try:
        writer.write(f"Action: Login\r\nUsername: {user}\r\nSecret: {secret}\r\nEvents: off\r\n\r\n".encode())
        await reader.readline()  # the banner
        return (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).decode()
    finally:
        writer.close()


def test_it_starts_with_every_module_and_answers_on_its_console(asterisk_root: Path) -> None:
    async def run() -> None:
        async with PrivateAsterisk(asterisk_root) as pbx:
            assert "Asterisk" in await pbx.cli("core show version")
            assert await pbx.channels() == 0
            wanted = set(re.findall(r"(?m)^load = (\S+)", (pbx.run_dir / "etc/modules.conf").read_text()))
            assert wanted <= set(re.findall(r"(?m)^(\S+\.so) .* Running ", await pbx.cli("module show")))
            assert "ERROR" not in pbx.log(100_000)

    asyncio.run(run())


def test_nothing_is_left_when_it_is_closed(asterisk_root: Path) -> None:
    async def run() -> None:
        async with PrivateAsterisk(asterisk_root) as pbx:
            run_dir, process = pbx.run_dir, pbx._process
            assert process is not None
        assert process.returncode == -signal.SIGKILL
        assert not run_dir.exists()

    asyncio.run(run())


def test_text_given_by_the_test_is_part_of_the_dialplan(asterisk_root: Path) -> None:
    async def run() -> None:
        text = "[mine]\nexten => 100,1,NoOp(first)\n"
        async with PrivateAsterisk(asterisk_root, dialplan=text, context="mine") as pbx:
            assert "first" in await pbx.cli("dialplan show 100@mine")
            assert "mine" in await pbx.cli("pjsip show endpoint caller")
            await pbx.replace_dialplan(text.replace("first", "second"))
            assert "second" in await pbx.cli("dialplan show 100@mine")

    asyncio.run(run())


def test_the_daemons_account_may_log_in_and_knows_only_its_rights(asterisk_root: Path) -> None:
    async def run() -> None:
        async with PrivateAsterisk(asterisk_root, ami_read="call", ami_write="call") as pbx:
            assert "Success" in await ami_login(pbx, pbx.ami.user, pbx.ami.secret)
            assert "Error" in await ami_login(pbx, pbx.ami.user, "wrong")
            user = await pbx.cli(f"manager show user {pbx.ami.user}")
            assert "read perm: call\n" in user
            assert "all" in await pbx.cli(f"manager show user {pbx.ami_all.user}")

    asyncio.run(run())


def test_two_instances_share_no_port(asterisk_root: Path) -> None:
    async def run() -> None:
        async with PrivateAsterisk(asterisk_root) as one, PrivateAsterisk(asterisk_root) as two:
            ports = [{pbx.ami_port, pbx.sip_port, *rtp_ports(pbx)} for pbx in (one, two)]
            assert not ports[0] & ports[1]

    asyncio.run(run())


def test_it_comes_back_on_the_same_ports_after_a_polite_stop(asterisk_root: Path) -> None:
    async def run() -> None:
        async with PrivateAsterisk(asterisk_root) as pbx:
            port = pbx.ami_port
            await pbx.stop(politely=True)
            with pytest.raises(AsteriskFailed, match="Unable to connect"):
                await pbx.channels()
            await pbx.start()
            assert pbx.ami_port == port
            assert await pbx.channels() == 0

    asyncio.run(run())


def test_one_that_cannot_start_says_why_and_leaves_nothing(asterisk_root: Path) -> None:
    async def run() -> None:
        pbx = PrivateAsterisk(asterisk_root, extra={"modules.conf": "require = no_such_module.so\n"})
        with pytest.raises(AsteriskFailed, match="no_such_module"):
            async with pbx:
                pass
        assert not pbx.run_dir.exists()

    asyncio.run(run())


def test_it_dies_with_the_process_that_started_it(asterisk_root: Path) -> None:
    code = (
        "import asyncio, os, signal, sys; from pathlib import Path\n"
        "from sovereign_pbx.testing.asterisk import PrivateAsterisk\n"
        "async def main():\n"
        f"    pbx = PrivateAsterisk(Path({str(asterisk_root)!r}))\n"
        "    await pbx.start()\n"
        "    print(pbx._process.pid, pbx.run_dir, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=50)
    assert done.returncode == -signal.SIGKILL, done.stderr
    pid, run_dir = done.stdout.split()
    subprocess.run(["rm", "-r", run_dir], check=True)
    assert wait_until_gone(int(pid))


def wait_until_gone(pid: int) -> bool:
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        os.sched_yield()
        subprocess.run(["sleep", "0.02"], check=True)
    return False


def rtp_ports(pbx: PrivateAsterisk) -> range:
    text = (pbx.run_dir / "etc/rtp.conf").read_text()
    first, last = (int(line.split("=")[1]) for line in text.splitlines() if line.startswith("rtp"))
    return range(first, last + 1)
