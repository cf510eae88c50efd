"""Stands in for the real library in the worker process: the same names, an HTTP server that answers from a script.

The last user message says what to answer: "say TEXT" streams TEXT in pieces of three characters, "once TEXT" does so
only when tools are listed, "die" ends the process, and anything else gets the request back. The model file
"broken.gguf" can't be loaded, "slow.gguf" never is.
"""

import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class _Known:
    """Refuses names that the real parameters do not have."""

    names: tuple[str, ...] = ()

    def __init__(self) -> None:
        for name in self.names:
            object.__setattr__(self, name, None)

    def __setattr__(self, name: str, value: object) -> None:
        if name not in self.names:
            raise AttributeError(name)
        object.__setattr__(self, name, value)


class _Model(_Known):
    names = ("path",)
    path: str


class _Cpu(_Known):
    names = ("n_threads", "poll")


class CommonParams(_Known):
    names = (
        *("model", "hostnames", "port", "api_keys", "ui", "endpoint_slots", "endpoint_props", "n_parallel", "n_ctx"),
        *("cpuparams", "cpuparams_batch", "cache_ram_mib", "verbosity", "n_batch", "n_ubatch"),
    )
    model: _Model
    api_keys: list[str]
    hostnames: list[str]

    def __init__(self) -> None:
        super().__init__()
        self.model, self.cpuparams, self.cpuparams_batch = _Model(), _Cpu(), _Cpu()


class Server:
    def __init__(self, params: CommonParams) -> None:
        sys.stdout.write("llama.cpp chatters on standard output\n")
        if params.model.path.endswith("broken.gguf"):
            raise RuntimeError("failed to load model")
        if params.model.path.endswith("slow.gguf"):
            time.sleep(60)
        handler = type("Handler", (_Handler,), {"key": params.api_keys[0]})
        self._server = ThreadingHTTPServer((params.hostnames[0], 0), handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.listening_address = f"http://127.0.0.1:{self._server.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    key = ""
    asked: list[dict[str, Any]]

    def log_message(self, format: str, *args: object) -> None: ...

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers["Authorization"] != f"Bearer {self.key}":
            self.send_error(401)
            return
        last = body["messages"][-1]["content"]
        if last == "die":
            os._exit(3)
        text = self._scripted(last, body)
        text = text[: 3 * body["max_tokens"]]
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for start in range(0, len(text), 3):
            self._chunk({"delta": {"content": text[start : start + 3]}, "finish_reason": None})
        self._chunk({"delta": {}, "finish_reason": "stop"})
        self.wfile.write(b"data: [DONE]\n\n")

    def _scripted(self, last: str, body: dict[str, Any]) -> str:
        kind, _, rest = last.partition(" ")
        if kind == "say":
            return rest
        if kind == "once":
            return rest if "JSON instead" in body["messages"][0]["content"] else "asked again without tools"
        return json.dumps(body)

    def _chunk(self, choice: dict[str, Any]) -> None:
        told = {
            "id": "1",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "m",
            "choices": [{"index": 0, **choice}],
        }
        self.wfile.write(f"data: {json.dumps(told)}\n\n".encode())
