"""The page in a real browser: it lists, plays, and shows how it goes, without a complaint."""

import contextlib
import http.client
from collections.abc import Iterator
from http.cookies import SimpleCookie

import pytest

from gateway.browser import Browser, browsing
from gateway.conftest import KEY, SPEED, Overlay, cut_viewers, keyed
from helpers import PATIENCE, wait_until
from mcast.errors import McastError, NotFoundError, UnreachableError
from mcast.gateway import site
from mcast.gateway.bodies import stream_body
from mcast.gateway.gateway import Gateway
from mcast.gateway.hls import Segments
from mcast.web import connection
from mcast.wire.content import ContentInfo

pytestmark = [pytest.mark.ffmpeg, pytest.mark.browser]
SCRIPT = "<img src=x onerror=alert(1)>"
WIDTHS = (1280, 390)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all tests: it takes seconds to start."""
    with browsing(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


def test_the_page_lists_contents_and_plays_the_one_that_is_clicked(
    gateway: Gateway, overlay: Overlay, browser: Browser
) -> None:
    overlay.contents.append(ContentInfo(SCRIPT, format="hevc/ac3"))
    browser.open(f"http://{gateway.address}/")
    browser.wait_until("document.querySelectorAll('article').length === 2")
    titles = browser.evaluate("[...document.querySelectorAll('h2')].map(each => each.textContent)")
    assert sorted(titles) == sorted(["earth", SCRIPT])
    assert "HEVC and AC-3" in browser.evaluate("document.body.innerText")
    play_earth(browser)


def play_earth(browser: Browser) -> None:
    """See its picture, click, and see it play; nothing is complained of."""
    browser.wait_until("document.querySelector('img:not([hidden])')?.naturalWidth > 0")
    browser.click('[aria-label="Play earth"]')
    browser.wait_until("document.querySelector('video')?.currentTime > 0.5")
    browser.wait_until("document.body.innerText.includes('rp › n1')")
    assert browser.evaluate("location.hash") == "#earth"
    assert browser.errors == []


def test_the_page_plays_when_its_url_holds_the_key(guarded: Gateway, browser: Browser) -> None:
    browser.open(f"{keyed(guarded)}/")
    play_earth(browser)


def test_a_link_of_another_site_leads_who_has_the_cookie_to_the_page(
    guarded: Gateway, gateway: Gateway, browser: Browser
) -> None:
    with contextlib.closing(http.client.HTTPConnection(*guarded.address, timeout=PATIENCE)) as client:
        client.request("GET", "/base.css", headers={"Authorization": f"Bearer {KEY}"})
        (cookie,) = SimpleCookie(client.getresponse().headers["Set-Cookie"]).values()
    here, there = f"http://{guarded.address}/", f"http://localhost:{gateway.address.port}/base.css"
    browser.open(there)
    browser.wait_until(f"location.href === '{there}' && document.readyState === 'complete'")
    browser.call(
        "Network.setCookie", name=cookie.key, value=cookie.value, url=here, sameSite=cookie["samesite"]
    )
    browser.evaluate(f"location.href = '{here}'")
    browser.wait_until("document.querySelectorAll('article').length === 1")


@pytest.mark.parametrize(("name", "link"), [("100%", "100%"), ("news at 9/ü", "news%20at%209%2F%C3%BC")])
def test_a_link_plays_its_content_at_once_however_its_name_is_written(
    gateway: Gateway, overlay: Overlay, browser: Browser, name: str, link: str
) -> None:
    overlay.contents.append(ContentInfo(name))
    browser.open(f"http://{gateway.address}/#{link}")
    browser.wait_until("document.querySelector('article.on video')?.currentTime > 0.1")
    assert browser.evaluate("document.querySelector('article.on h2').textContent") == name
    assert browser.errors == []


@pytest.mark.parametrize("source", ["earth/index.m3u8", "earth.mp4"])
def test_a_bare_video_element_plays_it(gateway: Gateway, browser: Browser, source: str) -> None:
    browser.open(f"http://{gateway.address}/base.css")
    browser.wait_until("document.readyState === 'complete'")
    browser.evaluate(
        "{const video = document.createElement('video'); video.muted = true;"
        f"video.src = '/{source}'; document.body.append(video); video.play();}}"
    )
    browser.wait_until("document.querySelector('video').currentTime > 0.5")
    assert browser.evaluate("document.querySelector('video').videoWidth") == 320
    assert [each for each in browser.errors if "favicon.ico" not in each] == []  # a page would name its icon


def click(browser: Browser, gateway: Gateway, overlay: Overlay) -> None:
    """Open the page and click the first content."""
    browser.open(f"http://{gateway.address}/")
    browser.wait_until(f"document.querySelectorAll('article').length === {len(overlay.contents)}")
    browser.evaluate("document.querySelector('.play').click()")


def test_the_page_tells_how_a_stream_goes(gateway: Gateway, overlay: Overlay, browser: Browser) -> None:
    click(browser, gateway, overlay)
    shown = "document.querySelector('.figures').innerText"
    delay = "12.3 ms from the server (by clocks), 500 ms in the buffer"
    for text in ("rp › n1", delay, "3 datagrams, 17 repaired"):
        browser.wait_until(f"{shown}.includes({text!r})")
    browser.wait_until(f"parseFloat({shown}.match(/([0-9.]+) Mbit/)?.[1]) > 0.1")


def test_the_buttons_copy_absolute_urls(gateway: Gateway, overlay: Overlay, browser: Browser) -> None:
    overlay.contents = [ContentInfo("news at 9/ü")]
    browser.open(base := f"http://{gateway.address}/")
    browser.wait_until("document.querySelectorAll('article').length === 1")
    browser.evaluate(
        "window.copied = []; Object.defineProperty(navigator, 'clipboard',"
        "{ value: { writeText: async (text) => { window.copied.push(text); } } });"
    )
    browser.evaluate("document.querySelectorAll('button:not(.play)').forEach((each) => each.click())")
    browser.wait_until("window.copied.length === 5")
    url = f"{base}news%20at%209%2F%C3%BC"
    assert sorted(browser.evaluate("window.copied")) == sorted(
        [f"{base}playlist.m3u", f"{url}.ts", f"{url}/index.m3u8", f"{url}.mp4", f"{url}.jpg"]
    )
    browser.wait_until(
        "[...document.querySelectorAll('.urls button')].every((e) => e.textContent === 'Copied')"
    )


def test_the_filter_leaves_what_is_looked_for(gateway: Gateway, overlay: Overlay, browser: Browser) -> None:
    overlay.contents = [ContentInfo(f"content {number}") for number in range(9)]
    browser.open(f"http://{gateway.address}/")
    browser.wait_until("document.querySelectorAll('article').length === 9")
    assert not browser.evaluate("document.querySelector('#filter').hidden")
    browser.evaluate(
        "{const filter = document.querySelector('#filter'); filter.value = 'TENT 7';"
        "filter.dispatchEvent(new Event('input'));}"
    )
    shown = "[...document.querySelectorAll('article:not([hidden]) h2')].map((each) => each.textContent)"
    assert browser.evaluate(shown) == ["content 7"]


def wait_for_warning(browser: Browser, text: str) -> None:
    """Wait until the first card says so."""
    browser.wait_until(f"document.querySelector('.warning').textContent.includes({text!r})")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (UnreachableError("no way to the content 'earth': preparing 43 %"), "preparing 43 % (trying again"),
        (NotFoundError("no server has the content 'earth'"), "no server has the content 'earth'"),
    ],
)
def test_the_page_tells_why_the_overlay_gives_no_stream(
    gateway: Gateway, overlay: Overlay, browser: Browser, error: McastError, text: str
) -> None:
    overlay.failures["earth"] = error
    click(browser, gateway, overlay)
    wait_for_warning(browser, text)
    assert "cannot play" not in browser.evaluate("document.body.innerText")


def test_the_page_tells_what_a_stream_waits_for_before_it_is_given_up(
    gateway: Gateway, overlay: Overlay, browser: Browser
) -> None:
    overlay.awaited = "preparing 43 %"
    click(browser, gateway, overlay)
    wait_for_warning(browser, "It waits: preparing 43 %")
    assert browser.evaluate("document.querySelector('video').error") is None


def test_what_could_not_be_had_is_asked_for_again(
    gateway: Gateway, overlay: Overlay, browser: Browser
) -> None:
    overlay.failures["earth"] = UnreachableError("no way to the content 'earth'")
    click(browser, gateway, overlay)
    wait_for_warning(browser, "trying again")
    overlay.failures.clear()
    browser.wait_until("document.querySelector('video')?.currentTime > 0.5")
    assert browser.evaluate("document.querySelector('.warning').hidden")


def test_what_the_browser_alone_cannot_play_is_said_to_be_so(
    gateway: Gateway, overlay: Overlay, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site, "mp4_body", stream_body)
    monkeypatch.setattr(Segments, "playlist", lambda _: "no playlist")
    click(browser, gateway, overlay)
    browser.wait_until(
        "document.querySelector('.warning').textContent.includes('This browser cannot play it')"
    )


@pytest.mark.parametrize("kind", ["cut", "over"])
def test_a_viewer_who_was_cut_goes_on(
    gateway: Gateway, overlay: Overlay, browser: Browser, kind: str
) -> None:
    click(browser, gateway, overlay)
    browser.wait_until("document.querySelector('video')?.currentTime > 0.5")
    browser.evaluate(
        "document.querySelector('video').addEventListener('emptied', () => { window.again = 1; })"
    )
    browser.evaluate("document.querySelector('video').playbackRate = 16")  # soon through what has come
    if kind == "cut":
        cut_viewers(gateway)
    else:
        overlay.made[-1][1].end()  # the stream ends, and its content goes on
    browser.wait_until("window.again === 1 && document.querySelector('video')?.currentTime > 0.5")
    assert "cannot play" not in browser.evaluate("document.body.innerText")


def test_a_file_that_is_over_says_so(gateway: Gateway, overlay: Overlay, browser: Browser) -> None:
    overlay.contents = [ContentInfo("earth", format="h264/aac", duration_ms=4000)]
    click(browser, gateway, overlay)
    browser.wait_until("document.querySelector('video')?.currentTime > 0.5")
    browser.evaluate("document.querySelector('video').playbackRate = 16")
    overlay.made[-1][1].end()
    wait_for_warning(browser, "It has ended")
    assert browser.evaluate("document.querySelector('video')") is None


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_of_the_gateways_page_sticks_out_of_the_window(
    gateway: Gateway, overlay: Overlay, browser: Browser, width: int
) -> None:
    overlay.contents.append(ContentInfo("a-name-without-any-space-" * 8))
    browser.open(f"http://{gateway.address}/", width)
    browser.wait_until("document.querySelectorAll('article').length === 2")
    assert browser.evaluate("document.documentElement.scrollWidth") <= width


def test_who_has_paused_for_long_and_was_cut_goes_on_with_what_is_shown_now(
    gateway: Gateway, overlay: Overlay, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "SEND_SECONDS", 0.5)
    overlay.speed = 100.0  # a browser that is paused takes some megabytes more
    click(browser, gateway, overlay)
    browser.wait_until("document.querySelector('video')?.currentTime > 0.1")
    browser.evaluate(
        "window.again = 0; {const video = document.querySelector('video'); video.pause();"
        "video.addEventListener('emptied', () => { window.again = 1; });}"
    )
    wait_until(lambda: gateway.cut, "the viewer to be cut", timeout=PATIENCE)
    overlay.speed = SPEED
    assert browser.evaluate("document.querySelector('video').paused")
    browser.evaluate(
        "{const video = document.querySelector('video'); video.playbackRate = 16; video.play(); }"
    )
    browser.wait_until("window.again === 1 && document.querySelector('video')?.currentTime > 0.5")
    assert "cannot play" not in browser.evaluate("document.body.innerText")
