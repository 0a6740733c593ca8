"""The page in a real browser: trees, changes, names of any characters, any size, without a complaint."""

from collections.abc import Iterator

import pytest

from gateway.browser import Browser, browsing
from helpers import Recorder
from mcast.hostport import HostPort
from mcast.monitoring.events import EventStore
from mcast.monitoring.page import OverlayPage
from mcast.web.access import Access
from mcast.web.service import Settings
from mcast.wire.health import EventReport
from monitoring.overlays import SCRIPT, MadeUp, large, stream, viewer

pytestmark = pytest.mark.browser
WIDTHS = (1280, 390)
ON_TOP = (
    "[...document.querySelectorAll('.node')].map(each => each.getBoundingClientRect()).every((one, n, all) =>"
    "all.every((other, m) => m <= n || one.right <= other.left + 1 || other.right <= one.left + 1"
    "|| one.bottom <= other.top + 1 || other.bottom <= one.top + 1))"
)
"""Whether no box covers another one."""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all tests: it takes seconds to start."""
    with browsing(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


def look_at(browser: Browser, page: OverlayPage, width: int = 1280) -> None:
    """Open a page; the one before, which asks in vain for what has ended, is over."""
    browser.open("about:blank")
    browser.wait_until("location.href === 'about:blank'")
    browser.errors.clear()
    browser.open(f"http://{page.address}/", width)


@pytest.fixture
def shown(page: OverlayPage, browser: Browser) -> Browser:
    look_at(browser, page)
    browser.wait_until("document.querySelectorAll('.node').length === 6")  # two servers among them
    return browser


def keys(browser: Browser, kind: str) -> list[str]:
    """Return what stands on the map: edges as 'from to content'."""
    found = browser.evaluate(f"[...document.querySelectorAll('.{kind}')].map(each => each.dataset.key)")
    return sorted(key.replace("\n", " ") for key in found)


def test_the_map_shows_nodes_trees_and_viewers(shown: Browser) -> None:
    assert keys(shown, "edge") == sorted(
        [
            "n1 n2 news", "rp n1 news", f"rp n3 {SCRIPT}", "server 10.0.0.1:7000 rp news",
            f"server 10.0.0.2:7000 rp {SCRIPT}",
        ]
    )  # fmt: skip
    assert shown.evaluate("[...document.querySelectorAll('.leaf text')].map(each => each.textContent)") == [
        "2", "1",
    ]  # fmt: skip
    assert "4 nodes up · 2 servers · 2 contents streaming · 3 viewers" in shown.evaluate(
        "document.body.innerText"
    )
    assert shown.errors == []


def test_a_name_of_any_characters_is_a_text_and_nothing_else(shown: Browser) -> None:
    assert SCRIPT in shown.evaluate("document.body.innerText")
    assert shown.evaluate("document.querySelectorAll('script').length") == 1


def test_a_relay_that_is_gone_and_the_repair_are_seen_as_they_happen(
    shown: Browser, overlay: MadeUp, events: EventStore
) -> None:
    overlay.leave("n1")
    overlay.report("n2", stream("news", ("rp", "n3", "n2"), (viewer(1), viewer(2))))
    events.add("n2", [EventReport("parent_taken", "[news] now fed by n3, after 35 ms", content="news")])
    shown.wait_until("document.querySelectorAll('.node.down').length === 1")
    shown.wait_until("document.body.innerText.includes('now fed by n3, after 35 ms')")
    shown.wait_until("document.querySelector('.edge[data-key=\"n3\\\\a n2\\\\a news\"]') !== null")
    assert "n1 n2 news" not in keys(shown, "edge")
    assert "3 nodes up, 1 down" in shown.evaluate("document.body.innerText")


def test_one_content_can_be_looked_at_alone(shown: Browser, events: EventStore) -> None:
    events.add("n3", [EventReport("cut", "of the other one", content=SCRIPT)])
    shown.wait_until("document.body.innerText.includes('of the other one')")
    shown.evaluate("document.querySelector('#filter button[title=\"Show news alone\"]').click()")
    assert keys(shown, "edge") == ["n1 n2 news", "rp n1 news", "server 10.0.0.1:7000 rp news"]
    assert "of the other one" not in shown.evaluate("document.body.innerText")
    assert shown.evaluate("document.querySelectorAll('#filter [aria-pressed=true]').length") == 1


def test_a_node_that_is_clicked_tells_how_it_is_and_what_it_feeds(shown: Browser) -> None:
    shown.evaluate("document.querySelector('.node[data-key=n2]').dispatchEvent(new Event('click'))")
    told = shown.evaluate("document.getElementById('details').innerText")
    assert "rp › n1 › n2" in told
    assert "3.5 %" in told
    assert "client-00000001 5.00 ms" in told


def test_trees_are_told_apart_without_colours(shown: Browser) -> None:
    dashes = shown.evaluate(
        "[...document.querySelectorAll('.edge .line')].map(each => getComputedStyle(each).strokeDasharray)"
    )
    assert len(set(dashes)) == 2


def test_a_page_that_was_opened_late_shows_what_has_happened_before(
    page: OverlayPage, browser: Browser, events: EventStore
) -> None:
    events.add("rp", [EventReport("serves", "[news] streams from s1", content="news")])
    look_at(browser, page)
    browser.wait_until("document.querySelectorAll('#events li').length === 1")


@pytest.mark.parametrize("width", WIDTHS)
def test_two_hundred_nodes_and_a_thousand_viewers_stand_beside_each_other(
    browser: Browser, crash: Recorder, width: int
) -> None:
    settings = Settings(HostPort("127.0.0.1", 0), Access())
    with OverlayPage(settings, large().view, EventStore(), crash) as page:
        look_at(browser, page, width)
        browser.wait_until("document.querySelectorAll('.node').length === 202")
        assert browser.evaluate(ON_TOP)
        assert browser.evaluate("document.documentElement.scrollWidth") <= width
        viewers = (
            "[...document.querySelectorAll('.leaf text')].reduce((sum, each) => sum + +each.textContent, 0)"
        )
        assert browser.evaluate(viewers) == 1000
        assert browser.errors == []


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_sticks_out_of_the_window(
    page: OverlayPage, overlay: MadeUp, browser: Browser, width: int
) -> None:
    name = "a-name-without-any-space-" * 8
    overlay.report("n1", stream(name, ("rp", "n1"), (viewer(9),)))
    look_at(browser, page, width)
    browser.wait_until("document.querySelectorAll('#filter button').length === 3")
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
