"""A link between a relay and its children: what waits in its queue fills the sender's buffer."""

import socket
from pathlib import Path

import pytest

from bench.relays.contenders import OUTPUT_PORT
from bench.relays.links import shaped

HERE, SENDS = "127.0.1.1", 400
"""Of 1,328 bytes: twice what a send buffer holds by default."""


def sent(port: int) -> int:
    """Return how many datagrams a socket takes that does not wait."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for number in range(SENDS):
            try:
                sender.sendto(bytes(1328), socket.MSG_DONTWAIT, (HERE, port))
            except BlockingIOError:
                return number
    return SENDS


@pytest.mark.netns
def test_media_to_children_wait_in_the_queue_of_the_link_and_all_else_goes_by() -> None:
    with shaped(8.0), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as child:
        child.bind((HERE, OUTPUT_PORT))
        child.settimeout(10.0)
        assert sent(OUTPUT_PORT) < SENDS
        assert len(child.recv(2000)) == 1328
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind((HERE, OUTPUT_PORT + 1))
            assert sent(OUTPUT_PORT + 1) == SENDS


@pytest.mark.netns
def test_the_place_of_a_link_is_left_and_gone_whatever_happens_there() -> None:
    def here() -> Path:
        return Path("/proc/thread-self/ns/net").readlink()

    def fail() -> None:
        assert here() != before
        raise ZeroDivisionError

    before, places = here(), set(Path("/run/netns").glob("mcast-bench-*"))
    with pytest.raises(ZeroDivisionError), shaped(8.0):
        fail()
    with shaped(None):
        assert here() == before
    assert set(Path("/run/netns").glob("mcast-bench-*")) == places
