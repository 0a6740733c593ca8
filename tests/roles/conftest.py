import socket
from collections.abc import Iterator

import pytest

from fixtures import crash, other_peer, peer, watcher
from helpers import Recorder
from mcast.roles.node import own_process
from roles.overlay_parts import ProcessorClock, World

__all__ = ["crash", "other_peer", "peer", "watcher"]


@pytest.fixture
def world(crash: Recorder) -> Iterator[World]:
    world = World(crash)
    yield world
    world.close()


@pytest.fixture(autouse=True)
def processor(monkeypatch: pytest.MonkeyPatch) -> ProcessorClock:
    """Say what processor time nodes in this process take: it is everybody's, viewers' and servers', too."""
    clock = ProcessorClock()
    monkeypatch.setattr(own_process, "process_time", clock)
    return clock


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Return a UDP port where hellos arrive and nobody answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]
