"""Who listens: to neighbours that tell, fall silent, hang up, do not know what is asked, or tell nonsense."""

from collections.abc import Callable, Iterator

import pytest

from helpers import PATIENCE, Recorder, wait_until
from mcast.net.connection import Connection, PeerGone
from mcast.overlay.events import Advertised, AdvertsLost, Event, Introduced
from mcast.peer.watching import NeighbourWatch, NeighbourWatches, WatchTiming
from mcast.wire.frame import Message
from mcast.wire.identity import Identity
from mcast.wire.node import Advert, MissReason, Watch
from roles.partners import N1, N2, RP, Peer, disc, miss, read

QUICK = WatchTiming(silence=PATIENCE, first_retry=0.01, last_retry=0.02, unknown_retry=0.01)
Begin = Callable[..., NeighbourWatch]


class Posted:
    """Takes what is posted and offered, in one list."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.has_room = True

    def post(self, event: Event) -> None:
        self.events.append(event)

    def offer(self, event: Event) -> bool:
        if self.has_room:
            self.events.append(event)
        return self.has_room

    def wait_for(self, *events: Event) -> None:
        wait_until(lambda: self.events[-len(events) :] == list(events), f"{events}")


@pytest.fixture
def posted() -> Posted:
    return Posted()


@pytest.fixture
def begin(peer: Peer, posted: Posted, crash: Recorder) -> Iterator[Begin]:
    watches: list[NeighbourWatch] = []

    def begin(timing: WatchTiming = QUICK) -> NeighbourWatch:
        watches.append(NeighbourWatch("n2", peer.address, N1, posted.post, posted.offer, crash, timing))
        return watches[-1]

    yield begin
    for watch in watches:
        watch.stop()


def watched(peer: Peer) -> Connection:
    """Wait for a watcher that is n1."""
    connection = peer.accept()
    assert read(connection, Watch).sender == N1
    return connection


def ended(connection: Connection) -> bool:
    try:
        connection.receive(PATIENCE)
    except PeerGone:
        return True
    return False


def test_what_a_neighbour_streams_and_what_it_is_are_told(peer: Peer, posted: Posted, begin: Begin) -> None:
    begin()
    neighbour = watched(peer)
    neighbour.send(Advert(distance=3, takes_clients=True))
    neighbour.send(Advert(content="news", path=(RP, N2), fed=True))
    neighbour.send(Advert(content="news"))
    posted.wait_for(
        Introduced("n2", 3, neighbour.local),  # where it was reached, whatever it may say
        Advertised("n2", "news", (RP, N2), fed=True),
        Advertised("n2", "news", (), fed=False),
    )


def test_who_takes_no_clients_is_nowhere_to_be_reached_by_them(
    peer: Peer, posted: Posted, begin: Begin
) -> None:
    begin()
    watched(peer).send(Advert())
    posted.wait_for(Introduced("n2", None, None))


def test_what_was_told_is_void_when_the_connection_ends_and_is_heard_anew(
    peer: Peer, posted: Posted, begin: Begin
) -> None:
    begin()
    first = watched(peer)
    first.send(Advert(distance=1))
    first.close()
    again = watched(peer)
    posted.wait_for(Introduced("n2", 1), AdvertsLost("n2"))
    again.send(Advert(distance=2))
    posted.wait_for(Introduced("n2", 2))


def test_what_was_told_is_void_when_the_neighbour_falls_silent(
    peer: Peer, posted: Posted, begin: Begin
) -> None:
    begin(WatchTiming(silence=0.05, first_retry=0.01, last_retry=0.02))
    connection = watched(peer)
    connection.send(Advert(distance=1))
    posted.wait_for(Introduced("n2", 1), AdvertsLost("n2"))
    assert ended(connection)


@pytest.mark.parametrize("has_told", [True, False], ids=["after a word", "from the beginning"])
def test_a_frozen_neighbour_is_heard_soon_after_it_is_back(
    peer: Peer, posted: Posted, begin: Begin, has_told: bool
) -> None:
    """While it is frozen its system accepts for it: connections on which nothing is said."""
    begin(WatchTiming(silence=0.05, first_retry=0.01, last_retry=0.02, unknown_retry=2 * PATIENCE))
    if has_told:
        watched(peer).send(Advert(distance=1))
        posted.wait_for(Introduced("n2", 1), AdvertsLost("n2"))
    for _ in range(3):
        assert ended(watched(peer))
    watched(peer).send(Advert(distance=2))
    posted.wait_for(*([AdvertsLost("n2")] if has_told else []), Introduced("n2", 2))


def test_who_has_told_something_before_is_no_old_version_when_it_hangs_up(
    peer: Peer, posted: Posted, begin: Begin
) -> None:
    begin(WatchTiming(silence=PATIENCE, first_retry=0.01, last_retry=0.02, unknown_retry=2 * PATIENCE))
    first = watched(peer)
    first.send(Advert(distance=1))
    posted.wait_for(Introduced("n2", 1))
    first.close()
    watched(peer).close()
    watched(peer).send(Advert(distance=2))
    posted.wait_for(AdvertsLost("n2"), Introduced("n2", 2))


def test_an_old_version_that_hangs_up_is_asked_again_rarely_and_without_a_word(
    peer: Peer, posted: Posted, begin: Begin, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    watch = begin(WatchTiming(first_retry=0.01, last_retry=0.01, unknown_retry=PATIENCE))
    watched(peer).close()
    with pytest.raises(TimeoutError):
        peer.accept(0.2)  # many times the pause after which any other neighbour would be tried again
    watch.stop()  # at once
    assert posted.events == []
    assert caplog.records == []


def test_one_that_is_not_there_yet_is_met_when_it_is(posted: Posted, peer: Peer, crash: Recorder) -> None:
    address = peer.address
    peer.stop_listening()
    watch = NeighbourWatch("n2", address, N1, posted.post, posted.offer, crash, QUICK)
    later = Peer(address)
    watched(later).send(Advert(distance=1))
    posted.wait_for(Introduced("n2", 1))
    watch.stop()
    later.close()


@pytest.mark.parametrize(
    "nonsense",
    [
        miss(disc(), MissReason.BUSY),
        Watch(sender=N2),
        Advert(content="news", path=(RP, Identity.node("n9")), fed=True),
    ],
    ids=["a miss", "a watch", "a path to somebody else"],
)
def test_nonsense_costs_the_connection(peer: Peer, posted: Posted, begin: Begin, nonsense: Message) -> None:
    begin()
    connection = watched(peer)
    connection.send(Advert(distance=1))
    connection.send(nonsense)
    assert ended(connection)
    posted.wait_for(Introduced("n2", 1), AdvertsLost("n2"))


def test_who_tells_more_than_can_be_taken_in_is_hung_up_on(peer: Peer, posted: Posted, begin: Begin) -> None:
    begin()
    connection = watched(peer)
    connection.send(Advert(distance=1))
    posted.wait_for(Introduced("n2", 1))
    posted.has_room = False
    connection.send(Advert(distance=2))
    assert ended(connection)
    posted.wait_for(Introduced("n2", 1), AdvertsLost("n2"))


def test_the_layout_decides_who_is_watched(
    peer: Peer, other_peer: Peer, posted: Posted, crash: Recorder
) -> None:
    watches = NeighbourWatches(N1, posted.post, posted.offer, crash, QUICK)
    watches.update({"n2": peer.address, "n3": other_peer.address})
    leaves, stays = watched(peer), watched(other_peer)
    leaves.send(Advert(distance=1))
    posted.wait_for(Introduced("n2", 1))
    watches.update({"n3": other_peer.address})
    assert ended(leaves)
    posted.wait_for(AdvertsLost("n2"))
    stays.send(Advert(distance=2))
    posted.wait_for(Introduced("n3", 2))
    watches.stop()
    assert ended(stays)


def test_stop_at_any_moment_of_a_start_ends_the_thread(
    begin: Begin, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(40):
        begin().stop()
    assert "has not ended" not in caplog.text
