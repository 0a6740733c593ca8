"""A client whose neighbour fails: it goes on at another one, and its reader misses nothing."""

import contextlib
import functools
import socket
from collections.abc import Iterator
from concurrent.futures import wait

import pytest

from client.conftest import Subscribe
from client.neighbours import Node, meanwhile, payload
from helpers import PATIENCE, Recorder, wait_until
from mcast.client import Subscription
from mcast.client.intake import Intake
from mcast.media.child import ChildState
from mcast.net.calm import Calm
from mcast.net.watcher import Watcher
from mcast.wire.node import MissReason, Stream
from mcast.wire.position import Position
from media.plane.streams import SSRC
from peers import drop_all_that_comes
from roles.partners import N1, N2, RP, Peer

MEDIA_EACH = 0.03
"""Seconds between two datagrams: a stream that lives is never silent for more than 100 ms."""


def read(subscription: Subscription, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += subscription.read(PATIENCE)
    return data


def went_on(subscription: Subscription, first: Node, second: Node) -> None:
    """Let the first node die when ten datagrams have come, and the second one take over; read twenty."""
    first.push(0, 10)
    assert read(subscription, len(payload(0, 10))) == payload(0, 10)
    first.die()
    assert second.take_in((RP, N2)).resume == Position(SSRC, 10)
    second.push(8, 12)  # two of which have come before
    assert read(subscription, len(payload(10, 10))) == payload(10, 10)
    wait_until(lambda: subscription.path == ("rp", "n2"))
    figures = subscription.statistics()
    assert (figures.parent_changes, figures.lost_datagrams) == (1, 0)


def test_when_tcp_alone_dies_the_same_neighbour_is_asked_again_and_the_reader_misses_nothing(
    node: Node, subscribe: Subscribe, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = Calm(idle=1, interval=1, silence=1.2)
    monkeypatch.setattr("mcast.client.leaf.Watcher", functools.partial(Watcher, calm=quick))
    subscription = subscribe(node.address, give_up=PATIENCE)
    subscription.start()
    node.take_in()
    assert subscription.wait_joined()
    node.push(0, 10)
    assert read(subscription, len(payload(0, 10))) == payload(0, 10)
    assert subscription._leaf is not None
    (upstream,) = subscription._leaf._upstreams.values()
    drop_all_that_comes(upstream._connected.sock)
    end = 10
    with meanwhile(lambda: node.peer.question(Stream)) as asked:
        while not wait([asked], MEDIA_EACH).done:  # the media goes on
            node.push(end, 1)
            end += 1
    connection, again = asked.result()
    assert again.resume is not None
    assert again.resume.next > 10  # and not from where the connection has fallen silent
    node.admit(connection, again)
    wait_until(lambda: node.fanout.children()[0].state is ChildState.LIVE)
    node.push(end, 5)
    end += 5
    assert read(subscription, len(payload(10, end - 10))) == payload(10, end - 10)
    figures = subscription.statistics()
    assert (figures.parent_changes, figures.lost_datagrams) == (0, 0)


def test_of_two_neighbours_the_other_one_takes_over(
    node: Node, other_node: Node, subscribe: Subscribe
) -> None:
    subscription = subscribe(node.address, other_node.address, give_up=PATIENCE)
    subscription.start()
    other_node.miss(MissReason.BUSY)
    node.take_in()
    assert subscription.wait_joined()
    went_on(subscription, node, other_node)


def test_a_neighbour_that_the_parent_has_named_takes_over(
    node: Node, other_node: Node, subscribe: Subscribe
) -> None:
    subscription = subscribe(node.address, give_up=PATIENCE)
    subscription.start()
    node.take_in((RP, N1), other_node.address)
    assert subscription.wait_joined()
    went_on(subscription, node, other_node)


def test_nobody_who_was_only_named_is_called_while_another_neighbour_of_ones_own_gives_a_way(
    node: Node, other_node: Node, subscribe: Subscribe
) -> None:
    with contextlib.closing(Peer()) as stranger:
        subscription = subscribe(node.address, other_node.address, give_up=PATIENCE)
        subscription.start()
        other_node.miss(MissReason.BUSY)
        node.take_in((RP, N1), stranger.address)
        assert subscription.wait_joined()
        went_on(subscription, node, other_node)
        assert not stranger.is_called


def test_of_further_neighbours_those_that_are_of_no_use_are_passed_over_and_each_is_dialled_once(
    node: Node, other_node: Node, subscribe: Subscribe
) -> None:
    """The parent names the client's own end, somebody who is no mcast, and one good node."""
    with babbler() as (address, dialled):
        subscription = subscribe(node.address, give_up=PATIENCE)
        subscription.start()
        connection, asked = node.asked_to_stream()
        node.admit(connection, asked, (RP, N1), str(connection.peer), address, other_node.address)
        assert subscription.wait_joined()
        went_on(subscription, node, other_node)
        assert len(dialled) == 1
    assert len(other_node.peer.taken) == 1
    assert not other_node.peer.is_called


@contextlib.contextmanager
def babbler() -> Iterator[tuple[str, Recorder]]:
    """Give the address of somebody who answers whoever connects with garbage, and who has connected."""
    dialled = Recorder()
    with socket.create_server(("127.0.0.1", 0)) as listening, contextlib.ExitStack() as accepted:

        def babble() -> None:
            with contextlib.suppress(OSError):
                while True:
                    sock, peer = listening.accept()
                    accepted.enter_context(sock)
                    dialled(peer)
                    sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        with meanwhile(babble):
            try:
                yield f"127.0.0.1:{listening.getsockname()[1]}", dialled
            finally:
                listening.shutdown(socket.SHUT_RDWR)  # it wakes the thread up, which is waited for


def test_the_playout_hears_once_of_each_other_way_and_not_of_the_same_one_again(
    node: Node, joined: Subscription, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So its least transit begins anew only where the way has changed."""
    heard, change = Recorder(), Intake.change_way

    def change_way(intake: Intake) -> None:
        heard(intake)
        change(intake)

    monkeypatch.setattr(Intake, "change_way", change_way)
    node.push(0, 10)
    assert read(joined, len(payload(0, 10))) == payload(0, 10)
    node.new_path((RP, N1), version=2)
    node.new_path((RP, N2, N1), version=3)
    wait_until(lambda: joined.path == ("rp", "n2", "n1"))
    assert len(heard) == 1
    node.new_path((RP, N2, N1), version=4)
    node.new_path((RP, N1), version=5)
    wait_until(lambda: joined.path == ("rp", "n1"))
    assert len(heard) == 2


def test_who_is_told_that_the_stream_was_begun_anew_reads_on_in_the_other_one(
    node: Node, other_node: Node, subscribe: Subscribe
) -> None:
    subscription = subscribe(node.address, other_node.address, give_up=PATIENCE)
    subscription.start()
    other_node.miss(MissReason.BUSY)
    node.take_in()
    assert subscription.wait_joined()
    node.push(0, 10)
    assert read(subscription, len(payload(0, 10))) == payload(0, 10)
    node.begin_anew()
    other_node.miss(MissReason.CUT)
    assert node.take_in().resume == Position(SSRC, 10)
    node.push(0, 5)
    assert read(subscription, len(payload(0, 5))) == payload(0, 5)
    figures = subscription.statistics()
    assert (figures.discontinuities, figures.lost_datagrams, figures.ssrc) == (1, 0, SSRC + 1)
