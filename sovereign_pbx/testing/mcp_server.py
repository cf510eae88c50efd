"""A scripted MCP server, built with the official library, on a loop and a port of its own.

Strict: it wants the header that it was told to want, knows only its own tools, and refuses arguments that lack what a
tool requires. What goes wrong on demand is in `McpFault`.
"""

import asyncio
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self, get_args

import mcp_types as types
import uvicorn
from mcp.server.lowlevel import Server
from mcp.server.sse import SseServerTransport
from starlette.applications import Starlette
from starlette.routing import Mount, Route

McpFault = Literal[
    "refuse",  # 503 to every request
    "hang",  # no answer to any request
    "redirect",  # to another host
    "garbage",  # JSON that is no JSON-RPC
    "flood",  # an answer that does not end
    "slow",  # the tool itself takes for ever
    "huge",  # ten megabytes of result
    "error",  # the tool says that it failed
    "picture",  # the tool answers with an image
    "structured",  # the tool answers without text
]
HUGE = 10_000_000
_HTTP_FAULTS = ("refuse", "hang", "redirect", "garbage", "flood")
_START_S = 10.0


@dataclass(frozen=True, slots=True)
class ScriptedTool:
    """One tool; `answer` makes its text of the arguments."""

    name: str
    description: str = "Looks something up."
    input_schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "object", "properties": {}})
    answer: Callable[[Mapping[str, Any]], str] = lambda arguments: "It is there."


class ScriptedMcp:
    """One server. `calls` holds what was asked, `listings` counts lists of tools, `connections` handshakes."""

    def __init__(
        self,
        *tools: ScriptedTool,
        transport: Literal["streamable_http", "sse"] = "streamable_http",
        headers: Mapping[str, str] | None = None,
        page: int = 100,
        port: int = 0,
        legacy: bool = False,
    ) -> None:
        self.tools = list(tools)
        self.transport = transport
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.listings = 0
        self.requests = 0
        self.refused: list[str] = []
        self._fault: McpFault | None = None
        self._headers = {name.lower(): value for name, value in (headers or {}).items()}
        self._page = page
        self._legacy = legacy  # as before 2026-07-28: a handshake, and a session that it remembers
        self._port = port
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/{'sse' if self.transport == 'sse' else 'mcp'}"

    def fail(self, fault: McpFault | None) -> None:
        """From the next request on; None: all well again."""
        if fault is not None and fault not in get_args(McpFault):
            raise ValueError(f"no such fault: {fault}")
        self._fault = fault

    async def start(self) -> None:
        """Listen; again on the same port after `stop`."""
        config = uvicorn.Config(
            self._app(), host="127.0.0.1", port=self._port, log_level="critical", lifespan="on", ws="none"
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, args=(self._server,), name="scripted-mcp", daemon=True)
        self._thread.start()
        async with asyncio.timeout(_START_S):
            while not self._server.started:  # noqa: ASYNC110 - it runs on another loop and offers nothing to await
                await asyncio.sleep(0.01)
        self._port = self._server.servers[0].sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Drop every connection, whatever is under way, and stop listening."""
        if self._server is None or self._thread is None:
            return
        self._server.force_exit = self._server.should_exit = True
        await asyncio.to_thread(self._thread.join, _START_S)
        self._server = self._thread = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    # --- on the server's own loop

    @staticmethod
    def _serve(server: uvicorn.Server) -> None:
        """Not `asyncio.run`: a server that is cut off leaves tasks, and that is what it is for."""
        loop = asyncio.new_event_loop()
        try:
            loop.run_until_complete(server.serve())
            left = asyncio.all_tasks(loop)
            for task in left:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()

    def _app(self) -> Any:
        server: Server[Any] = Server(
            "scripted",
            version="1",
            on_list_tools=self._list,
            on_call_tool=self._call,
            get_tool_input_schema=self._schema_of,  # else it lists its tools at every call
        )
        if self.transport == "streamable_http":
            return self._guarded(server.streamable_http_app())
        sse = SseServerTransport("/messages/")

        class Listen:
            """A class, since a route takes a function for a request handler of its own kind."""

            async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
                async with sse.connect_sse(scope, receive, send) as (reading, writing):
                    await server.run(reading, writing, server.create_initialization_options())

        routes = [Route("/sse", Listen(), methods=["GET"]), Mount("/messages/", app=sse.handle_post_message)]
        return self._guarded(Starlette(routes=routes))

    def _guarded(self, app: Any) -> Any:
        async def guarded(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            self.requests += 1
            given = {name.decode(): value.decode() for name, value in scope["headers"]}
            wrong = [name for name, value in self._headers.items() if given.get(name) != value]
            if wrong:
                self.refused.append(f"without the right {', '.join(wrong)}")
                await _answer(send, 401, b"")
            elif self._legacy and "mcp-method" in given:
                await _answer(send, 400, b"")
            elif self._fault in _HTTP_FAULTS:
                await _fail(self._fault, receive, send)
            else:
                await app(scope, receive, send)

        return guarded

    def _schema_of(self, name: str) -> Mapping[str, Any] | None:
        return next((tool.input_schema for tool in self.tools if tool.name == name), None)

    async def _list(self, _: Any, params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        self.listings += 1
        start = int((params.cursor if params else None) or 0)
        shown, more = self.tools[start : start + self._page], start + self._page < len(self.tools)
        listed = [
            types.Tool(name=tool.name, description=tool.description, input_schema=dict(tool.input_schema))
            for tool in shown
        ]
        return types.ListToolsResult(tools=listed, next_cursor=str(start + self._page) if more else None)

    async def _call(self, _: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        arguments = dict(params.arguments or {})
        tool = next((tool for tool in self.tools if tool.name == params.name), None)
        if tool is None or not set(tool.input_schema.get("required", ())) <= arguments.keys():
            self.refused.append(f"{params.name} with {sorted(arguments)}")
            return _said("no such tool, or arguments that it does not take", is_error=True)
        self.calls.append((params.name, arguments))
        if self._fault == "slow":
            await asyncio.sleep(3600)
        return self._result(tool, arguments)

    def _result(self, tool: ScriptedTool, arguments: Mapping[str, Any]) -> types.CallToolResult:
        if self._fault == "picture":
            picture = types.ImageContent(data="aGVsbG8=", mime_type="image/png")
            return types.CallToolResult(content=[picture])
        if self._fault == "structured":
            return types.CallToolResult(content=[], structured_content={"arguments": dict(arguments)})
        if self._fault == "huge":
            return _said("x" * HUGE)
        return _said(tool.answer(arguments), is_error=self._fault == "error")


def _said(text: str, *, is_error: bool = False) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(text=text)], is_error=is_error)


async def _fail(fault: str | None, receive: Any, send: Any) -> None:
    if fault == "refuse":
        await _answer(send, 503, b"")
    elif fault == "hang":
        await _gone(receive)
    elif fault == "redirect":
        await _answer(send, 307, b"", (b"location", b"http://localhost:9/mcp"))
    elif fault == "garbage":
        await _answer(send, 200, b'{"this": "is not JSON-RPC"}')
    else:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        gone = asyncio.ensure_future(_gone(receive))
        while not gone.done():
            await send({"type": "http.response.body", "body": b": nothing\n\n" * 1000, "more_body": True})
            await asyncio.sleep(0)


async def _gone(receive: Any) -> None:
    """Until the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _answer(send: Any, status: int, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    head = [(b"content-type", b"application/json"), *headers]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})
