"""G.711 for whoever speaks to a vendor in the telephone's own code (`wire/g711.py`)."""

from sovereign_pbx.wire.g711 import pcm_to_ulaw, ulaw_to_pcm

__all__ = ["pcm_to_ulaw", "ulaw_to_pcm"]
