"""The process in which a recording is converted. Run by `recording_converter`.

Standard input: one JSON object, `source`, `target`, `format`, `bitrate_kbps`. Standard output: `{"sha256", "bytes"}` of
the new file, or `{"error"}`.
"""

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from sovereign_pbx.core.errors import SovereignError
from sovereign_pbx.media.recording_export import export


def main() -> int:
    """Convert one recording; what is left of a former attempt is written anew."""
    os.nice(10)  # whoever is on the telephone comes first
    os.umask(0o077)
    order: dict[str, Any] = json.load(sys.stdin)
    source, target = Path(order["source"]), Path(order["target"])
    part = target.with_name(f".{target.name}.part")
    try:
        part.unlink(missing_ok=True)
        export(source, part, order["format"], bitrate_kbps=order["bitrate_kbps"])
        about = source.stat()
        os.utime(part, ns=(about.st_atime_ns, about.st_mtime_ns))  # its days are counted from the call
        with part.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
        answer: dict[str, Any] = {"sha256": digest, "bytes": part.stat().st_size}
        part.replace(target)
    except (SovereignError, OSError) as exc:
        part.unlink(missing_ok=True)
        answer = {"error": str(exc)}
    sys.stdout.write(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
