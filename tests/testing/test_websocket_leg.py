"""The scripted Asterisk that brings its sound over a WebSocket, against the daemon's own listener."""

import asyncio
from uuid import uuid4

from sovereign_pbx.core.errors import LinkFinished
from sovereign_pbx.media.link import MediaLink
from sovereign_pbx.pbx.asterisk.websocket import WebSocketCarrier
from sovereign_pbx.testing.heard import Heard
from sovereign_pbx.testing.websocket_leg import WebSocketLeg
from tests.waiting import until

FRAME = b"\x02\x01" * 160


def test_sound_goes_both_ways_until_the_caller_hangs_up() -> None:
    async def talk() -> None:
        carrier = WebSocketCarrier("127.0.0.1", 0, connection="sovereign")
        links: dict[str, MediaLink] = {}
        carrier.on_connect = links.__setitem__
        await carrier.start()
        try:
            token, heard = uuid4(), Heard()
            carrier.expect(str(token), 15.0)
            loop = asyncio.get_running_loop()
            _, leg = await loop.create_connection(lambda: WebSocketLeg(token, heard), *carrier.address)
            await until(lambda: str(token) in links)
            link = links[str(token)]
            link.put(FRAME)
            leg.speech.say(FRAME)
            leg.tick(loop.time())
            await until(lambda: heard.frames > 0)
            assert heard.recording() == FRAME
            await until(lambda: (link.take() or b"") == FRAME)
            leg.hang_up()
            await leg.ended.wait()
            await until(lambda: isinstance(link.ended, LinkFinished))
            assert leg.ending == "we hung up"
        finally:
            await carrier.close()

    asyncio.run(talk())
