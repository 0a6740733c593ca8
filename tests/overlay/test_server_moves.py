"""A running stream moves to a server that is clearly better, and to no other, and not often."""

from collections.abc import Iterable

from mcast.overlay import actions as do
from mcast.overlay.actions import ServerParent
from mcast.overlay.events import (
    Accepted,
    Feed,
    FeedChanged,
    LayoutChanged,
    Refused,
    ServerListed,
    ServerMeasured,
    StreamReceived,
    TimePassed,
)
from mcast.overlay.node_core import NodeCore
from mcast.overlay.server_moves import BETTER_SECONDS, MOVE_SECONDS
from mcast.overlay.table import State
from mcast.wire.bootstrap import Policy
from mcast.wire.node import MissReason
from mcast.wire.server import ContentInfo
from overlay.cores import SERVERS, rendezvous
from overlay.messages import port, stream
from overlay.simulation import Network

REST = 30.0
"""Seconds in which a stream that has moved stays where it is, as docs/resilience.md says."""

ONE, OTHER = SERVERS[:2]


class Moves:
    """A rendezvous point that streams from one of two servers, and its servers' delays as time goes by."""

    def __init__(self, *, move_streams: bool = True, digest: bytes = b"d" * 32) -> None:
        self.core = rendezvous(servers=(ONE, OTHER))
        self.now, self.asked = 0.0, list[do.Subscribe]()
        self.tell(LayoutChanged((), (ONE, OTHER), ("rp",), Policy(move_streams=move_streams)))
        self.tell(ServerListed(ONE, (ContentInfo("news", digest=b"d" * 32),)))
        self.tell(ServerListed(OTHER, (ContentInfo("news", digest=digest),)))
        self.tell(ServerMeasured(ONE, 1_000))
        self.tell(StreamReceived(1, stream()))
        self.feed(1)

    def tell(self, event: object) -> list[do.Action]:
        actions = self.core.handle(event, self.now)  # type: ignore[arg-type]
        self.asked += [action for action in actions if isinstance(action, do.Subscribe)]
        return actions

    def feed(self, upstream: int) -> list[do.Action]:
        return [
            *self.tell(Accepted(upstream, port())),
            *self.tell(FeedChanged(upstream, Feed.FED)),
        ]

    def run(self, seconds: float, one_ms: float, other_ms: float) -> None:
        until = self.now + seconds
        while self.now < until:
            self.now += 0.25
            self.tell(ServerMeasured(ONE, round(one_ms * 1000)))
            self.tell(ServerMeasured(OTHER, round(other_ms * 1000)))
            self.tell(TimePassed())

    def until_asked(self, one_ms: float, other_ms: float) -> None:
        """Let time pass until a second subscription is asked for."""
        while len(self.asked) == 1:
            self.run(0.25, one_ms, other_ms)
            assert self.now < 1_000

    @property
    def parents(self) -> list[str]:
        branch = self.core.branches["news"]
        parents = [entry.parent for entry in branch.upstreams.values()]
        return [parent.address for parent in parents if isinstance(parent, ServerParent)]


def left(actions: Iterable[do.Action]) -> list[int]:
    return [action.upstream for action in actions if isinstance(action, do.Leave)]


def state(core: NodeCore) -> State:
    return core.branches["news"].state


def test_a_stream_moves_to_a_server_that_has_been_clearly_better_for_a_while_and_without_a_gap() -> None:
    moves = Moves()
    moves.run(BETTER_SECONDS - 1, 100, 50)
    assert len(moves.asked) == 1
    moves.until_asked(100, 50)
    (_, asked) = moves.asked
    assert asked.resume
    assert isinstance(asked.parent, ServerParent)
    assert asked.parent.address == OTHER
    assert moves.parents == [ONE, OTHER]  # both, until the new one brings media
    done = moves.feed(asked.upstream)
    assert left(done) == [1]
    assert state(moves.core) is State.FED
    assert moves.parents == [OTHER]


def test_a_stream_does_not_move_for_less_nor_for_a_moment_nor_without_being_told_to() -> None:
    for better_ms, share in ((15, 0.9), (80, 0.9)):  # too few milliseconds, too small a share
        moves = Moves()
        moves.run(40, better_ms / share, better_ms)
        assert len(moves.asked) == 1
    moves = Moves()
    for _ in range(4):
        moves.run(7, 100, 20)
        moves.run(7, 20, 100)
    assert len(moves.asked) == 1
    moves = Moves(move_streams=False)
    moves.run(40, 100, 20)
    assert len(moves.asked) == 1


def test_a_stream_moves_only_where_the_same_bytes_are() -> None:
    moves = Moves(digest=b"e" * 32)
    moves.run(40, 100, 20)
    assert len(moves.asked) == 1


def test_a_stream_that_has_moved_rests() -> None:
    moves = Moves()
    moves.until_asked(100, 20)
    moves.feed(moves.asked[-1].upstream)
    moved_at = moves.now
    moves.run(REST - 10, 20, 100)
    assert len(moves.asked) == 2
    moves.run(20, 20, 100)
    assert len(moves.asked) == 3
    assert moves.now - moved_at > REST


def test_a_better_server_that_refuses_or_says_nothing_changes_nothing() -> None:
    for answers in (True, False):
        moves = Moves()
        moves.until_asked(100, 20)
        if answers:
            moves.tell(Refused(moves.asked[-1].upstream, MissReason.CUT, "full"))
        moves.run(MOVE_SECONDS + 0.5, 100, 20)
        assert state(moves.core) is State.FED
        assert moves.parents == [ONE]


def test_a_stream_of_a_server_that_has_become_slow_moves_once_and_its_viewers_miss_nothing() -> None:
    net = Network([("rp", "n1")], media=True, servers=("s1", "s2"), steady=True, move_streams=True)
    viewer = net.client("n1")
    net.run(5)
    ((_, _, serves),) = net.said("serves")
    net.world.link("rp", str(serves["server"])).media_delay = 0.08
    net.run(2 * BETTER_SECONDS)
    for _ in range(2):  # and there it stays, when it may move again, too
        ((_, _, moved),) = net.said("better_way")
        assert moved["before"] == f"server {serves['server']}"
        assert net.said("server_failover") == net.said("server_passed_over") == []
        assert (viewer.state, viewer.lost(), len(viewer.received)) == ("watching", 0, 1)
        assert viewer.longest_gap < 0.2
        net.run(REST)
    net.check_trees()
    net.check_media()


# What goes wrong meanwhile


def test_a_pause_of_the_present_server_during_a_move_is_a_pause_and_no_end() -> None:
    moves = Moves()
    while len(moves.asked) == 1:
        moves.run(0.25, 100, 20)
    moves.tell(FeedChanged(1, Feed.SUSPECT))
    moves.tell(FeedChanged(1, Feed.SILENT))
    assert state(moves.core) is State.REPAIRING
    told = moves.tell(FeedChanged(1, Feed.FED))
    assert state(moves.core) is State.FED
    assert [action.event for action in told if isinstance(action, do.Announce)] == ["fed"]
    assert moves.parents == [ONE]


def test_a_present_server_that_goes_on_sending_ends_no_move() -> None:
    moves = Moves()
    while len(moves.asked) == 1:
        moves.run(0.25, 100, 20)
    moves.tell(FeedChanged(1, Feed.FED))
    assert moves.parents == [ONE, OTHER]
    moves.feed(moves.asked[-1].upstream)
    assert (state(moves.core), moves.parents) == (State.FED, [OTHER])


# A server that the layout names no more


def test_a_stream_leaves_a_server_that_the_layout_names_no_more_without_a_gap() -> None:
    net = Network([("rp", "n1")], media=True, records=True, servers=("s1", "s2"))
    viewer = net.client("n1")
    net.run(3)
    ((_, _, serves),) = net.said("serves")
    before = str(serves["server"])
    (other,) = set(net.servers) - {before}
    net.nodes["rp"].set_layout(net.graph.around("rp"), (other,), rendezvous=net.rendezvous)
    net.run(1)
    net.kill(before)
    net.run(2)
    ((_, _, moved),) = net.said("better_way")
    assert (moved["before"], moved["parent"]) == (f"server {before}", f"server {other}")
    assert moved["why"] == f"the layout names {before} no more"
    assert net.said("server_failover") == net.said("cut") == []
    assert (viewer.state, viewer.lost(), len(viewer.received)) == ("watching", 0, 1)
    assert viewer.longest_gap < 0.1
    net.settle(5)
    net.check_trees()


def test_a_stream_stays_at_a_server_that_is_named_no_more_as_long_as_no_other_has_its_bytes() -> None:
    moves = Moves(move_streams=False, digest=b"e" * 32)
    moves.tell(LayoutChanged((), (OTHER,), ("rp",)))
    moves.run(5, 10, 10)
    assert (len(moves.asked), moves.parents) == (1, [ONE])
    moves.tell(ServerListed(OTHER, (ContentInfo("news", digest=b"d" * 32),)))
    moves.run(1, 10, 10)
    assert moves.parents == [ONE, OTHER]


def test_another_server_that_says_nothing_is_left_alone_for_a_while_and_asked_again() -> None:
    moves = Moves(move_streams=False)
    moves.tell(LayoutChanged((), (OTHER,), ("rp",)))
    moves.run(REST - 1, 10, 10)
    assert (len(moves.asked), moves.parents) == (2, [ONE])
    moves.run(2, 10, 10)
    assert len(moves.asked) == 3
