"""Which model sums up and analyses a call: a block like `llm_config`, for work that nobody waits for on the line. Pure.

In order: the assistant's own `llm_config.post_call_model` (a model's name, or a block with a provider of its own),
`[post_call] provider` and `model`, the assistant's model; of a vendor whose catalogue has a smaller post-call model
(contract §4.3) that one, where the vendor itself is asked and not a server that only speaks its protocol.
"""

from collections.abc import Mapping
from typing import Any, Final

from sovereign_pbx.speech.realtime.providers import account_of, is_realtime

Block = Mapping[str, Any]

SMALLER: Final[Mapping[str, Mapping[str, str]]] = {"openai": {"": "gpt-5.4-mini", "gpt-5.4": "gpt-5.4-mini"}}
"""By provider and model ("": the provider's default); contract §4.3 names no other."""

_VENDOR: Final = {"openai": "https://api.openai.com/"}
_UNABLE: Final = "receptionist"
"""It answers from facts in its instructions; it can't sum up."""

# What holds for a reply that a caller waits for, and for nothing else.
_LIVE: Final = frozenset(
    {"messages", "tools", "post_call_model", "temperature", "max_completion_tokens", "max_output_tokens", "first_s"}
    | {"gap_s", "switch_after_s", "hedge"}
)
_TEMPERATURE: Final = 0.2
_LONGEST: Final = 4000


def post_call_block(llm_config: Block, section: Block, providers: Mapping[str, Block], within_s: float) -> Block | None:
    """The block to build the model from; None where the assistant has no model that could do it.

    `section`: `provider` and `model` of [post_call], "" where they are left out. `within_s`: what an answer may take.
    """
    chosen = _chosen(llm_config, section)
    fallbacks = [dict(one) for one in chosen.get("fallbacks") or ()]
    blocks = [_smaller(block, providers) for block in (chosen, *fallbacks)]
    able = [_patient(block, within_s) for block in blocks if block.get("provider") != _UNABLE]
    if not able:
        return None
    first, *others = able
    # A spare is asked when half of the time is gone.
    return {**first, "fallbacks": others, "switch_after_s": _bounded(within_s / 2)} if others else first


def _chosen(llm_config: Block, section: Block) -> Block:
    own = llm_config.get("post_call_model")
    if is_realtime(llm_config):  # which speaks, and can't be asked in writing: the same vendor's model for text
        llm_config = {"provider": account_of(llm_config)}
    plain = {name: value for name, value in llm_config.items() if name not in _LIVE}
    if isinstance(own, Mapping) and own:
        return own if own.get("provider") else {**_without_spares(plain), **own}
    if isinstance(own, str) and own:
        return {**_without_spares(plain), "model": own}
    if section.get("provider"):
        return {name: section[name] for name in ("provider", "model") if section.get(name)}
    if section.get("model"):
        return {**_without_spares(plain), "model": section["model"]}
    return plain


def _without_spares(block: Block) -> dict[str, Any]:
    """A model that was chosen by name is that one."""
    return {name: value for name, value in block.items() if name != "fallbacks"}


def _smaller(block: Block, providers: Mapping[str, Block]) -> dict[str, Any]:
    provider = str(block.get("provider") or "openai")
    smaller = SMALLER.get(provider, {}).get(str(block.get("model") or ""))
    address = str(providers.get(provider, {}).get("base_url") or _VENDOR.get(provider, ""))
    if smaller is None or not address.startswith(_VENDOR.get(provider, "-")):
        return dict(block)
    return {**block, "model": smaller}


def _patient(block: Block, within_s: float) -> dict[str, Any]:
    """Steadier, with room for a whole analysis, and with time; a local engine serves whoever is on the line first."""
    kept = {name: value for name, value in block.items() if name not in ("fallbacks", "switch_after_s")}
    patience = {"first_s": _bounded(within_s), "gap_s": _bounded(within_s)}
    return {"temperature": _TEMPERATURE, "max_completion_tokens": _LONGEST, **kept, **patience, "priority": "low"}


def _bounded(seconds: float) -> float:
    return min(max(seconds, 0.05), 60.0)
