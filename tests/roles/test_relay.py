"""A relay between a real parent (a fanout) and a real child (an inlet), on the loopback."""

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import pytest

from helpers import Recorder, wait_until
from mcast.errors import McastError
from mcast.media.receiver import Receiver, connect_media_socket, open_media_socket
from mcast.net.ports import MediaPorts
from mcast.roles.node.inbound import Inbound, InboundConnections
from mcast.roles.node.relay import Relay
from mcast.roles.node.subscription import Subscription
from mcast.wire.node import Port, Stream
from mcast.wire.train import Train
from media.plane.parts import LOCAL, Family, family
from media.plane.streams import SSRC, train
from peers import tcp_pair
from roles.partners import RP, TOKEN, VIEWER, disc, port_for, stream_of

UPSTREAM_KEY = 1000


@dataclass
class GrantedSubscription:
    """A subscription that has been accepted."""

    accepted: Port
    sock: socket.socket
    content: str = "news"

    def connect_media(self) -> socket.socket:
        connect_media_socket(self.sock, LOCAL, self.accepted.port)
        return self.sock


class Scene:
    """A parent, a relay, and the children that it gets."""

    def __init__(self, above: Family, *, granted_port: int | None = None) -> None:
        self.above, self.fed, self.lost = above, Recorder(), Recorder()
        sock, granted = open_media_socket(LOCAL, MediaPorts())
        port = above.fanout.admit(UPSTREAM_KEY, "n1", LOCAL, LOCAL, TOKEN, buffer_bytes=granted)
        accepted = port_for(stream_of(disc()), ssrc=SSRC, port=port if granted_port is None else granted_port)
        subscription = cast(Subscription, GrantedSubscription(accepted, sock))
        try:
            self.relay = Relay(
                subscription, above.reader, MediaPorts(), "n1",
                on_fed=self.fed, on_child_lost=self.lost, on_crash=above.crash,
            )  # fmt: skip
        except OSError:
            sock.close()
            raise
        self._open = contextlib.ExitStack()
        self._links = InboundConnections()

    def link(self) -> Inbound:
        connection, _ = self._open.enter_context(tcp_pair())
        link = self._links.add(connection)
        assert link is not None
        return link

    def child(self) -> tuple[Port, list[Train]]:
        """Add a child; give what it was answered and where its media appears."""
        link, trains = self.link(), list[Train]()
        sock, granted = open_media_socket(LOCAL, MediaPorts())
        asked = Stream(request=bytes(16), content="news", sender=VIEWER, buffer_bytes=granted)
        answer = self.relay.admit(link, asked, (RP,), 3)
        connect_media_socket(sock, LOCAL, answer.port)
        inlet = Receiver("news", sock, answer.token, answer.stream, "child", trains.append, Recorder(),
                      self.above.crash)  # fmt: skip
        inlet.start()
        self._open.callback(inlet.stop)
        return answer, trains

    def close(self) -> None:
        self._open.close()
        self.relay.close()


@pytest.fixture
def above() -> Iterator[Family]:
    with family() as above:
        yield above


@pytest.fixture
def scene(above: Family) -> Iterator[Scene]:
    scene = Scene(above)
    yield scene
    scene.close()


def test_what_comes_from_above_goes_to_the_child_under_the_same_numbers(above: Family, scene: Scene) -> None:
    above.fanout.push(train(0, 20, keys=[0]))
    wait_until(lambda: scene.relay.position.next == 20)
    answer, trains = scene.child()
    assert (answer.path, answer.version, answer.cut, answer.stream.ssrc) == ((RP,), 3, False, SSRC)
    assert answer.token != TOKEN
    wait_until(lambda: trains and trains[-1].next == 20)
    assert trains[0].first == 0
    above.fanout.push(train(20, 5))
    wait_until(lambda: trains[-1].next == 25)
    assert scene.relay.lost == 0
    counters = scene.relay.counters()
    assert (counters.datagrams, counters.lost, counters.repaired, counters.duplicates) == (25, 0, 0, 0)


def test_it_is_drained_when_the_last_number_has_come_and_gone_on(above: Family, scene: Scene) -> None:
    above.fanout.push(train(0, 10, keys=[0]))
    wait_until(lambda: scene.relay.position.next == 10)
    assert not scene.relay.drained(10)
    _, trains = scene.child()
    wait_until(lambda: scene.relay.drained(9))
    assert trains[-1].next == 10


def test_a_child_that_never_says_hello_keeps_it_from_being_drained(above: Family, scene: Scene) -> None:
    above.fanout.push(train(0, 10, keys=[0]))
    wait_until(lambda: scene.relay.position.next == 10)
    scene.relay.admit(scene.link(), stream_of(disc()), (RP,), 1)
    assert not scene.relay.drained(9)


def test_a_cut_is_told_with_its_duration_and_so_is_its_end(above: Family, scene: Scene) -> None:
    above.fanout.push(train(0, 1, keys=[0]))
    wait_until(lambda: scene.relay.position.next == 1)
    above.fanout.dismiss(UPSTREAM_KEY)  # nothing more comes, not even a sign of life
    scene.fed.wait_for(1)
    assert scene.fed.calls == [False]
    assert scene.relay.cut_seconds(10**9) > 0
    answer, _ = scene.child()
    assert answer.cut
    above.fanout.admit(UPSTREAM_KEY, "n1", LOCAL, LOCAL, TOKEN)
    wait_until(lambda: above.fanout.children()[0].address is not None)
    above.fanout.push(train(1, 1, keys=[1]))
    scene.fed.wait_for(2)
    assert scene.fed.calls == [False, True]
    assert scene.relay.cut_seconds(10**9) == 0


def test_a_child_that_says_bye_is_told_by_its_link(above: Family, scene: Scene) -> None:
    above.fanout.push(train(0, 1, keys=[0]))
    _, trains = scene.child()
    wait_until(lambda: trains)
    scene._open.close()  # the inlet says BYE when it stops
    assert scene.lost.wait_for(1) == [(1, "bye")]


def test_a_closed_relay_takes_nobody_in(above: Family) -> None:
    scene = Scene(above)
    link = scene.link()
    scene.close()
    with pytest.raises(McastError):
        scene.relay.admit(link, stream_of(disc()), (RP,), 1)


def test_no_way_to_the_media_leaves_nothing_behind(above: Family, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_route(_self: GrantedSubscription) -> socket.socket:
        raise OSError(113, "no route to host")

    monkeypatch.setattr(GrantedSubscription, "connect_media", no_route)
    with pytest.raises(OSError, match="no route"):
        Scene(above)
    above.reader.call(lambda: None, wait=True)
    assert "1 fanouts" in repr(above.reader)  # the parent's own


def test_the_parent_above_hears_bye(above: Family) -> None:
    scene = Scene(above)
    above.fanout.push(train(0, 1, keys=[0]))
    wait_until(lambda: scene.relay.position.next == 1)
    scene.close()
    wait_until(lambda: above.lost == [(UPSTREAM_KEY, "bye")])
