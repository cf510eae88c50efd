"""The scripts of `make check` find what they are there to find."""

import ast
import importlib.util
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
        patch.setitem(__import__("sys").modules, name, module)  # dataclasses look their module up while it is executed
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
