"""What a regular expression of somebody else's may cost, found out without running it.

Python's `re` backtracks, and holds the interpreter while it does: one hostile `pattern` of a webhook's JSON Schema
would stop every call. So before a pattern is matched, the number of ways in which it could be tried on a text of that
length is counted from its parse tree. The count is an upper bound: some harmless patterns are thought dear, no dear one
harmless.
"""

import functools
import importlib
import re
from typing import Any, Final

MOST_WAYS: Final = 1_000_000
"""Ways that are tried at most: about 5 ms of matching."""

LONGEST_PATTERN: Final = 500

_INFINITE: Final = MOST_WAYS + 1

# `re` has no public parse tree; the private one has kept its shape since Python 2 (`sre_parse` there). Where it should
# be missing one day every pattern counts as too dear, which is the safe side.
try:
    _parser: Any = importlib.import_module("re._parser")
except ImportError:
    _parser = None


def matches(pattern: str, text: str) -> bool | None:
    """Does `pattern` occur in `text`? None where that is too dear to find out, or the pattern is none of Python's."""
    expression = _Expression.of(pattern)
    if expression is None or expression.ways(len(text)) > MOST_WAYS:
        return None
    return expression.compiled.search(text) is not None


def is_affordable(pattern: str, length: int = 40) -> bool:
    """Can it be matched against a text of `length` characters?"""
    expression = _Expression.of(pattern)
    return expression is not None and expression.ways(length) <= MOST_WAYS


class _Expression:
    """A pattern, compiled, with its parse tree."""

    def __init__(self, pattern: str) -> None:
        self._tree = _parser.parse(pattern)
        self.compiled = re.compile(pattern)

    @staticmethod
    @functools.lru_cache(maxsize=256)
    def of(pattern: str) -> "_Expression | None":
        if _parser is None or len(pattern) > LONGEST_PATTERN:
            return None
        try:
            return _Expression(pattern)
        except (re.error, RecursionError, OverflowError, ValueError, FutureWarning, DeprecationWarning):
            return None  # JSON Schema speaks JavaScript's dialect, which has more than Python's

    def ways(self, length: int) -> int:
        """An upper bound, `MOST_WAYS` and one for everything beyond."""
        starts = 1 if self._is_anchored() else length + 1
        return min(_INFINITE, starts * _ways(self._tree, length))

    def _is_anchored(self) -> bool:
        first = next(iter(self._tree), None)
        begins = first is not None and str(first[0]) == "AT" and "BEGINNING" in str(first[1])
        return begins and not self.compiled.flags & re.MULTILINE


def _ways(tree: Any, length: int) -> int:
    """How often a sequence can be tried from one place: the product of what its parts leave open."""
    total = 1
    for code, argument in tree:
        total = min(_INFINITE, total * _ways_of(str(code), argument, length))
    return total


def _ways_of(code: str, argument: Any, length: int) -> int:
    if code in ("LITERAL", "NOT_LITERAL", "ANY", "IN", "AT"):
        return 1
    if code in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
        least, most, tree = argument
        return _repeated(int(least), int(most), tree, length)
    if code == "SUBPATTERN":
        return _ways(argument[-1], length)
    if code == "ATOMIC_GROUP":
        return _ways(argument, length)
    if code == "BRANCH":
        return min(_INFINITE, sum(_ways(branch, length) for branch in argument[1]))
    return _INFINITE  # references back and looking round


def _repeated(least: int, most: int, tree: Any, length: int) -> int:
    once = _ways(tree, length)
    width = int(tree.getwidth()[0])
    times = min(most, length // width) if width else most
    if once == 1:
        return max(1, times - least + 1) if width else _INFINITE
    if times <= 1:
        return once + 1
    # at most 20 doublings reach the bound; the exponent must not be worth a computation of its own
    return _INFINITE if times > 20 else min(_INFINITE, (once + 1) ** times)
