"""Where a call may be sent to, as far as its form goes; whether it is allowed is the daemon's to say."""

from dataclasses import dataclass
from typing import Any

from sovereign_pbx.assistants.dialling import normal
from sovereign_pbx.assistants.problem import Path, Report
from sovereign_pbx.assistants.shape import NOTHING, got


@dataclass(frozen=True, slots=True)
class Destination:
    """A telephone number, an extension or a SIP URI; comes back as it was written."""

    def check(self, value: Any, path: Path, report: Report) -> Any:
        if isinstance(value, str) and len(value) <= 200 and normal(value):
            return value
        report.error(path, f"must be {self.words()}{got(value)}")
        return NOTHING

    def words(self) -> str:
        return "a telephone number such as +31201234567, an extension, or sip:user@host"

    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "minLength": 1, "maxLength": 200, "examples": ["+31201234567"]}
