"""Who must say a password before his call is taken (RFC 3261 §22)."""

import time
from collections.abc import Callable
from typing import Final

import structlog

from sovereign_pbx.pbx.sip.transaction_server import ServerTransaction
from sovereign_pbx.wire.digest import Verifier
from sovereign_pbx.wire.sip import response_to

log = structlog.get_logger(__name__)

REALM: Final = "sovereign-pbx"


class Proving:
    """One user with one password. Requests within a dialog are not asked again: its tags are the secret there."""

    def __init__(self, username: str, password: str, *, now: Callable[[], float] = time.monotonic) -> None:
        self._username = username
        self._password = password
        self._now = now
        self._verifier = Verifier(REALM)

    def admits(self, transaction: ServerTransaction) -> bool:
        """Whether this request proves the password; one that does not has been answered with a challenge."""
        request = transaction.request
        verdict = self._verifier.judge(
            request.headers.all("Authorization"),
            method=request.method,
            username=self._username,
            password=self._password,
            now=self._now(),
        )
        if verdict == "right":
            return True
        if verdict == "wrong":
            log.warning(
                "sip_wrong_password",
                peer=transaction.flow.peer[0],
                remedy="give the PBX the username and password of [sip]",
            )
        challenges = self._verifier.challenges(self._now(), stale=verdict == "stale")
        headers = [("WWW-Authenticate", challenge) for challenge in challenges]
        transaction.respond_once(response_to(request, 401, headers=headers))
        return False
