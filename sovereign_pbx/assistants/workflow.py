"""A workflow: a graph that conducts a call from node to node (contract §21)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """One workflow, validated. `definition` is the graph as it was given."""

    id: str
    name: str
    is_active: bool = True
    definition: Mapping[str, Any] = field(default_factory=dict)
