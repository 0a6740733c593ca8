"""Fixtures for tests of what talks to peers; a conftest.py imports those that its tests need."""

from collections.abc import Iterator

import pytest

from helpers import Recorder
from mcast.net.watcher import Watcher
from roles.partners import Peer


@pytest.fixture
def crash() -> Iterator[Recorder]:
    """Take what crashes in any thread; none may."""
    recorder = Recorder()
    yield recorder
    for error in recorder.calls:
        assert isinstance(error, BaseException)
        raise error


@pytest.fixture
def watcher(crash: Recorder) -> Iterator[Watcher]:
    with Watcher(crash) as watcher:
        yield watcher


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer()
    yield peer
    peer.close()


@pytest.fixture
def other_peer() -> Iterator[Peer]:
    peer = Peer()
    yield peer
    peer.close()
