"""RTP datagrams that have overtaken each other come out in order, and what is missing delays little."""

import random

from hypothesis import given
from hypothesis import strategies as st

from mcast.media.source.reordering import DROPOUT, HELD, HELD_TICKS, MISORDER, Reordering
from mcast.wire.rtp import RtpHeader

TICKS = 100  # of RTP time from one to the next


class Sender:
    """Numbers datagrams; each holds its number, in pieces."""

    def __init__(self, begin: int = 65_500, ssrc: int = 7, ticks: int = TICKS) -> None:
        self.order, self._begin, self._ssrc, self._ticks = Reordering(), begin, ssrc, ticks

    def come(self, number: int, pieces: int = 2) -> list[int]:
        """Have a datagram come; return the numbers of those of which something goes on."""
        stamp = number * self._ticks & 0xFFFF_FFFF
        out = self.order.begin(RtpHeader((self._begin + number) & 0xFFFF, stamp, self._ssrc))
        for _ in range(pieces):
            out += self.order.add(number.to_bytes(4, "big"))
        return [int.from_bytes(out[at : at + 4], "big") for at in range(0, len(out), 4)]


def gone_on(sender: Sender, numbers: list[int], pieces: int = 1) -> list[int]:
    return [each for number in numbers for each in sender.come(number, pieces)]


def test_what_comes_in_order_goes_on_at_once_piece_by_piece() -> None:
    sender = Sender()
    assert [sender.come(number) for number in range(50)] == [[number] * 2 for number in range(50)]


def test_what_has_overtaken_another_one_waits_for_it() -> None:
    sender = Sender()
    assert [sender.come(number) for number in (0, 2, 3, 1, 4)] == [[0, 0], [], [], [1, 1], [2, 2, 3, 3, 4, 4]]


@given(st.integers(0, 10_000), st.integers(1, HELD // 2), st.integers(0, 65_535))
def test_whatever_is_shuffled_within_the_bound_comes_out_whole_and_in_order(
    seed: int, width: int, begin: int
) -> None:
    rng = random.Random(seed)
    numbers = sorted(range(1, 400), key=lambda number: number + rng.random() * width)
    out = gone_on(Sender(begin, ticks=1), [0, *numbers, 400, 401])
    assert out == list(range(402))


@given(st.lists(st.integers(0, MISORDER - 1), max_size=300), st.integers(0, 65_535))
def test_whatever_comes_nothing_goes_on_twice_nor_out_of_order(numbers: list[int], begin: int) -> None:
    out = gone_on(Sender(begin), numbers)
    assert out == sorted(set(out))
    assert set(out) <= set(numbers)


def test_what_is_lost_is_given_up_when_enough_has_come_behind_it() -> None:
    sender = Sender(ticks=1)
    sender.come(0)
    held = [sender.come(number, 1) for number in range(2, HELD + 2)]
    assert not any(held)
    assert sender.come(HELD + 2, 1) == list(range(2, HELD + 3))
    assert sender.come(HELD + 3, 1) == [HELD + 3]


def test_of_a_slow_stream_it_is_given_up_by_its_own_time() -> None:
    sender = Sender(ticks=HELD_TICKS // 3)
    assert gone_on(sender, [0, 2, 3, 4, 5]) == [0]
    assert gone_on(sender, [6]) == [2, 3, 4, 5, 6]


def test_what_comes_when_its_place_is_over_or_twice_is_left_out() -> None:
    sender = Sender(ticks=HELD_TICKS)
    assert gone_on(sender, [0, 2, 4, 1, 4, 2, 5, 3, 6]) == [0, 2, 3, 4, 5, 6]


def test_a_sender_that_begins_anew_is_followed_at_once() -> None:
    sender = Sender(ticks=0)
    out = gone_on(sender, [0, 1, 1 + DROPOUT + 2, 1 + DROPOUT + 3, 1 + DROPOUT - MISORDER])
    assert out == [0, 1, DROPOUT + 3, DROPOUT + 4, DROPOUT + 1 - MISORDER]


def test_another_sender_is_followed_at_once_and_what_was_held_goes_on_before() -> None:
    sender = Sender()
    assert gone_on(sender, [0, 2]) == [0]
    other = Sender(ssrc=8)
    other.order = sender.order
    assert gone_on(other, [100, 101]) == [2, 100, 101]


def test_without_rtp_everything_goes_on_at_once() -> None:
    order = Reordering()
    assert [order.add(b"one"), order.add(b"two")] == [b"one", b"two"]
