"""A client asks which contents there are: of a real node, of one that is too old, of nobody."""

import threading
from collections.abc import Iterator

import pytest

import mcast
from client.neighbours import meanwhile
from helpers import Recorder, unused_port, wait_until
from mcast.client.directory import suggestion
from mcast.errors import UnreachableError
from mcast.wire.content import ContentInfo
from mcast.wire.node import ContentsPage, ListContents
from roles.overlay_parts import Contents, World
from roles.partners import Peer


@pytest.fixture
def world(crash: Recorder) -> Iterator[World]:
    world = World(crash)
    yield world
    world.close()


def test_a_viewer_three_hops_away_sees_what_the_servers_have(world: World) -> None:
    *_, n2 = world.line(Contents("earth", "news"), 2)
    names: list[str] = []

    def are_told() -> bool:
        names[:] = (info.name for info in mcast.list_contents(neighbours=[str(n2.address)]).contents)
        return bool(names)

    wait_until(are_told)
    assert names == ["earth", "news"]


def test_pages_are_asked_for_one_after_another(peer: Peer) -> None:
    with meanwhile(lambda: mcast.list_contents(neighbours=[peer.address])) as listing:
        connection, asked = peer.question(ListContents)
        connection.send(ContentsPage(request=asked.request, contents=(ContentInfo("a"),), more=True))
        again = connection.receive(10)
        assert isinstance(again, ListContents)
        assert again.after == "a"
        connection.send(ContentsPage(request=again.request, contents=(ContentInfo("b"),), text="one lacks"))
    assert [info.name for info in listing.result().contents] == ["a", "b"]
    assert listing.result().text == "one lacks"


def test_a_node_that_is_too_old_to_answer_is_named(peer: Peer) -> None:
    with pytest.raises(UnreachableError, match=f"{peer.address} did not say in time; a node of an older"):
        mcast.list_contents(neighbours=[peer.address], patience=0.3)


def test_the_next_neighbour_is_asked_if_the_first_says_nothing(peer: Peer, other_peer: Peer) -> None:
    addresses = [peer.address, other_peer.address]
    with meanwhile(lambda: mcast.list_contents(neighbours=addresses, patience=2)) as listing:
        connection, asked = other_peer.question(ListContents)
        connection.send(ContentsPage(request=asked.request, contents=(ContentInfo("a"),)))
    assert len(listing.result().contents) == 1


def test_nobody_there_is_an_error_that_says_where() -> None:
    address = f"127.0.0.1:{unused_port()}"
    with pytest.raises(UnreachableError, match=f"nobody answers at {address}"):
        mcast.list_contents(neighbours=[address], patience=0.3)


def test_who_does_not_want_to_know_any_more_is_not_kept_waiting(peer: Peer) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(UnreachableError):
        mcast.list_contents(neighbours=[peer.address], patience=600, stop=stop)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("erth", "did you mean 'earth'?"),
        ("EARTH", "did you mean 'earth'?"),
        ("new", "did you mean 'news'?"),
        ("completely different", ""),
        ("", ""),
    ],
)
def test_a_name_that_is_not_there_reminds_of_those_that_are(name: str, meant: str) -> None:
    assert suggestion(name, ["earth", "news", "moon"]) == meant
