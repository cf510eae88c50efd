"""The house keeps its plan: who may import whom, and what files are called."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.imports import PACKAGE, ROOT, Import, imports_of, sources

EVERYTHING = frozenset(
    "core wire media pbx speech assistants store webhooks calls api testing commands top".split()  # noqa: SIM905 - a table
)

# The table of CONTRIBUTING.md. A room may always import from itself.
MAY_IMPORT = {
    "core": frozenset(),
    "wire": frozenset(),
    "media": frozenset({"core", "wire"}),
    "pbx": frozenset({"core", "wire", "media"}),
    "speech": frozenset({"core", "media"}),
    "assistants": frozenset({"core"}),
    "store": frozenset({"core", "assistants"}),
    "webhooks": frozenset({"core", "assistants", "store"}),
    "calls": frozenset({"core", "wire", "media", "pbx", "speech", "assistants", "store", "webhooks"}),
    "api": frozenset({"calls", "assistants", "webhooks", "core"}),
    "testing": EVERYTHING,
    "commands": EVERYTHING,
    "top": EVERYTHING,
}

# Beyond the standard library, these rooms know only what is named here.
OUTSIDE = {"core": frozenset[str](), "wire": frozenset({"numpy"})}

# Large or vendors' own: loaded when a call needs them, never because a module was imported. Voice and turn detection
# in media/ are the exception: they are themselves loaded only by what has calls to serve.
LAZY = frozenset(
    {
        "ctranslate2",
        "deepgram",
        "elevenlabs",
        "faster_whisper",
        "hibari_tts",
        "llama_cpp",
        "matplotlib",
        "nanotts",
        "onnxruntime",
        "openai",
        "pydub",
        "xllamacpp",
    }
)

FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "manager", "base", "common", "misc"}


def room_of(module: str) -> str:
    """The room a module of the package belongs to; `top` for those beside the rooms and for the package itself."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in MAY_IMPORT else "top"


def module_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def wrong_arrows(found: list[Import]) -> Iterator[str]:
    for item in found:
        if item.module.split(".")[0] != PACKAGE or item.module == PACKAGE:
            continue
        here, there = room_of(module_of(item.file)), room_of(item.module)
        if here != there and there not in MAY_IMPORT[here]:
            yield f"{item}: {here}/ may not import {there}"


def wrong_libraries(found: list[Import]) -> Iterator[str]:
    for item in found:
        room, library = room_of(module_of(item.file)), item.module.split(".")[0]
        known = library in (PACKAGE, "__future__") or library in sys.stdlib_module_names
        if room in OUTSIDE and not known and library not in OUTSIDE[room]:
            yield f"{item}: {room}/ may import the standard library and {sorted(OUTSIDE[room]) or 'nothing else'}"


def hasty_libraries(found: list[Import]) -> Iterator[str]:
    for item in found:
        library = item.module.split(".")[0]
        at_home = library == "onnxruntime" and room_of(module_of(item.file)) == "media"
        if item.at_import and library in LAZY and not at_home:
            yield f"{item}: import it in the function that needs it"


EVERY_IMPORT = [item for file in sources() for item in imports_of(file)]


def test_no_arrow_runs_against_the_plan() -> None:
    assert list(wrong_arrows(EVERY_IMPORT)) == []


def test_nobody_imports_the_commands_or_the_top_level() -> None:
    found = [
        str(item)
        for item in EVERY_IMPORT
        if item.module.startswith(f"{PACKAGE}.")
        and room_of(item.module) in ("commands", "top")
        and room_of(module_of(item.file)) not in ("commands", "top", "testing")
    ]
    assert found == []


def test_what_is_shipped_to_run_does_not_import_the_fakes() -> None:
    allowed = {"testing", "commands"}
    found = [item for item in EVERY_IMPORT if item.module.startswith(f"{PACKAGE}.testing")]
    assert [str(item) for item in found if room_of(module_of(item.file)) not in allowed] == []


def test_the_core_knows_the_standard_library_only_and_the_wire_numpy() -> None:
    assert list(wrong_libraries(EVERY_IMPORT)) == []


def test_vendors_libraries_are_imported_where_they_are_used() -> None:
    assert list(hasty_libraries(EVERY_IMPORT)) == []


def test_the_command_line_starts_without_any_vendors_library() -> None:
    code = f"import sys, {PACKAGE}.cli; print(*sorted({set(LAZY)!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == ""


def test_every_room_of_the_plan_says_what_it_is() -> None:
    rooms = [path for path in (ROOT / PACKAGE).iterdir() if (path / "__init__.py").exists()]
    assert {path.name for path in rooms} == set(MAY_IMPORT) - {"top"}
    assert [path.name for path in rooms if not (path / "__init__.py").read_text("utf-8").startswith('"""')] == []


def test_files_are_named_after_what_they_do() -> None:
    names = [file for folder in (PACKAGE, "tests", "scripts") for file in sources(folder)]
    assert [str(file) for file in names if file.stem.removeprefix("test_") in FORBIDDEN_NAMES] == []


# The rules themselves can fail.


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tests.imports.ROOT", tmp_path)
    monkeypatch.setattr("tests.test_architecture.ROOT", tmp_path)
    return tmp_path / PACKAGE


def write(house: Path, name: str, text: str) -> list[Import]:
    path = house / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return imports_of(path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("core/x.py", "from sovereign_pbx.media import clock"),
        ("core/x.py", "from ..media import clock"),
        ("core/x.py", "import sovereign_pbx.pbx.link"),
        ("media/x.py", "def late():\n    from sovereign_pbx.calls import call"),
        ("speech/tts/x.py", "import sovereign_pbx.store"),
        ("api/x.py", "from sovereign_pbx.store import Store"),
        ("calls/x.py", "from sovereign_pbx.config import load"),
        ("wire/x.py", "if TYPE_CHECKING:\n    from sovereign_pbx.core import errors"),
    ],
)
def test_a_wrong_arrow_is_found(house: Path, name: str, text: str) -> None:
    assert len(list(wrong_arrows(write(house, name, text)))) >= 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("calls/x.py", "from sovereign_pbx.store import Store"),
        ("core/x.py", "from sovereign_pbx.core.events import Event"),
        ("daemon.py", "from sovereign_pbx.api import server"),
        ("media/x.py", "import sovereign_pbx"),
    ],
)
def test_a_right_arrow_is_not(house: Path, name: str, text: str) -> None:
    assert list(wrong_arrows(write(house, name, text))) == []


def test_a_library_in_the_core_is_found(house: Path) -> None:
    assert len(list(wrong_libraries(write(house, "core/x.py", "import numpy\nimport json")))) == 1
    assert list(wrong_libraries(write(house, "wire/x.py", "import numpy\nimport json"))) == []


def test_a_vendors_library_at_the_top_of_a_file_is_found(house: Path) -> None:
    assert len(list(hasty_libraries(write(house, "speech/x.py", "from openai.types import Chat")))) == 1
    lazy = "if TYPE_CHECKING:\n    import openai\ndef f():\n    import openai"
    assert list(hasty_libraries(write(house, "speech/x.py", lazy))) == []
