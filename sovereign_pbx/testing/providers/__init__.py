"""Scripted providers: servers that speak the vendors' wire protocols, strictly, with faults on demand.

`ScriptedDeepgram`, `ScriptedOpenAI` and `ScriptedElevenLabs` run in a test's own loop; `python -m
sovereign_pbx.testing.providers` runs all three in a process of their own, for load and for failure drills.
"""

from sovereign_pbx.testing.providers.deepgram import ScriptedDeepgram, Utterance
from sovereign_pbx.testing.providers.elevenlabs import ScriptedElevenLabs
from sovereign_pbx.testing.providers.faults import Fault, Faults
from sovereign_pbx.testing.providers.openai import Answer, ScriptedOpenAI

__all__ = ["Answer", "Fault", "Faults", "ScriptedDeepgram", "ScriptedElevenLabs", "ScriptedOpenAI", "Utterance"]
