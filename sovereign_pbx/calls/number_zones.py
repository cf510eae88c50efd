"""Time zones in which somebody may be who has this number. From Google's table of the world's numbers, which
`phonenumbers` carries: its import takes 20 ms and the first number of a country some more, so not on the event loop.
"""

from typing import Final

_UNKNOWN: Final = "Etc/Unknown"


def zones_of(number: str) -> str:
    """The zones, separated by spaces, of a number in international form; "" where nothing is known of it.

    One for the fixed line of a town and for the mobiles of a country that has one; those of a country with several
    have them all.
    """
    from phonenumbers import NumberParseException, parse
    from phonenumbers.timezone import time_zones_for_number

    try:
        zones = time_zones_for_number(parse(number))
    except NumberParseException:
        return ""
    return " ".join(sorted(zone for zone in zones if zone != _UNKNOWN))


def no_zones(number: str) -> str:
    """Everybody is in the campaign's."""
    return ""
