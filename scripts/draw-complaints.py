#!/usr/bin/env python3
"""Write into docs/conversation.md which complaint about others is which test; --check: say whether that is needed.

A test names its threads in its docstring ("pipecat 4308, 2941; livekit 3418"). Every thread of `COMPLAINTS` must have
one, here or among `ELSEWHERE`, or this fails.
"""

import argparse
import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "conversation.md"
TESTS = ROOT / "tests" / "complaints"
BEGIN = "<!-- complaints: scripts/draw-complaints.py -->"
END = "<!-- end of complaints -->"

COMPLAINTS: dict[str, str] = {
    "Choppy, starving or sped-up sound": "pipecat 3315, 3222, 3092, 2551, 826; AVA 13, 128, 183, 279",
    "Silence after a false interruption": "livekit 3418, 4413, 4039, 1229; pipecat 4308, 2941",
    "One-word answers lost, or answered late": "pipecat 3643, 4279, 984",
    "Voice detector and recogniser disagree": "pipecat 5240, 4343, 4124; livekit 4777",
    "The history is not what was heard": "pipecat 4996, 5426, 2791, 3627, 3023",
    "Turns ended in mid-sentence, hidden waits": "pipecat 4950, 1319; livekit 4325",
    "Tools against interruptions": "pipecat 5779, 5823, 2787; livekit 1976",
    "Speculation: cost and double side effects": "livekit 4219, 3414, 5924; agents-js 1365",
    "Sockets that die when idle": "pipecat 1818, 1113, 471; livekit 2281",
    "Leaks": "pipecat 3116, 3750, 1809, 4838; livekit 2166, 4331; aplisay 285",
    "The greeting comes seconds after the answer": "pipecat 5100, 2957; livekit 2493; AVA 527",
    "Backchannels, where nothing is hosted": "livekit 6033; bolna 223",
    "Voicemail and call screening": "livekit 3643; dograh 777, 727, 759",
    "The assistant hears itself": "livekit 315, 3758; AVA 467; streamcore 48; SiphonAI 173",
    "Barge-in late or missing": "AVA 466, 351, 403; bolna 295; dograh 296",
    "Silence that grows over the call": "AVA 526",
    "Wrong figures": "livekit 2606, 5669, 6093",
    "One turn of the model a key": "bolna 757",
    "How a transfer or an order to dial failed is not told": "livekit 7200, 3187; sip 626",
}
"""What is complained about, and the threads in which: project and number."""

ELSEWHERE: dict[str, str] = {
    "pipecat 5100, 2957; livekit 2493; AVA 527": "tests/calls/test_call.py::"
    "test_the_greeting_stands_at_the_very_beginning_of_what_is_heard",
    "livekit 7200, 3187; sip 626": "tests/pbx/test_asterisk_outbound.py::test_a_refusal_is_told_for_what_it_is",
    "pipecat 1809, 4838; livekit 2166, 4331": "tests/media/test_clock.py::"
    "test_lines_that_come_and_go_leave_no_slot_of_the_detector_behind",
}
"""Threads whose tests stand with the part that they are about."""

_PROJECT = re.compile(r"([A-Za-z][\w-]*)(?: PR)? (\d[\d, and]*)")


def threads(text: str) -> Iterator[str]:
    """ "pipecat 4308, 2941; livekit 3418" → "pipecat 4308", "pipecat 2941", "livekit 3418"."""
    for project, numbers in _PROJECT.findall(text):
        for number in re.findall(r"\d+", numbers):
            yield f"{project.lower()} {number}"


def functions(path: Path) -> dict[str, str]:
    """Each test of a file with its docstring."""
    tree = ast.parse(path.read_text("utf-8"))
    return {
        node.name: ast.get_docstring(node) or ""
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def by_thread() -> dict[str, list[str]]:
    """The tests of each thread. Raises SystemExit where one of `ELSEWHERE` is not there."""
    found: dict[str, list[str]] = {}
    for path in sorted(TESTS.glob("test_*.py")):
        for name, docstring in functions(path).items():
            for thread in threads(docstring):
                found.setdefault(thread, []).append(name)
    for named, place in ELSEWHERE.items():
        path_name, name = place.split("::")
        if name not in functions(ROOT / path_name):
            raise SystemExit(f"draw-complaints: there is no {place}")
        for thread in threads(named):
            found.setdefault(thread, []).append(name)
    return found


def table() -> str:
    """Raises SystemExit for a thread without a test."""
    found = by_thread()
    lines = ["| complaint | threads | what is true here |", "| --- | --- | --- |"]
    for complaint, named in COMPLAINTS.items():
        wanted = list(threads(named))
        missing = [thread for thread in wanted if thread not in found]
        if missing:
            raise SystemExit(f"draw-complaints: no test names {', '.join(missing)}")
        tests = dict.fromkeys(name for thread in wanted for name in found[thread])
        sentences = "<br>".join(name.removeprefix("test_").replace("_", " ") for name in tests)
        lines.append(f"| {complaint} | {named} | {sentences} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    checking = parser.parse_args().check
    page = PAGE.read_text("utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    if not rest or not after:
        raise SystemExit(f"draw-complaints: {PAGE.name} lacks the markers {BEGIN} and {END}")
    drawn = f"{before}{BEGIN}\n{table()}\n{END}{after}"
    if checking:
        print(
            "docs/conversation.md is as drawn"
            if drawn == page
            else "docs/conversation.md: run scripts/draw-complaints.py"
        )
        return int(drawn != page)
    PAGE.write_text(drawn, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
