"""Leads in a CSV file as people's spreadsheets write them: any delimiter, any of the usual encodings, numbers as they
are dialled at home. Every line that can't be taken is told with its column and the reason. Blocks: for threads and
commands. Memory does not grow with the file, but for eight bytes or so a number that was seen.
"""

import codecs
import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sovereign_pbx.assistants.problem import Report
from sovereign_pbx.calls.campaign_leads import LEAD, MOST_VARIABLES, lead_row
from sovereign_pbx.calls.number_form import parsed
from sovereign_pbx.calls.number_zones import no_zones, zones_of_parsed
from sovereign_pbx.core.errors import BadInput
from sovereign_pbx.store.campaign_rows import LeadRow

DELIMITERS: Final = ",;\t|"
PHONE_COLUMNS: Final = (
    *("phone_number", "phonenumber", "phone", "number", "telephone", "tel", "mobile", "msisdn", "telefoonnummer"),
    *("telefoon", "nummer", "mobiel", "telefonnummer", "telefon", "handy", "téléphone", "numéro", "portable"),
)
ZONE_COLUMNS: Final = ("timezone", "time_zone", "tijdzone", "zeitzone", "fuseau_horaire")
_CHUNK: Final = 1 << 16
_SHOWN: Final = 40


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that was not taken. Lines are counted from 1, as editors do; `column` is its heading."""

    line: int
    column: str
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}, {self.column}: {self.reason}" if self.column else f"line {self.line}: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvRules:
    """How a file is read. `phone_column`: its heading, "" for one of PHONE_COLUMNS. `country`: whose numbers are
    written without their country code, as in "NL" or "31"; "" for nobody's. `zones_by_number`: numbers tell time zones.
    """

    phone_column: str = ""
    country: str = ""
    delimiter: str = ""
    zones_by_number: bool = True


@dataclass(slots=True)
class LeadReader:
    """Yields a LeadRow or a BadLine for each line that is not empty. Raises BadInput where no column has numbers."""

    campaign_id: str
    at: str
    rules: CsvRules = field(default_factory=CsvRules)
    headings: Sequence[str] = ()
    _phone: int = 0
    _zone: int | None = None

    def read(self, lines: Iterable[str]) -> Iterator[LeadRow | BadLine]:
        waiting = iter(lines)
        first = next(waiting, "")
        reader = csv.reader(_chain(first, waiting), delimiter=self.rules.delimiter or delimiter_of(first))
        self._understand(next(reader, []))
        line = reader.line_num
        while True:
            try:
                cells = next(reader, None)
            except csv.Error as exc:
                yield BadLine(line + 1, "", f"{exc}; is a quotation mark missing?")
                line = reader.line_num
                continue
            if cells is None:
                return
            if any(cell.strip() for cell in cells):
                yield self._lead(line + 1, cells)
            line = reader.line_num

    def _understand(self, headings: Sequence[str]) -> None:
        self.headings = [heading.strip() for heading in headings]
        plain = [heading.casefold().replace(" ", "_") for heading in self.headings]
        told = f"its columns are: {', '.join(self.headings)[:300]}" if self.headings else "the file is empty"
        twice = next((name for name in plain if name and plain.count(name) > 1), "")
        if twice:
            raise BadInput(f"line 1: two columns are called {twice!r}")
        wanted = [self.rules.phone_column.casefold().replace(" ", "_")] if self.rules.phone_column else PHONE_COLUMNS
        found = next((plain.index(name) for name in wanted if name in plain), None)
        if found is None:
            raise BadInput(f"line 1: no column of telephone numbers; call one phone_number, or name yours ({told})")
        self._phone = found
        self._zone = next((plain.index(name) for name in ZONE_COLUMNS if name in plain), None)

    def _lead(self, line: int, cells: Sequence[str]) -> LeadRow | BadLine:
        if len(cells) > len(self.headings) and any(cell.strip() for cell in cells[len(self.headings) :]):
            return BadLine(line, "", f"has {len(cells)} columns, the first line {len(self.headings)}")
        cells = [cell.strip() for cell in [*cells, *[""] * (len(self.headings) - len(cells))]]
        phone = cells[self._phone]
        try:
            number, known = parsed(phone, self.rules.country)
        except BadInput as exc:
            return BadLine(line, self.headings[self._phone], f"{phone[:_SHOWN]!r} {exc}" if phone else str(exc))
        report = Report(entries=4 * MOST_VARIABLES)
        checked = LEAD.check(self._given(number, cells), (), report)
        if report.errors:
            problem = report.errors[0]
            column = str(problem.path[-1]) if problem.path else ""
            return BadLine(line, "timezone" if column == "timezone" else column, problem.message)
        tell = (lambda _: zones_of_parsed(known)) if self.rules.zones_by_number else no_zones
        return lead_row(self.campaign_id, checked, self.at, tell)

    def _given(self, number: str, cells: Sequence[str]) -> dict[str, Any]:
        named = zip(self.headings, cells, strict=False)
        variables = {
            name: cell for at, (name, cell) in enumerate(named) if name and at not in (self._phone, self._zone)
        }
        zone = cells[self._zone] if self._zone is not None else ""
        return {"phone_number": number, "variables": variables} | ({"timezone": zone} if zone else {})


def delimiter_of(heading: str) -> str:
    """The one that the first line has most of, outside quotation marks."""
    bare = "".join(heading.split('"')[::2])
    most = max(DELIMITERS, key=bare.count)
    return most if bare.count(most) else ","


def encoding_of(file: Path) -> str:
    """UTF-8 where all of it is that, UTF-16 where it says so, else what Windows writes. Raises BadInput, OSError."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    with file.open("rb") as source:
        first = source.read(_CHUNK)
        if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16"
        if b"\x00" in first:
            raise BadInput("this is no text: export the spreadsheet as CSV")
        try:
            while first:
                decoder.decode(first)
                first = source.read(_CHUNK)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "cp1252"
    return "utf-8-sig"


def lines_of(file: Path) -> Iterator[str]:
    """The lines of a file in whatever encoding it has. Raises BadInput, OSError."""
    with file.open(encoding=encoding_of(file), errors="replace", newline="") as source:
        yield from source


def lines_in(text: str) -> Iterator[str]:
    """The lines of a file that is read already."""
    return iter(io.StringIO(text.removeprefix("\ufeff"), newline=""))


def _chain(first: str, rest: Iterator[str]) -> Iterator[str]:
    if first:
        yield first
    yield from (line.replace("\x00", "") for line in rest)
