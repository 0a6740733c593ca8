import socket
from collections.abc import Iterator

import pytest

from fixtures import crash, other_peer, peer, watcher
from helpers import Recorder
from roles.overlay_parts import World

__all__ = ["crash", "other_peer", "peer", "watcher"]


@pytest.fixture
def world(crash: Recorder) -> Iterator[World]:
    world = World(crash)
    yield world
    world.close()


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Return a UDP port where hellos arrive and nobody answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]
