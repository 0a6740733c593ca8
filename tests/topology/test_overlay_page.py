"""The overlay's page over real processes: what it tells is so, and what happens is seen."""

import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from bench.page_news import DIAMOND, OTHER, kill_relay, start_shown, stream_at
from gateway.browser import browsing
from mcast.monitoring.view import MOST_HELD_MS
from tools.demo.processes import environment_with, wait_until
from topology.conftest import Build
from topology.harness import START, Topology
from topology.test_healing import joined


def shown(build: Build) -> tuple[Topology, str]:
    """Start an overlay whose bootstrapper shows it; return it, and where."""
    topology = build(DIAMOND, start=False)
    return topology, start_shown(topology)


def ask(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=START) as answer:
        return json.loads(answer.read())


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


@pytest.mark.browser
def test_a_killed_relay_and_the_repair_are_on_the_page_as_they_happen(build: Build, tmp_path: Path) -> None:
    """How long that takes is measured by bench/page_news.py."""
    topology, url = shown(build)
    joined(topology)
    with browsing(tmp_path) as browser:
        browser.open(url)
        browser.wait_until("document.querySelectorAll('.leaf').length === 1")
        path = stream_at(url, "n3")["path"]
        seen = kill_relay(topology, browser, path)
        assert min(seen.values()) > 0, seen
        for text in (f"lost its parent {path[1]}", f"attached below rp > {OTHER[path[1]]}"):
            browser.wait_until(f"document.getElementById('events').innerText.includes('{text}')")
        assert browser.errors == []


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
        assert [news.readline() for _ in range(3)] == [b"retry: 500\n", b"\n", b"event: overlay\n"]
        bootstrapper.send(signal.SIGTERM)
        assert bootstrapper.wait(START) == 0
        news.read()
    assert "Traceback" not in bootstrapper.text()
