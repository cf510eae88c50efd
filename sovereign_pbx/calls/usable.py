"""An assistant that a webhook made up of what this daemon does not speak to (contract §8.4: the saved one goes on)."""

from dataclasses import replace

from sovereign_pbx.assistants.model import Assistant
from sovereign_pbx.assistants.realtime import is_realtime
from sovereign_pbx.assistants.resolve import Resolution
from sovereign_pbx.calls.providers import Providers
from sovereign_pbx.calls.session import Services
from sovereign_pbx.core.errors import ConfigError


def usable(resolution: Resolution, called: str, services: Services) -> Resolution:
    """The resolution, or the saved assistant where the webhook's can't be built and there is one that is active."""
    assistant = resolution.assistant
    if assistant is None or resolution.source not in ("transient", "hybrid"):
        return resolution
    fault = _fault(assistant, services.providers)
    _, saved = services.directory.find(called)
    if not fault or saved is None or not saved.is_active:
        return resolution
    note = f"the assistant in the webhook's answer can't be used: {fault}"
    return replace(resolution, assistant=saved, source="saved", notes=(*resolution.notes, note))


def _fault(assistant: Assistant, providers: Providers) -> str:
    """They are built once and kept, so the call that follows builds nothing a second time."""
    try:
        if is_realtime(assistant.llm_config):
            providers.realtime(assistant.llm_config)
            return ""
        providers.stt(assistant.stt_config)
        providers.llm(assistant.llm_config)
        providers.voice(assistant.tts_config, assistant.speech_config)
    except ConfigError as exc:
        return str(exc)
    return ""
