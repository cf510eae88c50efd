"""How long answers take, with speculation and without: `python -m scripts.bench_conversation.latency`.

    -n 1 -n 50 --interim-lag 150        how many calls at once, how late the recogniser's words come
    --out FILE                          keep what was measured
    --from FILE [FILE …] --write        put kept measurements onto the page, without measuring

It is `sovereign-pbx bench --conversation` with the page at its end. Nothing else should run on the machine meanwhile.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from scripts.bench_conversation import page
from sovereign_pbx.commands.bench.conversation import Row, markdown, measure_conversation
from sovereign_pbx.commands.bench.course import Met
from sovereign_pbx.core.errors import SovereignError


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", "--calls", type=int, action="append", help="[1, 10, 50]")
    parser.add_argument("--interim-lag", type=int, action="append", help="[0, 150]")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--from", dest="kept", type=Path, nargs="+")
    parser.add_argument("--write", action="store_true", help="into docs/conversation.md")
    arguments = parser.parse_args()
    try:
        status, measured = 0, [json.loads(file.read_text("utf-8")) for file in arguments.kept or ()]
        if not measured:
            status, found = measure(arguments.calls or (1, 10, 50), arguments.interim_lag or (0, 150), arguments.out)
            measured = [found]
        text = section(measured)
        print(text)
        if arguments.write:
            page.write("latency", text)
    except SovereignError as exc:
        print(f"bench-conversation: {exc}", file=sys.stderr)
        return 2
    return status


def measure(counts: Sequence[int], lags_ms: Sequence[int], out: Path | None) -> tuple[int, dict[str, Any]]:
    """(exit status, what was measured)."""
    import uvloop

    with tempfile.TemporaryDirectory(prefix="bench-conversation-") as folder:
        file = out or Path(folder) / "latency.json"
        status = uvloop.run(measure_conversation(counts, lags_ms, style="quiet", out=file))
        return status, json.loads(file.read_text("utf-8"))


def section(measured: Sequence[dict[str, Any]]) -> str:
    """One table of all measurements, sorted, and the machine of each."""
    rows = sorted((row_of(each) for one in measured for each in one["rows"]), key=_order)
    machines = dict.fromkeys(
        ", ".join(
            f"{name.replace('_', ' ')} {value}" for name, value in one["machine"].items() if name != "load_before"
        )
        for one in measured
    )
    return "\n\n".join([markdown(rows), *machines])


def row_of(kept: dict[str, Any]) -> Row:
    """A row as it was written to a file."""
    fields = {name: kept[name] for name in Row.__dataclass_fields__}
    return Row(**{**fields, "met": Met(**kept["met"])})


def _order(row: Row) -> tuple[int, int, bool]:
    return row.lag_ms, row.calls, row.ahead


if __name__ == "__main__":
    sys.exit(main())
