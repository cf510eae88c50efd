"""The process in which a schema with regular expressions is checked. Run by `analysis_check`.

Standard input: one JSON object, `schema`, `value`, `within_s`. Standard output: `{"faults": […]}` or
`{"bad_schema": …}`; nothing when it took too long, for then the kernel ends it.
"""

import json
import math
import os
import resource
import sys
from typing import Any

from sovereign_pbx.calls.analysis_check import BadSchema, TooSlow, check

_IMPORTS_S = 2  # processor time that the libraries need to load
_MEMORY = 1 << 30


def main() -> int:
    """Check one value."""
    os.nice(10)  # whoever is on the telephone comes first
    question: dict[str, Any] = json.load(sys.stdin)
    seconds = math.ceil(question["within_s"]) + _IMPORTS_S
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    try:
        answer: dict[str, Any] = {"faults": check(question["schema"], question["value"], question["within_s"])}
    except TooSlow:
        return 1
    except BadSchema as exc:
        answer = {"bad_schema": str(exc)}
    sys.stdout.write(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
