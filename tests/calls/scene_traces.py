"""What a daemon must not leave behind: sockets, open files, tasks. Read from the kernel and the loop, not from it."""

import asyncio
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import sovereign_pbx
import sovereign_pbx.testing

_TCP_LISTEN = "0A"
_OURS = str(Path(sovereign_pbx.__file__).parent)
_FAKES = str(Path(sovereign_pbx.testing.__file__).parent)


def descriptors(pid: int, folder: Path, ports: Mapping[str, int]) -> Counter[str]:
    """Open sockets of process `pid` by the name of the port at either end, and open files below `folder`.

    For a daemon in a process of its own, sockets of no such port are counted as "other".
    """
    links = _links(pid)
    named = {port: name for name, port in ports.items()}
    sockets = _tcp_sockets(pid)
    found: Counter[str] = Counter()
    for target in links:
        if target.startswith("socket:["):
            inode = target[len("socket:[") : -1]
            if inode in sockets:
                local, remote = sockets[inode]
                name = named.get(local) or named.get(remote)
                if name or pid != os.getpid():
                    found[name or f"other {local}->{remote}"] += 1
        elif target.startswith(str(folder)):
            found[Path(target).name] += 1
    return found


def _links(pid: int) -> list[str]:
    links = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            links.append(os.readlink(f"/proc/{pid}/fd/{name}"))
        except OSError:
            continue  # closed meanwhile, or the one that this directory is read with
    return links


def count(pid: int) -> int:
    """All descriptors of a process."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def _tcp_sockets(pid: int) -> dict[str, tuple[int, int]]:
    """Inode to (local port, remote port) of every TCP socket that is not merely listening."""
    found = {}
    for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] != _TCP_LISTEN:
            local, remote = (int(address.rpartition(":")[2], 16) for address in fields[1:3])
            found[fields[9]] = local, remote
    return found


def tasks() -> Counter[str]:
    """The daemon's tasks on the running loop, by what they run; those of the fakes and the tests left out."""
    found: Counter[str] = Counter()
    for task in asyncio.all_tasks():
        code = getattr(task.get_coro(), "cr_code", None)
        if code is not None and code.co_filename.startswith(_OURS) and not code.co_filename.startswith(_FAKES):
            found[f"{Path(code.co_filename).name}:{code.co_qualname}"] += 1
    return found
