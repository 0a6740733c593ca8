"""The pictures of the two pages in docs/: made from the real ones, while the demonstration runs.

    python3 bench/pictures.py

Starts the demonstration with its two pages (the overlay's, and the gateway's) as real processes on this
machine, waits until all viewers watch, and lets Chromium (Debian's package) look: docs/images/overlay.png and
watch.png are 1,280 pixels wide; the same at 390 pixels, as on a phone, and dark, go to build/pictures.
"""

import argparse
import json
import os
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT), str(ROOT / "tests")]

from gateway.browser import Browser, browsing  # noqa: E402
from tools.demo.contents import NEWS, SPORT, make  # noqa: E402
from tools.demo.overlay import DemoOverlay  # noqa: E402
from tools.demo.plan import VIEWERS, http_address  # noqa: E402
from tools.demo.processes import wait_until  # noqa: E402
from web.contrast import preferring  # noqa: E402

PATIENCE = 60.0
SETTLE_SECONDS = 15.0
"""Until rates, delays and round trips are those of a stream that runs."""
SHOWN = "[...document.querySelectorAll('.figures:not([hidden])')]"
"""The figures of contents; a rate is known once they have been watched for a second or two."""
LOOKS = ((1280, "light"), (390, "light"), (1280, "dark"), (390, "dark"))


@contextmanager
def demonstration(folder: Path) -> Iterator[tuple[str, str]]:
    """Run the demonstration; give where its two pages are, once all viewers watch."""
    sources = {picture.name: make(picture, folder / "contents") for picture in (NEWS, SPORT)}
    run = folder / "run"
    run.mkdir()
    with DemoOverlay(run, sources, folder / "cache", shown_at=http_address(8080)) as overlay:
        overlay.prepare()
        overlay.start()
        contents = overlay.serve(http_address(8081))
        for viewer in VIEWERS:
            overlay.watch(viewer, "--output", os.devnull)
        page = f"http://{overlay.shown_at}"
        wait_until(lambda: viewers_at(page) >= len(VIEWERS), "all viewers", PATIENCE)
        time.sleep(SETTLE_SECONDS)
        yield page, f"http://{contents}"


def viewers_at(page: str) -> int:
    """Return how many watch, says the overlay's page."""
    with urllib.request.urlopen(f"{page}/api/contents", timeout=PATIENCE) as answer:
        return sum(each["viewers"] for each in json.load(answer)["contents"])


def look(browser: Browser, url: str, width: int, ready: str, click: str = "") -> None:
    """Open a page in a window that is as high as the page, once it shows what is to be seen."""
    browser.open(url, width)
    browser.wait_until(f"location.href.startsWith('{url}') && {ready}")
    if click:
        browser.evaluate(f"document.querySelector('{click}').click()")
        browser.wait_until("document.querySelector('video')?.currentTime > 2")
        browser.wait_until("document.querySelector('.figures:not([hidden])') !== null")
        browser.wait_until(f"!{SHOWN}.some((each) => each.innerText.includes('0.00 Mbit/s'))")
    height = browser.evaluate("Math.ceil(document.body.getBoundingClientRect().height)")
    browser.call(
        "Emulation.setDeviceMetricsOverride", width=width, height=min(height, 1600), deviceScaleFactor=1,
        mobile=width < 600,
    )  # fmt: skip
    time.sleep(1)  # for what moves


def take(browser: Browser, page: str, contents: str, drafts: Path) -> None:
    """Take all pictures."""
    seen = "document.querySelectorAll('.edge').length > 5 && document.querySelectorAll('.label').length > 5"
    pictures = "[...document.querySelectorAll('img')].filter((each) => each.naturalWidth).length >= 2"
    for width, scheme in LOOKS:
        is_shown = (width, scheme) == LOOKS[0]
        folder, rest = (ROOT / "docs" / "images", "") if is_shown else (drafts, f"-{width}-{scheme}")
        with preferring(browser, scheme):
            look(browser, f"{page}/", width, seen)
            browser.screenshot(folder / f"overlay{rest}.png")
            look(browser, f"{contents}/?{width}{scheme}", width, pictures, '[aria-label="Play news"]')
            browser.screenshot(folder / f"watch{rest}.png")
        print(f"{folder}: overlay{rest}.png, watch{rest}.png", flush=True)


def main() -> int:
    """Make the pictures; return the exit status."""
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    drafts = ROOT / "build" / "pictures"
    drafts.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="mcast-bench-") as name:
        folder = Path(name)
        with demonstration(folder) as (page, contents), browsing(folder) as browser:
            take(browser, page, contents, drafts)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
