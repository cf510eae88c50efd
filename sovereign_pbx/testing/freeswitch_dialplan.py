"""FreeSWITCH's XML dialplan, as far as the printed one uses it: contexts, extensions, conditions, actions.

As mod_dialplan_xml does, conditions are judged once, when a channel is routed; actions are done later, and what stands
in their data is expanded then.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self
from xml.etree import ElementTree

_REFERENCE = re.compile(r"\$\{([^{}]+)\}")


@dataclass(frozen=True, slots=True)
class Action:
    """`data` holds `${…}` still, and no `$1` any more."""

    application: str
    data: str


def expanded(text: str, variables: Mapping[str, str]) -> str:
    """`${name}` by its value; nothing for a variable that is not set."""
    return _REFERENCE.sub(lambda match: variables.get(match[1], ""), text)


class Dialplan:
    """Every context of one or several documents; a context's name counts once, as FreeSWITCH takes the first."""

    def __init__(self, contexts: Mapping[str, ElementTree.Element]) -> None:
        self._contexts = contexts

    @classmethod
    def of(cls, *documents: str) -> Self:
        contexts: dict[str, ElementTree.Element] = {}
        for document in documents:
            for context in ElementTree.fromstring(document):
                contexts.setdefault(context.get("name", ""), context)
        return cls(contexts)

    def text(self, context: str) -> str:
        """A context as XML; "" for one that is not there."""
        found = self._contexts.get(context)
        return "" if found is None else ElementTree.tostring(found, encoding="unicode")

    def route(self, context: str, extension: str, variables: Mapping[str, str]) -> list[Action]:
        """What is to be done with a channel; nothing where no extension fits (NO_ROUTE_DESTINATION)."""
        if context not in self._contexts:
            return []
        for one in self._contexts[context].iter("extension"):
            actions = _judged(one, extension, variables)
            if actions is not None:
                return actions
        return []


def _judged(one: ElementTree.Element, extension: str, variables: Mapping[str, str]) -> list[Action] | None:
    """The actions of an extension of which every condition holds."""
    actions: list[Action] = []
    for condition in one.iter("condition"):
        field = condition.get("field", "")
        value = extension if field == "destination_number" else expanded(field, variables)
        match = re.search(condition.get("expression", ""), value)
        if match is None:
            return None
        for action in condition.iter("action"):
            data = re.sub(r"\$(\d)", lambda number, found=match: found[int(number[1])], action.get("data", ""))  # type: ignore[misc]  # mypy can't tell a default argument's type in a lambda
            actions.append(Action(action.get("application", ""), data))
    return actions
