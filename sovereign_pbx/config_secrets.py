"""References in the administrator's file: `${env:NAME}`, `${file:PATH}`, `${credential:NAME}`.

They are read only from files that an administrator wrote. What arrives by webhook or REST is never expanded:
an assistant made there could read any file of the daemon otherwise. `$${` stands for a literal `${`.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from sovereign_pbx.assistants.problem import Path as KeyPath
from sovereign_pbx.assistants.problem import Report
from sovereign_pbx.assistants.public import is_secret
from sovereign_pbx.assistants.secret import Redactor, looks_secret
from sovereign_pbx.assistants.shape import Nullable, Shape, Text, Url
from sovereign_pbx.assistants.table import ListOf, MapOf, Record, Table
from sovereign_pbx.core.errors import ConfigError

MOST_BYTES: Final = 1 << 20

_REFERENCE = re.compile(r"\$\$\{|\$\{(env|file|credential):([^}]*)\}")
_LOOKALIKE = re.compile(r"\$\{([^}]*)\}")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


class References:
    """Looks references up. `folder` is where relative files are sought: that of the configuration file."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self._folder = folder
        self._environ = environ
        self._schemes: dict[str, Callable[[str], str]] = {
            "env": self._variable,
            "file": self._file,
            "credential": self._credential,
        }

    def expand(self, text: str) -> str:
        """`text` with its references replaced. Raises ConfigError (without a place) for one that leads nowhere."""
        return _REFERENCE.sub(lambda found: self._schemes[found[1]](found[2]) if found[1] else "${", text)

    def _variable(self, name: str) -> str:
        value = self._environ.get(name)
        if not value:
            state = "is not set" if value is None else "is empty"
            raise ConfigError(f"environment variable {name} {state}", remedy=f"set {name} for the daemon")
        return value

    def _credential(self, name: str) -> str:
        folder = self._environ.get("CREDENTIALS_DIRECTORY")
        remedy = f"add LoadCredential={name}:/path/of/the/secret to the systemd unit"
        if not folder:
            raise ConfigError(f"credential {name} is missing: not started by systemd with credentials", remedy=remedy)
        if not _NAME.fullmatch(name):
            raise ConfigError(f"credential {name!r} is not a name", remedy=remedy)
        return _content(Path(folder) / name, f"credential {name}", remedy)

    def _file(self, name: str) -> str:
        path = self._folder / name
        return _content(path, f"file {path}", "a relative path starts at the folder of the configuration file")


def _content(path: Path, what: str, remedy: str) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
        if len(raw) > MOST_BYTES:
            raise ConfigError(f"{what} is larger than 1 MiB", remedy=remedy)
        return raw.decode("utf-8-sig").rstrip("\r\n")  # editors end files with a newline that is no part of a secret
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{what} is not UTF-8 text", remedy=remedy) from exc
    except (OSError, RuntimeError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
        raise ConfigError(f"{what} can't be read: {reason}", remedy=remedy) from exc


class Expander:
    """Walks a configuration by its shape and expands the references in its texts.

    User data (metadata, schemas, tool parameters) is left alone. `plain` collects the secrets that stand in
    the file itself, `redactor` every secret value.
    """

    def __init__(self, references: References, report: Report) -> None:
        self.redactor = Redactor()
        self.plain: list[KeyPath] = []
        self._references = references
        self._report = report

    def expand(self, shape: Shape, value: Any, path: KeyPath = ()) -> Any:
        """A copy of `value`; what a broken reference stood for becomes None, "not given"."""
        if isinstance(shape, (Record, Nullable)):
            return self.expand(shape.table if isinstance(shape, Record) else shape.inner, value, path)
        if isinstance(shape, (Table, MapOf)) and isinstance(value, Mapping):
            return {name: self._item(shape, name, item, value, (*path, name)) for name, item in value.items()}
        if isinstance(shape, ListOf) and isinstance(value, list):
            return [self.expand(shape.item, item, (*path, index)) for index, item in enumerate(value)]
        if isinstance(value, str) and isinstance(shape, (Text, Url)):
            expanded = self._text(value, path, secret=is_secret(shape))
            # one error is enough: what a broken reference stood for must not be found missing or misshapen as well
            return value if expanded is None and isinstance(shape, Text) and not shape.pattern else expanded
        return value

    def _item(self, shape: Table | MapOf, name: str, item: Any, present: Mapping[str, Any], path: KeyPath) -> Any:
        if isinstance(shape, MapOf):
            return self.expand(shape.value, item, path)
        key = shape.keys.get(shape.canonical(name, present))
        if key is not None:
            return self.expand(key.shape, item, path)
        return self._unknown(name, item, path) if shape.open else item

    def _unknown(self, name: str, item: Any, path: KeyPath) -> Any:
        """A provider's own key: any text in it may refer."""
        if isinstance(item, Mapping):
            return {inner: self._unknown(inner, value, (*path, inner)) for inner, value in item.items()}
        if isinstance(item, list):
            return [self._unknown(name, value, (*path, index)) for index, value in enumerate(item)]
        return self._text(item, path, secret=looks_secret(name)) if isinstance(item, str) else item

    def _text(self, text: str, path: KeyPath, *, secret: bool) -> str | None:
        try:
            expanded = self._references.expand(text)
        except ConfigError as error:
            self._report.error(path, error.message, error.remedy)
            return None
        if secret:
            self._secret(text, expanded, path)
        return expanded

    def _secret(self, text: str, expanded: str, path: KeyPath) -> None:
        self.redactor.add(expanded)
        meant = _LOOKALIKE.fullmatch(text)
        if meant and expanded == text:
            self._report.error(path, f"{text} is no reference", f"write ${{env:{meant[1].rpartition(':')[2]}}}")
        elif expanded == text and text:
            self.plain.append(path)
