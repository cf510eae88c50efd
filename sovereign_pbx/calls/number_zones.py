"""Time zones in which somebody may be who has this number. From Google's table of the world's numbers, which
`phonenumbers` carries: its import takes 20 ms and the first number of a country some more, so not on the event loop.
"""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from phonenumbers import PhoneNumber

_UNKNOWN: Final = "Etc/Unknown"


def zones_of(number: str) -> str:
    """The zones, separated by spaces, of a number in international form; "" where nothing is known of it.

    One for the fixed line of a town and for the mobiles of a country that has one; those of a country with several
    have them all.
    """
    from phonenumbers import NumberParseException, parse

    try:
        return zones_of_parsed(parse(number))
    except NumberParseException:
        return ""


def zones_of_parsed(number: "PhoneNumber") -> str:
    """The same of a number that is parsed already."""
    from phonenumbers.timezone import time_zones_for_geographical_number, time_zones_for_number

    zones = time_zones_for_number(number)
    if zones == (_UNKNOWN,):  # a range that is newer than the table: the country at least is known
        zones = time_zones_for_geographical_number(number)
    return " ".join(sorted(zone for zone in zones if zone != _UNKNOWN))


def no_zones(number: str) -> str:
    """Everybody is in the campaign's."""
    return ""
