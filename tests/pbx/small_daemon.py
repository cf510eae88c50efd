"""A daemon in a process of its own, to be killed and frozen: answers every call with a tone.

python -m tests.pbx.small_daemon    prints "AGI_PORT AUDIOSOCKET_PORT" when it listens
"""

import asyncio

from sovereign_pbx.pbx.asterisk.asterisk import AsteriskPbx, AsteriskSettings
from tests.pbx.stage import TalkingDesk


async def main() -> None:
    pbx = AsteriskPbx(AsteriskSettings(agi_port=0, audiosocket_port=0))
    desk = TalkingDesk()
    await pbx.start(desk)
    print(pbx.agi_address[1], pbx.audiosocket_address[1], flush=True)  # noqa: T201  its protocol with the test
    await desk.talk()


if __name__ == "__main__":
    asyncio.run(main())
