"""The torture messages as bytes (see tests/wire/torture/README.md)."""

import re
from pathlib import Path

FOLDER = Path(__file__).parent / "torture"
NAMES = sorted(path.stem for path in FOLDER.glob("*.txt"))
_MARK = re.compile(rb"\{\{([^}]+)\}\}")


def _expanded(match: re.Match[bytes]) -> bytes:
    if match[1] == b"length":
        return match[0]
    count, star, text = match[1].partition(b"*")
    return text * int(count) if star else bytes.fromhex(match[1].decode())


def torture(name: str) -> bytes:
    data = (FOLDER / f"{name}.txt").read_bytes().replace(b"\n", b"\r\n")
    head, _, body = data.partition(b"\r\n\r\n")
    body = _MARK.sub(_expanded, body)
    head = _MARK.sub(_expanded, head).replace(b"{{length}}", str(len(body)).encode())
    return head + b"\r\n\r\n" + body
