"""Lines, rings, stars and meshes of real processes, started in any order."""

import random
from collections.abc import Callable
from functools import partial
from itertools import pairwise

import pytest

from helpers import unused_port, wait_until
from tools.demo.plan import LoopbackAddresses
from tools.demo.processes import ProgramProcess
from topology.conftest import Build
from topology.harness import LINE, MESH, RING, STAR, Client, Links, Topology
from topology.outside import udp_ports

SHAPES = {"line": (LINE, ("n3", "n1")), "ring": (RING, ("n2", "n3")), "star": (STAR, ("n1", "n5")),
          "mesh": (MESH, ("n4", "n3"))}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_what_leaves_the_server_arrives_at_both_ends_of_any_shape(shape: str, build: Build) -> None:
    links, ends = SHAPES[shape]
    topology = build(links)
    clients = [topology.client(at, seconds=2) for at in ends]
    for client in clients:
        client.wait_for_media()
    assert len(topology.streams("clip")) == 1
    for at, client in zip(ends, clients, strict=True):
        assert_is_a_way(client.finish()["path"], at, links)
    topology.assert_complete(*clients)
    topology.wait_idle()


def test_programs_may_start_in_any_order(build: Build) -> None:
    """Nodes before the bootstrapper, clients before their nodes, the server after all of them."""
    topology = build(RING, start=False)
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    clients: list[Client] = []
    starts: list[Callable[[], object]] = [
        topology.start_bootstrapper,
        partial(topology.start_server, "s1"),
        *(partial(topology.start_node, name) for name in RING),
        *(partial(early, topology, at, clients) for at in ("n2", "n4")),
    ]
    random.Random(seed).shuffle(starts)
    for start in starts:
        start()
    for client in clients:
        client.finish(timeout=40)
    topology.assert_complete(*clients)


def early(topology: Topology, at: str, clients: list[Client]) -> None:
    """Start a client that waits for its node for long."""
    clients.append(topology.client(at, None, "--wait", "30", seconds=2))


def test_everything_waits_for_a_bootstrapper_that_comes_last(build: Build) -> None:
    topology = build(LINE, start=False)
    waiting: list[ProgramProcess] = [topology.start_node(name) for name in LINE]
    topology.start_server("s1")
    for node in waiting:
        node.wait_for_event("bootstrapper_awaited")
    topology.start_bootstrapper()
    topology.wait_ready(timeout=30)


def test_a_node_comes_back_under_its_name_and_serves_again(build: Build) -> None:
    topology = build(LINE)
    topology.nodes["n3"].kill()
    topology.nodes["n1"].kill()
    topology.start_node("n1")
    topology.start_node("n3")
    topology.wait_ready()
    # n3 finds a way at once, and none for a moment as soon as it hears that n2 knows none yet: n2 listens
    # to n1 again some time after that is up.
    in_a_row = 0

    def finds_steadily() -> bool:
        nonlocal in_a_row
        in_a_row = in_a_row + 1 if topology.finds("n3", "clip") else 0
        return in_a_row > 50

    wait_until(finds_steadily, "a way from n3")
    client = topology.client("n3", seconds=1)
    client.finish()
    topology.assert_complete(client)


class OnOneHost(LoopbackAddresses):
    """All programs at one address or host name, told apart by their ports."""

    def __init__(self, host: str) -> None:
        super().__init__()
        self._host = host

    def choose(self, number: int) -> str:
        assert number >= 0
        return f"{self._host}:{unused_port()}"


@pytest.mark.parametrize("host", ["[::1]", "localhost"])
def test_ipv6_addresses_and_host_names_are_as_good_as_any(host: str, build: Build) -> None:
    topology = build(LINE, start=False, addresses=OnOneHost(host))
    topology.start()
    client = topology.client("n3", seconds=1)
    client.finish()
    topology.assert_complete(client)


def test_media_stays_within_the_ports_that_are_allowed(build: Build) -> None:
    topology = build({"rp": ["n1"], "n1": []}, start=False)
    topology.start_bootstrapper()
    low = unused_port(4)
    ports = (
        "--media-ports",
        f"{low}-{low + 3}",
    )  # each program has an address of its own, so they do not collide
    topology.start_server("s1", *ports)
    for name in topology.links:
        topology.start_node(name, *ports)
    topology.wait_ready()
    client = topology.client("n1", None, *ports)
    client.wait_for_media()
    used = {port for program in topology.programs for port in udp_ports(program.pid)}
    assert used
    assert used <= set(range(low, low + 4))
    client.stop()
    topology.assert_complete(client)


def assert_is_a_way(path: list[str], at: str, links: Links) -> None:
    assert path[0] == "rp", path
    assert path[-1] == at, path
    assert len(set(path)) == len(path), path
    for one, other in pairwise(path):
        assert other in links[one] or one in links[other], f"no link {one} - {other} in {path}"


def one_stream_each(topology: Topology) -> None:
    """No server streams a content twice."""
    for content in topology.contents:
        assert len(topology.streams(content)) <= 1, content
