"""Which language models are ears, head and mouth in one (contract §4.3)."""

from collections.abc import Mapping
from typing import Any, Final

REALTIME: Final = ("google_realtime", "xai_realtime", "openai_live")
ALIASES: Final[Mapping[str, str]] = {"openai_realtime": "openai_live"}


def is_realtime(llm_config: Mapping[str, Any]) -> bool:
    """Does this model hear and speak itself? It needs neither a recogniser nor a voice then."""
    name = str(llm_config.get("provider") or "")
    return ALIASES.get(name, name) in REALTIME
