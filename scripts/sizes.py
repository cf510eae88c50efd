"""Print how long files and functions are, and fail where the house rules are broken.

Source: files median ≤ 150 lines and none over 600; functions median ≤ 8, 90 % ≤ 30 and none over 60.
Tests: no file over 600, no function over 60. `--top N` lists the N longest of each.
"""

import argparse
import ast
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
HARD_FILE, HARD_FUNCTION = 600, 60
MEDIAN_FILE, MEDIAN_FUNCTION, P90_FUNCTION = 150, 8, 30


@dataclass(frozen=True, slots=True)
class Sizes:
    """Lengths in lines with where they are."""

    files: list[tuple[int, str]] = field(default_factory=list)
    functions: list[tuple[int, str]] = field(default_factory=list)


def measure(folders: Sequence[str]) -> Sizes:
    """Files that hold nothing but a docstring (packages) do not count towards the medians."""
    sizes = Sizes()
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            text = path.read_text("utf-8")
            name = str(path.relative_to(ROOT))
            tree = ast.parse(text)
            if len(tree.body) > 1:
                sizes.files.append((text.count("\n"), name))
            sizes.functions.extend(functions(tree, name))
    return sizes


def functions(tree: ast.AST, name: str) -> Iterator[tuple[int, str]]:
    """Every function and method, from `def` to its last line; a stub (`...`) of an interface is none."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not is_stub(node):
            yield (node.end_lineno or node.lineno) - node.lineno + 1, f"{name}:{node.lineno} {node.name}"


def is_stub(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    values = [statement.value for statement in node.body if isinstance(statement, ast.Expr)]
    return len(values) == len(node.body) and all(isinstance(value, ast.Constant) for value in values)


def p90(lengths: Sequence[int]) -> int:
    return sorted(lengths)[int(len(lengths) * 0.9)] if lengths else 0


def line(what: str, sizes: list[tuple[int, str]]) -> str:
    lengths = [length for length, _ in sizes] or [0]
    return f"{what:<18}{len(sizes):>7}{median(lengths):>9.0f}{p90(lengths):>7}{max(lengths):>7}"


def too_long(sizes: Sizes) -> Iterator[str]:
    for limit, kind, found in ((HARD_FILE, "file", sizes.files), (HARD_FUNCTION, "function", sizes.functions)):
        for length, name in found:
            if length > limit:
                yield f"{name}: a {kind} of {length} lines, {limit} are allowed"


def out_of_shape(sizes: Sizes) -> Iterator[str]:
    files = [length for length, _ in sizes.files]
    lengths = [length for length, _ in sizes.functions]
    for what, value, limit in (
        ("the median file", median(files), MEDIAN_FILE),
        ("the median function", median(lengths), MEDIAN_FUNCTION),
        ("the function at 90 %", p90(lengths), P90_FUNCTION),
    ):
        if value > limit:
            yield f"{what} has {value:.0f} lines, {limit} are allowed"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--top", type=int, default=0, help="list the N longest files and functions")
    top = parser.parse_args().top
    source, tests = measure(["sovereign_pbx", "scripts"]), measure(["tests"])
    print(f"{'lines':<18}{'count':>7}{'median':>9}{'p90':>7}{'max':>7}")
    for what, sizes in (("source", source), ("tests", tests)):
        print(line(f"{what} files", sizes.files))
        print(line(f"{what} functions", sizes.functions))
        for found in (sizes.files, sizes.functions):
            for length, name in sorted(found, reverse=True)[:top]:
                print(f"    {length:>5}  {name}")
    faults = [*too_long(source), *too_long(tests), *out_of_shape(source)]
    for fault in faults:
        print(f"sizes: {fault}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
