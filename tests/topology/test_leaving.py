"""Viewers that leave, politely or not, and what is left of the tree."""

import signal

from mcast.media.timing import DEFAULT_TIMING
from tools.demo.processes import wait_until
from topology.asking import subscribed
from topology.harness import Topology
from topology.outside import sockets, threads, udp_sockets

LEASE = 3.0
"""Seconds within which a viewer that says nothing any more costs nothing any more."""


def test_the_last_viewer_that_leaves_prunes_the_tree_up_to_the_server(line: Topology) -> None:
    before = {name: len(line.nodes[name].events) for name in ("n1", "n2", "n3")}
    client = line.client("n3")
    client.wait_for_media()
    client.stop()
    line.wait_idle()
    for name, count in before.items():
        line.nodes[name].wait_for_event("pruned", after=count, content="clip")


def test_a_killed_viewer_is_forgotten_within_the_lease(line: Topology) -> None:
    client = line.client("n3")
    client.wait_for_media()
    client.program.kill()
    line.wait_idle(timeout=LEASE)


def test_a_suspended_viewer_loses_its_lease(line: Topology) -> None:
    client = line.client("n3")
    client.wait_for_media()
    client.program.send(signal.SIGSTOP)
    line.wait_idle(timeout=LEASE + 0.5)  # half a second to ask about it
    client.program.send(signal.SIGCONT)
    written = client.written
    client.wait_for_media(written + 50_000)  # it finds that it has been left, and comes back
    client.stop()


def test_who_never_says_hello_gets_no_lease(line: Topology) -> None:
    with subscribed(line.addresses.of("n3"), "clip"):
        assert line.streams("clip")
        line.wait_idle(timeout=DEFAULT_TIMING.first_hello + 15)


def test_siblings_of_a_killed_and_a_suspended_viewer_lose_nothing(line: Topology) -> None:
    stays = [line.client(at) for at in ("n3", "n2")]
    victims = [line.client("n3") for _ in range(2)]
    for client in (*stays, *victims):
        client.wait_for_media()
    before, logged = stays[0].written, len(line.nodes["n3"].events)
    victims[0].program.kill()
    victims[1].program.send(signal.SIGSTOP)
    line.nodes["n3"].wait_for_event("child_left", LEASE + 1, after=logged, reason="lease")
    stays[0].wait_for_media(before + 50_000)
    for client in stays:
        client.stop()
    line.assert_complete(*stays)


def test_a_new_viewer_is_served_while_the_old_one_is_pruned(line: Topology) -> None:
    """Leave and join at the same moment, again and again: the join never gets lost."""
    leaving = line.client("n3", seconds=0.3)
    for _ in range(6):
        leaving.wait_for_media()
        joining = line.client("n3", seconds=0.3)
        leaving.finish()
        leaving = joining
    leaving.finish()


def test_viewers_that_came_and_went_leave_nothing_in_a_node(line: Topology) -> None:
    line.client("n3", seconds=0.3).finish()
    line.wait_idle()
    nodes = {name: program.pid for name, program in line.nodes.items()}
    before = {name: (sockets(pid), len(threads(pid))) for name, pid in nodes.items()}
    for client in [line.client("n3", content, seconds=0.5) for content in ("clip", "other", "clip")]:
        client.finish()
    line.wait_idle()
    for name, pid in nodes.items():
        most_sockets, most_threads = before[name]
        wait_until(lambda p=pid: not udp_sockets(p), f"{name} to close its media sockets")  # type: ignore[misc]
        wait_until(lambda p=pid, m=most_threads: len(threads(p)) <= m, f"{name} to end its threads")  # type: ignore[misc]
        # Requests at the same time warm up a connection each, and it is kept for the next ones.
        most_sockets += 2 * len(line.contents)
        wait_until(lambda p=pid, m=most_sockets: sockets(p) <= m, f"{name} to close its connections")  # type: ignore[misc]


def test_no_stream_of_a_node_keeps_a_thread_when_its_children_end_it_together(line: Topology) -> None:
    node = line.nodes["n2"].pid
    before = len(kept_threads(node))
    clients = [line.client("n2", content) for content in ("clip", "other") for _ in range(2)]
    for client in clients:
        client.wait_for_media()
    for client in clients:
        client.program.send(signal.SIGINT)
    for client in clients:
        client.finish()
    line.wait_idle()
    wait_until(lambda: len(kept_threads(node)) <= before, "the streams' threads to end")


def kept_threads(pid: int) -> list[str]:
    """Return a node's threads but for those that carry all contents together, and rest in between."""
    return [name for name in threads(pid) if not name.startswith("forward-")]
