"""Destinations that must not be dialled where `[dialling] allow` is `ALLOWED`, however they are dressed up."""

from typing import Final

ALLOWED: Final = {"allow": ["+31*", "200"], "country_code": "31"}
SALES: Final = "+31201234567"
PREMIUM: Final = "+31900123456"

DISGUISES: Final = {
    "a premium number": PREMIUM,
    "the same with 00": "0031900123456",
    "the same as it is dialled at home": "0900123456",
    "the same with a trunk zero": "+31 (0)900 123456",
    "another country": "+442071234567",
    "a satellite": "+881612345678",
    "an international premium range": "+97912345678",
    "an extension that is not named": "201",
    "a tel: address": f"tel:{PREMIUM}",
    "a phone-context": f"{SALES};phone-context=+979",
    "a SIP address": f"sip:{PREMIUM}@carrier.example",
    "a channel in a SIP address": "sip:Local/0900123456@from-internal",
    "a Local channel": "Local/0900123456@from-internal/n",
    "a channel of a trunk": f"PJSIP/{PREMIUM}@carrier",
    "a second destination": f"{SALES}&PJSIP/{PREMIUM}@carrier",
    "more arguments of Dial()": f"{SALES},30,G(evil^s^1)",
    "arguments with carets": f"{SALES}^30^g",
    "arguments with bars": f"{SALES}|30|g",
    "a function of the dialplan": "${SHELL(id)}",
    "another action of the manager": f"{SALES}\r\nAction: Originate\r\nChannel: PJSIP/{PREMIUM}@carrier",
    "another header of SIP": f"{SALES}\nP-Asserted-Identity: <sip:200@pbx>",
    "digits of another script": "+\u0663\u0661\u0669\u0660\u0660\u0661\u0662\u0663\u0664\u0665\u0666",
    "digits of full width": "\uff0b\uff13\uff11\uff19\uff10\uff10\uff11\uff12\uff13",
    "a hyphen that is none": "+31\u2011900123456",
    "letters that look like digits": "+319OO123456",
    "a feature code": "*21*0900123456#",
    "characters of no width": "+31\u200b900123456",
}
