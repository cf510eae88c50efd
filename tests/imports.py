"""Which modules a source file imports, read from its syntax tree."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "sovereign_pbx"
ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Import:
    """One import: the file with it, the module it names, and whether it runs when the file is imported."""

    file: Path
    line: int
    module: str
    at_import: bool
    for_types_only: bool = False

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.line} imports {self.module}"


def sources(folder: str = PACKAGE) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def imports_of(file: Path) -> list[Import]:
    """Every import of `file`, also within functions; relative ones made absolute."""
    return list(_walk(ast.parse(file.read_text("utf-8")), file, at_import=True, for_types=False))


def _walk(node: ast.AST, file: Path, *, at_import: bool, for_types: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            for module in _modules(child, file):
                yield Import(file, child.lineno, module, at_import and not for_types, for_types)
            continue
        lazy = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        typing = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test)
        yield from _walk(child, file, at_import=at_import and not lazy, for_types=for_types or typing)


def _modules(node: ast.Import | ast.ImportFrom, file: Path) -> list[str]:
    """The modules that an import names; `from package import x` names `package.x` too where that is a module."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    base = node.module or ""
    if node.level:
        package = ".".join(file.relative_to(ROOT).with_suffix("").parts[: -node.level])
        base = f"{package}.{base}".rstrip(".")
    named = [f"{base}.{alias.name}" for alias in node.names]
    return [base, *(name for name in named if is_module(name))]


def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return name.startswith(PACKAGE) and (path.with_suffix(".py").exists() or path.is_dir())
