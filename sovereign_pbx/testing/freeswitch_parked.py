"""A played FreeSWITCH whose calls are parked and steered: the park loop, commands in it, unicast.

What crashes the real one (1.10.12 and 1.11.2, measured), or breaks its sound for good, is a fault.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from sovereign_pbx.testing.freeswitch import NO_CHANNEL, FreeSwitch
from sovereign_pbx.testing.freeswitch_channel import Channel
from sovereign_pbx.testing.freeswitch_dialplan import Action, expanded
from sovereign_pbx.testing.freeswitch_unicast import UnicastSwitch

_STATES: Final = {"RINGING": "ringing", "EARLY": "early", "ACTIVE": "answered", "HANGUP": "hangup", "DOWN": "ringing"}


class ParkedSwitch(FreeSwitch):
    """`sounds` are the unicasts that run, by channel; `faster` makes scheduled transfers come so many times as soon."""

    def __init__(self, *, faster: float = 1.0) -> None:
        super().__init__()
        self.sounds: dict[str, UnicastSwitch] = {}
        self.heard: dict[str, bytearray] = {}
        self.digits: dict[str, str] = {}
        self.redirected: dict[str, str] = {}
        self.scheduled: dict[str, asyncio.Task[None]] = {}
        self._faster = faster
        self._parked: set[str] = set()
        self._armed: set[str] = set()  # by unicast, in the park that lasts
        self._apis.update(
            sched_del=self._unschedule, sched_transfer=self._schedule_by_id, uuid_send_dtmf=self._send_digits
        )
        plain = self.esl.event

        def event(name: str, headers: Mapping[str, str], body: str = "") -> None:
            told = dict(headers)
            told["Answer-State"] = _STATES.get(told.get("Channel-Call-State", ""), "ringing")
            if "variable_read_codec" in told:
                told["variable_read_rate"] = "8000"
            plain(name, told, body)

        self.esl.event = event  # type: ignore[method-assign]  # what each event tells besides

    # --- what a test does

    async def play_to(self, channel: Channel) -> None:
        """Somebody plays a file to a parked channel (uuid_broadcast): its unicast ends at once, and nobody is told."""
        sound = self.sounds.pop(channel.uuid, None)
        if sound is not None:
            await self._stop_sound(channel.uuid, sound)

    def press(self, channel: Channel, digit: str) -> None:
        headers = {"Unique-ID": channel.uuid, "DTMF-Digit": digit, "DTMF-Duration": "2000", "DTMF-Source": "RTP"}
        self.esl.event("DTMF", headers)

    def sound_of(self, channel: Channel) -> UnicastSwitch:
        return self.sounds[channel.uuid]

    # --- the park loop

    async def _park(self, channel: Channel) -> None:
        channel.application = "park"
        if "park_timeout" not in channel.variables and channel.uuid not in self.scheduled:
            self.esl.faults.append(f"{channel.name} is parked, and nothing takes it out if nobody comes")
        self._parked.add(channel.uuid)
        self.esl.event("CHANNEL_PARK", channel.event())
        try:
            await asyncio.sleep(3600)
        finally:
            self._parked.discard(channel.uuid)
            self._armed.discard(channel.uuid)
            sound = self.sounds.pop(channel.uuid, None)
            if sound is not None:
                await self._stop_sound(channel.uuid, sound)
            if not channel.is_gone:
                self.esl.event("CHANNEL_UNPARK", channel.event())

    async def _stop_sound(self, uuid: str, sound: UnicastSwitch) -> None:
        await sound.end()
        self.esl.faults.extend(sound.faults)
        self.heard.setdefault(uuid, bytearray()).extend(sound.played)

    async def _do_all(self, channel: Channel, actions: list[Action]) -> tuple[str, str] | None:
        for action in actions:
            data = expanded(action.data, channel.variables)
            if action.application == "sched_transfer":
                after, extension, _, context = data.split(" ")
                self._schedule(channel.uuid, after, extension, context)
            elif action.application == "sched_cancel":
                await self._unschedule(channel.uuid)
            else:
                where = await super()._do_all(channel, [action])
                if where is not None or channel.is_gone:
                    return where
        return None

    async def _end(self, channel: Channel, cause: str) -> None:
        self._cancel(channel.uuid)
        await super()._end(channel, cause)

    # --- commands

    def _send_message(self, uuid: str, headers: Mapping[str, str]) -> str:
        """ "+OK" says that it is queued. Only the park loop looks at the queue."""
        channel = self.channels.get(uuid)
        if channel is None:
            return f"-ERR invalid session id [{uuid}]"
        if headers.get("call-command") not in ("execute", "unicast"):
            return super()._send_message(uuid, headers)
        if uuid in self._parked:
            self._own(self._obey(channel, dict(headers)))
        return "+OK"

    async def _obey(self, channel: Channel, headers: dict[str, str]) -> None:
        await asyncio.sleep(0.02)  # the loop wakes with the next frame
        if channel.is_gone or channel.uuid not in self._parked:
            return
        if headers["call-command"] == "unicast":
            await self._unicast(channel, headers)
            return
        match headers["execute-app-name"]:
            case "ring_ready":
                channel.state = "RINGING"
            case "answer":
                self._answer(channel)
            case "pre_answer":
                channel.state = "EARLY"
                channel.variables["read_codec"] = "PCMU"
                self.esl.event("CHANNEL_PROGRESS_MEDIA", channel.event())
            case "redirect":
                self.redirected[channel.uuid] = headers["execute-app-arg"]
                await self._end(channel, "REDIRECTION_TO_NEW_DESTINATION")
            case other:
                self.esl.faults.append(f"an application that ends unicast, or is not played: {other}")

    async def _unicast(self, channel: Channel, headers: dict[str, str]) -> None:
        if "read_codec" not in channel.variables:
            self.esl.faults.append("unicast on a channel without media: FreeSWITCH crashes")
            return
        if channel.uuid in self._armed:
            self.esl.faults.append("a second unicast in one park: a socket and a thread leak")
            return
        self._armed.add(channel.uuid)
        sound = self.sounds[channel.uuid] = UnicastSwitch()
        await sound.begin(headers)

    async def _transfer(self, argument: str) -> str:
        """Of a channel that rings as well: the fallback of one that was not answered."""
        uuid, extension, form, context = argument.split(" ")
        channel = self.channels.get(uuid)
        if channel is None or form != "XML":
            return NO_CHANNEL
        self._own(self._transferred(channel, extension, context))
        return "+OK\n"

    async def _send_digits(self, argument: str) -> str:
        uuid, digit = argument.split(" ")
        self.digits[uuid] = self.digits.get(uuid, "") + digit
        return "+OK\n"

    # --- the scheduler

    def _schedule(self, uuid: str, after: str, extension: str, context: str) -> None:
        self._cancel(uuid)
        work = self._later(uuid, float(after.removeprefix("+")) / self._faster, extension, context)
        self.scheduled[uuid] = asyncio.get_running_loop().create_task(work)

    async def _later(self, uuid: str, after_s: float, extension: str, context: str) -> None:
        await asyncio.sleep(after_s)
        self.scheduled.pop(uuid, None)
        channel = self.channels.get(uuid)
        if channel is not None:
            self._own(self._transferred(channel, extension, context))

    def _cancel(self, uuid: str) -> None:
        task = self.scheduled.pop(uuid, None)
        if task is not None:
            task.cancel()

    async def _schedule_by_id(self, argument: str) -> str:
        after, uuid, extension, _, context = argument.split(" ")
        if uuid not in self.channels:
            return "-ERR No Such Channel!\n"
        self._schedule(uuid, after, extension, context)
        return "+OK\n"

    async def _unschedule(self, argument: str) -> str:
        had = argument in self.scheduled
        self._cancel(argument)
        return "+OK\n" if had else "-ERR\n"

    async def __aexit__(self, *error: Any) -> None:
        for uuid in tuple(self.scheduled):
            self._cancel(uuid)
        await super().__aexit__(*error)
