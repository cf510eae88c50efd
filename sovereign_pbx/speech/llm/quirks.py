"""How the servers that speak OpenAI's chat completions differ, as data.

Sources: the vendors' references and reports gathered in 2026; what a server turns down although this table says
otherwise is learned from its 400 or 422 (`without`), so that a compatible server of any age answers the first call.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Quirks:
    """One kind of server."""

    base_url: str = ""
    model: str = ""  # used when the assistant names none
    needs_key: bool = False
    limit_field: str = "max_tokens"
    usage_option: bool = True  # takes `stream_options: {"include_usage": true}`
    # Patterns of models that refuse any temperature but their own, and of exceptions to them.
    fixed_temperature: tuple[str, ...] = ()
    free_temperature: tuple[str, ...] = ()
    # Takes `reasoning_effort`.
    effort: bool = True
    # Chat templates of local servers raise unless the one system message comes first, and where roles do not alternate.
    one_system: bool = False
    system_last: bool = True  # takes an instruction as the last message
    tool_id_length: int | None = None  # ids of exactly that many letters and digits, anything else is refused


COMPATIBLE: Final = Quirks(one_system=True)

QUIRKS: Final[Mapping[str, Quirks]] = {
    "openai": Quirks(
        base_url="https://api.openai.com/v1",
        model="gpt-5.4",
        needs_key=True,
        limit_field="max_completion_tokens",
        fixed_temperature=("o1*", "o3*", "o4*", "gpt-5", "gpt-5-*", "gpt-5.6*"),
        free_temperature=("gpt-5-chat*",),
    ),
    # Unknown fields are answered with 422 extra_forbidden; seen for max_completion_tokens and stream_options.
    "mistral": Quirks(
        base_url="https://api.mistral.ai/v1",
        model="mistral-medium-latest",
        needs_key=True,
        usage_option=False,
        effort=False,
        system_last=False,
        tool_id_length=9,
    ),
    "xai": Quirks(
        base_url="https://api.x.ai/v1",
        model="grok-4.3",
        needs_key=True,
        limit_field="max_completion_tokens",
    ),
    "ollama": Quirks(base_url="http://127.0.0.1:11434/v1", one_system=True),
    "vllm": Quirks(base_url="http://127.0.0.1:8000/v1", one_system=True),
    "llamacpp": Quirks(base_url="http://127.0.0.1:8080/v1", one_system=True),
}


def quirks_of(provider: str) -> Quirks:
    """The table's row; a name of the administrator's own is some compatible server."""
    return QUIRKS.get(provider, COMPATIBLE)


def takes_temperature(quirks: Quirks, model: str, effort: str) -> bool:
    """Whether a temperature may be sent; a model told not to reason takes one."""
    if effort == "none" or any(fnmatchcase(model, pattern) for pattern in quirks.free_temperature):
        return True
    return not any(fnmatchcase(model, pattern) for pattern in quirks.fixed_temperature)


OPTIONAL: Final = ("temperature", "stream_options", "reasoning_effort", "parallel_tool_calls")
LIMITS: Final = {"max_completion_tokens": "max_tokens", "max_tokens": "max_completion_tokens"}


def without(request: Mapping[str, Any], complaint: str) -> dict[str, Any] | None:
    """The request mended by a server's complaint about a parameter we can do without; None when it names none."""
    for name, other in LIMITS.items():
        if name in request and name in complaint:
            mended = {key: value for key, value in request.items() if key != name}
            # "Use 'max_completion_tokens' instead" against "extra_forbidden": both fields mean the same to us.
            return {**mended, other: request[name]}
    for name in OPTIONAL:
        if name in request and name in complaint:
            return {key: value for key, value in request.items() if key != name}
    return None
