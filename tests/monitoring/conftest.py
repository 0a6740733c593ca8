"""What the tests of the overlay's page share: a page that shows a made-up overlay."""

from collections.abc import Iterator

import pytest

from fixtures import crash
from helpers import Recorder
from mcast.hostport import HostPort
from mcast.monitoring.events import EventStore
from mcast.monitoring.page import OverlayPage
from mcast.web.access import Access
from mcast.web.service import Settings
from monitoring.overlays import MadeUp, small

__all__ = ["crash"]


@pytest.fixture
def overlay() -> MadeUp:
    return small()


@pytest.fixture
def events() -> EventStore:
    return EventStore()


@pytest.fixture
def page(overlay: MadeUp, events: EventStore, crash: Recorder) -> Iterator[OverlayPage]:
    settings = Settings(HostPort("127.0.0.1", 0), Access())
    with OverlayPage(settings, overlay.view, events, crash) as page:
        yield page
