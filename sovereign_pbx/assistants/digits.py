"""Keys and tones of an assistant: its `digits` block, which the contract does not have.

It stands beside `llm_config.tools` and not among them, so that a client which knows the contract's tools never meets
one that it has no name for. Each collector becomes a tool of its name; `send` gives the model `send_digits`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from sovereign_pbx.assistants.problem import Path, Report
from sovereign_pbx.assistants.shape import Flag, Real, Text, Whole
from sovereign_pbx.assistants.table import Key, ListOf, Table
from sovereign_pbx.assistants.tools import NAME, NO_ARGUMENTS, Tool
from sovereign_pbx.core.digits import LONGEST
from sovereign_pbx.core.plan import Collector, Plan

SEND: Final = "send_digits"
UNASKED: Final = "entry"
"""What an entry that no tool has asked for is called where it is masked."""

FINISH = Text(0, 1, pattern=r"[0-9*#A-D]?", what="one key (0-9 * # A-D), or nothing")

_USUAL: Final = Collector()
_UNASKED: Final = Plan().keys

COLLECTOR = Table(
    Key("name", Text(1, 64), "Name the model calls it by.", required=True, example="card_number"),
    Key(
        "description", Text(), "When the model should use it.", required=True, example="Ask for the number of the card."
    ),
    Key(
        "prompt",
        Text(0, 1000),
        "Said to the caller; without it the model finds the words.",
        example="Please key in the number of your card, and then the hash key.",
    ),
    Key("min_digits", Whole(0, LONGEST), "Fewer keys are too short an entry.", _USUAL.least),
    Key("max_digits", Whole(1, LONGEST), "So many keys complete it.", _USUAL.most),
    Key("finish_key", FINISH, "The key that completes it; empty: none does.", _USUAL.finish),
    Key(
        "first_digit_seconds", Real(1, 120), "Wait for the first key, from the end of the prompt.", _USUAL.first_within
    ),
    Key("between_digits_seconds", Real(0.5, 60), "Wait for each further key.", _USUAL.between),
    Key("mask", Flag(), "Tell the keys to nobody: neither model, transcript nor log.", _USUAL.mask),
    Key("interrupt", Flag(), "The first key ends what is being said.", _USUAL.interrupt),
)

DIGITS = Table(
    Key("max_digits", Whole(1, LONGEST), "So many keys complete an entry that nobody has asked for.", _UNASKED.most),
    Key("finish_key", FINISH, "The key that completes such an entry.", _UNASKED.finish),
    Key("between_digits_seconds", Real(0.5, 60), "The pause that completes it.", _UNASKED.between),
    Key(
        "mask",
        Flag(),
        "Tell its keys to nobody; without it, where a collector masks: keys may come before they are asked for.",
        example=False,
    ),
    Key("interrupt", Flag(), "Its first key ends what is being said.", _UNASKED.interrupt),
    Key("send", Flag(), "Let the model send tones, to find its way through menus.", False),
    Key("collectors", ListOf(COLLECTOR, most=16), "Tools by which the model asks for keys."),
)

_ASKED: Final = "Words with which the caller is asked to key it in."
_TONES: Final = "Keys to press: 0-9 * # A-D, and w for a pause of half a second. 32 at most."
_SENDING: Final = (
    "Press keys on the telephone, to choose in a menu or to dial an extension. Then wait for what is said next."
)
_PLACE: Final = re.compile(r"\{\{\s*digits\.([A-Za-z_][A-Za-z0-9_-]{0,63})\s*\}\}")


def digit_tools(digits: Mapping[str, Any]) -> tuple[Tool, ...]:
    """The tools that a `digits` block makes."""
    collecting = tuple(_collecting(each) for each in digits.get("collectors", ()))
    return (*collecting, _sending()) if digits.get("send") else collecting


def unasked(digits: Mapping[str, Any]) -> Collector:
    """What becomes of keys that no tool has asked for."""
    masks = any(each.get("mask") for each in digits.get("collectors", ()))
    return Collector(
        name=UNASKED,
        most=digits.get("max_digits", _UNASKED.most),
        finish=digits.get("finish_key", _UNASKED.finish),
        between=float(digits.get("between_digits_seconds", _UNASKED.between)),
        mask=digits.get("mask", masks),
        interrupt=digits.get("interrupt", _UNASKED.interrupt),
    )


def places(schema: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(argument, collector) of each argument of a tool that takes an entry: `{"const": "{{digits.NAME}}"}`."""
    properties = schema.get("properties")
    for name, part in properties.items() if isinstance(properties, Mapping) else ():
        const = part.get("const") if isinstance(part, Mapping) else None
        found = _PLACE.fullmatch(const) if isinstance(const, str) else None
        if found is not None:
            yield name, found[1]


def check_digits(given: Mapping[str, Any], tools: Sequence[Tool], path: Path, report: Report) -> None:
    """What the block's single values can't say: names, lengths, and entries that nobody collects."""
    digits = given.get("digits", {})
    collectors = digits.get("collectors", ())
    taken = {tool.name for tool in tools} | ({SEND} if digits.get("send") else set())
    for index, each in enumerate(collectors):
        _check_collector(each, taken, (*path, "digits", "collectors", index), report)
        taken.add(each.get("name", ""))
    known = {each.get("name") for each in collectors} | {UNASKED}
    for tool in tools:
        for argument, name in places(tool.parameters):
            if name not in known:
                remedy = "name a collector of the assistant's digits, or entry"
                report.error(
                    (*path, "llm_config", "tools"), f'{tool.name}.{argument}: nothing collects "{name}"', remedy
                )


def _check_collector(each: Mapping[str, Any], taken: set[str], path: Path, report: Report) -> None:
    name = each.get("name", "")
    if name and not NAME.fullmatch(name):
        report.error((*path, "name"), "is not a name that language models accept", "use letters, digits, _ and -")
    elif name in taken or name == UNASKED:
        report.error((*path, "name"), f'a second tool is named "{name}"', "give each tool a name of its own")
    if each.get("min_digits", _USUAL.least) > each.get("max_digits", _USUAL.most):
        report.error((*path, "min_digits"), "must not be above max_digits")


def _collecting(each: Mapping[str, Any]) -> Tool:
    prompt = each.get("prompt", "").strip()
    asked = {"type": "object", "properties": {"prompt": {"type": "string", "description": _ASKED}}}
    return Tool(
        name=each["name"],
        kind="collect",
        description=each["description"],
        parameters=NO_ARGUMENTS if prompt else asked,
        collector=Collector(
            name=each["name"],
            prompt=prompt,
            least=each.get("min_digits", _USUAL.least),
            most=each.get("max_digits", _USUAL.most),
            finish=each.get("finish_key", _USUAL.finish),
            first_within=float(each.get("first_digit_seconds", _USUAL.first_within)),
            between=float(each.get("between_digits_seconds", _USUAL.between)),
            mask=each.get("mask", _USUAL.mask),
            interrupt=each.get("interrupt", _USUAL.interrupt),
        ),
    )


def _sending() -> Tool:
    tones = {"type": "string", "pattern": "^[0-9*#A-Da-dw, ]+$", "description": _TONES}
    schema = {"type": "object", "properties": {"digits": tones}, "required": ["digits"]}
    return Tool(name=SEND, kind="tones", description=_SENDING, parameters=schema)
