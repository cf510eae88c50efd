"""What both directions of a phone's RTP audio share (RFC 3550, RFC 3551, RFC 4733)."""

import struct
from collections.abc import Callable, Mapping

from sovereign_pbx.wire.g711 import alaw_to_pcm, pcm_to_alaw, pcm_to_ulaw, ulaw_to_pcm

RATE = 8000
SAMPLES = 160
TELEPHONE_EVENT = 101
DIGITS = "0123456789*#ABCD"

HEADER = struct.Struct(">BBHII")
EVENT = struct.Struct(">BBH")
DECODE: Mapping[int, Callable[[bytes], bytes]] = {0: ulaw_to_pcm, 8: alaw_to_pcm}
ENCODE: Mapping[int, Callable[[bytes], bytes]] = {0: pcm_to_ulaw, 8: pcm_to_alaw}
