"""What the assistant of a campaign is told about the one it calls."""

import re
from collections.abc import Mapping
from typing import Any, Final

from sovereign_pbx.assistants.model import Assistant
from sovereign_pbx.store.campaign_rows import CampaignRow, LeadRow

_PLACE: Final = re.compile(r"\{\{\s*([^{}]+?)\s*\}\}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]+")
_SPOKEN: Final = ("first_message", "voicemail_message")


def filled(text: str, variables: Mapping[str, str], unknown: str | None = None) -> str:
    """`text` with each `{{name}}` replaced, in one pass: what a variable holds is never looked into again, so none can
    bring in another. Its line breaks become spaces. A name that is not there becomes `unknown`; None leaves it as is.
    """

    def value(found: re.Match[str]) -> str:
        otherwise = found[0] if unknown is None else unknown
        return _CONTROL.sub(" ", variables.get(found[1], otherwise))

    return _PLACE.sub(value, text)


def assistant_for(assistant: Assistant, campaign: CampaignRow, lead: LeadRow) -> Assistant:
    """The assistant as it calls this lead. Raises InvalidSettings.

    The filled template is a system message of its own behind those that the assistant has, which stay: they say who
    calls, it says why; and their unchanged beginning is what a model's prompt cache holds. What the assistant says by
    itself (first_message, its form for outbound calls, voicemail_message) may hold variables too.
    """
    override: dict[str, Any] = {
        name: filled(text, lead.variables) for name in _SPOKEN if (text := getattr(assistant, name))
    }
    spoken_outbound = assistant.speech_config.get("first_message_outbound")
    if spoken_outbound:
        override["speech_config"] = {
            **assistant.given["speech_config"],
            "first_message_outbound": filled(spoken_outbound, lead.variables),
        }
    override["metadata"] = {**assistant.metadata, "campaign_id": campaign.id, "lead_id": lead.id}
    if campaign.system_message_template:
        text = filled(campaign.system_message_template, lead.variables, unknown="")
        override["llm_config"] = _with_system_message(assistant.given.get("llm_config", {}), text)
    return assistant.merged(override, where=f"the assistant of campaign {campaign.name!r}")


def _with_system_message(block: Mapping[str, Any], text: str) -> dict[str, Any]:
    """Behind the last system message that stands at the beginning, before what may be an example conversation."""
    messages = [dict(message) for message in block.get("messages", ())]
    system = next((at for at, message in enumerate(messages) if message["role"] != "system"), len(messages))
    messages.insert(system, {"role": "system", "content": text})
    return {**block, "messages": messages}
