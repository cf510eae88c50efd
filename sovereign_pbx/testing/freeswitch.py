"""A FreeSWITCH played by a test: channels, the printed dialplan, the event socket, legs to the daemon.

It is built from measurements of 1.10.12 and 1.11.2, and is stricter than they are: what would crash, hang or drop there
without a word is a fault here, which `check` raises.

    async with FreeSwitch() as pbx:
        pbx.load(render(sip=…), address="127.0.0.1:5090", legs=SipLegs(("127.0.0.1", 5090)))
        pbx.people["user/100"] = Person("answer")
        caller = await pbx.call("+31201234567")
        …
        await pbx.hang_up(caller)
"""

import asyncio
import json
import re
from collections.abc import Coroutine, Mapping
from types import TracebackType
from typing import Any, Final, Self
from uuid import uuid4

from sovereign_pbx.testing.freeswitch_channel import REFUSALS, Channel, Person
from sovereign_pbx.testing.freeswitch_dialplan import Action, Dialplan, expanded
from sovereign_pbx.testing.freeswitch_esl import EslServer
from sovereign_pbx.testing.freeswitch_leg import NAME_OF, Legs, Refused

VERSION: Final = "FreeSWITCH Version 1.10.12-release+git~20240802T210227Z~a88d069d6f~64bit (git a88d069 64bit)\n"
NO_CHANNEL: Final = "-ERR No such channel!\n"

_DIAL_STRING: Final = re.compile(r"(?:\{([^{}]*)\})?(?:\[([^\[\]]*)\])?([^\s{}\[\]]+)")
_OURS: Final = re.compile(r"sofia/[^/]+/([^@/]+)@([^/]+)")
_LOOPBACK: Final = re.compile(r"loopback/([^/]+)/([^/]+)/XML")


class FreeSwitch:
    """`people` are found by the dial strings that reach them (`user/100`, `sofia/gateway/carrier/+31…`)."""

    def __init__(self) -> None:
        self.legs: Legs | None = None
        self.people: dict[str, Person] = {}
        self.channels: dict[str, Channel] = {}
        self.ended: list[Channel] = []
        self.modules = {"mod_sofia", "mod_dptools", "mod_commands", "mod_dialplan_xml", "mod_loopback", "mod_spandsp"}
        self.esl = EslServer(self._api, self._send_message)
        self.dialplan = Dialplan({})
        self._address = ""
        self._tasks: set[asyncio.Task[None]] = set()
        self._apis = {
            "version": self._version,
            "uptime": self._uptime,
            "show": self._show,
            "originate": self._originate,
            "uuid_kill": self._kill,
            "uuid_exists": self._exists,
            "uuid_getvar": self._getvar,
            "uuid_setvar": self._setvar,
            "uuid_setvar_multi": self._setvar_multi,
            "uuid_transfer": self._transfer,
            "uuid_bridge": self._bridge_by_id,
            "xml_locate": self._xml_locate,
            "sofia": self._sofia,
            "module_exists": self._module_exists,
        }

    async def __aenter__(self) -> Self:
        await self.esl.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.esl.stop()
        for channel in tuple(self.channels.values()):
            await self.hang_up(channel)
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.legs is not None:
            await self.legs.close()

    def load(self, *documents: str, address: str, legs: Legs) -> None:
        """`reloadxml`. `address` is what these dialplans call the daemon; legs there come from `legs`."""
        self.dialplan = Dialplan.of(*documents)
        self._address = address
        self.legs = legs

    def check(self) -> None:
        """Raises AssertionError with everything that a real one would not have borne."""
        self.esl.check()

    async def call(
        self, extension: str, *, number: str = "+31612345678", context: str = "sovereign", **variables: str
    ) -> Channel:
        """Somebody calls: his channel is in the dialplan when this returns. `variables`: those of his user."""
        name, told = f"sofia/internal/{number}@example.org", {"number": number, **variables}
        channel = self._new(str(uuid4()), name, "inbound", told)
        channel.state = "RINGING"
        channel.begin(self._route(channel, extension, context))
        return channel

    async def hang_up(self, channel: Channel, cause: str = "NORMAL_CLEARING") -> None:
        """The person at the other end of a channel hangs up, or gives up."""
        await self._end(channel, cause)

    def hold(self, channel: Channel, held: bool) -> None:
        """He presses the key for it; whoever he talks to hears FreeSWITCH's music."""
        self.esl.event("CHANNEL_HOLD" if held else "CHANNEL_UNHOLD", channel.event())

    # Channels

    def _new(self, uuid: str, name: str, direction: Any, variables: Mapping[str, str]) -> Channel:
        if uuid in self.channels:
            self.esl.faults.append(f"the id {uuid} is taken")
        channel = self.channels[uuid] = Channel(uuid, name, direction, {"uuid": uuid, **variables})
        self.esl.event("CHANNEL_CREATE", channel.event())
        return channel

    def _answer(self, channel: Channel) -> None:
        if not channel.up:
            channel.state = "ACTIVE"
            channel.variables["read_codec"] = "PCMU"
            self.esl.event("CHANNEL_ANSWER", channel.event())

    async def _end(self, channel: Channel, cause: str) -> None:
        if channel.is_gone:
            return
        channel.cause, channel.state = cause, "HANGUP"
        del self.channels[channel.uuid]
        self.ended.append(channel)
        partner, channel.partner = channel.partner, None
        await channel.interrupt()
        self.esl.event("CHANNEL_HANGUP_COMPLETE", channel.event())
        channel.over.set()
        if partner is not None:
            await self._left_alone(partner, cause)

    async def _left_alone(self, channel: Channel, cause: str) -> None:
        """Whom it was bridged with is gone: switch_ivr_multi_threaded_bridge."""
        channel.partner = None
        channel.variables["bridge_hangup_cause"] = cause
        after = channel.variables.pop("transfer_after_bridge", "")
        if after:
            extension, _, context = after.split(":")
            await channel.interrupt()
            channel.begin(self._route(channel, extension, _forced(channel, context)))
        else:
            await self._end(channel, "NORMAL_CLEARING")

    def _own(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # The dialplan

    async def _route(self, channel: Channel, extension: str, context: str) -> None:
        """Until the channel is gone, or is taken elsewhere."""
        where: tuple[str, str] | None = (extension, context)
        while where is not None:
            actions = self.dialplan.route(where[1], where[0], channel.variables)
            if not actions:
                await self._end(channel, "NO_ROUTE_DESTINATION")
                return
            where = await self._do_all(channel, actions)
            if where is not None:
                where = where[0], _forced(channel, where[1])
        await self._end(channel, "NORMAL_CLEARING")

    async def _do_all(self, channel: Channel, actions: list[Action]) -> tuple[str, str] | None:
        """Where to go next, by a transfer; None at the end."""
        for action in actions:
            data = expanded(action.data, channel.variables)
            channel.application, channel.data = action.application, data
            channel.done.append(f"{action.application}({data})")
            match action.application:
                case "set" | "export":
                    name, _, value = data.partition("=")
                    self._set(channel, name, value)
                case "unset":
                    self._set(channel, data, "")
                case "transfer":
                    extension, _, context = data.split(" ")
                    return extension, context
                case "bridge":
                    await self._bridge(channel, data)
                case "hangup":
                    await self._end(channel, data)
                    return None
                case "answer":
                    self._answer(channel)
                case "park":
                    await self._park(channel)
                case _:
                    self.esl.faults.append(f"an application that is not played: {action.application}")
        return None

    def _set(self, channel: Channel, name: str, value: str) -> None:
        channel.variables[name] = value
        if not value:
            del channel.variables[name]

    async def _park(self, channel: Channel) -> None:
        """For as long as park_timeout says; without it a channel that nobody comes for is there for ever."""
        channel.application = "park"
        limit, _, cause = channel.variables.get("park_timeout", "").partition(":")
        if not limit:
            self.esl.faults.append(f"{channel.name} is parked without park_timeout")
        await asyncio.sleep(float(limit or 3600))
        await self._end(channel, cause)

    async def _bridge(self, channel: Channel, data: str) -> None:
        match = _DIAL_STRING.fullmatch(data)
        assert match is not None, f"no dial string: {data}"
        whole, leg, where = _listed(match[1]), _listed(match[2]), match[3]
        if "leg_timeout" in whole:
            self.esl.faults.append("leg_timeout in braces is ignored: it belongs into square brackets")
        ours = _OURS.fullmatch(where)
        if ours is not None and ours[2].partition(";")[0] == self._address:
            await self._bridge_to_daemon(channel, ours[1], whole, leg)
        else:
            await self._bridge_to_person(channel, where)
        if channel.variables.get("hangup_after_bridge") == "true":
            await self._end(channel, channel.variables.get("bridge_hangup_cause", "NORMAL_CLEARING"))

    async def _bridge_to_daemon(
        self, channel: Channel, user: str, whole: Mapping[str, str], one: Mapping[str, str]
    ) -> None:
        if "media_timeout" not in whole:
            self.esl.faults.append("a leg without media_timeout: a daemon that dies leaves its caller in silence")
        assert self.legs is not None, "load() comes first"
        headers = {name.removeprefix("sip_h_"): value for name, value in whole.items() if name.startswith("sip_h_")}
        leg = channel.leg = await self.legs.place(user, channel.variables.get("number", ""), headers)
        refused = await leg.answered(float(one.get("leg_timeout", 60)), float(one.get("leg_progress_timeout", 60)))
        if refused is not None:
            channel.leg = None
            await self._refused(channel, refused)
            return
        self._answer(channel)
        channel.variables["originate_disposition"] = "SUCCESS"
        cause = await leg.over(float(whole.get("media_timeout", 3_600_000)) / 1000)
        channel.leg = None
        channel.variables["bridge_hangup_cause"] = cause

    async def _refused(self, channel: Channel, refused: Refused) -> None:
        if refused.contact:  # FreeSWITCH follows a 302 by itself
            await self._bridge_to_person(channel, re.sub(r"^sips?:|;.*$", "", refused.contact))
            return
        channel.variables["originate_disposition"] = refused.cause
        if channel.variables.get("continue_on_fail") != "true":
            await self._end(channel, refused.cause)

    async def _bridge_to_person(self, channel: Channel, where: str) -> None:
        person = self.people.get(where, Person("unknown"))
        other = self._new(str(uuid4()), where, "outbound", {})
        if not await self._reached(other, person, 60.0):
            channel.variables["originate_disposition"] = other.cause
            if channel.variables.get("continue_on_fail") != "true":
                await self._end(channel, other.cause)
            return
        self._answer(channel)
        channel.variables["originate_disposition"] = "SUCCESS"
        other.partner = None
        await other.over.wait()
        channel.variables["bridge_hangup_cause"] = other.cause

    # The event socket's commands

    async def _api(self, name: str, argument: str) -> str:
        command = self._apis.get(name)
        return await command(argument) if command is not None else f"-ERR {name} Command not found!\n"

    def _send_message(self, uuid: str, headers: Mapping[str, str]) -> str:
        channel = self.channels.get(uuid)
        if channel is None:
            return f"-ERR invalid session id [{uuid}]"
        if headers.get("call-command") == "unicast" and "read_codec" not in channel.variables:
            self.esl.faults.append("unicast on a channel without media: FreeSWITCH crashes")
        if headers.get("call-command") == "hangup":
            self._own(self._end(channel, headers.get("hangup-cause", "NORMAL_CLEARING")))
        return "+OK"

    async def _version(self, _: str) -> str:
        return VERSION

    async def _uptime(self, _: str) -> str:
        return "90\n"

    async def _show(self, argument: str) -> str:
        if argument != "channels as json":
            return "-USAGE: codec|endpoint|application|…\n"
        rows = [channel.row() for channel in self.channels.values()]
        return json.dumps({"row_count": len(rows), **({"rows": rows} if rows else {})}) + "\n"

    async def _xml_locate(self, argument: str) -> str:
        section, tag, attribute, value = argument.split(" ")
        if (section, tag, attribute) != ("dialplan", "context", "name"):
            self.esl.faults.append(f"xml_locate of something that is not played: {argument}")
        return self.dialplan.text(value) or "can't find anything\n"

    async def _module_exists(self, argument: str) -> str:
        return "true" if argument in self.modules else "false"

    async def _sofia(self, argument: str) -> str:
        return "Name\tinternal\n" if argument.endswith(" internal") else "Invalid Profile!\n"

    async def _exists(self, argument: str) -> str:
        return "true" if argument in self.channels else "false"

    async def _getvar(self, argument: str) -> str:
        uuid, name = argument.split(" ")
        channel = self.channels.get(uuid)
        return NO_CHANNEL if channel is None else channel.variables.get(name, "_undef_")

    async def _setvar(self, argument: str) -> str:
        uuid, name, value = (*argument.split(" "), "")[:3]
        return await self._setvar_multi(f"{uuid} {name}={value}")

    async def _setvar_multi(self, argument: str) -> str:
        uuid, _, pairs = argument.partition(" ")
        channel = self.channels.get(uuid)
        if channel is None:
            return NO_CHANNEL
        for pair in pairs.split(";"):
            name, _, value = pair.partition("=")
            channel.variables[name] = value
            self._set(channel, name, value)
        return "+OK\n"

    async def _kill(self, argument: str) -> str:
        uuid, _, cause = argument.partition(" ")
        channel = self.channels.get(uuid)
        if channel is None:
            return NO_CHANNEL
        named = NAME_OF.get(int(cause), "NORMAL_CLEARING") if cause.isdigit() else cause
        self._own(self._end(channel, named or "NORMAL_CLEARING"))
        return "+OK\n"

    async def _transfer(self, argument: str) -> str:
        uuid, extension, form, context = argument.split(" ")
        channel = self.channels.get(uuid)
        if channel is None:
            return NO_CHANNEL
        if form != "XML" or not channel.up:
            self.esl.faults.append(f"uuid_transfer of a channel that was not answered, or not to XML: {argument}")
        self._own(self._transferred(channel, extension, context))
        return "+OK\n"

    async def _transferred(self, channel: Channel, extension: str, context: str) -> None:
        await channel.interrupt()
        if not channel.is_gone:
            channel.begin(self._route(channel, extension, _forced(channel, context)))

    async def _bridge_by_id(self, argument: str) -> str:
        """+OK says that both were told to; it takes them a moment."""
        first, second = (self.channels.get(uuid) for uuid in argument.split(" "))
        if first is None or second is None:
            return "-ERR Invalid uuid\n"
        if not (first.up and second.up):
            self.esl.faults.append("uuid_bridge of a channel without media")
            return "-ERR Invalid uuid\n"
        self._own(self._bridged(first, second))
        return f"+OK {second.uuid}\n"

    async def _bridged(self, first: Channel, second: Channel) -> None:
        await first.interrupt()
        await second.interrupt()
        if first.is_gone or second.is_gone:
            for channel in (first, second):  # uuid_bridge_on_soft_execute: who is not ready takes the other along
                await self._end(channel, "DESTINATION_OUT_OF_ORDER")
            return
        first.partner, second.partner, first.originator = second, first, True
        first.application = second.application = "uuid_bridge"
        ids = {"Bridge-A-Unique-ID": first.uuid, "Bridge-B-Unique-ID": second.uuid}
        self.esl.event("CHANNEL_BRIDGE", {**first.event(), **ids})

    async def _originate(self, argument: str) -> str:
        where, target, *more = argument.split(" ")
        match = _DIAL_STRING.fullmatch(where)
        if match is None or (more and more[0] != "XML"):
            return "-USAGE: <call url> <exten>|&<application_name>(<app_args>) [<dialplan>] [<context>]\n"
        variables = {**_listed(match[1]), **_listed(match[2])}
        if variables.get("ignore_early_media") != "true":
            self.esl.faults.append("an originate for which sound before the answer is one")
        channel = self._new(variables.get("origination_uuid") or str(uuid4()), match[3], "outbound", variables)
        person, cause = self._person(match[3])
        if person is None:
            await self._end(channel, cause)
        elif await self._reached(channel, person, float(variables.get("originate_timeout", 60))):
            begun = self._park(channel) if target == "&park()" else self._route(channel, target, more[1])
            channel.begin(begun)
            return f"+OK {channel.uuid}\n"
        return f"-ERR {channel.cause}\n"

    def _person(self, where: str) -> tuple[Person | None, str]:
        """Who is reached by a dial string; through loopback, by what the dialplan bridges to."""
        loopback = _LOOPBACK.fullmatch(where)
        if loopback is not None:
            actions = self.dialplan.route(loopback[2], loopback[1], {})
            where = next((action.data for action in actions if action.application == "bridge"), "")
        person = self.people.get(where)
        return person, "" if person else ("NO_ROUTE_DESTINATION" if loopback or not where else "INVALID_GATEWAY")

    async def _reached(self, channel: Channel, person: Person, within_s: float) -> bool:
        """Whether he answered; else the channel has ended."""
        channel.state = "RINGING"
        person.channels.append(channel)
        waits_s = within_s if person.manner == "ring" else min(person.after_s, within_s)
        try:
            async with asyncio.timeout(waits_s):
                await channel.over.wait()
                return False
        except TimeoutError:
            pass
        if person.manner == "answer" and person.after_s < within_s:
            self._answer(channel)
            return True
        await self._end(channel, REFUSALS.get(person.manner, "NO_ANSWER"))
        return False


def _forced(channel: Channel, context: str) -> str:
    """switch_ivr_session_transfer: the variable wins over what the transfer names."""
    return channel.variables.get("force_transfer_context", context)


def _listed(text: str | None) -> dict[str, str]:
    """`name=value,…` of a dial string's brackets."""
    return dict(pair.partition("=")[::2] for pair in (text or "").split(",") if pair)
