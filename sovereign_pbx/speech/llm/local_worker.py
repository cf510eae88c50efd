"""The process that holds the local language model: llama.cpp's HTTP server, inside Python. Run by `local_server`.

It is a process of its own because loading the model holds the interpreter's lock from beginning to end (1.8 to 17 s
measured): in the daemon every call would stand still. Here it can also be given a lower priority, and a crash in the
library costs one reply and not all calls.

Standard input: one line of JSON (see `main`), then nothing; its end tells that the daemon is gone.
Standard output: one line of JSON, `{"address": …}` or `{"error": …}`.
"""

import importlib
import json
import os
import sys
from typing import Any


def main() -> int:
    """Serve until standard input ends."""
    wanted: dict[str, Any] = json.loads(sys.stdin.readline())
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what the library prints must not be taken for the answer
    try:
        os.nice(wanted["nice"])
        server = _serve(wanted)
    except Exception as exc:
        answer.write(json.dumps({"error": f"{type(exc).__name__}: {exc}"}) + "\n")
        answer.close()
        return 1
    answer.write(json.dumps({"address": server.listening_address}) + "\n")
    answer.close()
    sys.stdin.read()
    os._exit(0)  # the library's own end waits for requests that nobody reads any more


def _serve(wanted: dict[str, Any]) -> Any:
    library = importlib.import_module("xllamacpp")
    params = library.CommonParams()
    params.model.path = wanted["model_path"]
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [wanted["api_key"]]
    params.ui = params.endpoint_slots = params.endpoint_props = False
    params.n_parallel = wanted["slots"]
    params.n_ctx = wanted["slots"] * wanted["context"]
    params.cpuparams.n_threads = wanted["threads"]
    params.cpuparams_batch.n_threads = wanted["prompt_threads"]
    # Spinning at a barrier while another process has the core costs a factor of ten: measured 2 against 20 tokens/s.
    params.cpuparams.poll = params.cpuparams_batch.poll = 0
    # A request that was given up, or a new one, waits until the batch of the moment is read. With the library's 2048 a
    # caller waited 21 to 31 s for his first token while a summary of 700 tokens was read, with 64 it was 3 to 5 s (two
    # busy cores, the summary broken off at once); prompts are read as fast.
    params.n_batch = params.n_ubatch = 64
    params.cache_ram_mib = wanted["cache_mib"]
    params.verbosity = -1
    return library.Server(params)


if __name__ == "__main__":
    sys.exit(main())
