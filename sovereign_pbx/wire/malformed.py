"""The one error of this room.

`wire` knows nothing of the daemon, so it can't raise from its tree of errors: whoever owns the socket
turns `Malformed` into `BadInput`, `LinkBroken` or a refusal, as suits the protocol.
"""


class Malformed(ValueError):
    """Bytes that the protocol does not allow. The message says which rule they break, never their content."""
