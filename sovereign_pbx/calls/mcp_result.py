"""What an MCP tool answered, as text for the model."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from sovereign_pbx.core.errors import SovereignError

LONGEST: Final = 20_000
"""Characters; longer results are cut, since they are part of every later question to the model."""


@dataclass(eq=False)
class McpFailed(SovereignError):
    """An MCP server could not be used. `gone`: it has forgotten the session, and has done nothing."""

    why: str
    gone: bool = False

    def __str__(self) -> str:
        return self.why


@dataclass(frozen=True, slots=True)
class Told:
    """What the model is told, and whether the tool itself says that it failed."""

    text: str
    failed: bool = False


def told(result: Any) -> Told:
    """A `CallToolResult`: its texts, or its structured content where it has no text; pictures and sound are named."""
    parts = [text for block in result.content for text in _texts(block)]
    if result.structured_content is not None and not any(_is_text(block) for block in result.content):
        parts.insert(0, json.dumps(result.structured_content, ensure_ascii=False, default=str))
    text = "\n".join(part for part in parts if part)
    text = text if len(text) <= LONGEST else text[:LONGEST] + " … (cut)"
    if result.is_error:
        return Told(f"Error: {text or 'the tool failed and does not say why'}", failed=True)
    return Told(text or "Done.")


def _is_text(block: Any) -> bool:
    return bool(block.type == "text" and block.text)


def _texts(block: Any) -> Iterator[str]:
    if block.type == "text":
        yield block.text
    elif block.type == "resource":
        text = getattr(block.resource, "text", None)
        yield text if text is not None else f"({block.resource.uri}: data that can't be used on the telephone)"
    elif block.type == "resource_link":
        yield f"{block.name}: {block.uri}"
    else:
        yield f"(an answer of type {block.type}, which can't be used on the telephone)"
