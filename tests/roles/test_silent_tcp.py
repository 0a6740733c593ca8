"""Control connections on which nothing comes through any more, while the media beside them does."""

import functools
import socket
from collections.abc import Iterator

import pytest

from helpers import Recorder, wait_until
from mcast.media.child import ChildLost
from mcast.media.timing import Timing
from mcast.net.calm import Calm
from mcast.net.connection import Connection
from mcast.net.watcher import Watcher
from mcast.overlay.actions import Update
from mcast.overlay.events import ConnectionGone, Departure, Event, Renewed, StreamReceived
from mcast.peer.upstream import Upstream
from mcast.roles.node.inbound import Inbound, InboundConnections
from mcast.roles.node.program import NodeProgram
from mcast.wire.frame import encode
from mcast.wire.node import Stream
from mcast.wire.position import Position
from media.plane.streams import SSRC
from peers import HELLO, drop_all_that_comes, tcp_pair
from roles.overlay_parts import Contents, Viewer, World, events_of
from roles.partners import N1, N2, RP, new_request, port_for

QUICK = Calm(idle=1, interval=1, silence=1.2)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nodes call a connection silent after a second."""
    monkeypatch.setattr("mcast.roles.node.program.Watcher", functools.partial(Watcher, calm=QUICK))


def upstream_of(node: NodeProgram) -> Upstream:
    """Return a node's one subscription."""
    (upstream,) = node._performer._upstreams.values()
    return upstream


def cut_tcp(node: NodeProgram) -> Upstream:
    """Let nothing come through any more on the connection to a node's parent; return the subscription."""
    upstream = upstream_of(node)
    drop_all_that_comes(upstream._connected.sock)
    return upstream


def renewed(caplog: pytest.LogCaptureFixture, parent: object) -> bool:
    return any(fields["parent"] == str(parent) for fields in events_of(caplog, "control_renewed"))


def expect_all_numbers(viewer: Viewer) -> None:
    """The viewer has got each number once, in whatever order, from its first on."""
    numbers = [number for train in list(viewer.trains) for number in range(train.first, train.next)]
    assert sorted(numbers) == list(range(min(numbers), min(numbers) + len(numbers)))


@pytest.mark.usefixtures("quick")
def test_when_tcp_alone_dies_the_subscription_is_renewed_beside_and_no_number_is_missing(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    world.timing = Timing(outdone=0.5)
    rp, n1 = world.line(Contents("news"))
    viewer = world.viewer(n1, "news").watch()
    old = [cut_tcp(n1), cut_tcp(rp)]  # a node's at its parent, and the rendezvous point's at the server
    server = f"server {old[1]._connected.peer}"
    wait_until(lambda: renewed(caplog, "rp") and renewed(caplog, server), "both are renewed")
    head = viewer.trains[-1].next
    wait_until(lambda: viewer.trains[-1].next > head + 20, "the stream goes on")
    expect_all_numbers(viewer)
    assert {upstream_of(n1), upstream_of(rp)}.isdisjoint(old)  # one subscription each: no double copy
    assert events_of(caplog, "parent_lost") == events_of(caplog, "cut") == []
    relay = rp._relays.get("news")
    assert relay is not None
    wait_until(lambda: len(relay.child_times()) == 1, "the old subscription ends at the parent, too")
    viewer.leave()
    world.wait_idle()


# A child whose connection has ended by silence, at its parent


class Events:
    """Takes what the inbound connections tell."""

    def __init__(self) -> None:
        self.all: list[Event] = []

    def offer(self, event: Event) -> bool:
        self.all.append(event)
        return True

    def post(self, event: Event) -> None:
        self.all.append(event)

    def of(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.all if isinstance(event, kind)]


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def inbound(watcher: Watcher, events: Events) -> Iterator[InboundConnections]:
    inbound = InboundConnections(watcher, events, Recorder())
    yield inbound
    inbound.close()


def child(
    inbound: InboundConnections, events: Events, connection: Connection, sock: socket.socket, number: int
) -> Inbound:
    """Subscribe, as n2, on a connection."""
    inbound.take(connection)
    stream = Stream(request=new_request(), content="news", sender=N2, resume=Position(SSRC, 7))
    sock.sendall(encode(stream))
    wait_until(lambda: len(events.of(StreamReceived)) == number)
    link = inbound.get(number)
    assert link is not None
    inbound.accepted(link, port_for(stream, path=(RP, N1)))
    return link


def die_of_silence(inbound: InboundConnections, link: Inbound) -> None:
    """Let the kernel give up a connection on which nothing is acknowledged."""
    drop_all_that_comes(link.connection.sock)
    link.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 100)
    inbound.update(Update(link.number, "news", (RP, N1), 2, cut=False))
    wait_until(lambda: link.is_deaf, "the connection has fallen silent")


@pytest.mark.parametrize("lost", ChildLost)
def test_a_child_whose_connection_has_ended_by_silence_lives_on_until_its_lease_ends_or_it_says_bye(
    inbound: InboundConnections, events: Events, lost: ChildLost
) -> None:
    with tcp_pair() as (connection, sock):
        link = child(inbound, events, connection, sock, 1)
        die_of_silence(inbound, link)
        assert (events.of(ConnectionGone), len(inbound)) == ([], 1)
        inbound.update(Update(1, "news", (RP, N1), 3, cut=False))  # said to nobody
        inbound.on_child_lost(1, lost)
        inbound.on_tick(float("inf"))
        assert [type(event) for event in events.all] == [StreamReceived, ConnectionGone]
        assert len(inbound) == 0


def test_a_child_whose_lease_has_ended_before_its_connection_leaves_nothing_behind(
    inbound: InboundConnections, events: Events
) -> None:
    with tcp_pair() as (connection, sock):
        link = child(inbound, events, connection, sock, 1)
        link.connection.fell_silent = True  # as when it took no data
        inbound.on_child_lost(1, ChildLost.LEASE)
        wait_until(lambda: events.of(ConnectionGone) == [ConnectionGone(1, Departure.LOST)])
        assert len(inbound) == 0


def test_a_child_that_has_come_anew_and_gets_everything_is_told_with_its_older_subscriptions(
    inbound: InboundConnections, events: Events
) -> None:
    with tcp_pair() as (first, one), tcp_pair() as (second, two):
        child(inbound, events, first, one, 1)
        child(inbound, events, second, two, 2)
        inbound.on_child_caught_up(1)
        inbound.on_child_caught_up(4711)
        assert events.of(Renewed) == []
        inbound.on_child_caught_up(2)
        assert events.of(Renewed) == [Renewed("news", 2, (1,))]


def test_a_stranger_who_uses_a_childs_name_from_elsewhere_ends_nothing(
    inbound: InboundConnections, events: Events
) -> None:
    with tcp_pair() as (first, one), tcp_pair(host="127.0.0.9") as (second, two):
        child(inbound, events, first, one, 1)
        child(inbound, events, second, two, 2)
        inbound.on_child_caught_up(2)
        assert events.of(Renewed) == []


# A taker whose connection has ended by silence, at a server


def test_a_taker_whose_connection_has_ended_by_silence_is_streamed_to_as_long_as_it_is_heard(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    server = world.server(Contents("news"))
    rp = world.node("rp", (str(server.address),))
    viewer = world.viewer(rp, "news").watch()
    cut_tcp(rp)
    (taker,) = server._takers.values()
    taker.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 100)
    taker.connection.send(HELLO)
    wait_until(lambda: taker.is_deaf, "the connection has fallen silent")
    head = viewer.trains[-1].next
    wait_until(lambda: viewer.trains[-1].next > head + 20, "the stream goes on")
    assert list(server._takers.values()) == [taker]
    viewer.leave()
    wait_until(lambda: not server._takers, "its BYE ends it")
