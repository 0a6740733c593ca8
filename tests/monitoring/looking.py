"""What the tests that look at the page in a browser share."""

import contextlib
from collections.abc import Iterator

from gateway.browser import Browser
from mcast.monitoring.page import OverlayPage

WIDTHS = (1280, 390)


def look_at(browser: Browser, page: OverlayPage, width: int = 1280, *, user: str = "") -> None:
    """Open a page, with a `user` such as any:KEY@ in its URL; the one before, which asks in vain, is over."""
    browser.open("about:blank")
    browser.wait_until("location.href === 'about:blank'")
    browser.errors.clear()
    browser.open(f"http://{user}{page.address}/", width)


def keys(browser: Browser, kind: str) -> list[str]:
    """Return what stands on the map: edges as 'from to content'."""
    found = browser.evaluate(f"[...document.querySelectorAll('.{kind}')].map(each => each.dataset.key)")
    return sorted(key.replace("\n", " ") for key in found)


def events_of(browser: Browser) -> list[str]:
    """Return what the list of events tells, the newest first."""
    texts = "[...document.querySelectorAll('#events li')].map(each => each.lastChild.textContent)"
    told: list[str] = browser.evaluate(texts)
    return told


@contextlib.contextmanager
def answers_held_back(browser: Browser) -> Iterator[None]:
    """Have pages that are opened meanwhile ask for something else only when `answer()` is called there."""
    source = """
        const ask = window.fetch;
        window.fetch = (...all) => new Promise((go) => { window.answer = () => go(ask(...all)); });
    """
    script = browser.call("Page.addScriptToEvaluateOnNewDocument", source=source)["identifier"]
    try:
        yield
    finally:
        browser.call("Page.removeScriptToEvaluateOnNewDocument", identifier=script)
