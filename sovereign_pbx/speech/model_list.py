"""The catalogue of model files: what each is, its licence, its bytes, and the wheels that carry it.

The data stands in `model_list.toml` beside this module and is validated when it is first read.
"""

import functools
import tomllib
from collections.abc import Iterable
from importlib import resources
from typing import Final

import msgspec

from sovereign_pbx.core.errors import ConfigError

LIST_FILE: Final = "model_list.toml"


class Carrier(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One wheel of the package registry; `size` in bytes, `sha256` of the wheel itself."""

    version: str
    size: int
    sha256: str


class ModelFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of a model: `parts` are (carrier, archive member) pairs, joined in order; `or_parts` a second way."""

    name: str
    size: int
    sha256: str
    parts: tuple[tuple[str, str], ...]
    or_parts: tuple[tuple[str, str], ...] = ()


class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One model; `entry` is what its engine opens: a file's name, or "." for the directory."""

    purpose: str
    licence: str
    upstream: str
    entry: str
    files: tuple[ModelFile, ...]

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(file.size for file in self.files)

    def carriers(self, *, second: bool = False) -> tuple[str, ...]:
        """Names of the wheels needed, each once; with `second`, by the second way where there is one."""
        parts = (part for file in self.files for part in file_parts(file, second=second))
        return tuple(dict.fromkeys(carrier for carrier, _ in parts))

    @property
    def has_second_way(self) -> bool:
        """Whether any file can come from another carrier."""
        return any(file.or_parts for file in self.files)


class Catalogue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Every model, every carrier, and the named sets of models."""

    sets: dict[str, tuple[str, ...]]
    models: dict[str, Model]
    carriers: dict[str, Carrier]

    def named(self, names: Iterable[str]) -> list[str]:
        """The models that `names` (of models, of sets, or "all") stand for, each once. Raises ConfigError."""
        found: dict[str, None] = {}
        for name in names:
            if name in self.models:
                found[name] = None
            elif name == "all":
                found.update(dict.fromkeys(self.models))
            elif name in self.sets:
                found.update(dict.fromkeys(self.sets[name]))
            else:
                raise unknown_model(name, self)
        return list(found)


def file_parts(file: ModelFile, *, second: bool) -> tuple[tuple[str, str], ...]:
    """The parts of `file` by the first or the second way."""
    return file.or_parts if second and file.or_parts else file.parts


def unknown_model(name: str, catalogue: Catalogue) -> ConfigError:
    """The error for a name that is neither a model nor a set."""
    known = ", ".join([*catalogue.models, *catalogue.sets, "all"])
    return ConfigError(f"there is no model named {name!r}", remedy=f"known names: {known}")


@functools.cache
def catalogue() -> Catalogue:
    """The catalogue that ships with the package."""
    text = (resources.files("sovereign_pbx.speech") / LIST_FILE).read_text(encoding="utf-8")
    return parse(text)


def parse(text: str) -> Catalogue:
    """Read a catalogue and check that every name in it leads somewhere. Raises ConfigError."""
    try:
        found = msgspec.convert(tomllib.loads(text), Catalogue)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as exc:
        raise ConfigError(f"the model list is not valid: {exc}", file=LIST_FILE) from exc
    loose = _loose_ends(found)
    if loose:
        raise ConfigError(f"the model list names what it does not have: {', '.join(sorted(loose))}", file=LIST_FILE)
    return found


def _loose_ends(found: Catalogue) -> set[str]:
    loose = {name for names in found.sets.values() for name in names if name not in found.models}
    for model in found.models.values():
        loose |= {c for way in (False, True) for c in model.carriers(second=way) if c not in found.carriers}
        if model.entry not in (".", *(file.name for file in model.files)):
            loose.add(model.entry)
        # a name is joined to a directory: it may not lead out of it
        loose |= {file.name for file in model.files if "/" in file.name or file.name.startswith(".")}
    return loose
