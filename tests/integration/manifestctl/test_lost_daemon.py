"""A daemon dies with a request in hand: who is patient with a long answer does not wait for this one."""

import signal
from concurrent.futures import ThreadPoolExecutor, wait

from manifestctl import RetryPolicy, SyncClient
from tests.support.daemon_process import DaemonProcess, short_folder

# As `manifestctl backup` and `verify` do: one attempt may take all the time there is.
TOKEN = "ab" * 16
PATIENT = RetryPolicy(timeout_s=60.0, attempt_timeout_s=60.0)


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

        assert asking.result().seq == opening.seq
