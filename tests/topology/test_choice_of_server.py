"""Two servers have a content: the rendezvous point takes the one that answers better."""

import json
import signal

import pytest

from mcast.overlay.server_moves import BETTER_SECONDS
from topology.asking import contents_of
from topology.conftest import Build
from topology.harness import Topology
from topology.proxy import DelayingProxy

DELAY = 0.15
"""Seconds, each way: more than a busy machine adds."""
MORE = 60_000
"""Bytes that a client must have written after a change: about a second of the content."""


@pytest.mark.parametrize("slow", ["s1", "s2"])
def test_the_faster_server_is_chosen_and_the_log_says_why(slow: str, build: Build) -> None:
    fast = "s2" if slow == "s1" else "s1"
    topology = build({"rp": ["n1"], "n1": []}, servers=2, start=False)
    place = topology.server_names.index(slow)
    with DelayingProxy(topology.server_addresses[place], DELAY) as proxy:
        topology.server_addresses[place] = proxy.address
        topology.start()
        topology.nodes["rp"].wait_for_event("server_listed", server=proxy.address)
        client = topology.client("n1", seconds=1)
        client.wait_for_media()
        running = {
            name: [info.running for info in contents_of(topology.addresses.of(name)) if info.running]
            for name in topology.servers
        }
        assert running[fast]
        assert not running[slow]
        client.finish()
        topology.assert_complete(client)
        rendezvous = topology.nodes["rp"].events
        first = rendezvous.find("server_choice", place=1, server=topology.addresses.of(fast))
        second = rendezvous.find("server_choice", place=2, server=proxy.address)
        assert first is not None
        assert second is not None
        assert second.number("latency_us") >= 2 * DELAY * 1e6
        assert first.number("metric") < second.number("metric")


def test_the_other_server_is_taken_when_the_better_one_is_dead(build: Build) -> None:
    topology = build({"rp": ["n1"], "n1": []}, servers=2)
    rendezvous = topology.nodes["rp"]
    for name in topology.servers:
        rendezvous.wait_for_event("server_listed", server=topology.addresses.of(name))
    topology.client("n1", seconds=0.5).finish()
    topology.wait_idle()
    better = rendezvous.wait_for_event("serves", content="clip").text("server")
    (dying,) = (name for name in topology.servers if topology.addresses.of(name) == better)
    topology.servers[dying].kill()
    said = len(rendezvous.events)
    client = topology.client("n1", seconds=1)
    client.finish()
    topology.assert_complete(client)
    assert rendezvous.wait_for_event("serves", after=said, content="clip").text("server") != better


def test_a_running_stream_moves_to_a_clearly_better_server_where_that_is_wished_and_nothing_is_missing(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Topology, "keys", {"move_streams": True})
    topology = build({"rp": ["n1"], "n1": []}, servers=2, start=False)
    with DelayingProxy(topology.server_addresses[0], DELAY) as far:
        topology.server_addresses[0] = far.address
        topology.start_bootstrapper()
        topology.start_server("s1")
        for name in topology.links:
            topology.start_node(name)
        topology.wait_ready()
        client = topology.client("n1")
        client.wait_for_media()
        rendezvous = topology.nodes["rp"]
        assert rendezvous.wait_for_event("serves", content="clip").text("server") == far.address
        (before,) = topology.streams("clip")
        topology.start_server("s2")
        near = topology.addresses.of("s2")
        rendezvous.wait_for_event("serves", BETTER_SECONDS + 30, content="clip", server=near)
        client.wait_for_media(client.written + MORE)
        after = {each.ssrc for info in contents_of(near) for each in info.running}
        report = client.stop()
    topology.assert_nothing_missing(client)
    assert after == {before.ssrc}
    assert report["discontinuities"] == 0


def test_a_server_that_the_layout_names_no_more_is_left_and_nothing_is_missing(build: Build) -> None:
    topology = build({"rp": ["n1"], "n1": []}, servers=2)
    client = topology.client("n1")
    client.wait_for_media()
    rendezvous, boot = topology.nodes["rp"], topology.bootstrapper
    assert boot is not None
    present = rendezvous.wait_for_event("serves", content="clip").text("server")
    (gone,) = [name for name in topology.servers if topology.addresses.of(name) == present]
    (other,) = set(topology.server_addresses) - {present}
    file = topology.directory / "layout.json"
    layout = json.loads(file.read_text())
    layout["nodes"]["rp"]["servers"] = [other]
    file.write_text(json.dumps(layout))
    boot.send(signal.SIGHUP)
    rendezvous.wait_for_event("better_way", content="clip", parent=f"server {other}")
    topology.servers[gone].kill()
    client.wait_for_media(client.written + MORE)
    report = client.stop()
    topology.assert_nothing_missing(client)
    assert report["discontinuities"] == 0
