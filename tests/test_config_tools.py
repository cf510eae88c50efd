"""Tools that can't work are named before anybody calls."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sovereign_pbx import config_tools
from sovereign_pbx.config import examine, load
from sovereign_pbx.config_tools import mcp_findings

SHOP = '[mcp_servers.shop]\nurl = "http://10.0.0.5/mcp"\n'


def assistant(tool: str) -> str:
    return f'[assistants.reception]\nfirst_message = "Hello"\n[assistants.reception.llm_config]\ntools = [{tool}]\n'


def written(folder: Path, text: str) -> Path:
    file = folder / "config.toml"
    file.write_text(text + '[[numbers]]\nnumber = "*"\nassistant = "reception"\n')
    file.chmod(0o600)
    return file


def errors(folder: Path, text: str) -> list[str]:
    return [one.message for one in examine(written(folder, text)).findings if one.severity == "error"]


def borrowing(server: str) -> str:
    return f'{{ type = "mcp", mcp_server_id = "{server}", allowed_tools = ["stock"] }}'


def test_an_mcp_server_that_is_there_is_nothing_to_complain_about(tmp_path: Path) -> None:
    assert errors(tmp_path, SHOP + assistant(borrowing("shop"))) == []


def test_an_mcp_server_that_is_not_there_is_an_error_with_the_nearest_name(tmp_path: Path) -> None:
    file = written(tmp_path, SHOP + assistant(borrowing("shpo")))
    (found,) = [one for one in examine(file).findings if one.severity == "error"]
    assert found.message == 'assistants.reception.llm_config.tools: there is no MCP server "shpo"'
    assert found.remedy == 'did you mean "shop"?'
    assert found.line is not None


def test_a_schema_that_only_its_own_meta_schema_knows_to_be_wrong_is_an_error(tmp_path: Path) -> None:
    tool = '{ name = "a", description = "A.", parameters = { properties = { n = { dependentRequired = 5 } } } }'
    (found,) = errors(tmp_path, assistant(tool))
    assert 'the parameters of tool "a" are no JSON Schema: properties.n.dependentRequired' in found


def test_a_library_that_is_not_installed_is_named_by_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(tmp_path, SHOP + assistant(borrowing("shop")))
    assert mcp_findings(load(file), file) == []
    usual = importlib.util.find_spec

    def without_mcp(name: str, package: str | None = None) -> Any:
        return None if name == "mcp" else usual(name, package)

    monkeypatch.setattr(config_tools, "find_spec", without_mcp)
    (found,) = mcp_findings(load(file), file)
    assert 'the tools of MCP server "shop" need the package mcp' in found.message
    assert found.severity == "error" and "extra mcp" in found.remedy


def test_a_daemon_loads_the_libraries_of_tools_when_they_are_needed_only() -> None:
    code = "import sys, sovereign_pbx.daemon; print(*sorted({'mcp', 'httpx2', 'jsonschema'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
