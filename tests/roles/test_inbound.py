from mcast.roles.node.inbound import InboundConnections
from peers import tcp_pair


def test_links_are_numbered_found_and_removed_once() -> None:
    with tcp_pair() as (one, _), tcp_pair() as (other, _):
        links = InboundConnections()
        first, second = links.add(one), links.add(other)
        assert first is not None
        assert second is not None
        assert first.number != second.number
        assert links.get(first.number) is first
        assert len(links) == 2
        assert links.remove(first.number) is first
        assert links.remove(first.number) is None
        assert links.get(first.number) is None
        assert links.remove_all() == [second]
        assert len(links) == 0


def test_there_is_a_bound_and_room_again_when_one_leaves() -> None:
    with tcp_pair() as (one, _), tcp_pair() as (other, _):
        links = InboundConnections(most=1)
        first = links.add(one)
        assert first is not None
        assert links.add(other) is None
        links.remove(first.number)
        again = links.add(other)
        assert again is not None
        assert again.number != first.number  # never used twice: late news of the old one is not the new one's
