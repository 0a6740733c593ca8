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
