"""The scripts of `make check` find what they are there to find."""

import ast
import importlib.util
import json
import sys
import zipfile
from email.message import Message
from pathlib import Path
from types import ModuleType

import pytest

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkey = pytest.MonkeyPatch()
    with monkey.context() as patch:
        patch.setitem(sys.modules, name, module)  # dataclasses look their module up while it is executed
        spec.loader.exec_module(module)
    return module


sizes = load("sizes")
licences = load("licences")


def test_a_function_is_measured_from_def_to_its_last_line() -> None:
    tree = ast.parse("def f(\n    a,\n):\n    b = a\n    return b\n")
    assert list(sizes.functions(tree, "x.py")) == [(5, "x.py:1 f")]


def test_a_stub_of_an_interface_is_not_counted() -> None:
    assert list(sizes.functions(ast.parse('def f():\n    """Says what."""\n    ...\n'), "x.py")) == []


def test_what_is_too_long_is_named() -> None:
    found = sizes.Sizes(files=[(601, "a.py"), (600, "b.py")], functions=[(61, "a.py:1 f"), (60, "a.py:2 g")])
    assert [fault.split(":")[0] for fault in sizes.too_long(found)] == ["a.py", "a.py"]


def test_a_house_of_long_files_is_out_of_shape() -> None:
    found = sizes.Sizes(files=[(151, "a.py")], functions=[(9, "f"), (31, "g")])
    assert len(list(sizes.out_of_shape(found))) == 3


@pytest.mark.parametrize(
    ("expression", "fine"),
    [
        ("MIT", True),
        ("Apache-2.0 AND (MIT OR GPL-3.0-only)", True),
        ("MIT AND LGPL-3.0-only", False),
        ("GPL-3.0-only", False),
        ("", False),
    ],
)
def test_copyleft_and_unknown_licences_are_not_permitted(expression: str, fine: bool) -> None:
    assert licences.permits(expression) is fine


@pytest.mark.parametrize(
    ("headers", "licence"),
    [
        ([("License-Expression", "MIT OR Apache-2.0")], "MIT OR Apache-2.0"),
        ([("License", "3-Clause BSD License")], "BSD-3-Clause"),
        ([("License", "Copyright …"), ("Classifier", "License :: OSI Approved :: BSD License")], "BSD-3-Clause"),
        (
            [
                ("Classifier", "License :: OSI Approved :: MIT License"),
                ("Classifier", "License :: OSI Approved :: GNU General Public License v3 (GPLv3)"),
            ],
            "MIT AND GNU General Public License v3 (GPLv3)",
        ),
        ([], ""),
    ],
)
def test_a_licence_is_read_from_whatever_names_it(headers: list[tuple[str, str]], licence: str) -> None:
    package = Message()
    for name, value in headers:
        package[name] = value
    assert licences.licence_of(package) == licence


def test_every_package_that_runs_with_us_is_looked_at() -> None:
    found, _ = licences.findings()
    names = {item.name for item in found}
    assert {"aiohttp", "yarl", "numpy", "onnxruntime"} <= names
    assert not {"pytest", "mypy", "blockbuster"} & names


# Setting up


environment = load("environment")
run_tests = load("run_tests")


def test_a_stamp_of_another_state_of_the_project_does_not_count(tmp_path: Path) -> None:
    stamp = tmp_path / ".stamp"
    assert environment.stamped_extras(stamp) is None
    for content in ("", "[]", '{"key": "old", "extras": ["dev"]}', "null"):
        stamp.write_text(content)
        assert environment.stamped_extras(stamp) is None
    stamp.write_text(json.dumps({"key": environment.key(), "extras": ["dev"]}))
    assert environment.stamped_extras(stamp) == {"dev"}


def test_an_environment_that_is_up_to_date_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*arguments: object) -> None:
        raise AssertionError("nothing was to be done")

    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").touch()
    (tmp_path / ".stamp").write_text(json.dumps({"key": environment.key(), "extras": ["dev", "plot"]}))
    for step in ("create", "ensure_pip", "ensure_certificates", "install"):
        monkeypatch.setattr(environment, step, never)
    environment.refresh(tmp_path, ["plot"])
    with pytest.raises(AssertionError, match="nothing was to be done"):
        environment.refresh(tmp_path, ["embedded"])


def test_a_pip_that_trusts_nobody_is_taught_whom_to_trust(tmp_path: Path) -> None:
    site = tmp_path / "venv/lib/python3.11/site-packages"
    site.mkdir(parents=True)
    (tmp_path / "venv" / environment.CERTIFICATES).touch()
    with zipfile.ZipFile(tmp_path / "pip.whl", "w") as wheel:
        wheel.writestr("pip/_vendor/certifi/core.py", f'PATH = "{environment.SYSTEM_BUNDLE}"\n')
    environment.unpack_pip(tmp_path / "pip.whl", tmp_path / "venv")
    taught = (site / "pip/_vendor/certifi/core.py").read_text()
    assert taught == f'PATH = "{tmp_path}/venv/{environment.CERTIFICATES}"\n'


def test_a_shim_without_its_interpreter_is_no_interpreter(tmp_path: Path) -> None:
    shim = tmp_path / "python3.12"
    shim.write_text("#!/bin/sh\necho 'pyenv: python3.12: command not found' >&2\nexit 127\n")
    shim.chmod(0o755)
    assert not run_tests.runs(str(shim), "3.12")
    assert not run_tests.runs(str(tmp_path / "nothing"), "3.12")
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert run_tests.runs(sys.executable, own)
    assert not run_tests.runs(sys.executable, "3.10")


def test_of_pyenvs_interpreters_the_newest_is_asked_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("3.12.1", "3.12.10", "3.12.9", "3.13.0"):
        (tmp_path / "versions" / name).mkdir(parents=True)
    asked = [Path(path).parts[-3] for path in run_tests.candidates("3.12")]
    assert asked == ["3.12.10", "3.12.9", "3.12.1"]


def test_a_run_that_failed_is_shown_whole_and_every_one_in_a_few_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run_tests, "ROOT", tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = long\naddopts = -ra\n")
    (tmp_path / "test_it.py").write_text(
        "import pytest\n"
        "def test_right(): pass\n"
        "@pytest.mark.skip(reason='no root')\ndef test_left(): pass\n"
        "@pytest.mark.long\ndef test_wrong(): assert 1 == 2\n"
    )
    well = run_tests.run("units", [sys.executable], "not long", "-p", "no:cacheprovider")
    wrong = run_tests.run("scenes", [sys.executable], "long", "-p", "no:cacheprovider")
    assert (well.code, wrong.code) == (0, 1)
    shown = capsys.readouterr().out
    assert "units: 100 %" in shown and "assert 1 == 2" in shown
    told = well.summary().splitlines()
    assert told[0] == "== units" and told[1].startswith("SKIPPED") and told[2].startswith("1 passed, 1 skipped")
    told = wrong.summary().splitlines()
    assert told[1].startswith("FAILED test_it.py::test_wrong") and told[2].startswith("1 failed")
