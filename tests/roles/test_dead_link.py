"""The only link of a node lets nothing through, TCP nor UDP, for longer than a lease: real sockets."""

import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from helpers import wait_until
from mcast.media.timing import Timing
from mcast.peer.upstream import Upstream
from mcast.roles.node.program import NodeProgram
from mcast.roles.node.relay import Relay
from peers import drop_all_that_comes, let_come_again
from roles.overlay_parts import Contents, World, children_left, events_of


@pytest.fixture
def sink() -> Iterator[socket.socket]:
    """Return a port where datagrams vanish."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock


def upstream_of(node: NodeProgram) -> Upstream:
    """Return a node's one subscription."""
    (upstream,) = node._performer._upstreams.values()
    return upstream


def cut_off(node: NodeProgram, parent: NodeProgram, sink: socket.socket) -> None:
    """Let nothing come through any more between a node and its parent, and nobody connect there."""
    for listening in parent._listener._sockets:
        drop_all_that_comes(listening)
    while (warm := node._flooder.take("rp")) is not None:
        warm.close()
    drop_all_that_comes(upstream_of(node)._connected.sock)
    for link in parent._inbound._links.values():
        drop_all_that_comes(link.connection.sock)
    relay = node._relays.get("news")
    assert isinstance(relay, Relay)
    (line,) = relay._receiver._lines
    line.sock.connect(sink.getsockname())


def as_text(child: tuple[object, object]) -> tuple[str, str]:
    return str(child[0]), str(child[1])


def test_a_node_is_fed_again_by_the_parent_that_has_let_it_go_though_no_word_of_that_has_come(
    world: World, caplog: pytest.LogCaptureFixture, sink: socket.socket
) -> None:
    caplog.set_level("INFO")
    world.timing = Timing(lease=0.8)
    rp, n1 = world.line(Contents("news"))
    viewer = world.viewer(n1, "news").watch()
    old = upstream_of(n1)
    cut_off(n1, rp, sink)
    wait_until(lambda: ("n1", "lease") in [*map(as_text, children_left(caplog))], "it was let go")
    wait_until(lambda: len(n1._performer._upstreams) > 1, "it asks the silent parent anew")
    assert events_of(caplog, "fed") == []
    for listening in rp._listener._sockets:  # what was connected before stays dead
        let_come_again(listening)
    head = viewer.trains[-1].next
    wait_until(lambda: viewer.trains[-1].next > head + 20, "the stream goes on")
    assert upstream_of(n1) is not old  # that has been left
    (lost,) = events_of(caplog, "parent_lost")
    assert (lost["parent"], lost["cause"]) == ("rp", "silent")
    assert [each["parent"] for each in events_of(caplog, "parent_taken")] == ["rp"]
    viewer.leave()
    world.wait_idle()
