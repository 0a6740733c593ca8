"""What the page tells of links, nodes and servers, and what has happened: by day and by night."""

import pytest

from gateway.browser import Browser
from mcast.monitoring.events import EventStore
from mcast.monitoring.page import OverlayPage
from mcast.wire.health import EventReport
from monitoring.looking import events_of, look_at
from monitoring.overlays import SCRIPT, MadeUp, stream, viewer
from web.contrast import background, preferring, weak_texts

pytestmark = pytest.mark.browser
EDGE = "document.querySelector('.edge[data-key=\"rp\\\\a n1\\\\a news\"]')"
LABEL = EDGE.replace(".edge", ".label")
DETAILS = "document.getElementById('details').innerText"


@pytest.fixture
def measured(overlay: MadeUp, shown: Browser) -> Browser:
    """The page after two seconds in which n1 was to get 510 datagrams: 30 were repaired, 10 never came."""
    n2 = overlay.streams("rp")[0].children
    for uptime_ms, datagrams, repaired, lost in ((3_700_000, 1000, 0, 0), (3_702_000, 1500, 30, 10)):
        told = stream("news", ("rp", "n1"), n2, datagrams=datagrams, repaired=repaired, lost=lost)
        overlay.report("n1", told, uptime_ms=uptime_ms)
    shown.wait_until(f"{LABEL}.textContent.includes('2.7 Mbit/s')")
    return shown


def cells(browser: Browser, table: str, first: str) -> list[str]:
    """Return the row of a table whose first cell tells this."""
    rows = f"[...document.querySelectorAll('#{table} tr')]"
    told = browser.evaluate(f"{rows}.map(row => [...row.cells].map(each => each.innerText))")
    (row,) = [row for row in told if row[0] == first]
    return list(row)


def click(browser: Browser, selector: str) -> None:
    browser.evaluate(f"document.querySelector({selector!r}).dispatchEvent(new Event('click'))")


def details(browser: Browser) -> list[str]:
    return [line for line in browser.evaluate(DETAILS).splitlines() if line]


def figure(browser: Browser, name: str) -> str:
    """Return what the details tell under a name."""
    lines = details(browser)
    return lines[lines.index(name) + 1]


def test_beside_a_link_stand_its_rate_round_trip_and_losses_before_and_after_repair(
    measured: Browser,
) -> None:
    assert measured.evaluate(f"{LABEL}.textContent") == "2.7 Mbit/s · 2.00 ms · 7.84 % → 1.96 % lost"


def test_a_link_that_is_clicked_tells_its_content_and_figures(measured: Browser) -> None:
    measured.evaluate(f"{EDGE}.dispatchEvent(new Event('click'))")
    assert details(measured)[1:3] == ["rp → n1", "news"]
    assert figure(measured, "rate") == "2.7 Mbit/s"
    assert figure(measured, "round trip") == "2.00 ms"
    assert figure(measured, "lost") == "7.84 % before repair, 1.96 % after"
    assert figure(measured, "path") == "rp › n1"


def test_a_node_tells_what_it_takes_how_long_it_is_up_and_whom_it_feeds(measured: Browser) -> None:
    click(measured, ".node[data-key=n1]")
    assert figure(measured, "CPU") == "3.5 %"
    assert figure(measured, "memory") == "31 MB"
    assert figure(measured, "children") == "1"
    assert figure(measured, "up for") == "1 h 1 min"
    assert figure(measured, "version") == "0.1.0"
    assert cells(measured, "nodes", "n1") == [
        "n1", "overlay", "3.5 %", "31 MB", "1", "0", "1", "1 h 1 min", "0.1.0", "10.1.0.2:5000",
    ]  # fmt: skip


def test_a_server_tells_how_far_it_is_and_what_it_serves(shown: Browser) -> None:
    figures = ["0.40 ms", "0.50 ms", "0.10 ms", "340"]
    assert cells(shown, "servers", "10.0.0.1:7000") == ["10.0.0.1:7000", *figures, "news"]
    assert cells(shown, "servers", "10.0.0.2:7000") == ["10.0.0.2:7000", *figures, SCRIPT]
    click(shown, ".node[data-key='server 10.0.0.1:7000']")
    names = ("delay", "latency", "jitter", "metric", "serves")
    assert [figure(shown, name) for name in names] == [*figures, "news"]


def test_a_content_tells_who_serves_it_and_how_far_it_goes(measured: Browser) -> None:
    assert cells(measured, "contents", "news") == [
        "news", "10.0.0.1:7000", "2.7 Mbit/s", "2", "3", "0", "3",
    ]  # fmt: skip


def test_contents_that_nobody_watches_are_named_below_the_others(shown: Browser, overlay: MadeUp) -> None:
    text = "document.getElementById('unwatched').innerText"
    assert shown.evaluate("document.getElementById('unwatched').hidden")
    overlay.list_contents("news", *(f"film {number}" for number in range(100, 250)))
    shown.wait_until(f"{text}.startsWith('Nobody watches: film 100, film 101, ')")
    assert shown.evaluate(text).endswith("film 199 and 50 more")


HEALING = (
    ("attached", "[news] n2 attached below rp > n1", "+"),
    ("parent_lost", "[news] lost its parent n1: silence", "✕"),
    ("fed", "[news] fed again after 35 ms", "✓"),
    ("server_failover", "[news] 10.0.0.1:7000 is lost, streams from 10.0.0.2:7000", "⇄"),
)


def test_what_happens_is_told_with_a_sign_and_who_tells_it_the_newest_first(
    shown: Browser, events: EventStore
) -> None:
    for name, text, _ in HEALING:
        events.add("n2", [EventReport(name, text, content="news")])
    shown.wait_until("document.querySelectorAll('#events li').length === 4")
    assert events_of(shown) == [text for _, text, _ in reversed(HEALING)]
    parts = "[...document.querySelectorAll('#events li')].map(each => each.querySelector('{}').textContent)"
    assert shown.evaluate(parts.format(".sign")) == [sign for _, _, sign in reversed(HEALING)]
    assert shown.evaluate(parts.format("b")) == ["n2 "] * 4


def test_the_page_is_light_or_dark_as_its_reader_likes_and_can_be_read_in_both(
    browser: Browser, page: OverlayPage, overlay: MadeUp, events: EventStore
) -> None:
    contents = [f"content {number}" for number in range(8)]  # each in a colour of its own
    overlay.report("n2", *(stream(each, ("rp", "n1", "n2"), (viewer(1),)) for each in contents))
    overlay.report("n3", stream("news", ("rp", "n3"), fed=False))
    overlay.leave("n1")
    events.add("n2", [EventReport(name, text) for name, text, _ in HEALING])
    grounds = []
    for scheme in ("light", "dark"):
        with preferring(browser, scheme):
            look_at(browser, page)
            browser.wait_until("document.querySelectorAll('#events li').length === 4")
            click(browser, ".node[data-key=n2]")
            assert weak_texts(browser) == [], scheme
            grounds.append(background(browser))
    assert grounds[0] != grounds[1]
