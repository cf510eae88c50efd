"""The guards against leaks: each must be able to fail."""

import asyncio
import os
import socket
from pathlib import Path

import pytest
from blockbuster import BlockingError

from sovereign_pbx.testing import virtual_time
from sovereign_pbx.wire import g711
from tests.leaks import no_descriptor_left, no_task_left, watch_for_blocking


async def wait_for_ever() -> None:
    await asyncio.Event().wait()


async def leave_a_task() -> None:
    task = asyncio.get_running_loop().create_task(wait_for_ever())
    await asyncio.sleep(0)
    del task


def test_a_task_left_behind_fails_the_test() -> None:
    with pytest.raises(pytest.fail.Exception, match="wait_for_ever"), no_task_left():
        asyncio.run(leave_a_task())


def test_a_task_left_behind_in_virtual_time_fails_the_test() -> None:
    with pytest.raises(pytest.fail.Exception, match="wait_for_ever"), no_task_left():
        virtual_time.run(leave_a_task())


def test_a_task_that_ends_by_itself_is_no_leak() -> None:
    async def main() -> None:
        task = asyncio.get_running_loop().create_task(asyncio.sleep(0.01))
        await asyncio.sleep(0)
        del task

    with no_task_left():
        asyncio.run(main())


def test_a_socket_left_open_fails_the_test() -> None:
    left: list[socket.socket] = []
    with pytest.raises(pytest.fail.Exception, match="socket:"), no_descriptor_left():
        left.append(socket.socket())
    left[0].close()


def test_a_pipe_left_open_fails_the_test() -> None:
    left: list[int] = []
    with pytest.raises(pytest.fail.Exception, match="pipe:"), no_descriptor_left():
        left.extend(os.pipe())
    for descriptor in left:
        os.close(descriptor)


def test_our_code_may_not_read_a_disk_on_the_loop() -> None:
    async def main() -> None:
        code = compile("import os\nos.listdir('.')", g711.__file__, "exec")
        exec(code, {})

    guard = watch_for_blocking()
    guard.activate()
    try:
        with pytest.raises(BlockingError):
            asyncio.run(main())
    finally:
        guard.deactivate()


def test_a_test_may_read_a_disk_on_the_loop() -> None:
    async def main() -> None:
        assert Path(__file__).read_text()

    asyncio.run(main())
