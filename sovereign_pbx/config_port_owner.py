"""Which process has a TCP or UDP port, as far as /proc tells this user (proc_pid_net(5), proc_pid_fd(5))."""

import contextlib
import os
import socket
from dataclasses import dataclass
from pathlib import Path

# The kernel's tables of a kind of socket, and the state of one that whoever wants may reach
_TABLES = {socket.SOCK_STREAM: (("tcp", "tcp6"), "0A"), socket.SOCK_DGRAM: (("udp", "udp6"), "07")}


@dataclass(frozen=True, slots=True)
class Owner:
    """A process that has a port."""

    pid: int
    command: str

    @property
    def is_ours(self) -> bool:
        """Is it this program?"""
        return "sovereign-pbx" in self.command or "sovereign_pbx" in self.command

    def __str__(self) -> str:
        name = Path(self.command.partition(" ")[0]).name
        return f"process {self.pid} ({name})"


def owner_of(port: int, proc: Path = Path("/proc"), *, kind: socket.SocketKind = socket.SOCK_STREAM) -> Owner | None:
    """Who has `port`; None when nobody does, or when the process belongs to somebody else."""
    names, state = _TABLES[kind]
    inodes = {f"socket:[{inode}]" for name in names for inode in _listening(proc / "net" / name, port, state)}
    if not inodes:
        return None
    for entry in proc.iterdir():
        if entry.name.isdigit() and _holds(entry / "fd", inodes):
            return Owner(int(entry.name), _command(entry))
    return None


def _listening(table: Path, port: int, state: str) -> list[str]:
    try:
        rows = [line.split() for line in table.read_text().splitlines()[1:]]
    except OSError:
        return []
    return [row[9] for row in rows if len(row) > 9 and row[3] == state and int(row[1].rpartition(":")[2], 16) == port]


def _holds(folder: Path, inodes: set[str]) -> bool:
    try:
        descriptors = list(folder.iterdir())
    except OSError:  # gone meanwhile, or another user's
        return False
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            if os.readlink(descriptor) in inodes:
                return True
    return False


def _command(process: Path) -> str:
    try:
        return (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return "?"
