"""What a provider of voices says of each: the list that people choose a `voice_id` from (contract §23)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedVoice:
    """One voice. `id` is what a `tts_config` takes as voice_id; `description` is by language, en and nl."""

    id: str
    name: str
    language: str = ""
    description: Mapping[str, str] = field(default_factory=dict)


Account = Mapping[str, Any]
"""`[providers.NAME]`."""

_TONGUES: Final[Mapping[str, tuple[str, str]]] = {
    "en-US": ("American English", "Amerikaans Engels"),
    "en-GB": ("British English", "Brits Engels"),
    "de-DE": ("German", "Duits"),
    "fr-FR": ("French", "Frans"),
    "es-ES": ("Spanish", "Spaans"),
    "it-IT": ("Italian", "Italiaans"),
}
_WHO: Final[Mapping[str, tuple[str, str]]] = {"female": ("woman", "vrouw"), "male": ("man", "man")}


def described(language: str, gender: str) -> dict[str, str]:
    """A voice of this machine in a few words."""
    tongues, who = _TONGUES.get(language, (language, language)), _WHO.get(gender, ("voice", "stem"))
    return {"en": f"{who[0].capitalize()}, {tongues[0]}", "nl": f"{who[1].capitalize()}, {tongues[1]}"}
