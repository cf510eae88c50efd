"""A workflow as the conversation walks it: a graph of nodes, frozen for the length of the call (contract §21).

Names and ids are the administrator's; what the model may do at a node comes with it. `Plan.workflow` holds the graph,
`walk.py` walks it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Final

from sovereign_pbx.core.plan import Phrases, Plan, Standing
from sovereign_pbx.core.values import BLIND, TransferTerms

MOST_STEPS: Final = 16
"""Nodes in a row without a word of the caller. A circle of tool nodes has no other end; no talk has so many."""


@dataclass(frozen=True, slots=True)
class Way:
    """An edge: where it leads, and what the caller is told on it."""

    to: str
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TalkNode:
    """The model talks by `standing`. `ways` are the functions by which it leaves. With `first_line` the caller is next,
    without it the model is. `language` and `phrases` hold from here on where they are given."""

    first_line: str = ""
    standing: Standing = field(default_factory=Standing)
    ways: Mapping[str, Way] = field(default_factory=dict)
    language: str = ""
    phrases: Phrases | None = None

    def plan(self, plan: Plan) -> Plan:
        """`plan` as it is from this node on."""
        told = {each.name: getattr(self.standing, each.name) for each in fields(Standing)}
        return replace(plan, **told, language=self.language or plan.language, phrases=self.phrases or plan.phrases)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolNode:
    """A tool is called with fixed `arguments` (JSON text); whatever comes of it, `way` is next."""

    tool: str
    way: Way
    arguments: str = "{}"
    first_line: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferNode:
    """The caller is put through; where nobody takes him he is back at the `TalkNode` before."""

    destination: str
    first_line: str = ""
    terms: TransferTerms = BLIND


@dataclass(frozen=True, slots=True, kw_only=True)
class EndNode:
    """The assistant hangs up."""

    first_line: str = ""


Node = TalkNode | ToolNode | TransferNode | EndNode


@dataclass(frozen=True, slots=True)
class Graph:
    """The nodes by their ids. The entry is a `TalkNode`, and every way leads to a node that is there."""

    entry: str
    nodes: Mapping[str, Node]
