"""A daemon dies with a request in hand: who is patient with a long answer does not wait for this one."""

import asyncio
import signal
from concurrent.futures import ThreadPoolExecutor, wait

from manifestctl import Client, RetryPolicy, SyncClient
from tests.support.daemon_process import DaemonProcess, short_folder

TOKEN = "ab" * 16
PATIENT = RetryPolicy(timeout_s=60.0)  # Until the next one is there; the answer may take `slow_s`.


def test_the_request_is_sent_again_to_the_daemon_that_comes_back() -> None:
    with (
        short_folder() as folder,
        DaemonProcess(folder) as daemon,
        ThreadPoolExecutor(1) as worker,
        SyncClient(daemon.commands, daemon.events, retry=PATIENT) as client,
    ):
        daemon.start()
        opening = client.backup(token=TOKEN)
        daemon.signal(signal.SIGSTOP)  # It will not read what is sent now.
        asking = worker.submit(client.backup, token=TOKEN, after_seq=0, upto_seq=opening.seq)
        wait([asking], 0.5)  # Sent by then; if not, the test shows nothing, but does not fail.
        daemon.signal(signal.SIGKILL)
        daemon.wait()
        daemon.start()

        assert asking.result(20.0).seq == opening.seq


async def test_so_is_an_async_client_s() -> None:
    with short_folder() as folder, DaemonProcess(folder) as daemon:
        daemon.start()
        async with Client(daemon.commands, daemon.events, retry=PATIENT) as client:
            opening = await client.backup(token=TOKEN)
            daemon.signal(signal.SIGSTOP)
            asking = asyncio.ensure_future(
                client.backup(token=TOKEN, after_seq=0, upto_seq=opening.seq)
            )
            await asyncio.wait([asking], timeout=0.5)
            daemon.signal(signal.SIGKILL)
            await asyncio.to_thread(daemon.wait)
            await asyncio.to_thread(daemon.start)

            assert (await asyncio.wait_for(asking, 20.0)).seq == opening.seq
