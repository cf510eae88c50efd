"""What an import of leads took, and what it did not."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from sovereign_pbx.calls.campaign_csv import BadLine
from sovereign_pbx.store.campaign_rows import LeadRow

MOST_TOLD: Final = 1000
"""Bad lines and numbers that are told one by one; all are counted."""


@dataclass(slots=True)
class ImportReport:
    """`duplicates`: numbers that come twice or that the campaign has already; `do_not_call`: nobody may call them."""

    lines: int = 0
    taken: int = 0
    bad: int = 0
    duplicates: int = 0
    do_not_call: int = 0
    bad_lines: list[BadLine] = field(default_factory=list)
    duplicate_numbers: list[str] = field(default_factory=list)
    unwanted_numbers: list[str] = field(default_factory=list)

    def refuse(self, line: BadLine) -> None:
        self.bad += 1
        if len(self.bad_lines) < MOST_TOLD:
            self.bad_lines.append(line)

    def _twin(self, number: str) -> None:
        self.duplicates += 1
        if len(self.duplicate_numbers) < MOST_TOLD:
            self.duplicate_numbers.append(number)

    def _unwanted(self, number: str) -> None:
        self.do_not_call += 1
        if len(self.unwanted_numbers) < MOST_TOLD:
            self.unwanted_numbers.append(number)


@dataclass(slots=True)
class Sieve:
    """Keeps one lead for each number that may be called. `seen` holds a whole number for each telephone number."""

    report: ImportReport = field(default_factory=ImportReport)
    _seen: set[int] = field(default_factory=set)

    def read(self, found: Iterable[LeadRow | BadLine]) -> list[LeadRow]:
        """Those of the next lines that are new in this file."""
        kept = []
        for one in found:
            self.report.lines += 1
            if isinstance(one, BadLine):
                self.report.refuse(one)
            elif (number := int(one.phone_number[1:])) in self._seen:
                self.report._twin(one.phone_number)
            else:
                self._seen.add(number)
                kept.append(one)
        return kept

    def sift(self, rows: Sequence[LeadRow], there: Collection[str], unwanted: Collection[str]) -> list[LeadRow]:
        """Those that are to be taken: neither `there` already nor `unwanted`."""
        kept = []
        for row in rows:
            if row.phone_number in unwanted:
                self.report._unwanted(row.phone_number)
            elif row.phone_number in there:
                self.report._twin(row.phone_number)
            else:
                kept.append(row)
        self.report.taken += len(kept)
        return kept
