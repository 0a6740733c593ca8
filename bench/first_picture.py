"""How long a browser takes from the click to a picture that moves.

    python3 bench/first_picture.py --runs 20 --mbits 1

Starts an overlay of one node, a server and `mcast-client --http` as real processes on this machine, and
Chromium (Debian's package), which plays the content as MP4 and as HLS: while somebody watches it already, and
as the first viewer. The time runs from setting the source to the event `playing`.
"""

import argparse
import statistics
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT), str(ROOT / "tests")]

from bench.http_viewers import address_of, start_gateway  # noqa: E402
from bench.viewers import free_ports, make_content  # noqa: E402
from gateway.browser import Browser, browsing  # noqa: E402
from tools.demo.processes import ProgramProcess, stop_all  # noqa: E402

PATIENCE = 30.0
LEFT_SECONDS = 14.0
"""Until the gateway has left a content: its linger, and three segments."""
PLAY = """{{
  const video = document.createElement("video");
  const begin = performance.now();
  window.took = 0;
  video.muted = true;
  video.addEventListener("playing", () => {{ window.took = performance.now() - begin; }});
  video.src = "{source}";
  document.body.append(video);
  video.play();
}}"""
STOP = """{
  const video = document.querySelector("video");
  video.removeAttribute("src");
  video.load();
  video.remove();
}"""


def first_picture(browser: Browser, source: str) -> float:
    """Return after how many seconds the source plays."""
    browser.evaluate(PLAY.format(source=source))
    deadline = time.monotonic() + PATIENCE
    while not (took := browser.evaluate("window.took")) and time.monotonic() < deadline:
        time.sleep(0.02)
    browser.evaluate(STOP)
    return took / 1000 if took else PATIENCE


def measure(browser: Browser, base: str, runs: int) -> None:
    """Print a table."""
    browser.open(f"{base}/base.css")
    browser.wait_until("document.readyState === 'complete'")
    print(f"{'':<12}{'watched already':>30}{'first viewer':>30}")
    for name, source in (("MP4", "/noise.mp4"), ("HLS", "/noise/index.m3u8")):
        with urllib.request.urlopen(f"{base}/noise.ts", timeout=PATIENCE):
            time.sleep(LEFT_SECONDS)
            watched = [first_picture(browser, source) for _ in range(runs)]
        first = []
        for _ in range(max(1, runs // 4)):
            time.sleep(LEFT_SECONDS)
            first.append(first_picture(browser, source))
        print(f"{name:<12}{summary(watched):>30}{summary(first):>30}")


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
        make_content(folder, options.mbits)
        try:
            host, port = address_of(start_gateway(folder, free_ports(4), started))
            with browsing(folder) as browser:
                measure(browser, f"http://{host}:{port}", options.runs)
        finally:
            stop_all(started)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
