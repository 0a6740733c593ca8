"""What the tests of the overlay's page share: a page that shows a made-up overlay."""

from collections.abc import Iterator

import pytest

from fixtures import crash
from gateway.browser import Browser, browsing
from helpers import Recorder
from mcast.hostport import HostPort
from mcast.monitoring.events import EventStore
from mcast.monitoring.page import OverlayPage
from mcast.web.access import Access
from mcast.web.service import Settings
from monitoring.looking import look_at
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


@pytest.fixture(scope="package")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all tests: it takes seconds to start."""
    with browsing(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture
def shown(page: OverlayPage, browser: Browser) -> Browser:
    look_at(browser, page)
    browser.wait_until("document.querySelectorAll('.node').length === 6")  # two servers among them
    return browser
