"""FreeSWITCH's channels against what is known here: orphans of an earlier daemon end, everybody else stays."""

import asyncio

from sovereign_pbx.pbx.freeswitch.audit import Audit
from sovereign_pbx.pbx.freeswitch.channels import Channels
from sovereign_pbx.pbx.freeswitch.dialling import mark_of, new_id
from sovereign_pbx.pbx.freeswitch.esl import Esl
from sovereign_pbx.testing.freeswitch import FreeSwitch
from sovereign_pbx.testing.freeswitch_channel import Channel, State
from sovereign_pbx.testing.freeswitch_esl import PASSWORD
from tests.pbx.freeswitch.stage import TIMING
from tests.waiting import until

MARK = mark_of("i0123456789")


def shown(pbx: FreeSwitch, uuid: str, state: State, application: str = "") -> Channel:
    channel = pbx.channels[uuid] = Channel(uuid, f"sofia/x/{uuid[:4]}", "outbound", state=state)
    channel.application = application
    return channel


def test_ids_of_an_installation_are_ids_and_begin_alike() -> None:
    first, second = new_id(MARK), new_id(MARK)
    assert first != second and first.startswith(MARK) and second.startswith(MARK) and len(first) == 36
    assert mark_of("another") != MARK


def test_after_a_login_orphans_end_and_strangers_stay() -> None:
    async def whole() -> None:
        channels = Channels()
        async with FreeSwitch() as pbx:
            rings = shown(pbx, new_id(MARK), "RINGING")
            waits = shown(pbx, new_id(MARK), "ACTIVE", "park")
            talks = shown(pbx, new_id(MARK), "ACTIVE", "uuid_bridge")
            known = shown(pbx, new_id(MARK), "RINGING")
            stranger = shown(pbx, new_id(mark_of("another")), "RINGING")
            channels.watch(known.uuid, "c1", ours=True)
            lost = channels.watch(new_id(MARK), "c2", ours=True)
            esl = Esl("127.0.0.1", pbx.esl.port, PASSWORD, timing=TIMING)
            audit = Audit(esl, channels, MARK, every_s=0.0)
            esl.on_login(audit.watch)
            await esl.start()
            await until(lambda: rings.is_gone and waits.is_gone and lost.is_gone)
            assert not (talks.is_gone or known.is_gone or stranger.is_gone)
            assert audit.mended == 3
            assert await audit.left_over() == 1  # who talks: nobody here waits for him, and he is left alone
            assert (await audit.report())["differences"] == []
            await esl.stop()
        pbx.check()

    asyncio.run(whole())


def test_what_people_are_told_names_the_channel() -> None:
    async def whole() -> None:
        async with FreeSwitch() as pbx:
            one = shown(pbx, new_id(MARK), "EARLY")
            esl = Esl("127.0.0.1", pbx.esl.port, PASSWORD, timing=TIMING)
            audit = Audit(esl, Channels(), MARK, every_s=0.0)
            assert (await audit.report())["asked"] is False
            await esl.start()
            await until(lambda: esl.connected)
            found = await audit.report()
            assert found["asked"] is True
            assert found["differences"] == [
                {
                    "kind": "ringing",
                    "call_id": "",
                    "channel": one.name,
                    "why": f"{one.name} rings for a call that an earlier daemon placed",
                }
            ]
            await esl.stop()

    asyncio.run(whole())


def test_what_is_no_roll_of_channels_changes_nothing() -> None:
    async def whole() -> None:
        channels = Channels()
        async with FreeSwitch() as pbx:

            async def show(_: str) -> str:
                return "-ERR permission denied\n"

            pbx._apis["show"] = show
            waited = channels.watch(new_id(MARK), "c1", ours=True)
            esl = Esl("127.0.0.1", pbx.esl.port, PASSWORD, timing=TIMING)
            audit = Audit(esl, channels, MARK, every_s=0.01)
            esl.on_login(audit.watch)
            await esl.start()
            await until(lambda: len(pbx.esl.lines("api show")) >= 3)
            assert not waited.is_gone
            assert "does not show its channels" in (await audit.report())["why"]
            await esl.stop()

    asyncio.run(whole())
