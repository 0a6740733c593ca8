"""The page in a real browser: it lists, plays, and shows how it goes, without a complaint."""

from collections.abc import Iterator

import pytest

from gateway.browser import Browser, browsing
from gateway.conftest import Overlay
from mcast.gateway.gateway import Gateway
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
    browser.wait_until("document.querySelector('img:not([hidden])')?.naturalWidth > 0")
    browser.evaluate("document.querySelector('[aria-label=\"Play earth\"]').click()")
    browser.wait_until("document.querySelector('video')?.currentTime > 0.5")
    browser.wait_until("document.body.innerText.includes('rp › n1')")
    assert browser.evaluate("location.hash") == "#earth"
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


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_sticks_out_of_the_window(
    gateway: Gateway, overlay: Overlay, browser: Browser, width: int
) -> None:
    overlay.contents.append(ContentInfo("a-name-without-any-space-" * 8))
    browser.open(f"http://{gateway.address}/", width)
    browser.wait_until("document.querySelectorAll('article').length === 2")
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
