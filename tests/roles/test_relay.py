"""A relay between real parents (fanouts) and a real child (a receiver), on the loopback; and the RelayDb."""

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast

import pytest

from helpers import Recorder, wait_until
from mcast.errors import McastError
from mcast.media.carriers import Carriers
from mcast.media.child import ChildLost
from mcast.media.forwarder import Forwarder
from mcast.media.receiver import Receiver, connect_media_socket, open_media_socket
from mcast.net.ports import MediaPorts
from mcast.net.worker import Worker
from mcast.overlay.actions import Accept
from mcast.overlay.events import Drained, Feed, FeedChanged
from mcast.peer.upstream import Upstream
from mcast.roles.node.inbound import Inbound
from mcast.roles.node.relay import Relay
from mcast.roles.node.relays import RelayDb
from mcast.wire.node import Port, Stream
from mcast.wire.position import Position
from mcast.wire.rtcp import FeedState
from mcast.wire.train import Train
from media.plane.parts import LOCAL, Family, family
from media.plane.streams import SSRC, train
from peers import tcp_pair
from roles.partners import RP, TOKEN, VIEWER, disc, port_for, stream_of

KEY = 1000
"""Under which the node is a child of the first parent; of the next ones, the numbers after it."""


@dataclass
class GrantedUpstream:
    """An upstream that has accepted."""

    id: int
    accepted: Port
    sock: socket.socket
    content: str = "news"
    resume: Position | None = None

    @property
    def start_number(self) -> int | None:
        return None if self.resume is None else self.resume.next

    def connect_media(self) -> socket.socket:
        connect_media_socket(self.sock, LOCAL, self.accepted.port)
        return self.sock


@dataclass
class Posted:
    """Takes what is posted, in lists by kind."""

    feeds: list[tuple[int, Feed]] = field(default_factory=list)
    drained: list[tuple[int, ...]] = field(default_factory=list)

    def __call__(self, event: object) -> None:
        if isinstance(event, FeedChanged):
            self.feeds.append((event.upstream, event.feed))
        else:
            assert isinstance(event, Drained)
            self.drained.append(event.connections)


class Scene:
    """A parent or more, a relay, and the children that it gets."""

    def __init__(self, above: Family) -> None:
        self.above, self.posted, self.lost, self.reaped = above, Posted(), Recorder(), Recorder()
        self.reaper = Worker("reaper", above.crash)
        self.reaper.start()
        self.forwarders = Carriers(lambda _: Forwarder("forward", above.crash), 1)
        self.db = RelayDb(
            "n1", above.reader, self.forwarders, MediaPorts(), self.reaper,
            post=self.posted, on_child_lost=self.lost, on_child_caught_up=Recorder(),
            on_crash=above.crash, timing=above.timing,
        )  # fmt: skip
        self._open = contextlib.ExitStack()
        self._links = 0

    @property
    def relay(self) -> Relay:
        relay = self.db.get("news")
        assert relay is not None
        return relay

    def receive(self, upstream: int = 1, resume: Position | None = None) -> None:
        """Have the relay fed by the parent, which may be so more than once."""
        granted = self.granted(upstream, resume)
        try:
            self.db.receive(cast(Upstream, granted))
        except OSError:
            granted.sock.close()
            raise

    def granted(self, upstream: int, resume: Position | None) -> GrantedUpstream:
        sock, buffer_bytes = open_media_socket(LOCAL, MediaPorts())
        port = self.above.fanout.admit(
            KEY + upstream, "n1", LOCAL, LOCAL, self.token(upstream), resume=resume, buffer_bytes=buffer_bytes
        )
        accepted = port_for(stream_of(disc()), ssrc=SSRC, port=port, token=self.token(upstream))
        return GrantedUpstream(upstream, accepted, sock, resume=resume)

    def token(self, upstream: int) -> bytes:
        return bytes([upstream]) * len(TOKEN)

    def link(self) -> Inbound:
        connection, _ = self._open.enter_context(tcp_pair())
        self._links += 1
        return Inbound(self._links, connection)

    def child(self, resume: Position | None = None) -> tuple[Port, list[Train]]:
        """Add a child; return what it was answered and where its media appears."""
        link, trains = self.link(), list[Train]()
        sock, granted = open_media_socket(LOCAL, MediaPorts())
        asked = Stream(request=bytes(16), content="news", sender=VIEWER, buffer_bytes=granted,
                       resume=resume)  # fmt: skip
        answer = self.relay.admit(link, Accept(1, asked, (RP,), 3))
        connect_media_socket(sock, LOCAL, answer.port)
        start = None if resume is None else resume.next
        receiver = Receiver(
            "news", answer.stream, "child", trains.append, Recorder(), self.above.crash, start=start
        )
        receiver.add_parent(0, sock, answer.token, answer.stream, start=start)
        receiver.start()
        self._open.callback(receiver.stop)
        return answer, trains

    def close(self) -> None:
        self._open.close()
        for content in self.db:
            self.db.close(content)
        self.reaper.stop()
        self.forwarders.stop()


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
    scene.receive()
    above.fanout.push(train(0, 20, keys=[0]))
    wait_until(lambda: scene.relay.position.next == 20)
    answer, trains = scene.child()
    assert (answer.path, answer.version, answer.cut, answer.stream.ssrc) == ((RP,), 3, False, SSRC)
    assert answer.token != scene.token(1)
    wait_until(lambda: trains and trains[-1].next == 20)
    assert trains[0].first == 0
    above.fanout.push(train(20, 5))
    wait_until(lambda: trains[-1].next == 25)
    counters = scene.relay.counters()
    assert (counters.datagrams, counters.lost, counters.duplicates) == (25, 0, 0)
    assert scene.relay.wanted == Position(SSRC, 25)


def test_how_it_is_with_each_parent_is_posted_under_its_id(above: Family, scene: Scene) -> None:
    scene.receive(7)
    above.fanout.push(train(0, 1, keys=[0]))
    wait_until(lambda: scene.posted.feeds and scene.posted.feeds[-1] == (7, Feed.FED))
    above.fanout.dismiss(KEY + 7)  # nothing more comes, not even a sign of life
    wait_until(lambda: scene.posted.feeds[-1] == (7, Feed.SILENT))


def test_a_second_parent_may_come_and_the_first_go_and_nothing_comes_twice(
    above: Family, scene: Scene
) -> None:
    scene.receive(1)
    above.fanout.push(train(0, 10, keys=[0]))
    wait_until(lambda: scene.relay.position.next == 10)
    _, trains = scene.child()
    scene.receive(2, resume=scene.relay.wanted)
    wait_until(lambda: (2, Feed.WAITING) in scene.posted.feeds)  # it hears from both
    above.fanout.push(train(10, 5))
    wait_until(lambda: trains and trains[-1].next == 15)
    scene.db.leave("news", 1)
    wait_until(lambda: above.lost == [(KEY + 1, ChildLost.BYE)])
    above.fanout.push(train(15, 5))
    wait_until(lambda: trains[-1].next == 20)
    numbers = [number for item in trains for number in range(item.first, item.next)]
    assert numbers == list(range(20))
    assert scene.relay.counters().lost == 0


def test_a_child_gets_what_it_lacks_although_the_relay_has_begun_later_for_another_one_s_sake(
    above: Family, scene: Scene
) -> None:
    above.fanout.push(train(0, 20, keys=[0]))
    scene.receive(1, resume=Position(SSRC, 12))
    wait_until(lambda: scene.relay.position.next == 20)
    assert scene.relay.wanted.next == 20
    _, trains = scene.child(resume=Position(SSRC, 5))
    wait_until(
        lambda: {number for item in trains for number in range(item.first, item.next)} >= {*range(5, 20)}
    )
    numbers = [number for item in trains for number in range(item.first, item.next)]
    assert sorted(numbers) == list(range(5, 20)), "and each of them once"


def test_the_children_are_told_how_the_node_is_fed(above: Family, scene: Scene) -> None:
    scene.receive()
    above.fanout.push(train(0, 1, keys=[0]))
    wait_until(lambda: scene.relay.position.next == 1)
    scene.db.supply("news", FeedState.CUT)
    assert scene.relay.fanout.supply is FeedState.CUT
    assert scene.child()[0].cut
    scene.db.supply("news", FeedState.FED)
    assert not scene.child()[0].cut


def test_who_has_got_everything_is_posted_once_and_a_mute_child_never(above: Family, scene: Scene) -> None:
    scene.receive()
    above.fanout.push(train(0, 10, keys=[0]))
    wait_until(lambda: scene.relay.position.next == 10)
    scene.db.on_tick()
    _, trains = scene.child()
    scene.relay.admit(scene.link(), Accept(2, stream_of(disc()), (RP,), 1))  # the second says no hello
    scene.db.await_drain("news", 9)

    def told() -> list[tuple[int, ...]]:
        scene.db.on_tick()
        return scene.posted.drained

    wait_until(told)
    assert trains[-1].next == 10
    scene.db.on_tick()
    assert scene.posted.drained == [(1,)]


def test_nobody_is_drained_before_the_last_number_has_come(above: Family, scene: Scene) -> None:
    scene.receive()
    above.fanout.push(train(0, 10, keys=[0]))
    _, trains = scene.child()
    wait_until(lambda: trains and trains[-1].next == 10)
    scene.db.await_drain("news", 10)
    scene.db.on_tick()
    assert scene.posted.drained == []


def test_a_child_that_says_bye_is_told_by_its_number(above: Family, scene: Scene) -> None:
    scene.receive()
    above.fanout.push(train(0, 1, keys=[0]))
    _, trains = scene.child()
    wait_until(lambda: trains)
    scene._open.close()  # the receiver says BYE when it stops
    assert scene.lost.wait_for(1) == [(1, ChildLost.BYE)]


def test_a_dismissed_child_gets_no_more(above: Family, scene: Scene) -> None:
    scene.receive()
    above.fanout.push(train(0, 1, keys=[0]))
    _, trains = scene.child()
    wait_until(lambda: trains)
    scene.db.dismiss("news", 1)
    assert scene.relay.fanout.children() == ()


def test_a_closed_relay_takes_nobody_in_and_the_parent_above_hears_bye(
    above: Family, scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    scene.receive()
    above.fanout.push(train(0, 1, keys=[0]))
    wait_until(lambda: scene.relay.position.next == 1)
    relay, link = scene.relay, scene.link()
    scene.db.close("news")
    assert len(scene.db) == 0
    wait_until(lambda: above.lost == [(KEY + 1, ChildLost.BYE)])
    scene.reaper.stop()
    with pytest.raises(McastError):
        relay.admit(link, Accept(1, stream_of(disc()), (RP,), 1))
    assert caplog.messages == ["[news] pruned: 1 datagrams, 0 lost, 0 repaired, 0 duplicates"]
    assert caplog.records[0].__dict__["event"] == "pruned"


def test_a_content_may_be_opened_again_while_its_old_relay_still_ends(above: Family, scene: Scene) -> None:
    scene.receive(1)
    above.fanout.push(train(0, 1, keys=[0]))
    wait_until(lambda: scene.relay.position.next == 1)
    scene.db.close("news")
    scene.receive(2)
    above.fanout.push(train(1, 1, keys=[1]))
    wait_until(lambda: scene.relay.position.next == 2)


def test_no_way_to_the_media_leaves_nothing_behind(
    above: Family, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_route(_self: GrantedUpstream) -> socket.socket:
        raise OSError(113, "no route to host")

    monkeypatch.setattr(GrantedUpstream, "connect_media", no_route)
    with pytest.raises(OSError, match="no route"):
        scene.receive()
    above.reader.call(lambda: None, wait=True)
    assert "1 fanouts" in repr(above.reader)  # the parent's own
    assert len(scene.db) == 0


def test_what_concerns_a_content_that_is_not_relayed_is_nothing(scene: Scene) -> None:
    scene.db.leave("sea", 1)
    scene.db.dismiss("sea", 1)
    scene.db.supply("sea", FeedState.CUT)
    scene.db.await_drain("sea", 1)
    scene.db.close("sea")
    assert list(scene.db) == []
