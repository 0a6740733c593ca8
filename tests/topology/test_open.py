"""An overlay that changes while it streams: nodes join and leave, links are removed. Real processes."""

import json
import signal

import pytest

from helpers import unused_port
from tools.demo.plan import LoopbackAddresses
from tools.demo.processes import ProgramProcess, wait_until
from topology.conftest import Build
from topology.harness import START, Client, Topology

LINE_AND_MORE = {"rp": ["n1", "n3"], "n1": ["n2"], "n2": [], "n3": []}
"""The only way to n2 leads over n1."""
DIAMOND = {"rp": ["n1", "n2"], "n1": ["n3"], "n2": ["n3"], "n3": []}
MORE = 60_000
"""Bytes that a client must have written after a change: about a second of the content."""


@pytest.fixture(autouse=True)
def anyone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nodes ask for others, as they do by default."""
    monkeypatch.setattr(Topology, "repair", "anyone")


class WithNewcomers(LoopbackAddresses):
    """Nodes that join are known by the address that they call from, which is this on loopback."""

    def of(self, name: str) -> str:
        if name.startswith("lab-"):
            self._known.setdefault(name, f"127.0.0.1:{unused_port()}")
        return super().of(name)


def change_file(topology: Topology, **keys: object) -> None:
    """Change keys of the layout's file, and have it read again."""
    file = topology.directory / "layout.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **keys}))
    reload(topology)


def without(topology: Topology, gone: str) -> dict[str, object]:
    """Return the file's nodes without one, and without the links to it."""
    nodes = json.loads((topology.directory / "layout.json").read_text())["nodes"]
    return {
        name: {**node, "neighbours": [other for other in node["neighbours"] if other != gone]}
        for name, node in nodes.items() if name != gone
    }  # fmt: skip


def reload(topology: Topology) -> None:
    boot = bootstrapper(topology)
    before = len(boot.events)
    boot.send(signal.SIGHUP)
    boot.wait_for_event("layout_read", after=before)


def bootstrapper(topology: Topology) -> ProgramProcess:
    assert topology.bootstrapper is not None
    return topology.bootstrapper


def join(topology: Topology, name: str) -> ProgramProcess:
    """Start a node that the file does not name; wait until it has neighbours and finds the content."""
    boot = bootstrapper(topology)
    before = len(boot.events)
    node = topology.start_node(name, "--address", topology.addresses.of(name))
    boot.wait_for_event("node_linked", after=before, node=name)
    node.wait_for_event("node_up", after=1)  # with the neighbours that it has chosen
    return node


def watch(topology: Topology, at: str, *options: str) -> Client:
    client = topology.client(at, None, *options)
    client.wait_for_media()
    return client


def path_after(topology: Topology, client: Client) -> list[str]:
    """Let a client record on, and end it: its recording has all that was sent. Return its path."""
    client.wait_for_media(client.written + MORE)
    report = client.stop()
    topology.assert_nothing_missing(client)
    path: list[str] = report["path"]
    return path


def test_below_a_killed_cut_vertex_nothing_is_missing_and_the_stream_comes_home_when_it_returns(
    build: Build,
) -> None:
    topology = build(LINE_AND_MORE)
    client = watch(topology, "n2", "--latency", "2000")
    topology.nodes["n1"].kill()
    far = topology.nodes["n2"].wait_for_event("link_beyond_file", content="clip", taken=True)
    assert far.text("parent") in ("rp", "n3")
    client.wait_for_media(client.written + MORE)
    topology.start_node("n1")
    topology.nodes["n2"].wait_for_event("link_beyond_file", content="clip", taken=False)
    assert path_after(topology, client) == ["rp", "n1", "n2"]


def test_a_viewer_finds_a_content_though_all_neighbours_of_its_node_are_dead(build: Build) -> None:
    topology = build(LINE_AND_MORE)
    topology.nodes["n1"].kill()  # it may just be starting, for all that n2 knows, and is waited for
    client = watch(topology, "n2")
    assert path_after(topology, client)[-1] == "n2"


def test_a_node_that_the_file_does_not_name_joins_feeds_and_leaves(build: Build) -> None:
    topology = build({"rp": ["n1"], "n1": []}, addresses=WithNewcomers())
    change_file(topology, open=["lab-*"])
    node = join(topology, "lab-1")
    client = watch(topology, "lab-1", "--latency", "100")
    assert "lab-1" in client.program.wait_for_event("joined").names("path")
    assert node.stop(signal.SIGTERM) == 0
    bootstrapper(topology).wait_for_event("node_lost", node="lab-1")
    assert "lab-1" not in path_after(topology, client)
    wait_until(lambda: "lab-1" not in neighbours_said(topology.nodes["n1"]), "the layout without it")


def neighbours_said(node: ProgramProcess) -> str:
    """Return what a node has said last of its neighbours."""
    return node.text().rpartition("neighbours")[2].splitlines()[0]


def test_a_stranger_may_not_join_and_is_told_why(build: Build) -> None:
    topology = build({"rp": []}, addresses=WithNewcomers())
    change_file(topology, open=["lab-*", "10.0.0.0/8"])
    stranger = topology.start_node("lax-1", "--address", "127.0.0.1:0")
    assert stranger.wait(START) == 2
    assert "is open to 10.0.0.0/8, lab-*: neither 127.0.0.1 nor the name is among these" in stranger.text()
    topology.programs.remove(stranger)


def test_a_node_that_returns_under_another_address_is_reached_there_and_then_at_home_again(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Topology, "repair", "neighbours")  # no way to n2 but over n1
    topology = build({"rp": ["n1"], "n1": ["n2"], "n2": []})
    change_file(topology, open=True)
    away = f"127.0.0.1:{unused_port()}"
    for options, where in ((["--address", away], away), ([], topology.addresses.of("n1"))):
        assert topology.nodes["n1"].stop(signal.SIGTERM) == 0
        topology.start_node("n1", *options)
        wait_until(lambda: f"n1 at {where}" in last_place(topology, "n2"), f"n1 at {where}")  # noqa: B023
        client = watch(topology, "n2", "--wait", "20")
        assert path_after(topology, client) == ["rp", "n1", "n2"]


def last_place(topology: Topology, name: str) -> str:
    """Return what a node has said last of its neighbours."""
    return topology.nodes[name].text().rsplit("neighbours", 1)[-1].partition("\n")[0]


def test_a_newcomer_keeps_its_links_when_the_bootstrapper_is_restarted(build: Build) -> None:
    topology = build({"rp": ["n1"], "n1": []}, addresses=WithNewcomers())
    change_file(topology, open=["lab-*"])
    join(topology, "lab-1")
    before = bootstrapper(topology)
    assert before.stop() == 0
    topology.bootstrapper = again = topology.run("bootstrap", *before.command)
    again.wait_for_event("node_registered", node="lab-1")
    client = watch(topology, "lab-1")
    assert path_after(topology, client)[-1] == "lab-1"
    assert again.events.find("node_linked", node="lab-1") is None


def test_a_stream_leaves_a_removed_link_without_a_gap(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Topology, "repair", "neighbours")  # so that the stream comes by a link of the layout
    topology = build(DIAMOND)
    client = watch(topology, "n3", "--latency", "100")
    parent = path(client)[1]
    nodes = json.loads((topology.directory / "layout.json").read_text())["nodes"]
    nodes[parent]["neighbours"] = []
    change_file(topology, nodes=nodes)
    topology.nodes["n3"].wait_for_event("parent_taken", content="clip")
    assert parent not in path_after(topology, client)


def test_a_removed_node_sends_its_children_elsewhere_and_waits_until_it_is_named_again(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Topology, "repair", "neighbours")
    topology = build(DIAMOND)
    client = watch(topology, "n3", "--latency", "100")
    relay = path(client)[1]
    file = topology.directory / "layout.json"
    before = file.read_text()
    change_file(topology, nodes=without(topology, relay))
    topology.nodes[relay].wait_for_event("node_removed", node=relay)
    client.wait_for_media(client.written + MORE)
    assert topology.nodes[relay].status is None
    ups = len(topology.nodes[relay].events)
    file.write_text(before)
    reload(topology)
    topology.nodes[relay].wait_for_event("node_up", after=ups)
    assert relay not in path_after(topology, client)


def path(client: Client) -> list[str]:
    return client.program.wait_for_event("joined").names("path")


def test_a_file_with_a_bad_pattern_is_refused_with_one_line(build: Build) -> None:
    topology = build({"rp": []}, start=False)
    before = topology.start_bootstrapper()
    before.wait_for_event("listening")  # sooner it may be one that its parent lets ignore SIGINT
    before.stop()
    file = topology.directory / "layout.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "open": ["10.0.0.0/99"]}))
    again = topology.run("again", *before.command)
    assert again.wait(START) == 2
    assert "open: '10.0.0.0/99' is no network" in again.text()
    topology.programs.remove(again)
