"""Whether the speech room knows the providers, models and settings of an assistant that is being written."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final, cast

from sovereign_pbx.assistants.problem import Problem
from sovereign_pbx.core.errors import ConfigError
from sovereign_pbx.speech import catalogue

_STAGES: Final[tuple[catalogue.SpokenStage, ...]] = ("stt", "llm", "tts")


async def provider_problems(fields: Mapping[str, Any], accounts: Mapping[str, Mapping[str, Any]]) -> list[Problem]:
    """What is wrong with the blocks among `fields`. Nothing is connected to and no model loaded.

    What is wrong with an account ([providers.NAME], a key that is missing) is no fault of an assistant: it may be
    mended afterwards.
    """
    blocks = {stage: fields[f"{stage}_config"] for stage in _STAGES if fields.get(f"{stage}_config")}
    return await asyncio.to_thread(_problems, blocks, accounts) if blocks else []


def _problems(
    blocks: Mapping[catalogue.SpokenStage, Mapping[str, Any]], accounts: Mapping[str, Mapping[str, Any]]
) -> list[Problem]:
    found = (_problem(stage, block, accounts) for stage, block in blocks.items())
    return [problem for problem in found if problem is not None]


def _problem(
    stage: catalogue.SpokenStage, block: Mapping[str, Any], accounts: Mapping[str, Mapping[str, Any]]
) -> Problem | None:
    plain = {key: value for key, value in block.items() if key not in ("messages", "tools")}
    if not {"provider", "model", "voice_id"} & set(plain):
        return None  # who does it is left to us
    path = (f"{stage}_config",)
    try:
        catalogue.validate(stage, plain, accounts)
    except ConfigError as error:
        if error.message.startswith("[providers."):
            return None
        message = error.message.removeprefix(f"{path[0]}: ")
        return Problem((*path, error.key) if error.key else path, message, error.remedy)
    except ImportError as error:
        provider = cast(str, block.get("provider", ""))
        return Problem((*path, "provider"), f'"{provider}" needs the package {error.name}, which is not installed')
    return None
