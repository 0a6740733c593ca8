"""The page however large the overlay and however small the window: everything can be read, and tapped."""

import contextlib
from collections.abc import Iterator

import pytest

from gateway.browser import Browser
from helpers import Recorder
from mcast.hostport import HostPort
from mcast.monitoring.events import EventStore
from mcast.monitoring.page import OverlayPage
from mcast.web.access import Access
from mcast.web.service import Settings
from monitoring.looking import WIDTHS, look_at
from monitoring.overlays import MadeUp, demonstration, large, stream, viewer

pytestmark = pytest.mark.browser
ON_TOP = (
    "[...document.querySelectorAll('.node')].map(each => each.getBoundingClientRect()).every((one, n, all) =>"
    "all.every((other, m) => m <= n || one.right <= other.left + 1 || other.right <= one.left + 1"
    "|| one.bottom <= other.top + 1 || other.bottom <= one.top + 1))"
)
"""Whether no box covers another one."""
LEAST_TEXT = (
    "Math.min(...[...document.querySelectorAll('.name')].map(each => each.getBoundingClientRect().height))"
)
"""How many pixels of the window the smallest name is high."""
READABLE = 8
STICKS_OUT = (
    "[...document.querySelectorAll('.node')].filter((each) => { const [box, name] = ['rect', '.name']"
    ".map((what) => each.querySelector(what).getBoundingClientRect());"
    "return name.left < box.left || name.right > box.right }).map((each) => each.dataset.key)"
)
"""The boxes whose name is wider than they are."""


@pytest.fixture
def crowd() -> MadeUp:
    return large()


@pytest.fixture
def crowded(crowd: MadeUp, crash: Recorder) -> Iterator[OverlayPage]:
    """A page that shows two hundred nodes and a thousand viewers."""
    settings = Settings(HostPort("127.0.0.1", 0), Access())
    with OverlayPage(settings, crowd.view, EventStore(), crash) as page:
        yield page


def look_at_all(browser: Browser, page: OverlayPage, width: int) -> None:
    look_at(browser, page, width)
    browser.wait_until("document.querySelectorAll('.node').length === 202")


def zoom_in(browser: Browser, times: int) -> None:
    for _ in range(times):
        browser.evaluate("document.querySelector('[aria-label=\"Zoom in\"]').click()")


@pytest.mark.parametrize("width", WIDTHS)
def test_two_hundred_nodes_and_a_thousand_viewers_stand_beside_each_other(
    browser: Browser, crowded: OverlayPage, width: int
) -> None:
    look_at_all(browser, crowded, width)
    assert browser.evaluate(ON_TOP)
    assert browser.evaluate(STICKS_OUT) == []
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    viewers = "[...document.querySelectorAll('.leaf text')].reduce((sum, each) => sum + +each.textContent, 0)"
    assert browser.evaluate(viewers) == 1000
    assert browser.errors == []


def test_their_names_can_be_read_on_a_desk_and_on_a_phone_after_zooming_in(
    browser: Browser, crowded: OverlayPage
) -> None:
    look_at_all(browser, crowded, 1280)
    assert browser.evaluate(LEAST_TEXT) >= READABLE
    look_at_all(browser, crowded, 390)
    zoom_in(browser, 2)
    assert browser.evaluate(LEAST_TEXT) >= READABLE


def test_two_fingers_zoom_the_page_over_the_map_too(browser: Browser, crowded: OverlayPage) -> None:
    with touched(browser):
        look_at_all(browser, crowded, 390)
        spread_two_fingers(browser)
        browser.wait_until("visualViewport.scale > 1")
        before = browser.evaluate("visualViewport.scale")
        zoom_in(browser, 1)  # from now on one finger moves the map
        spread_two_fingers(browser)
        browser.wait_until(f"visualViewport.scale > {before}")


@contextlib.contextmanager
def touched(browser: Browser) -> Iterator[None]:
    browser.call("Emulation.setTouchEmulationEnabled", enabled=True, maxTouchPoints=2)
    try:
        yield
    finally:
        browser.call("Emulation.setTouchEmulationEnabled", enabled=False)


def spread_two_fingers(browser: Browser) -> None:
    """Put two fingers on the middle of the map, and move them apart."""
    for apart in range(60, 90, 5):
        points = [{"x": 195 + side * apart, "y": 500, "id": number} for number, side in enumerate((-1, 1))]
        kind = "touchStart" if apart == 60 else "touchMove"
        browser.call("Input.dispatchTouchEvent", type=kind, touchPoints=points)
    browser.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])


def test_what_is_cut_off_or_down_is_seen_without_a_colour_in_a_large_overlay(
    browser: Browser, crowd: MadeUp, crowded: OverlayPage
) -> None:
    crowd.report("n20", stream("content 1", ("rp", "n20"), fed=False))
    crowd.leave("n30")
    look_at_all(browser, crowded, 1280)
    name = "document.querySelector('.node[data-key={}] .name').textContent"
    assert browser.evaluate(name.format("n20")) == "! n20"
    assert browser.evaluate(name.format("n30")) == "✕ n30"
    assert browser.evaluate(name.format("n40")) == "n40"


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_of_the_overlays_page_sticks_out_of_the_window(
    page: OverlayPage, overlay: MadeUp, browser: Browser, width: int
) -> None:
    name = "a-name-without-any-space-" * 8
    overlay.report("n1", stream(name, ("rp", "n1"), (viewer(9),)))
    look_at(browser, page, width)
    browser.wait_until("document.querySelectorAll('#filter button').length === 3")
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.evaluate(STICKS_OUT) == []


COVERED = """
(() => {
  const boxes = (what) => [...document.querySelectorAll(what)].map((each) => each.getBoundingClientRect());
  const meet = (one, other) => one.left < other.right && other.left < one.right
    && one.top < other.bottom && other.top < one.bottom;
  const map = document.getElementById('map').getBoundingClientRect();
  return boxes('.label').filter((label) => [...boxes('.node rect'), ...boxes('.dot')].some(
    (other) => meet(label, other)) || label.left < map.left || label.right > map.right).length;
})()
"""
"""How many figures of links are in part behind a box or a dot, or outside the map."""


@pytest.mark.parametrize("width", WIDTHS)
def test_the_figures_beside_links_stand_free_and_above_all_lines(
    browser: Browser, crash: Recorder, width: int
) -> None:
    settings = Settings(HostPort("127.0.0.1", 0), Access())
    with OverlayPage(settings, demonstration().view, EventStore(), crash) as page:
        look_at(browser, page, width)
        browser.wait_until("document.querySelectorAll('.label').length === 8")
        assert browser.evaluate(COVERED) == 0
        above = "[...document.querySelectorAll('#map > g')].at(-1).className.baseVal"
        assert browser.evaluate(above) == "labels"
