"""Telephone numbers as people of a country write them, in international form. `phonenumbers` knows how long they are in
each country; it is imported when it is first needed, not on the event loop."""

from typing import TYPE_CHECKING, Final

from sovereign_pbx.assistants.dialling import normal
from sovereign_pbx.core.errors import BadInput

if TYPE_CHECKING:
    from phonenumbers import PhoneNumber

_LONGEST: Final = 40


def international(text: str, country: str = "") -> str:
    """`+31612345678`. `country`: "NL" or "31", for numbers without their country code; "" for none. Raises BadInput
    that goes on from the number: "is too short"."""
    return parsed(text, country)[0]


def parsed(text: str, country: str = "") -> tuple[str, "PhoneNumber"]:
    """The same, and what `phonenumbers` knows it by."""
    from phonenumbers import NumberParseException, PhoneNumberFormat, format_number, parse

    plain = _readable(text)
    region = None if plain.startswith("+") else region_of(country)
    if not plain.startswith("+") and region is None:
        raise BadInput("has no country code, and no country was given for such numbers")
    try:
        number = parse(plain or text, region)
    except NumberParseException as exc:
        raise BadInput("is no telephone number") from exc
    why = _impossible(number)
    if why:
        raise BadInput(why)
    return str(format_number(number, PhoneNumberFormat.E164)), number


def _readable(text: str) -> str:
    if not text:
        raise BadInput("is missing")
    if len(text) > _LONGEST:
        raise BadInput("is too long")
    if "e+" in text.lower():
        raise BadInput("was rounded by a spreadsheet: format the column as text, and fill it again")
    return normal(text.lstrip("'"))


def _impossible(number: "PhoneNumber") -> str:
    """Why there can't be such a number; "" where there can. Lengths alone count: ranges are opened all the time."""
    from phonenumbers import PhoneNumberType, ValidationResult, is_possible_number_for_type, is_valid_number
    from phonenumbers import is_possible_number_with_reason as possible

    kinds = (PhoneNumberType.FIXED_LINE, PhoneNumberType.MOBILE)
    if any(is_possible_number_for_type(number, kind) for kind in kinds) or is_valid_number(number):
        return ""
    lengths = {ValidationResult.TOO_SHORT: "is too short", ValidationResult.TOO_LONG: "is too long"}
    return lengths.get(possible(number), "has not as many digits as a telephone number of its country")


def region_of(country: str) -> str | None:
    """ "NL" of "nl", "31" and "+31"; None of "". Raises BadInput where there is no such country."""
    from phonenumbers import SUPPORTED_REGIONS, region_code_for_country_code

    wanted = country.strip().lstrip("+").upper()
    if not wanted:
        return None
    region = region_code_for_country_code(int(wanted)) if wanted.isascii() and wanted.isdigit() else wanted
    if region not in SUPPORTED_REGIONS:
        raise BadInput(f"{country!r} is no country: its two letters, such as NL, or its code, such as 31, are meant")
    return str(region)
