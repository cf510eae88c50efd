"""What the daemon keeps of the installation itself: `organizations.d/own.toml` in the state folder, read at start."""

from pathlib import Path
from typing import Final

import structlog

from sovereign_pbx.assistants.problem import Report
from sovereign_pbx.assistants.shape import Text, Whole
from sovereign_pbx.assistants.table import Key, Table
from sovereign_pbx.calls.installation import KIND, OWN, Kept
from sovereign_pbx.config_source import read_source
from sovereign_pbx.core.errors import ConfigError
from sovereign_pbx.store.object_files import folder_of

log = structlog.get_logger(__name__)

_DAYS: Final = Whole(0, 36500)
FILE: Final = Table(
    Key("organization_id", Text(1, 64)),
    Key("content_retention_days", _DAYS),
    Key("metadata_retention_days", _DAYS),
)


def read_kept(state_dir: Path) -> Kept:
    """What is there; blocks. A file that can't be used is logged, and the configuration's own settings count."""
    file = folder_of(state_dir, KIND) / f"{OWN}.toml"
    if not file.is_file():
        return Kept()
    report = Report()
    try:
        fields = FILE.check(read_source(file).data, (), report)
    except ConfigError as exc:
        log.error("installation.file_unusable", file=str(file), error=exc.message)
        return Kept()
    for problem in report.errors:
        log.error("installation.file_unusable", file=str(file), error=str(problem))
    return Kept(**{name: value for name, value in fields.items() if name in FILE.keys})
