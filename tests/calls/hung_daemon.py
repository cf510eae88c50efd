"""A daemon whose event loop can be made to hang: SIGUSR1 blocks it, SIGUSR2 blocks the whole interpreter.

python -m tests.calls.hung_daemon CONFIG
"""

import asyncio
import signal
import sys
import time
from pathlib import Path

import uvloop

from sovereign_pbx.config import load
from sovereign_pbx.daemon import serve_until_told


def hold_the_interpreter() -> None:
    """One call into C that never lets go of it, as a native library with a fault would."""
    sum(range(10**12))


async def main(config: Path) -> None:
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, time.sleep, 3600)
    loop.add_signal_handler(signal.SIGUSR2, hold_the_interpreter)
    await serve_until_told(load(config))


if __name__ == "__main__":
    uvloop.run(main(Path(sys.argv[1])))
