"""The overlay's page over real processes: what it tells is so, and what happens is seen."""

import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from gateway.browser import Browser, browsing
from mcast.monitoring.view import MOST_HELD_MS
from tools.demo.processes import environment_with, wait_until
from tools.resilience.sleeper import MOST_OVERSLEPT_MS, Sleeper
from topology.conftest import Build
from topology.harness import START, Topology
from topology.test_healing import DIAMOND, joined


def shown(build: Build) -> tuple[Topology, str]:
    """Start an overlay whose bootstrapper shows it; return it, and where."""
    topology = build(DIAMOND, start=False)
    address = topology.addresses.of("page")
    topology.start_bootstrapper("--http", address)
    for name in topology.server_names:
        topology.start_server(name)
    for name in topology.links:
        topology.start_node(name)
    topology.wait_ready()
    return topology, f"http://{address}"


def ask(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=START) as answer:
        return json.loads(answer.read())


def stream_at(url: str, name: str) -> dict[str, Any]:
    """Return how the content fares at a node; nothing if it does not stream it."""
    (node,) = [each for each in ask(f"{url}/api/overlay")["nodes"] if each["name"] == name]
    return node["streams"][0] if node.get("streams") else {}


def clock_delays(url: str, name: str) -> list[float]:
    """Return the delays by clocks to a node and its viewer; nothing as long as one of them is not known."""
    told = stream_at(url, name)
    delays = [told["clock_delay_ms"], *(each["clock_delay_ms"] for each in told["children"])]
    return [] if None in delays else delays


def test_the_api_tells_the_trees_figures_and_events_of_a_real_overlay(build: Build) -> None:
    topology, url = shown(build)
    wait_until(lambda: ask(f"{url}/api/contents")["contents"], "the catalogue", START)
    (content,) = ask(f"{url}/api/contents")["contents"]
    assert (content["name"], content["streaming"], content["readiness"]) == ("clip", False, "ready")
    _, path = joined(topology)
    wait_until(lambda: stream_at(url, "n3").get("bit_rate"), "a rate at n3", START)
    told = stream_at(url, "n3")
    assert (told["path"], told["fed"], told["viewers"]) == (path, True, 1)
    assert [(each["name"], each["server"]) for each in told["parents"]] == [(path[-2], False)]
    wait_until(lambda: stream_at(url, "n3")["children"][0]["delay_ms"], "the viewer's delay", START)
    wait_until(lambda: clock_delays(url, "n3"), "the viewer's delay by the server's clock", START)
    assert all(0 <= each < MOST_HELD_MS for each in clock_delays(url, "n3"))  # one machine, one clock
    (content,) = ask(f"{url}/api/contents")["contents"]
    assert (content["name"], content["nodes"], content["viewers"]) == ("clip", len(path), 1)
    assert (content["streaming"], content["servers"]) == (True, [content["server"]])
    (server,) = ask(f"{url}/api/overlay")["servers"]
    assert (server["up"], server["serves"]) == (True, ["clip"])
    attached = [each for each in ask(f"{url}/api/events")["events"] if each["event"] == "attached"]
    assert {each["node"] for each in attached} == set(path)
    with urllib.request.urlopen(f"{url}/metrics", timeout=START) as answer:
        assert b'mcast_node_viewers{node="n3",content="clip"} 1\n' in answer.read()
    done = subprocess.run(
        [sys.executable, "-m", "mcast", "bootstrap", "top", "--http-url", url],
        capture_output=True, text=True, timeout=START, env=environment_with({}), check=False,
    )  # fmt: skip
    assert (done.returncode, "clip   " in done.stdout) == (0, True), done.stderr


AT_ONCE = 1.0
"""Seconds from the end of a relay until the page shows it, and the tree around it."""
MOST_STALLED_MS = 100
"""Milliseconds by which the browser itself may be late in a run that tells something."""
TRIES = 3
WATCH = """
    window.seen = { stalled: 0 };
    let last = Date.now();
    clearInterval(window.beat);
    window.beat = setInterval(() => {
      seen.stalled = Math.max(seen.stalled, Date.now() - last - 10);
      last = Date.now();
    }, 10);
    const note = () => {
      const down = [...document.querySelectorAll('.node.down')].map((each) => each.dataset.key);
      const trees = [...document.querySelectorAll('.edge')];
      const edges = trees.map((each) => each.dataset.key.split('\\n', 2).join(' '));
      if (down.includes('RELAY')) seen.down ??= Date.now();
      if (edges.includes('OTHER n3')) seen.edge ??= Date.now();
    };
    window.watcher?.disconnect();
    window.watcher = new MutationObserver(note);
    const all = { attributes: true, childList: true, subtree: true };
    window.watcher.observe(document.getElementById('map'), all);
"""
"""Has the page note when it shows that a relay is down, and that another one feeds n3."""


@pytest.mark.browser
def test_a_killed_relay_and_the_repair_are_on_the_page_within_a_second(build: Build, tmp_path: Path) -> None:
    """A run that was late counts only if neither the machine nor the browser stood still beside it."""
    topology, url = shown(build)
    joined(topology)
    with browsing(tmp_path) as browser:
        browser.open(url)
        browser.wait_until("document.querySelectorAll('.leaf').length === 1")
        # What n3 has told when it joined is paid for: it tells 1,400 bytes a second at most.
        wait_until(lambda: stream_at(url, "n3").get("bit_rate"), "a rate at n3", START)
        for _ in range(TRIES):
            seen, overslept_ms = killed(topology, browser, stream_at(url, "n3")["path"])
            assert min(seen["down"], seen["edge"]) > 0, seen
            print("SEEN", seen, overslept_ms)
            if max(seen["down"], seen["edge"]) <= AT_ONCE:
                break
            disturbed = overslept_ms > MOST_OVERSLEPT_MS or seen["stalled"] > MOST_STALLED_MS / 1000
            assert disturbed, f"{seen}, overslept {overslept_ms:.0f} ms"
        assert browser.errors == []


def killed(topology: Topology, browser: Browser, path: list[str]) -> tuple[dict[str, float], float]:
    """Kill the relay of a path to n3, wait until the page shows all that follows, and start it again.

    Return what came after how many seconds, and by how many milliseconds a bare process was late beside it.
    """
    relay, other = path[1], {"n1": "n2", "n2": "n1"}[path[1]]
    browser.evaluate(f"{{{WATCH.replace('RELAY', relay).replace('OTHER', other)}}}")
    with Sleeper() as sleeper:
        at = time.time()
        topology.nodes[relay].kill()
        browser.wait_until("seen.down && seen.edge")
        seen = browser.evaluate("seen")
    browser.wait_until("document.getElementById('events').innerText.includes('now fed by')")
    topology.start_node(relay)
    browser.wait_until("document.querySelectorAll('.node.down').length === 0")
    topology.wait_ready()
    stamps = {name: seen[name] / 1000 - at for name in ("down", "edge")}
    return stamps | {"stalled": seen["stalled"] / 1000}, sleeper.overslept_ms


def test_without_a_rendezvous_point_it_is_not_well_and_with_an_open_page_it_ends_in_order(
    build: Build,
) -> None:
    topology, url = shown(build)
    urllib.request.urlopen(f"{url}/healthz", timeout=START).close()
    topology.nodes["rp"].stop(signal.SIGTERM)
    with pytest.raises(urllib.error.HTTPError, match="503"):
        wait_until(lambda: urllib.request.urlopen(f"{url}/healthz", timeout=START).close(), "503", START)
    bootstrapper = topology.bootstrapper
    assert bootstrapper is not None
    with urllib.request.urlopen(f"{url}/api/stream", timeout=START) as news:
        assert news.readline() == b"event: overlay\n"
        bootstrapper.send(signal.SIGTERM)
        assert bootstrapper.wait(START) == 0
        news.read()
    assert "Traceback" not in bootstrapper.text()
