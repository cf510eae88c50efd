"""SRTP (RFC 3711) with keys out of the session description: libsrtp, by pylibsrtp (extra `sip`).

One object a direction, since a re-INVITE may change their key and leave ours: a new context under an old key would
begin its packet count anew, and encrypt two packets with the same key stream.
"""

from functools import lru_cache
from importlib.util import find_spec
from typing import Any, Final

from sovereign_pbx.wire.sdes import Key

MAX_PACKET: Final = 1356  # what the binding's buffer of 1500 bytes leaves beside the longest trailer


def available() -> bool:
    """Whether the library is installed."""
    return find_spec("pylibsrtp") is not None


@lru_cache(maxsize=1)
def load() -> Any:
    """The library; the first time takes 25 ms, so ask at the start and not in a call. Raises ImportError."""
    import pylibsrtp  # an optional library

    return pylibsrtp


def _context(key: Key, *, sending: bool) -> Any:
    library = load()
    policy = library.Policy
    profile = policy.SRTP_PROFILE_AES128_CM_SHA1_80
    if key.suite.endswith("_32"):
        profile = policy.SRTP_PROFILE_AES128_CM_SHA1_32
    streams = policy.SSRC_ANY_OUTBOUND if sending else policy.SSRC_ANY_INBOUND
    return library.Session(policy(key=key.master, ssrc_type=streams, srtp_profile=profile))


class Sealer:
    """Encrypts what we send."""

    def __init__(self, key: Key) -> None:
        self.key = key
        self._context = _context(key, sending=True)

    def rtp(self, packet: bytes) -> bytes:
        sealed: bytes = self._context.protect(packet)
        return sealed

    def rtcp(self, packet: bytes) -> bytes:
        sealed: bytes = self._context.protect_rtcp(packet)
        return sealed


class Opener:
    """Decrypts what comes. None for what is not theirs: another key, changed on its way, or played back."""

    def __init__(self, key: Key) -> None:
        self.key = key
        self._context = _context(key, sending=False)
        self._error: type[Exception] = load().Error

    def rtp(self, packet: bytes) -> bytes | None:
        return self._opened(self._context.unprotect, packet)

    def rtcp(self, packet: bytes) -> bytes | None:
        return self._opened(self._context.unprotect_rtcp, packet)

    def _opened(self, open_: Any, packet: bytes) -> bytes | None:
        if len(packet) > MAX_PACKET:
            return None
        try:
            opened: bytes = open_(packet)
        except self._error:
            return None
        return opened
