"""A link of so many Mbit/s between a relay and its children, as a card has one.

What is sent over loopback is received in the same moment, and over a veth no longer charged to its sender: no
send buffer is ever full there. In the queue of a real card a train is charged to its socket until it has
left. So is it here: all programs of a row live in a network namespace of their own, in which media to
children wait in a queue in front of loopback, and leave it at the link's rate. All else goes by at once.
"""

import contextlib
import os
import subprocess
from collections.abc import Iterator

from bench.relays.contenders import OUTPUT_PORT
from tools.lab.enter import set_namespace
from tools.lab.namespaces import namespace_path

QUEUE_TRAINS = 1_000
"""Linux gives a card so many places (txqueuelen), and a train takes one."""
BURST_KB = 64
"""What a card takes at once: the longest train."""


@contextlib.contextmanager
def shaped(mbits: float | None) -> Iterator[None]:
    """Have this thread, and all that it starts, in such a place; None: where it is.

    Raises subprocess.CalledProcessError.
    """
    if mbits is None:
        yield
        return
    with _own_place(f"mcast-bench-{os.getpid()}"):
        _run("ip", "link set lo up")
        for command in _queue(mbits):
            _run("tc", command)
        yield


@contextlib.contextmanager
def _own_place(name: str) -> Iterator[None]:
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    _run("ip", f"netns add {name}")
    try:
        set_namespace(str(namespace_path(name)))
        yield
    finally:
        set_namespace(f"/proc/self/fd/{before}")
        os.close(before)
        _run("ip", f"netns del {name}")


def _queue(mbits: float) -> Iterator[str]:
    yield "qdisc add dev lo root handle 1: htb"  # what is in no class goes by
    yield f"class add dev lo parent 1: classid 1:1 htb rate {mbits:g}mbit burst {BURST_KB}kb quantum 60000"
    yield f"qdisc add dev lo parent 1:1 pfifo limit {QUEUE_TRAINS}"
    udp, port = "match ip protocol 17 0xff", f"match ip dport {OUTPUT_PORT} 0xffff"
    yield f"filter add dev lo parent 1: protocol ip u32 {udp} {port} flowid 1:1"


def _run(program: str, command: str) -> None:
    subprocess.run([program, *command.split()], check=True)
