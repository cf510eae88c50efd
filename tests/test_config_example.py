"""The example, the reference and the model say the same; each is drawn from the model, and here it is seen."""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sovereign_pbx.assistants.problem import Report
from sovereign_pbx.assistants.shape import NOTHING, Choice, Shape
from sovereign_pbx.assistants.table import Key, ListOf, MapOf, Record, Table
from sovereign_pbx.config import ROOT, examine, load
from sovereign_pbx.config_example import SHOWN, example, toml
from sovereign_pbx.config_layout import SAMPLES, has_default, sections
from sovereign_pbx.config_reference import placed_in
from sovereign_pbx.core.errors import ConfigError

PROJECT = Path(__file__).parent.parent


def uncommented() -> dict[str, Any]:
    """The example with every key in force."""
    text = re.sub(r"^#(?=[\[\w])", "", example(), flags=re.MULTILINE)
    return tomllib.loads(text)


def keys_of(shape: Shape, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Key]]:
    """Every key of the model by its path; names that the user chooses as the example chooses them."""
    if isinstance(shape, Record):
        yield from keys_of(shape.table, path)
    elif isinstance(shape, ListOf):
        yield from keys_of(shape.item, path)
    elif isinstance(shape, MapOf):
        yield from keys_of(shape.value, (*path, SAMPLES.get(path[-1], "")))
    elif isinstance(shape, Table):
        for key in shape.keys.values():
            yield (*path, key.name), key
            if key.example is NOTHING:  # what has an example is shown by it, as a whole
                yield from keys_of(key.shape, (*path, key.name))


MODEL = dict(keys_of(ROOT))


def at(data: Any, path: tuple[str, ...]) -> Any:
    for part in path:
        data = data[0] if isinstance(data, list) else data
        if part not in data:
            return NOTHING
        data = data[part]
    return data


def test_the_example_in_the_project_is_what_the_program_prints() -> None:
    renew = "run: sovereign-pbx config example > config.example.toml"
    assert (PROJECT / "config.example.toml").read_text() == example(), renew


def test_the_reference_in_docs_is_what_the_program_prints() -> None:
    text = (PROJECT / "docs/configuration.md").read_text()
    assert placed_in(text) == text, "run: sovereign-pbx config reference --into docs/configuration.md"


@pytest.mark.parametrize("path", MODEL, ids=".".join)
def test_every_key_of_the_model_is_in_the_example_and_explained(path: tuple[str, ...]) -> None:
    assert at(uncommented(), path) is not NOTHING
    assert MODEL[path].doc or isinstance(MODEL[path].shape, Record)


def test_every_key_of_the_example_is_known_and_well_formed() -> None:
    report = Report(strict=True)
    data = uncommented()
    data["assistants"]["reception"]["llm_config"]["tools"][0].pop("type")
    data["assistants"]["reception"]["llm_config"]["tools"][0].pop("function")
    ROOT.check(data, (), report)
    assert not report.errors


def test_defaults_in_the_example_are_the_real_ones() -> None:
    data = tomllib.loads(example())
    for section in sections():
        for key in section.keys:
            shown = at(data, (*section.path, key.name))
            if shown is NOTHING or (*section.path, key.name) in SHOWN:
                continue
            assert has_default(key)
            assert toml(shown) == toml(key.default), (section.path, key.name)


def test_the_example_as_it_is_has_no_errors(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(example())
    config = load(path, environ={})
    assert config.directory.find("+31850835037")[1] is config.assistants["reception"]
    assert [finding.key for finding in config.warnings] == ["asterisk.ami"]


def test_the_configuration_shown_in_docs_has_no_errors(tmp_path: Path) -> None:
    (found,) = re.findall(r"```toml\n(.*?)```", (PROJECT / "docs/configuration.md").read_text(), re.DOTALL)
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts/reception.txt").write_text("Be kind.")
    (tmp_path / "ami-secret").write_text("secret")
    path = tmp_path / "config.toml"
    path.write_text(found)
    assert examine(path, environ={"CREDENTIALS_DIRECTORY": str(tmp_path)}).findings == ()


def test_a_page_without_a_place_for_the_reference_is_refused() -> None:
    with pytest.raises(ConfigError, match="no place"):
        placed_in("# nothing here")


def test_the_json_schema_knows_every_key() -> None:
    schema = ROOT.json_schema()
    json.dumps(schema)
    assert schema["additionalProperties"] is False
    for path, key in MODEL.items():
        part = schema
        for name in path:
            part = part.get("items", part)
            inner = part["properties"] if "properties" in part else {name: part["additionalProperties"]}
            part = inner[name]
        if isinstance(key.shape, Choice):
            assert set(key.shape.values) <= set(part["enum"])
