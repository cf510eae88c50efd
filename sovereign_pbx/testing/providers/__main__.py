"""All scripted vendors in a process of their own: `python -m sovereign_pbx.testing.providers --port 0`.

Prints one line of JSON with the addresses, serves until SIGTERM or SIGINT. `GET control` gives the counters,
`POST control/faults {"vendor", "kind", "at", "times", "status"}` arms a fault, `DELETE control/faults` clears them all.
"""

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aiohttp import web

from sovereign_pbx.testing.providers import Answer, Fault, ScriptedDeepgram, ScriptedElevenLabs, ScriptedOpenAI
from sovereign_pbx.testing.providers.deepgram import Utterance
from sovereign_pbx.testing.providers.inworld import ScriptedInworld
from sovereign_pbx.testing.providers.realtime import ScriptedRealtime
from sovereign_pbx.testing.providers.server import ScriptedServer, serve

CONTROL = "/_scripted"
SCRIPT = """JSON: {"deepgram": ["…" or {"text", "seconds"}], "openai": ["…" or {"text", "tools", "when"}]}"""


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="sovereign_pbx.testing.providers", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    parser.add_argument("--api-key", default="test-key", help="what every vendor takes for a valid key")
    parser.add_argument("--script", type=Path, help=SCRIPT)
    parser.add_argument("--final-ms", type=float, default=250.0, help="Deepgram: end of speech to final text")
    parser.add_argument(
        "--interim-lag-ms", type=float, help="Deepgram: end of a word to its interim; else every 300 ms"
    )
    parser.add_argument("--first-token-ms", type=float, default=300.0, help="OpenAI: request to first token")
    parser.add_argument("--tokens-per-s", type=float, default=50.0)
    parser.add_argument("--first-audio-ms", type=float, default=150.0, help="ElevenLabs: text to first audio")
    parser.add_argument("--real-time-factor", type=float, default=0.2, help="ElevenLabs: synthesis time by sound's")
    return parser.parse_args(given)


def vendors(options: argparse.Namespace) -> dict[str, ScriptedServer]:
    """The servers as the command line wants them."""
    script = json.loads(options.script.read_text(encoding="utf-8")) if options.script else {}
    return {
        "deepgram": ScriptedDeepgram(
            [_utterance(item) for item in script.get("deepgram", ("Hello there.",))],
            api_key=options.api_key,
            final_ms=options.final_ms,
            interim_lag_ms=options.interim_lag_ms,
        ),
        "openai": ScriptedOpenAI(
            [_answer(item) for item in script.get("openai", ("Certainly. How can I help you?",))],
            api_key=options.api_key,
            first_token_ms=options.first_token_ms,
            tokens_per_s=options.tokens_per_s,
        ),
        "elevenlabs": ScriptedElevenLabs(
            api_key=options.api_key,
            first_audio_ms=options.first_audio_ms,
            real_time_factor=options.real_time_factor,
        ),
        "realtime": ScriptedRealtime(
            [_answer(item) for item in script.get("realtime", ("Certainly. How can I help you?",))],
            api_key=options.api_key,
            first_audio_ms=options.first_audio_ms,
            real_time_factor=options.real_time_factor,
        ),
        "inworld": ScriptedInworld(
            api_key=options.api_key,
            first_audio_ms=options.first_audio_ms,
            real_time_factor=options.real_time_factor,
        ),
    }


def _utterance(item: Any) -> Utterance:
    return Utterance((item,)) if isinstance(item, str) else Utterance((item["text"],), seconds=item.get("seconds"))


def _answer(item: Any) -> Answer:
    if isinstance(item, str):
        return Answer(item)
    tools = tuple((name, arguments) for name, arguments in item.get("tools", ()))
    return Answer(item.get("text", ""), tools, when=item.get("when", ""))


def control_routes(servers: dict[str, ScriptedServer]) -> list[web.RouteDef]:
    """Counters to read and faults to arm from another process."""

    async def counters(_: web.Request) -> web.Response:
        return web.json_response({name: server.received() for name, server in servers.items()})

    async def arm(request: web.Request) -> web.Response:
        try:
            wanted = await request.json()
            server = servers[wanted.pop("vendor")]
            server.faults.armed.append(Fault(**wanted))
        except (ValueError, TypeError, KeyError, AttributeError) as exc:
            return web.json_response({"error": str(exc)}, status=400)
        return web.json_response({"armed": len(server.faults.armed)})

    async def clear(_: web.Request) -> web.Response:
        for server in servers.values():
            server.faults.clear()
        return web.json_response({"armed": 0})

    return [
        web.get(CONTROL, counters),
        web.post(f"{CONTROL}/faults", arm),
        web.delete(f"{CONTROL}/faults", clear),
    ]


async def main(options: argparse.Namespace) -> None:
    """Serve until told to end."""
    servers = vendors(options)
    routes = [route for server in servers.values() for route in server.routes()]
    runner, port = await serve([*routes, *control_routes(servers)], options.port)
    url = f"http://127.0.0.1:{port}"
    addresses = {"deepgram": url, "openai": f"{url}/v1", "xai": f"{url}/xai/v1", "elevenlabs": url, "inworld": url}
    addresses["control"] = f"{url}{CONTROL}"
    sys.stdout.write(json.dumps(addresses) + "\n")
    sys.stdout.flush()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    await ended.wait()
    await runner.cleanup()


def run() -> None:
    """The command."""
    options = arguments()
    try:
        import uvloop
    except ImportError:
        asyncio.run(main(options))
    else:
        uvloop.run(main(options))


if __name__ == "__main__":
    run()
