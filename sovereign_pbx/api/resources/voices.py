"""`GET /voices`: what may stand in a `tts_config` as voice_id (contract §23)."""

from typing import Any, Final, Protocol

from sovereign_pbx.api.operation import Asked, Operation
from sovereign_pbx.api.schema import STRING, envelope_of_many, object_schema
from sovereign_pbx.assistants.shape import Text
from sovereign_pbx.assistants.table import Key, Table

VOICE: Final = object_schema(
    {
        "id": STRING,
        "name": STRING,
        "provider": STRING,
        "language": STRING,
        "description": object_schema({"en": STRING, "nl": STRING}, optional=("en", "nl")),
    },
    optional=("language", "description"),
)

QUERY: Final = Table(
    Key("provider", Text(1, 64), "Only the voices of this provider."),
    Key("language", Text(1, 64), 'Only the voices of this language ("nl" is also nl-NL and nl-BE).'),
)


class Voices(Protocol):
    """Whoever knows the voices."""

    async def all(self) -> list[dict[str, Any]]:
        """Every voice as it is shown."""


def operations(voices: Voices) -> list[Operation]:
    """The list."""

    async def listed(asked: Asked) -> dict[str, Any]:
        found = await voices.all()
        return {"voices": [voice for voice in found if _wanted(voice, asked)]}

    return [
        Operation(
            method="GET",
            path="/voices",
            name="listVoices",
            summary="List the voices of the configured providers, those of this machine first.",
            tag="voices",
            handler=listed,
            query=QUERY,
            answer=envelope_of_many("voices", VOICE),
        )
    ]


def _wanted(voice: dict[str, Any], asked: Asked) -> bool:
    provider, language = asked.query.get("provider"), asked.query.get("language", "")
    spoken = str(voice.get("language", "")).lower().replace("_", "-")
    wanted = language.lower().replace("_", "-")
    fits = not wanted or spoken == wanted or spoken.startswith(wanted + "-")
    return fits and provider in (None, voice["provider"])
