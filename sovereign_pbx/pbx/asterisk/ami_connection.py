"""One connection to the manager interface, from its banner to its end.

panoramisk builds the actions and matches their answers (`panoramisk.actions`). Everything around that is here, because
its own protocol loses characters, hangs, re-sends and raises where it must not; each test in
`tests/pbx/test_ami_faults.py` is one of these.
"""

import asyncio
from collections.abc import Callable, Mapping
from hashlib import md5
from typing import Any, Final
from uuid import uuid4

import structlog
from panoramisk.actions import Action

from sovereign_pbx.core.errors import BadInput, LinkBroken, LinkEnded, LinkFinished, LinkFull
from sovereign_pbx.pbx.asterisk.ami_message import AmiMessage
from sovereign_pbx.pbx.asterisk.peers import notice_death
from sovereign_pbx.pbx.control_login import LoginRefused
from sovereign_pbx.wire import ami as wire
from sovereign_pbx.wire.malformed import Malformed

log = structlog.get_logger(__name__)

Field = str | int | list[str] | tuple[str, ...]

# 11 µs a message: the loop is given back to the callers' frames after half a millisecond.
_MESSAGES_A_TURN: Final = 50

_MAX_UNSENT_BYTES: Final = 1 << 18


class AmiConnection:
    """Actions out, answers and events in. `on_event` is called in order and must not block.

    What arrives waits in the stream's buffer, which is bounded: when the loop is late, TCP makes Asterisk wait. No
    event is dropped, no list grows.
    """

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, on_event: Callable[[AmiMessage], None]
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._on_event = on_event
        self._pending: dict[str, Any] = {}
        self._ended: LinkEnded | None = None
        notice_death(writer.get_extra_info("socket"))

    async def greet(self) -> str:
        """The protocol's version. Raises BadInput when something else answers, LinkEnded when nothing does."""
        try:
            line = await self._reader.readline()
            if not line:
                raise LinkFinished("the manager interface closed the connection at once (its ACL?)")
            return wire.banner_version(line)
        except (OSError, ValueError) as exc:  # ValueError: Malformed, or a line without end
            raise BadInput(f"AMI: {exc}") from exc

    async def login(self, username: str, secret: str, events: str, timeout_s: float) -> None:
        """Log in by challenge, so that the secret never crosses the network. Raises LoginRefused."""
        challenge = await self.action("Challenge", {"AuthType": "MD5"}, timeout_s)
        key = md5((challenge.get("Challenge") + secret).encode(), usedforsecurity=False).hexdigest()
        fields = {"AuthType": "MD5", "Username": username, "Key": key, "Events": events}
        answer = await self.action("Login", fields, timeout_s)
        if not answer.ok:
            raise LoginRefused(
                f"Asterisk refused the AMI login of {username!r}: {answer.get('Message')}",
                key="asterisk.ami.secret",
                remedy="Compare username and secret with manager.conf, and its permit lines with this machine.",
            )

    async def action(
        self, name: str, fields: Mapping[str, Field], timeout_s: float, *, at_once: bool = False
    ) -> AmiMessage:
        """Send once, never again, and await the answer; `at_once`: the first message of it, the others being events.

        Raises:
            BadInput: a field that would break out of its line.
            LinkEnded: the connection is gone (what became of the action is not known), or no answer came in time.
        """
        if self._ended is not None:
            raise LinkBroken(f"AMI {name}: {self._ended}") from self._ended
        action = _built(name, fields, at_once=at_once)
        keys = [action["ActionID"], *([action["CommandID"]] if "CommandID" in action else [])]
        self._pending.update(dict.fromkeys(keys, action))
        try:
            self._send(str(action))
            async with asyncio.timeout(timeout_s):
                return _answer(await action.future)
        except TimeoutError as exc:
            raise LinkBroken(f"AMI: no answer to {name} within {timeout_s:g} s") from exc
        finally:
            for key in keys:
                self._pending.pop(key, None)

    async def read(self) -> None:
        """Handle messages until the connection ends, which is raised as LinkEnded."""
        handled = 0
        while True:
            block = await self._next_block()
            self._handle(block)
            handled += 1
            if handled % _MESSAGES_A_TURN == 0:
                await asyncio.sleep(0)

    async def keep_alive(self, interval_s: float, timeout_s: float) -> None:
        """Ping for ever. Raises LinkBroken when the other side has fallen silent, which TCP does not tell."""
        while True:
            await asyncio.sleep(interval_s)
            await self.action("Ping", {}, timeout_s)

    def end(self, how: LinkEnded) -> None:
        """Fail whatever is pending and close. Idempotent."""
        if self._ended is not None:
            return
        self._ended = how
        for action in self._pending.values():
            if not action.future.done():
                action.future.set_exception(LinkBroken(f"AMI {action['Action']}: {how}"))
        self._writer.transport.abort()

    async def _next_block(self) -> bytes:
        try:
            return await self._reader.readuntil(wire.BLOCK_END)
        except asyncio.IncompleteReadError as exc:
            raise LinkFinished("Asterisk closed the AMI connection") from exc
        except asyncio.LimitOverrunError as exc:
            raise LinkBroken("an AMI message without end") from exc
        except OSError as exc:
            raise LinkBroken(f"the AMI connection died: {exc}") from exc

    def _send(self, text: str) -> None:
        transport = self._writer.transport
        if transport.get_write_buffer_size() > _MAX_UNSENT_BYTES:
            raise LinkFull("Asterisk stopped reading its manager interface")
        self._writer.write(wire.encode(text))

    def _handle(self, block: bytes) -> None:
        message = AmiMessage.parse(block)
        if message is None:
            log.debug("ami_not_understood", size=len(block))
            return
        action = self._pending.get(message.get("CommandID")) or self._pending.get(message.get("ActionID"))
        if action is not None and not action.future.done():
            _take_answer(action, message)
        elif message.event:
            try:
                self._on_event(message)
            except Exception:
                log.exception("ami_listener_failed", ami_event=message.event)


def _built(name: str, fields: Mapping[str, Field], *, at_once: bool) -> Any:
    """A panoramisk action whose every line is safe. Raises BadInput."""
    values: dict[str, Any] = {"Action": name}
    if name.lower() == "originate":
        # Without it Asterisk holds back every other answer until the far end has decided, and panoramisk stumbles
        values["Async"] = "true"
    elif name.lower() == "agi":
        values["CommandID"] = uuid4().hex  # its result comes without the action's own id
    try:
        wire.header("Action", name)
        for key, value in fields.items():
            many = isinstance(value, list | tuple)
            values[key] = [wire.header(key, one) for one in value] if many else wire.header(key, value)  # type: ignore[union-attr]  # `many` is not understood as a guard
    except Malformed as exc:
        raise BadInput(f"AMI {name[:40]}: {exc}") from exc
    return Action(values, as_list=False if at_once else None)


def _take_answer(action: Any, message: AmiMessage) -> None:
    """Give a message to the action it answers."""
    try:
        action.add_message(message.raw)
        # Since Asterisk 12 the result of an AsyncAGI command is an event of its own, which panoramisk 1.4 waits beyond
        if message.event == "AsyncAGIExec" and not action.future.done():
            action.future.set_result(action.responses)
    except KeyError:
        # "… successfully queued": panoramisk asks for the header `Async`, which PlayDTMF does not have either
        action.future.set_result(message.raw)


def _answer(result: Any) -> AmiMessage:
    return AmiMessage(result[0], result[1:]) if isinstance(result, list) else AmiMessage(result)
