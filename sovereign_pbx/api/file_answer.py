"""A file as an answer: whole or in part, without the loop ever waiting for the disk, nor for a client that dawdles.

aiohttp's own FileResponse knows no ETag but the file's time and size, takes no ETag in If-Range, and sends by
sendfile, which waits for a slow disk on the loop.
"""

import asyncio
import os
import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from pathlib import Path
from typing import Final

from aiohttp import web

from sovereign_pbx.api.byte_range import Part, Unsatisfiable, part_of

BLOCK_BYTES: Final = 256 * 1024
PATIENCE_S: Final = 60.0  # for a client to take a block


@dataclass(frozen=True, slots=True)
class _Opened:
    handle: int
    size: int
    modified: datetime
    tag: str


async def send_file(request: web.Request, path: Path, *, media_type: str, etag: str = "") -> web.StreamResponse:
    """Answer GET or HEAD with the file (RFC 9110: single ranges, If-Range, If-None-Match, 304, 416). `etag` is quoted
    here; without it one is made of time and size. Raises OSError when the file can't be opened."""
    opened = await asyncio.to_thread(_open, path, etag)
    try:
        return await _send(request, opened, path.name, media_type)
    finally:
        os.close(opened.handle)


async def _send(request: web.Request, opened: _Opened, name: str, media_type: str) -> web.StreamResponse:
    headers = {
        "ETag": opened.tag,
        "Last-Modified": format_datetime(opened.modified, usegmt=True),
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-transform",
    }
    if _knows(request.headers.get("If-None-Match", ""), opened.tag):
        return web.Response(status=304, headers=headers)
    try:
        part = part_of(request.headers.get("Range", ""), opened.size) if _range_holds(request, opened) else None
    except Unsatisfiable:
        return web.Response(status=416, headers={**headers, "Content-Range": f"bytes */{opened.size}"})
    headers |= {
        "Content-Type": media_type,
        "Content-Disposition": f'attachment; filename="{_plain(name)}"',
        "X-Content-Type-Options": "nosniff",
    }
    if part is not None:
        headers["Content-Range"] = f"bytes {part.start}-{part.end - 1}/{opened.size}"
    response = web.StreamResponse(status=200 if part is None else 206, headers=headers)
    whole = part or Part(0, opened.size)
    response.content_length = whole.length
    await response.prepare(request)
    if request.method != "HEAD":
        await _pour(request, response, opened.handle, whole)
    return response


async def _pour(request: web.Request, response: web.StreamResponse, handle: int, part: Part) -> None:
    """A client that takes nothing for a minute, and a file that has shrunk, end the connection: what was promised
    can't be kept, and the client must not take the rest for the end."""
    at = part.start
    try:
        while at < part.end:
            block = await asyncio.to_thread(os.pread, handle, min(BLOCK_BYTES, part.end - at), at)
            if not block:
                raise ConnectionResetError("the file is shorter than it was")
            async with asyncio.timeout(PATIENCE_S):
                await response.write(block)
            at += len(block)
        await response.write_eof()
    except (OSError, TimeoutError):
        if request.transport is not None:
            request.transport.close()


def _open(path: Path, etag: str) -> _Opened:
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    about = os.fstat(handle)
    if not stat.S_ISREG(about.st_mode):
        os.close(handle)
        raise FileNotFoundError(f"{path} is no file")
    tag = etag or f"{about.st_mtime_ns:x}-{about.st_size:x}"
    return _Opened(handle, about.st_size, datetime.fromtimestamp(int(about.st_mtime), UTC), f'"{tag}"')


def _knows(header: str, tag: str) -> bool:
    """If-None-Match: weak comparison (§13.1.2)."""
    return header.strip() == "*" or tag in (given.strip().removeprefix("W/") for given in header.split(","))


def _range_holds(request: web.Request, opened: _Opened) -> bool:
    """If-Range: strong comparison, or the very time (§13.1.5); of anything else the whole file is sent."""
    condition = request.headers.get("If-Range", "").strip()
    if not condition:
        return True
    if condition.startswith(('"', "W/")):
        return condition == opened.tag
    try:
        return parsedate_to_datetime(condition) == opened.modified
    except (TypeError, ValueError):
        return False


def _plain(name: str) -> str:
    """Fit to stand in quotes in a header."""
    return "".join(letter if letter.isascii() and (letter.isalnum() or letter in "-_.") else "_" for letter in name)
