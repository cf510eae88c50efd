"""Number ranges whose caller pays extra: premium-rate, shared-cost, personal and satellite numbers.

Dialled by a machine that somebody talked into it, they are how toll fraud earns its money, so `[dialling]` denies them
unless told otherwise. Ranges are denied whole where a part of them is dear: a wrongly denied number is allowed by
naming it in full.

The list is of the ranges that we know, not of all there are: an allow-list of the countries you call stays the lock.
Left out on purpose: Ireland's 15xx, which can't be told from Dublin's 01 5xx by its beginning, and the islands of +1,
which are dear but ordinary numbers. Emergency and other short numbers are not among these ranges, since they may be
anybody's extensions: `allow = ["*"]` allows them, `["+*"]` does not.

Sources: global codes from ITU-T's list of assigned E.164 country codes; national ranges from libphonenumber's metadata
of each region (`premium_rate`, `shared_cost`, `personal_number`; read in daviddrysdale/python-phonenumbers). Wider than
that metadata, and not checked with the regulators: Belgium 70, Germany 118, 137, 190 and 700, Italy 84, 894, 895 and
199, Luxembourg 905, Poland 804, Portugal 76, Romania 801, Spain 70, 905 and 907, Switzerland 84, France 810 to 819.
"""

from typing import Final

GLOBAL: Final = (
    "+808",  # international shared cost
    "+870",  # Inmarsat
    "+878",  # universal personal numbers
    "+881",  # satellite telephones: Iridium, Globalstar
    "+882",  # international networks, satellite and maritime ones among them
    "+883",  # likewise
    "+979",  # international premium rate
)

NATIONAL: Final = {
    "1": ("900",),  # North America
    "30": ("70", "801", "806", "812", "825", "901", "909"),  # Greece
    "31": ("900", "906", "909"),  # Netherlands
    "32": ("70", "90"),  # Belgium
    "33": ("810", "811", "819", "82", "884", "89"),  # France
    "34": ("70", "803", "806", "807", "901", "902", "905", "907"),  # Spain
    "351": ("707", "708", "71", "76", "808"),  # Portugal
    "352": ("801", "900", "901", "905"),  # Luxembourg
    "358": ("600", "700"),  # Finland
    "36": ("40", "90", "91"),  # Hungary
    "39": ("144", "163", "164", "166", "178", "199", "84", "892", "894", "895", "899"),  # Italy
    "40": ("801", "900", "903", "906"),  # Romania
    "41": ("84", "878", "900", "901", "906"),  # Switzerland
    "420": ("81", "83", "84", "90", "976"),  # Czechia
    "43": ("711", "810", "820", "821", "828", "900", "901", "930", "931", "939"),  # Austria
    "44": ("70", "843", "844", "845", "87", "9"),  # United Kingdom
    "45": ("90",),  # Denmark
    "46": ("77", "900", "939", "944"),  # Sweden
    "47": ("810", "820", "829"),  # Norway
    "48": ("70", "801", "804"),  # Poland
    "49": ("118", "137", "180", "190", "700", "900"),  # Germany
    "61": ("13", "190"),  # Australia
    "90": ("900",),  # Turkey
}
"""Country code to the beginnings of national numbers."""

# In Italy a leading zero is part of the number: 0144 is Acqui Terme, 144 a premium range.
_ZERO_COUNTS: Final = ("39",)


def is_premium(number: str, country: str = "") -> bool:
    """Does a number cost extra? In its international form (`+31900…`), also where somebody left the national zero in it
    (`+310900…`); in its national form (`0900…`) if `country` says whose it is.

    0900 is premium wherever it is a range of its own, so it is known without a country.
    """
    if number.startswith((*GLOBAL, "0900")):
        return True
    if number.startswith("+"):
        return any(number.startswith(f"+{code}") and _dear(number[1 + len(code) :], code) for code in NATIONAL)
    return number.startswith("0") and country in NATIONAL and _dear(number, country)


def _dear(national: str, code: str) -> bool:
    bare = national if code in _ZERO_COUNTS else national.removeprefix("0")
    return bare.startswith(NATIONAL[code])
