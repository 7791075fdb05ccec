"""A client in a process of its own, perhaps of another user: `peer.py ENDPOINT UID|- [ROUTING_ID_HEX]`.

It becomes that user when everything is imported, which another user might not be able to do.

It reads one order a line and answers each with one line of JSON:

    ask BODY        send a request as REQ does, and say what came back (null: nothing in 10 s)
    send BODY       send a request and do not wait
    listen MS       say what comes within so many milliseconds (null: nothing)
"""

import json
import os
import sys

import zmq

ANSWER_MS = 10_000


def main() -> None:
    """Carry out what standard input says."""
    if sys.argv[2] != "-":
        os.setgroups([])
        os.setgid(int(sys.argv[2]))
        os.setuid(int(sys.argv[2]))
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    dealer = context.socket(zmq.DEALER)
    dealer.setsockopt(zmq.LINGER, 0)
    if len(sys.argv) > 3:
        dealer.setsockopt(zmq.ROUTING_ID, bytes.fromhex(sys.argv[3]))
    dealer.connect(sys.argv[1])
    for line in sys.stdin:
        order, _, rest = line.rstrip("\n").partition(" ")
        received = None
        if order in ("ask", "send"):
            dealer.send_multipart([b"", rest.encode()])
        if order in ("ask", "listen") and dealer.poll(ANSWER_MS if order == "ask" else int(rest)):
            received = dealer.recv_multipart()[-1].decode()
        sys.stdout.write(json.dumps(received) + "\n")
        sys.stdout.flush()
    context.destroy(linger=0)


if __name__ == "__main__":
    main()
