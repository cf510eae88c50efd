"""Doctor, called as the command line calls it but on the loop of the daemon that it examines."""

import asyncio
import contextlib
import io
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from sovereign_pbx.commands.doctor import silenced
from sovereign_pbx.commands.doctor.examination import Wishes, examine_all
from sovereign_pbx.config import examine
from sovereign_pbx.pbx.asterisk.dialplan import render
from sovereign_pbx.testing.asterisk import AmiAccount, PrivateAsterisk
from sovereign_pbx.testing.port_block import reserve_ports
from tests.asterisk_of import asterisk_of
from tests.calls.house import House, house

FALLBACK = "[sovereign-fallback]\nexten => s,1,Answer()\n same => n,Milliwatt()\n"


@dataclass(frozen=True, slots=True)
class Examination:
    """What came of it."""

    status: int
    output: str
    checks: dict[str, dict[str, Any]]

    def of(self, name: str) -> str:
        """A check's status."""
        return str(self.checks[name]["status"])

    def says(self, name: str) -> str:
        """Its detail and its remedy."""
        return f"{self.checks[name]['detail']} → {self.checks[name]['remedy']}"


async def examined(config: Path, *, strict: bool = False, **wishes: Any) -> Examination:
    """Run doctor with `--json` on the file."""
    out, err = io.StringIO(), io.StringIO()
    found = await asyncio.to_thread(examine, config)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), silenced():
        status = await examine_all(found, Wishes(as_json=True, **wishes), strict=strict)
    report = json.loads(out.getvalue())
    return Examination(status, out.getvalue() + err.getvalue(), {check["name"]: check for check in report["checks"]})


def written(folder: Path, settings: dict[str, Any]) -> Path:
    """A configuration that only its owner may read."""
    path = folder / "examined.toml"
    path.write_text(tomli_w.dumps(settings))
    path.chmod(0o600)
    return path


@asynccontextmanager
async def running(folder: Path, assistants: dict[str, Any] | None = None, **sections: Any) -> AsyncIterator[House]:
    """A daemon whose health can be asked, without any PBX; its file is `folder/config.toml`."""
    ports = reserve_ports()
    try:
        sections = {"http": {"port": ports.take(socket.SOCK_STREAM)}, **sections}
        async with house(folder, assistants, **sections) as made:
            yield made
    finally:
        ports.release()


@dataclass(frozen=True, slots=True)
class Clinic:
    """A daemon beside a real Asterisk with the dialplan that we ship."""

    house: House
    asterisk: PrivateAsterisk
    config: Path

    async def load(self, plan: str = FALLBACK, **rendered: Any) -> None:
        """Have Asterisk load the dialplan, with the daemon's addresses unless others are given."""
        agi, audio = asterisk_of(self.house.daemon).agi_address, asterisk_of(self.house.daemon).audiosocket_address
        addresses = {"agi": f"{agi[0]}:{agi[1]}", "audiosocket": f"{audio[0]}:{audio[1]}"}
        text = await asyncio.to_thread(lambda: render(**{**addresses, **rendered}))
        await self.asterisk.replace_dialplan(text + plan)

    async def log_in_as(self, account: AmiAccount) -> None:
        """Write another manager account into the file that doctor reads; the daemon keeps its own."""
        ami = {"port": self.asterisk.ami_port, "username": account.user, "secret": account.secret}
        self.house.settings["asterisk"]["ami"] = ami
        await asyncio.to_thread(written, self.config.parent, self.house.settings)

    async def examine(self, **wishes: Any) -> Examination:
        return await examined(self.config, **wishes)


@asynccontextmanager
async def clinic(
    root: Path,
    folder: Path,
    assistants: dict[str, Any] | None = None,
    *,
    extra: dict[str, str] | None = None,
    read: str = "call,dtmf",
    write: str = "call,originate,reporting",
    media: str = "auto",
    **sections: Any,
) -> AsyncIterator[Clinic]:
    """Everything well, unless told otherwise. Afterwards no channel may be left."""
    async with (
        PrivateAsterisk(root, ami_read=read, ami_write=write, extra=extra) as asterisk,
        running(folder, assistants, **sections) as made,
    ):
        await made.stop()
        account = asterisk.ami
        ami = {"port": asterisk.ami_port, "username": account.user, "secret": account.secret}
        made.settings["asterisk"] |= {"ami": ami, "media": media}
        await made.start()
        config = await asyncio.to_thread(written, folder, made.settings)
        opened = Clinic(made, asterisk, config)
        await opened.load()
        yield opened
        await asterisk.wait_for_channels(0)
