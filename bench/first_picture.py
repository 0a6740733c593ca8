"""How long a viewer waits from the click on a content's picture to the first frame of the video.

    python3 bench/first_picture.py --runs 20 --mbits 1

Starts an overlay of one node, a server and `mcast-client --http` as real processes on this machine, and
Chromium (Debian's package), which opens the gateway's page, clicks, and plays the content: as MP4, as the
page does by itself, and as HLS, as it does in Apple's browsers; while somebody watches it already, and as the
first viewer, once the gateway has left it. The time runs from the click, which is a real one, to when the
browser shows the first frame, as it says itself. What is done is told on stderr: all of it takes minutes.
"""

import argparse
import contextlib
import json
import socket
import statistics
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT), str(ROOT / "tests")]

from bench.http_viewers import address_of, connect, start_gateway  # noqa: E402
from bench.viewers import free_ports, make_content  # noqa: E402
from gateway.browser import Browser, browsing  # noqa: E402
from tools.demo.processes import ProgramProcess, stop_all, wait_until  # noqa: E402

PATIENCE = 30.0
LEAVE_SECONDS = 60.0
"""In which the gateway leaves a content: its linger, three segments, and a preview that comes between."""
STEADY_SECONDS = 14.0
"""Until a stream that is watched has all its segments."""
SOURCES = {"MP4": "/noise.mp4", "HLS": "/noise/index.m3u8"}
PICTURE = '[aria-label="Play noise"] img'
NOTE = """{
  window.took = null;
  addEventListener("click", (event) => { window.began = event.timeStamp; }, { capture: true, once: true });
  new MutationObserver((_, observer) => {
    const video = document.querySelector("video");
    if (!video) return;
    observer.disconnect();
    video.requestVideoFrameCallback((_, frame) => {
      window.took = frame.expectedDisplayTime - window.began;
      window.played = video.currentSrc;
    });
  }).observe(document.body, { childList: true, subtree: true });
}"""
APPLE = """Object.defineProperty(navigator, "vendor", { get: () => "Apple Computer, Inc." });"""


class Viewer:
    """Looks at the gateway's page."""

    def __init__(self, browser: Browser, address: tuple[str, int]) -> None:
        self._browser, self._url = browser, f"http://{address[0]}:{address[1]}"

    def first_frame(self, source: str, *, as_first: bool) -> float:
        """Return after how many seconds the video shows; `as_first`: click once the gateway has left it.

        The page is to play `source`: if it takes another one, nothing was measured.
        """
        self._browser.open(f"{self._url}/")
        self._browser.wait_until(f"document.querySelector('{PICTURE}:not([hidden])')?.naturalWidth > 0")
        self._browser.evaluate(NOTE)
        if as_first:
            wait_until(lambda: not self._is_watched(), "the gateway to leave the content", LEAVE_SECONDS)
        self._browser.click(PICTURE)
        took: float | None = None
        deadline = time.monotonic() + PATIENCE
        while took is None and time.monotonic() < deadline:
            time.sleep(0.02)
            took = self._browser.evaluate("window.took")
        if took is None:
            return PATIENCE
        if (played := self._browser.evaluate("window.played")) != self._url + source:
            raise SystemExit(f"the page has played {played}, not {source}")
        return took / 1000

    def _is_watched(self) -> bool:
        with urllib.request.urlopen(f"{self._url}/api/contents", timeout=PATIENCE) as answer:
            (noise,) = json.load(answer)["contents"]
        return noise["channel"] is not None


@contextlib.contextmanager
def watched(address: tuple[str, int]) -> Iterator[None]:
    """Let somebody watch meanwhile, whose stream is steady."""
    (sock,) = connect(address, 1)
    sock.settimeout(None)

    def read() -> None:
        while sock.recv(1 << 18):
            pass

    thread = threading.Thread(target=read)
    thread.start()
    try:
        time.sleep(STEADY_SECONDS)
        yield
    finally:
        sock.shutdown(socket.SHUT_RDWR)
        thread.join()
        sock.close()


@contextlib.contextmanager
def as_apple(browser: Browser) -> Iterator[None]:
    """Let the page take the browser for one of Apple's, to which it gives HLS."""
    script = browser.call("Page.addScriptToEvaluateOnNewDocument", source=APPLE)["identifier"]
    try:
        yield
    finally:
        browser.call("Page.removeScriptToEvaluateOnNewDocument", identifier=script)


def times(viewer: Viewer, name: str, runs: int, *, as_first: bool) -> list[float]:
    """Return how long it takes, each time; tell each."""
    taken = []
    for number in range(1, runs + 1):
        taken.append(viewer.first_frame(SOURCES[name], as_first=as_first))
        who = "first viewer" if as_first else "watched already"
        tell(f"{name}, {who}, {number} of {runs}: {taken[-1]:.2f} s")
    return taken


def tell(text: str) -> None:
    """Say what is done."""
    print(f"  {text}", file=sys.stderr, flush=True)


def measure(browser: Browser, address: tuple[str, int], runs: int) -> None:
    """Print a table."""
    viewer, rows = Viewer(browser, address), []
    for name in SOURCES:
        with as_apple(browser) if name == "HLS" else contextlib.nullcontext():
            tell(f"{name}, watched already: watching for {STEADY_SECONDS:g} s first")
            with watched(address):
                already = times(viewer, name, runs, as_first=False)
            tell(f"{name}, first viewer: each after the gateway has left the content")
            first = times(viewer, name, max(1, runs // 4), as_first=True)
        rows.append(f"{name:<12}{summary(already):>30}{summary(first):>30}")
    print(f"{'':<12}{'watched already':>30}{'first viewer':>30}", *rows, sep="\n")


def summary(times: list[float]) -> str:
    """Return the median and the worst."""
    return f"{statistics.median(times):.2f} s, worst {max(times):.2f} s ({len(times)})"


def main() -> int:
    """Run the measurement; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--mbits", type=float, default=1)
    options = parser.parse_args()
    started: list[ProgramProcess] = []
    with tempfile.TemporaryDirectory(prefix="mcast-bench-") as name:
        folder = Path(name)
        tell("making a content, starting an overlay, a gateway and a browser")
        make_content(folder, options.mbits)
        try:
            address = address_of(start_gateway(folder, free_ports(4), started))
            with browsing(folder) as browser:
                measure(browser, address, options.runs)
        finally:
            stop_all(started)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
