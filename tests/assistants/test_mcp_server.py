"""An MCP server as the configuration and the API describe it."""

from typing import Any

import pytest

from sovereign_pbx.assistants.mcp_server import McpServer
from sovereign_pbx.assistants.problem import Report
from sovereign_pbx.assistants.public import without_secrets
from sovereign_pbx.assistants.table import Record


def read(**fields: Any) -> tuple[McpServer, list[str]]:
    report = Report(strict=True)
    server = Record(McpServer).check({"id": "a", "name": "A", "url": "http://10.0.0.5/mcp", **fields}, (), report)
    return server, [str(problem) for problem in report.problems]


def test_what_is_left_out_is_the_contracts_default() -> None:
    server, found = read()
    assert not found
    assert (server.transport, server.timeout_seconds, dict(server.headers)) == ("streamable_http", 20.0, {})


def test_headers_are_secret() -> None:
    server, found = read(headers={"Authorization": "Bearer hunter2"})
    assert not found and server.headers["Authorization"] == "Bearer hunter2"
    assert "hunter2" not in repr(server) and "hunter2" not in repr(server.headers)
    shown = without_secrets(Record(McpServer).table, {"name": "A", "headers": server.headers})
    assert "hunter2" not in str(shown)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"transport": "stdio"}, 'must be one of "streamable_http", "sse"'),
        ({"timeout_seconds": 4}, "from 5 to 60"),
        ({"url": "ftp://x/"}, "http:// or https://"),
        ({"headers": {f"X-{number}": "1" for number in range(11)}}, "at most 10 headers"),
        ({"headers": {"X: y\r\nZ": "1"}}, "is not the name of a header"),
        ({"headers": {"X-Token": "1\r\nHost: evil"}}, "printable ASCII"),
        ({"headers": {"Host": "evil"}}, "set by the daemon itself"),
        ({"headers": {"Mcp-Session-Id": "1"}}, "set by the daemon itself"),
    ],
)
def test_what_can_not_work_is_refused(fields: dict[str, Any], words: str) -> None:
    _, found = read(**fields)
    assert len(found) == 1 and words in found[0]
