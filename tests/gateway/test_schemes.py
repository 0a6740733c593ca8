"""The gateway's page by day and by night."""

from pathlib import Path

import pytest

from gateway.browser import browsing
from gateway.conftest import Overlay
from mcast.gateway.gateway import Gateway
from mcast.wire.content import ContentInfo
from web.contrast import background, preferring, weak_texts

pytestmark = [pytest.mark.ffmpeg, pytest.mark.browser]


def test_the_page_is_light_or_dark_as_its_reader_likes_and_can_be_read_in_both(
    gateway: Gateway, overlay: Overlay, tmp_path: Path
) -> None:
    overlay.contents.append(ContentInfo("mars", format="hevc/ac3"))  # with a warning
    grounds = []
    with browsing(tmp_path) as browser:
        for scheme in ("light", "dark"):
            with preferring(browser, scheme):
                browser.open(f"http://{gateway.address}/")
                browser.wait_until("document.querySelectorAll('article').length === 2")
                browser.evaluate("document.querySelector('[aria-label=\"Play earth\"]').click()")
                browser.wait_until("document.body.innerText.includes('rp › n1')")
                assert weak_texts(browser) == [], scheme
                grounds.append(background(browser))
    assert grounds[0] != grounds[1]
