"""How long it takes until the overlay's page shows that a relay was killed, and the way around it.

    python3 bench/page_news.py --runs 20

Starts a bootstrapper with the page, a server, four nodes with two ways to the last of them, and a client
there as real processes on this machine, and Chromium (Debian's package), which notes what the page shows.
The time runs from the end of the relay; it is started again for the next run. Runs beside which a bare
process overslept are shown and not counted.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT), str(ROOT / "tests")]

from gateway.browser import Browser, browsing  # noqa: E402
from tools.demo.processes import wait_until  # noqa: E402
from tools.resilience.sleeper import MOST_OVERSLEPT_MS, Sleeper  # noqa: E402
from topology.contents import Stock  # noqa: E402
from topology.harness import START, Topology, running  # noqa: E402

DIAMOND = {"rp": ["n1", "n2"], "n1": ["n2", "n3"], "n2": ["n3"], "n3": []}
"""Two ways to n3."""
OTHER = {"n1": "n2", "n2": "n1"}
WATCH = """{
  window.seen = {};
  const note = () => {
    const down = [...document.querySelectorAll('.node.down')].map((each) => each.dataset.key);
    const edges = [...document.querySelectorAll('.edge')].map((each) => each.dataset.key);
    if (down.includes('RELAY')) seen.down ??= Date.now();
    const fed = document.querySelector('.leaf')?.dataset.key.split('\\n')[0];
    const around = edges.some((each) => each.endsWith(`\\n${fed}\\nclip`) && !each.startsWith('RELAY\\n'));
    if (around && edges.includes('rp\\nOTHER\\nclip')) seen.edge ??= Date.now();
    if (!edges.some((each) => each.startsWith('RELAY\\n'))) seen.gone ??= Date.now();
  };
  window.watcher?.disconnect();
  window.watcher = new MutationObserver(note);
  const all = { attributes: true, childList: true, subtree: true };
  window.watcher.observe(document.getElementById('map'), all);
}"""


def start_shown(topology: Topology) -> str:
    """Start an overlay whose bootstrapper shows it; return where."""
    address = topology.addresses.of("page")
    topology.start_bootstrapper("--http", address)
    for name in topology.server_names:
        topology.start_server(name)
    for name in topology.links:
        topology.start_node(name)
    topology.wait_ready()
    return f"http://{address}"


def stream_at(url: str, name: str) -> dict[str, Any]:
    """Return how the content fares at a node; nothing if it does not stream it."""
    with urllib.request.urlopen(f"{url}/api/overlay", timeout=START) as answer:
        (node,) = [each for each in json.load(answer)["nodes"] if each["name"] == name]
    return node["streams"][0] if node.get("streams") else {}


def kill_relay(topology: Topology, browser: Browser, path: list[str]) -> dict[str, float]:
    """Kill the relay of a path to n3; return how many seconds later the page showed what.

    `down`: the relay's end; `gone`: that its lines are no more; `edge`: the way around it, as far as to the
    node that feeds the viewer, be it n3 or another one that the viewer has gone on to.
    """
    relay = path[1]
    browser.evaluate(WATCH.replace("RELAY", relay).replace("OTHER", OTHER[relay]))
    at = time.time()
    topology.nodes[relay].kill()
    browser.wait_until("seen.down && seen.edge && seen.gone")
    return {name: moment / 1000 - at for name, moment in browser.evaluate("seen").items()}


def run_once(topology: Topology, browser: Browser, url: str) -> tuple[dict[str, float], float]:
    """Return what the page showed when, and how late a bare process was meanwhile, in milliseconds."""
    with Sleeper() as sleeper:
        time.sleep(3)  # what has happened before is told, and paid for: nodes tell 1,400 bytes a second
        path = stream_at(url, "n3")["path"]
        seen = kill_relay(topology, browser, path)
    topology.start_node(path[1])
    browser.wait_until("document.querySelectorAll('.node.down').length === 0")
    topology.wait_ready()
    return seen, sleeper.overslept_ms


def measure(topology: Topology, folder: Path, runs: int) -> None:
    """Print each run, and a line for all in which the machine did not stand still."""
    url = start_shown(topology)
    topology.client("n3").wait_for_media()
    wait_until(lambda: stream_at(url, "n3").get("bit_rate"), "a rate at n3", START)
    quiet = []
    with browsing(folder) as browser:
        browser.open(url)
        browser.wait_until("document.querySelectorAll('.leaf').length === 1")
        for number in range(1, runs + 1):
            seen, overslept = run_once(topology, browser, url)
            late = max(seen.values())
            print(
                f"{number:>3}  down {seen['down']:.2f} s  repair {late:.2f} s  overslept {overslept:.0f} ms"
            )
            if overslept <= MOST_OVERSLEPT_MS:
                quiet.append(late)
    if quiet:
        median, worst = statistics.median(quiet), max(quiet)
        print(f"all of it is shown after {median:.2f} s, worst {worst:.2f} s ({len(quiet)} of {runs} runs)")


def main() -> int:
    """Run the measurement; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mcast-bench-") as name:
        folder = Path(name)
        topology = Topology(folder / "topology", Stock(folder / "contents"), DIAMOND, contents=("clip",))
        with running(topology):
            measure(topology, folder, options.runs)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
