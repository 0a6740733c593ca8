"""Who tells: watchers hear what there is, what changes, and that the node lives; nobody is crowded out."""

import contextlib
import socket
from collections.abc import Callable, Iterator
from ipaddress import ip_address

import pytest

from mcast.net.connection import Connection, PeerGone
from mcast.overlay.actions import Advertise, Introduce, Path
from mcast.peer import adverts
from mcast.peer.adverts import KEEPALIVE, MAX_OTHERS, MAX_OTHERS_PER_ADDRESS, MAX_PER_NEIGHBOUR, Advertiser
from mcast.wire.endpoint import Endpoint
from mcast.wire.frame import encode
from mcast.wire.identity import Identity
from mcast.wire.node import MAX_PATH, Advert
from mcast.wire.node import Watch as WatchPacket
from roles.partners import N1, N2, RP, read

Watch = Callable[..., Connection]
HERE: Path = (RP, N1)


@pytest.fixture
def advertiser() -> Advertiser:
    advertiser = Advertiser()
    advertiser.update({"n2": "10.0.0.2:5000", "n3": "somewhere.example:5000"})
    return advertiser


@pytest.fixture
def watch(advertiser: Advertiser) -> Iterator[Watch]:
    """Watch, as a neighbour unless told otherwise, from any address: the watcher's end of the connection."""
    with contextlib.ExitStack() as stack, socket.create_server(("127.0.0.1", 0)) as listening:

        def watch(sender: Identity = N2, address: str | None = None, *, every_ms: int = 0) -> Connection:
            ours = socket.create_connection(listening.getsockname())
            theirs, _ = listening.accept()
            told = stack.enter_context(Connection(theirs))
            if address is not None:
                told.peer = Endpoint(ip_address(address), 1)
            advertiser.watch(WatchPacket(sender=sender, every_ms=every_ms), told)
            return stack.enter_context(Connection(ours))

        yield watch


def about(content: str, path: Path = HERE, *, fed: bool = True) -> Advert:
    return Advert(content=content, path=path, fed=fed)


def is_open(connection: Connection) -> bool:
    try:
        list(connection.poll_messages())
    except PeerGone:
        return False
    return True


def test_a_watcher_hears_what_the_node_is_and_then_all_that_it_streams(
    advertiser: Advertiser, watch: Watch
) -> None:
    advertiser.introduce(Introduce(2))
    advertiser.advertise(Advertise("news", HERE, fed=True))
    advertiser.advertise(Advertise("sea", HERE, fed=False))
    watcher = watch()
    advertiser.on_tick(100.0)
    assert read(watcher, Advert) == Advert(distance=2, takes_clients=True)
    assert read(watcher, Advert) == about("news")
    assert read(watcher, Advert) == about("sea", fed=False)


def test_changes_are_told_at_once_and_nothing_else_is(advertiser: Advertiser, watch: Watch) -> None:
    watcher = watch()
    advertiser.on_tick(100.0)
    assert read(watcher, Advert) == Advert(takes_clients=True)
    for at in (100.1, 100.2, 100.0 + KEEPALIVE - 0.01):
        advertiser.on_tick(at)
    advertiser.advertise(Advertise("news", HERE, fed=True))
    assert read(watcher, Advert) == about("news")
    advertiser.advertise(Advertise("news", (), fed=False))
    assert read(watcher, Advert) == Advert(content="news")


def test_between_changes_a_word_now_and_then_shows_that_the_node_lives(
    advertiser: Advertiser, watch: Watch
) -> None:
    watcher = watch()
    for at in (100.0, 100.0 + KEEPALIVE, 100.0 + 2 * KEEPALIVE):
        advertiser.on_tick(at)
        assert read(watcher, Advert) == Advert(takes_clients=True)


def test_where_nothing_changes_a_neighbour_costs_less_than_thirty_bytes_a_second() -> None:
    assert len(encode(Advert(distance=3, takes_clients=True))) / KEEPALIVE < 30


def test_who_asks_to_hear_more_often_does_but_not_more_than_five_times_a_second(
    advertiser: Advertiser, watch: Watch
) -> None:
    quick, greedy = watch(every_ms=250), watch(Identity.node("n9"), every_ms=1)
    for tick in range(20):
        advertiser.on_tick(100.0 + tick / 10)
    assert 6 <= words(quick) <= 8
    assert 9 <= words(greedy) <= 10


def words(watcher: Connection) -> int:
    """Return how much has been said so far."""
    said = 0
    with contextlib.suppress(TimeoutError):
        while True:
            watcher.receive(0.2)
            said += 1
    return said


def test_how_far_the_rendezvous_point_is_is_told_at_the_next_tick(
    advertiser: Advertiser, watch: Watch
) -> None:
    watcher = watch()
    advertiser.on_tick(100.0)
    read(watcher, Advert)
    for distance in (7, 8, 9):  # two nodes count each other up
        advertiser.introduce(Introduce(distance))
    advertiser.on_tick(100.1)
    assert read(watcher, Advert).distance == 9


def test_that_the_node_is_about_to_end_is_told_at_once(advertiser: Advertiser, watch: Watch) -> None:
    watcher = watch()
    advertiser.on_tick(100.0)
    read(watcher, Advert)
    advertiser.introduce(Introduce(1, leaving=True))
    assert read(watcher, Advert) == Advert(distance=1, takes_clients=True, leaving=True)


def test_a_node_may_keep_from_being_named() -> None:
    advertiser = Advertiser(takes_clients=False)
    advertiser.introduce(Introduce(None))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        ours = Connection(socket.create_connection(listening.getsockname()))
        with ours, Connection(listening.accept()[0]) as theirs:
            advertiser.watch(WatchPacket(sender=N2), theirs)
            advertiser.on_tick(100.0)
            assert read(ours, Advert) == Advert(takes_clients=False)


def test_a_path_that_nobody_could_read_is_not_told(advertiser: Advertiser, watch: Watch) -> None:
    watcher = watch()
    longest = tuple(Identity.node(f"n{number}") for number in range(MAX_PATH))
    advertiser.advertise(Advertise("near", longest, fed=True))
    advertiser.advertise(Advertise("far", (*longest, N1), fed=True))
    advertiser.on_tick(100.0)
    assert [read(watcher, Advert).content for _ in range(2)] == ["", "near"]


def test_many_contents_are_told_a_part_at_a_time_each_with_its_newest_word(
    advertiser: Advertiser, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adverts, "BURST", 2)
    for number in range(5):
        advertiser.advertise(Advertise(f"c{number}", HERE, fed=False))
    watcher = watch()
    advertiser.on_tick(100.0)
    told = [read(watcher, Advert) for _ in range(3)]
    assert [each.content for each in told] == ["", "c0", "c1"]
    advertiser.advertise(Advertise("c4", HERE, fed=True))  # which tells two more
    advertiser.on_tick(100.1)
    assert [read(watcher, Advert) for _ in range(3)] == [
        about("c2", fed=False), about("c3", fed=False), about("c4"),
    ]  # fmt: skip


def test_a_neighbour_has_room_for_two_connections_and_of_three_the_oldest_goes(
    advertiser: Advertiser, watch: Watch
) -> None:
    watchers = [watch() for _ in range(MAX_PER_NEIGHBOUR + 1)]
    advertiser.on_tick(100.0)
    assert [is_open(watcher) for watcher in watchers] == [False, True, True]


def test_a_stranger_who_uses_a_neighbours_name_cannot_crowd_the_real_one_out(
    advertiser: Advertiser, watch: Watch
) -> None:
    real = [watch(N2, "10.0.0.2") for _ in range(MAX_PER_NEIGHBOUR)]
    strangers = [watch(N2, "10.9.9.9") for _ in range(MAX_OTHERS_PER_ADDRESS + 1)]
    again = watch(N2, "10.0.0.2")
    advertiser.on_tick(100.0)
    assert [is_open(stranger) for stranger in strangers] == [True] * MAX_OTHERS_PER_ADDRESS + [False]
    assert [is_open(watcher) for watcher in real] == [False, True]
    assert is_open(again)


def test_a_neighbour_known_by_a_host_name_alone_may_call_from_anywhere(
    advertiser: Advertiser, watch: Watch
) -> None:
    watchers = [watch(Identity.node("n3"), f"10.0.0.{number}") for number in range(MAX_PER_NEIGHBOUR + 1)]
    advertiser.on_tick(100.0)
    assert [is_open(watcher) for watcher in watchers] == [False, True, True]


def test_strangers_find_room_for_a_few_and_none_that_a_neighbour_needs(
    advertiser: Advertiser, watch: Watch
) -> None:
    strangers = [
        watch(Identity.node(f"x{number}"), f"10.0.{number // MAX_OTHERS_PER_ADDRESS}.1")
        for number in range(MAX_OTHERS + 1)
    ]
    neighbour = watch()
    advertiser.on_tick(100.0)
    assert [is_open(stranger) for stranger in strangers] == [True] * MAX_OTHERS + [False]
    assert is_open(neighbour)


def test_one_address_does_not_take_all_the_room_of_strangers(advertiser: Advertiser, watch: Watch) -> None:
    strangers = [watch(Identity.node(f"x{number}")) for number in range(MAX_OTHERS_PER_ADDRESS + 1)]
    elsewhere = watch(Identity.node("y"), "10.0.0.1")
    advertiser.on_tick(100.0)
    assert [is_open(stranger) for stranger in strangers] == [True] * MAX_OTHERS_PER_ADDRESS + [False]
    assert is_open(elsewhere)


def test_who_has_gone_is_forgotten(advertiser: Advertiser, watch: Watch) -> None:
    watch()
    advertiser.on_tick(100.0)
    assert len(advertiser) == 1
    advertiser._watchers[0].connection.close()  # the watcher's thread does so when it reads the end
    advertiser.advertise(Advertise("news", HERE, fed=True))  # to nobody any more, which is no error
    advertiser.on_tick(100.1)
    assert len(advertiser) == 0
