"""Two telephones that talk to each other through the bridge."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from sovereign_pbx.pbx.link import NextStep
from sovereign_pbx.pbx.sip.outgoing import SipControl, SipControlSettings
from sovereign_pbx.pbx.sip.outgoing_way import Way
from sovereign_pbx.testing.sip_call import SipCall
from sovereign_pbx.testing.sip_caller import SipPhone
from tests.pbx.sip.stage import Stage, play, stage
from tests.pbx.sip.tones import HEARD, strength, tone
from tests.waiting import until

CALLER_HZ, COLLEAGUE_HZ = 700, 1100


@asynccontextmanager
async def talking(codecs: tuple[int, ...] = (0,)) -> AsyncIterator[tuple[Stage, SipCall, SipCall]]:
    """A caller who has been put through to a colleague with these codecs."""
    ways: dict[str, Way] = {}
    control = SipControl(SipControlSettings(trunks=lambda: ways, transfer="bridge"))
    async with AsyncExitStack() as stack:
        s = await stack.enter_async_context(stage(controls=[control]))
        address = s.pbx.endpoint.address("udp")
        anna = await stack.enter_async_context(SipPhone(address, user="anna", manner="answer", codecs=codecs))
        ways["carrier"] = Way(name="carrier", host="127.0.0.1", port=anna.port)
        caller = await s.phone.call("100")
        await caller.answered()
        s.desk.steps = [NextStep("dial", "200", "carrier"), NextStep("hangup")]
        (await s.link()).close()
        colleague = await anna.incoming()
        await until(lambda: s.desk.through)
        yield s, caller, colleague
        if caller.end is None:
            await caller.hang_up()
            await s.over()


async def hear_each_other(caller: SipCall, colleague: SipCall) -> None:
    caller.say(tone(CALLER_HZ, 10.0))
    colleague.say(tone(COLLEAGUE_HZ, 10.0))
    await until(lambda: strength(colleague.ear.heard.audio(), CALLER_HZ) > HEARD)
    await until(lambda: strength(caller.ear.heard.audio(), COLLEAGUE_HZ) > HEARD)


def test_the_two_hear_each_other_and_nobody_else() -> None:
    async def scene() -> None:
        async with talking() as (s, caller, colleague):
            await hear_each_other(caller, colleague)
            assert strength(caller.ear.heard.audio(), CALLER_HZ) < 0.1  # no echo of his own
            await colleague.hang_up()
            await caller.over()
            await s.over()

    play(scene())


def test_parties_with_different_codecs_hear_each_other() -> None:
    async def scene() -> None:
        async with talking(codecs=(8,)) as (_, caller, colleague):
            await hear_each_other(caller, colleague)

    play(scene())


def test_keys_that_one_presses_reach_the_other_in_their_order() -> None:
    async def scene() -> None:
        async with talking() as (_, caller, colleague):
            await caller.press("12#")
            await until(lambda: [one.digit for one in colleague.ear.digits] == ["1", "2", "#"])
            await colleague.press("9")
            await until(lambda: [one.digit for one in caller.ear.digits] == ["9"])

    play(scene())


def test_whoever_holds_and_comes_back_is_heard_again() -> None:
    async def scene() -> None:
        async with talking() as (_, caller, colleague):
            await caller.hold()
            await caller.unhold()
            await hear_each_other(caller, colleague)

    play(scene())
