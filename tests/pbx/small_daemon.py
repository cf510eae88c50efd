"""A daemon in a process of its own, to be killed and frozen: answers every call with a tone.

python -m tests.pbx.small_daemon MEDIA WEBSOCKET_PORT RTP_FIRST RTP_LAST    prints "AGI_PORT AUDIOSOCKET_PORT" when it
                                                                             listens
"""

import asyncio
import sys
from typing import cast

from sovereign_pbx.pbx.asterisk.asterisk import AsteriskPbx, AsteriskSettings
from sovereign_pbx.pbx.asterisk.wideband import Media
from sovereign_pbx.pbx.sip.sip_pbx import SipPbx, SipSettings
from tests.pbx.stage import TalkingDesk


async def main(media: str, websocket_port: str, rtp_first: str, rtp_last: str) -> None:
    settings = AsteriskSettings(
        agi_port=0, audiosocket_port=0, media=cast(Media, media), websocket_port=int(websocket_port)
    )
    desk = TalkingDesk()
    sip = None
    if media == "sip":
        sip = SipPbx(
            SipSettings(port=0, transports=("udp",), rtp_first_port=int(rtp_first), rtp_last_port=int(rtp_last))
        )
        await sip.start(desk)
    pbx = AsteriskPbx(settings, sip.carrier if sip else None)
    await pbx.start(desk)
    print(pbx.agi_address[1], pbx.audiosocket_address[1], flush=True)  # noqa: T201  its protocol with the test
    await desk.talk()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
