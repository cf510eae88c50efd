"""Keys of providers that were given through the API (`secrets.d/PROVIDER.toml` in the state folder), read at start."""

from pathlib import Path

from sovereign_pbx.assistants.problem import Report
from sovereign_pbx.assistants.secret import Redactor
from sovereign_pbx.assistants.shape import Text, Url
from sovereign_pbx.assistants.table import Key, Table
from sovereign_pbx.calls.accounts import KIND, Given
from sovereign_pbx.config_findings import Finding
from sovereign_pbx.config_source import read_source
from sovereign_pbx.core.errors import ConfigError
from sovereign_pbx.store.object_files import folder_of

FILE = Table(
    Key("secret_id", Text(0, 64)),
    Key("api_key", Text(0, 4096, secret=True)),
    Key("base_url", Url(("http", "https", "ws", "wss"))),
)


def given_keys(state_dir: Path, redactor: Redactor) -> tuple[dict[str, Given], list[Finding]]:
    """What was given, by provider, and what is wrong with the files that are left out."""
    found: dict[str, Given] = {}
    findings: list[Finding] = []
    try:
        files = sorted(folder_of(state_dir, KIND).glob("[!.]*.toml"))
    except OSError as exc:
        return found, [_warning(state_dir, f"keys given through the API can't be read: {exc.strerror}")]
    for file in files:
        try:
            found[file.stem] = _given(file)
            redactor.add(found[file.stem].api_key)
        except ConfigError as exc:
            findings.append(_warning(file, exc.message))
    return found, findings


def _given(file: Path) -> Given:
    report = Report()
    fields = FILE.check(read_source(file).data, (), report)
    if report.errors:
        raise ConfigError(str(report.errors[0]))
    return Given(**{name: value for name, value in fields.items() if name in FILE.keys})


def _warning(file: Path, message: str) -> Finding:
    remedy = "the provider is asked without this key; give it again through the API, or remove the file"
    return Finding(message=message, severity="warning", file=str(file), remedy=remedy)
