"""Finding the assistant of a dialled number."""

import pytest

from sovereign_pbx.assistants.directory import Directory, Number, normal
from sovereign_pbx.assistants.model import Assistant, identifier_of


def assistant(key: str, **more: str) -> Assistant:
    return Assistant.parse({"name": key, "id": identifier_of(key), **more}, where=key)


RECEPTION = assistant("reception")
SALES = assistant("sales", id="s-1", name="Sales desk")

DIRECTORY = Directory(
    {"reception": RECEPTION, "sales": SALES},
    [
        Number(number="+31 85 083 5037", assistant="reception"),
        Number(number="1000", assistant="s-1"),
        Number(number="001", assistant="Sales desk"),
        Number(number="2000"),
        Number(number="+31 85 083 5037", assistant="sales"),
    ],
)


@pytest.mark.parametrize(
    ("called", "found"),
    [
        ("+31850835037", RECEPTION),
        ("0031850835037", RECEPTION),
        ("31850835037", RECEPTION),
        ("+31 (85) 083-50.37", RECEPTION),
        ("1000", SALES),
        (" 1000 ", SALES),
        ("001", SALES),
        ("01", None),
        ("2000", None),
        ("9999", None),
        ("", None),
        ("*", None),
    ],
)
def test_a_number_is_found_however_it_is_written(called: str, found: Assistant | None) -> None:
    assert DIRECTORY.find(called)[1] is found


def test_an_assistant_is_found_by_table_name_id_and_display_name() -> None:
    for name in ("sales", "s-1", "Sales desk"):
        assert DIRECTORY.assistant(name) is SALES
    assert DIRECTORY.assistant("nobody") is None


def test_of_two_assistants_that_people_see_by_the_same_name_the_first_is_meant() -> None:
    directory = Directory(
        {"desk": assistant("desk", name="Front desk"), "later": assistant("later", name="Front desk")}
    )
    assert directory.assistant("Front desk") is directory.assistant("desk")


def test_a_star_takes_every_number_without_an_entry() -> None:
    directory = Directory({"reception": RECEPTION}, [Number(number="*", assistant="reception"), Number(number="7")])
    assert directory.find("12345")[1] is RECEPTION
    assert directory.find("s")[1] is RECEPTION
    assert directory.find("7")[1] is None


def test_a_short_extension_keeps_its_zeros() -> None:
    assert normal("001") == "001"
    assert normal("0031201234567") == normal("+31201234567") == "31201234567"
