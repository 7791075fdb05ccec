"""A daemon dies with a request in hand: who is patient with a long answer does not wait for this one."""

import signal
import threading

from manifestctl import RetryPolicy, SyncClient
from tests.support.daemon_process import DaemonProcess, short_folder

# As `manifestctl backup` and `verify` do: one attempt may take all the time there is.
PATIENT = RetryPolicy(timeout_s=60.0, attempt_timeout_s=60.0)


def test_the_request_is_sent_again_to_the_daemon_that_comes_back() -> None:
    with (
        short_folder() as folder,
        DaemonProcess(folder) as daemon,
        SyncClient(daemon.commands, daemon.events, retry=PATIENT) as client,
    ):
        daemon.start()
        opening = client.backup(token="ab" * 16)
        daemon.signal(signal.SIGSTOP)  # It will not read what is sent now.
        failures: list[Exception] = []

        def ask() -> None:
            try:
                client.backup(token="ab" * 16, after_seq=0, upto_seq=opening.seq)
            except Exception as error:
                failures.append(error)

        asking = threading.Thread(target=ask)
        asking.start()
        asking.join(0.5)  # Sent by then, and if not, the test is none, but does not fail.
        daemon.signal(signal.SIGKILL)
        daemon.wait()
        daemon.start()
        asking.join()

        assert not failures
