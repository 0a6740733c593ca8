"""The page in a real browser: trees, changes, names of any characters, any size, without a complaint."""

from http import HTTPStatus

import pytest

from gateway.browser import Browser
from helpers import Recorder, wait_until
from mcast.config.key_file import KeyRing
from mcast.hostport import HostPort
from mcast.monitoring.events import EventStore
from mcast.monitoring.page import OverlayPage
from mcast.web.access import Access
from mcast.web.request import Request, RequestError
from mcast.web.response import Response
from mcast.web.service import Service, Settings
from mcast.wire.health import EventReport
from monitoring.looking import answers_held_back, events_of, keys, look_at
from monitoring.overlays import SCRIPT, MadeUp, stream, viewer

pytestmark = pytest.mark.browser
KEY = "a-key-of-the-campus"


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


def test_the_page_goes_on_when_its_url_holds_the_key(
    overlay: MadeUp, events: EventStore, crash: Recorder, browser: Browser
) -> None:
    events.add("n2", [EventReport("parent_taken", "[news] now fed by n3", content="news")])
    settings = Settings(HostPort("127.0.0.1", 0), Access(keys=KeyRing((KEY.encode(),))))
    with OverlayPage(settings, overlay.view, events, crash) as page:
        look_at(browser, page, user=f"any:{KEY}@")
        browser.wait_until("document.querySelectorAll('.node').length === 6")
        browser.wait_until("document.body.innerText.includes('now fed by n3')")  # what was before is fetched
        assert browser.errors == []


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


def test_what_happens_after_the_bootstrapper_was_started_again_is_seen_beside_what_was_before(
    browser: Browser, overlay: MadeUp, crash: Recorder
) -> None:
    before, after = EventStore(), EventStore()
    before.add("n1", [EventReport("cut", f"before {number}") for number in range(3)])
    with OverlayPage(Settings(HostPort("127.0.0.1", 0), Access()), overlay.view, before, crash) as page:
        look_at(browser, page)
        browser.wait_until("document.querySelectorAll('#events li').length === 3")
        address = page.address
    after.add("n1", [EventReport("fed", "the first again")])
    with OverlayPage(Settings(address, Access()), overlay.view, after, crash):
        browser.wait_until("document.querySelectorAll('#events li').length === 4")
        after.add("n2", [EventReport("fed", "the second again")])
        browser.wait_until("document.querySelectorAll('#events li').length === 5")
        told = ["the second again", "the first again", "before 2", "before 1", "before 0"]
        assert events_of(browser) == told


def test_a_page_behind_a_proxy_comes_back_after_answers_that_were_no_stream(
    browser: Browser, overlay: MadeUp, crash: Recorder
) -> None:
    asked = Recorder()

    def bad_gateway(request: Request) -> Response:
        asked(request.path)
        raise RequestError(HTTPStatus.BAD_GATEWAY, "the bootstrapper is being started again")

    with OverlayPage(Settings(HostPort("127.0.0.1", 0), Access()), overlay.view, EventStore(), crash) as page:
        look_at(browser, page)
        browser.wait_until("document.querySelectorAll('.node').length === 6")
        address = page.address
    with Service(Settings(address, Access()), bad_gateway, crash):
        wait_until(lambda: asked.calls.count("/api/stream") >= 2, "it to ask again")
    overlay.leave("n3")
    with OverlayPage(Settings(address, Access()), overlay.view, EventStore(), crash):
        browser.wait_until("document.body.innerText.includes('3 nodes up')")


def test_what_was_kept_is_shown_although_news_came_first(
    browser: Browser, page: OverlayPage, events: EventStore
) -> None:
    events.add("n1", [EventReport("cut", f"kept {number}") for number in range(3)])
    wait_until(lambda: page._news._told_number == events.last, "a look, so that they are no news any more")
    with answers_held_back(browser):
        look_at(browser, page)
        browser.wait_until("window.answer !== undefined")
        events.add("n2", [EventReport("fed", "news")])
        browser.wait_until("document.querySelectorAll('#events li').length === 1")
        browser.evaluate("window.answer()")
        browser.wait_until("document.querySelectorAll('#events li').length === 4")
        assert events_of(browser) == ["news", "kept 2", "kept 1", "kept 0"]
