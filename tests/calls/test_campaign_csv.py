"""Leads from CSV files as spreadsheets write them, and what is told of lines that can't be taken."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sovereign_pbx.calls.campaign_csv import BadLine, CsvRules, LeadReader, encoding_of, lines_of
from sovereign_pbx.calls.campaign_import import Sieve
from sovereign_pbx.calls.number_form import international
from sovereign_pbx.calls.number_zones import zones_of
from sovereign_pbx.core.errors import BadInput
from sovereign_pbx.store.campaign_rows import LeadRow

AT = "2026-11-20T09:00:00.000Z"


def read(text: str, **rules: str) -> list[LeadRow | BadLine]:
    return list(LeadReader("c", AT, CsvRules(**rules)).read(text.splitlines(keepends=True)))  # type: ignore[arg-type]  # texts all


def leads(text: str, **rules: str) -> list[tuple[str, dict[str, str]]]:
    found = read(text, **rules)
    assert all(isinstance(one, LeadRow) for one in found), found
    return [(one.phone_number, dict(one.variables)) for one in found if isinstance(one, LeadRow)]


@pytest.mark.parametrize("sign", [",", ";", "\t", "|"])
def test_delimiters_are_told_apart(sign: str) -> None:
    text = sign.join(["phone", "name", '"of, what; kind"']) + "\n" + sign.join(["+31612345678", '"A,b;c"', "x"]) + "\n"
    assert leads(text) == [("+31612345678", {"name": "A,b;c", "of, what; kind": "x"})]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "cp1252", "utf-16"])
def test_encodings_are_told_apart(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "list.csv"
    file.write_bytes("téléphone;nom\n+33612345678;Jérôme\n".encode(encoding))
    found = list(LeadReader("c", AT).read(lines_of(file)))
    assert [(one.phone_number, one.variables) for one in found if isinstance(one, LeadRow)] == [
        ("+33612345678", {"nom": "Jérôme"})
    ]


def test_a_spreadsheet_itself_is_no_csv(tmp_path: Path) -> None:
    file = tmp_path / "list.xlsx"
    file.write_bytes(b"PK\x03\x04\x14\x00\x06\x00")
    with pytest.raises(BadInput, match="export the spreadsheet as CSV"):
        encoding_of(file)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0612345678", "+31612345678"),
        ("06-1234 5678", "+31612345678"),
        ("'+31 (0)6 12345678", "+31612345678"),
        ("0031612345678", "+31612345678"),
        ("31612345678", "+31612345678"),
        ("+44 20 7946 0958", "+442079460958"),
    ],
)
def test_numbers_are_taken_as_people_write_them(text: str, expected: str) -> None:
    for country in ("NL", "nl", "31", "+31"):
        assert international(text, country) == expected


@pytest.mark.parametrize(
    ("text", "country", "why"),
    [
        ("0612345678", "", "has no country code"),
        ("6.1E+09", "NL", "rounded by a spreadsheet"),
        ("061234", "NL", "as many digits"),
        ("06123456789012345", "NL", "is too long"),
        ("Jan", "NL", "is no telephone number"),
        ("+999 123456", "", "is no telephone number"),
        ("", "NL", "is missing"),
        ("0612345678", "Holland", "'Holland' is no country"),
    ],
)
def test_what_is_no_number_is_told_why(text: str, country: str, why: str) -> None:
    with pytest.raises(BadInput, match=why):
        international(text, country)


def test_bad_lines_are_named_with_their_column_and_the_others_are_taken() -> None:
    text = (
        "Phone,name,timezone\n"
        "+31612345678,Jan,\n"
        "\n"
        "12,Piet,\n"
        "+31612345679,Ann,Mars/Base\n"
        "+31612345680,a,Europe/London,more\n"
        '+31612345681,"over\ntwo lines",Europe/London\n'
        f"+31612345682,{'x' * 2001},\n"
    )
    found = read(text)
    assert [(one.line, one.column) for one in found if isinstance(one, BadLine)] == [
        (4, "Phone"),
        (5, "timezone"),
        (6, ""),
        (9, "name"),
    ]
    taken = [one for one in found if isinstance(one, LeadRow)]
    assert [(one.variables["name"], one.timezone, one.zones) for one in taken] == [
        ("Jan", None, "Europe/Amsterdam"),
        ("over\ntwo lines", "Europe/London", "Europe/London"),
    ]


@pytest.mark.parametrize(("text", "why"), [("", "is empty"), ("a,b\n", "no column of"), ("phone,x,X\n", "called 'x'")])
def test_a_file_that_is_none_of_leads_is_refused(text: str, why: str) -> None:
    with pytest.raises(BadInput, match=why):
        read(text)


def test_a_column_can_be_named() -> None:
    assert leads("Contact,Phone\n+31612345678,home\n", phone_column="contact") == [("+31612345678", {"Phone": "home"})]


def test_one_number_is_taken_once_and_those_nobody_may_call_not_at_all() -> None:
    text = "phone\n+31612345678\n0031612345678\n+31612345679\n+31612345680\nx\n"
    sieve = Sieve()
    rows = sieve.read(read(text))
    kept = sieve.sift(rows, there={"+31612345679"}, unwanted={"+31612345680"})
    report = sieve.report
    assert [one.phone_number for one in kept] == ["+31612345678"]
    assert (report.lines, report.taken, report.bad, report.duplicates, report.do_not_call) == (5, 1, 1, 2, 1)
    assert report.duplicate_numbers == ["+31612345678", "+31612345679"]


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet='+0123456789,;"\n\r\t ax\x00', max_size=120))
def test_any_text_is_read_or_refused(text: str) -> None:
    for one in LeadReader("c", AT, CsvRules(country="NL")).read(["phone,name\n", *text.splitlines(keepends=True)]):
        if isinstance(one, LeadRow):
            assert international(one.phone_number) == one.phone_number
        else:
            assert one.line > 1 and one.reason


@pytest.mark.parametrize(
    ("number", "zones"),
    [
        ("+31612345678", "Europe/Amsterdam"),
        ("+34612345678", "Atlantic/Canary Europe/Madrid"),
        ("+34928123456", "Atlantic/Canary"),
        ("+12125550123", "America/New_York"),
        ("+870773111632", ""),  # a satellite
        ("+999123", ""),
    ],
)
def test_a_number_tells_time_zones(number: str, zones: str) -> None:
    assert zones_of(number) == zones


def test_a_country_with_many_zones_has_them_all() -> None:
    assert {"America/New_York", "Pacific/Honolulu"} <= set(zones_of("+18005550123").split())
    assert {"Australia/Perth", "Australia/Sydney"} <= set(zones_of("+61412345678").split())
