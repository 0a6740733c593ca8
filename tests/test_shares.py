from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st

from mcast.shares import UNCOUNTED, Places, Shares, WaitingRoom, reserve_of, share_of, source_of

ONE, TWO = source_of(ip_address("10.0.0.1")), source_of(ip_address("10.0.0.2"))


def test_a_network_of_ipv6_is_one_source_and_an_ipv4_address_another() -> None:
    assert source_of(ip_address("2001:db8::1")) == source_of(ip_address("2001:db8::ffff"))
    assert source_of(ip_address("2001:db8::1")) != source_of(ip_address("2001:db8:0:1::1"))
    assert ONE != TWO


def test_alone_a_source_may_have_half_of_the_places_and_then_its_share() -> None:
    shares = Shares(100)
    assert sum(shares.take(ONE) for _ in range(1000)) == 50
    assert sum(shares.take(TWO) for _ in range(1000)) == share_of(100) == 25
    shares.give_back(TWO)
    assert shares.take(TWO)


def test_a_few_places_are_not_divided() -> None:
    shares = Shares(3)
    assert [shares.take(ONE) for _ in range(4)] == [True, True, True, False]


def test_room_is_kept_for_peers_of_the_layout() -> None:
    shares = Shares(16)
    assert sum(shares.take(source_of(ip_address(n))) for n in range(100)) == 16
    assert sum(shares.take(TWO, favoured=True) for _ in range(100)) == reserve_of(16) == 1


def test_who_has_a_place_keeps_it_and_gives_it_back_once() -> None:
    places: Places[int] = Places(32)
    assert [places.take(number, ONE) for number in range(17)] == [True] * 16 + [False]
    assert (places.take(3, ONE), len(places)) == (True, 16)
    assert (places.leave(3), places.leave(3), places.leave(99)) == (ONE, UNCOUNTED, UNCOUNTED)
    assert places.take(17, ONE)
    assert all(places.take(number, TWO) for number in range(100, 116))
    assert not places.take(200, UNCOUNTED)
    assert [places.take(number, UNCOUNTED, favoured=True) for number in (201, 202, 203)] == [
        True,
        True,
        False,
    ]


def test_who_fills_the_room_gives_way_to_himself() -> None:
    waiting: WaitingRoom[str] = WaitingRoom(100)
    for number in range(50):
        assert waiting.enter(f"one-{number}", ONE).gives_way is None
    entry = waiting.enter("one-50", ONE)
    assert (entry.admitted, entry.gives_way) == (True, "one-0")
    assert "one-0" not in waiting
    assert waiting.enter("two-0", TWO).gives_way is None


def test_in_a_full_room_the_oldest_of_the_most_gives_way() -> None:
    waiting: WaitingRoom[int] = WaitingRoom(64)
    for number in range(32):
        waiting.enter(number, ONE)
    for number in range(32, 64):
        waiting.enter(number, source_of(ip_address(number)))
    assert waiting.enter(64, TWO).gives_way == 0
    assert len(waiting) == 64


def test_who_has_left_gives_way_to_nobody() -> None:
    waiting: WaitingRoom[int] = WaitingRoom(64)
    waiting.enter(1, ONE)
    waiting.enter(2, ONE)
    assert (waiting.leave(1), waiting.leave(1)) == (True, False)
    assert waiting.oldest_of_the_most() == 2
    waiting.leave(2)
    assert waiting.oldest_of_the_most() is None


COMINGS = st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.integers(0, 4)), max_size=300)


@given(COMINGS, st.integers(1, 80))
def test_whoever_comes_and_goes_the_bounds_hold(comings: list[tuple[int, bool, int]], most: int) -> None:
    shares, held = Shares(most), [0, 0, 0, 0]
    waiting: WaitingRoom[int] = WaitingRoom(most)
    for number, (source, favoured, kind) in enumerate(comings):
        at = source_of(ip_address(source))
        if kind == 0 and held[source]:
            shares.give_back(at)
            held[source] -= 1
        else:
            held[source] += shares.take(at, favoured=favoured)
        entry = waiting.enter(number, at, favoured=favoured)
        assert entry.gives_way is None or entry.gives_way not in waiting
        assert sum(held) == shares.in_use <= most + reserve_of(most)
        assert len(waiting) <= most + reserve_of(most)
