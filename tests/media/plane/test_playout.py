"""The playout buffer: order and completeness, at the right time."""

from hypothesis import given
from hypothesis import strategies as st

from mcast.media.playout import PlayoutBuffer
from mcast.wire.mpegts import NULL_PACKET, PACKET
from mcast.wire.rtp import HEADER_SIZE
from mcast.wire.train import NULL_DATAGRAM, Train
from media.plane.streams import RATE, datagram, number_of, train

LATENCY = 0.5
STEP = 1 / RATE


def out(buffer: PlayoutBuffer, now: float) -> list[int]:
    return [number_of(payload) for payload in buffer.pop(now)]


def test_datagram_goes_out_exactly_its_latency_after_its_rtp_time_and_least_transit() -> None:
    buffer = PlayoutBuffer(500)
    buffer.push(train(0, 1), 100.0)
    assert buffer.next_due() == 100.5
    assert out(buffer, 100.499) == []
    assert out(buffer, 100.5) == [0]
    assert buffer.next_due() is None


def test_jitter_on_the_way_is_taken_out() -> None:
    buffer = PlayoutBuffer(500)
    buffer.push(train(0, 1), 100.0)
    buffer.push(train(100, 1), 100.1 + 0.3)  # came 300 ms late
    assert out(buffer, 100.5) == [0]
    assert abs((buffer.next_due() or 0) - 100.6) < 1e-6


def test_hole_is_given_up_at_the_output_time_of_what_follows_and_not_before() -> None:
    buffer = PlayoutBuffer(500)
    for number in (0, 1, 4):
        buffer.push(train(number, 1), number * STEP)
    assert out(buffer, 0.502) == [0, 1]
    buffer.push(train(3, 1), 0.5025)
    assert out(buffer, 0.5029) == []  # 3 came, but it is not its time: 2 may still come
    assert out(buffer, 0.5031) == [3]
    buffer.push(train(2, 1), 0.5035)
    assert out(buffer, 9.0) == [4]
    assert (buffer.counters().lost, buffer.counters().late, buffer.counters().duplicates) == (1, 1, 0)


def test_what_is_past_its_time_goes_out_at_once_and_is_never_dropped() -> None:
    buffer = PlayoutBuffer(500)
    buffer.push(train(1000, 1), 10.0)  # the newest, seen first: transit is known
    assert out(buffer, 10.5) == [1000]
    buffer.push(train(1001, 1), 15.0)
    assert out(buffer, 15.0) == [1001]


def test_fast_start_is_not_held_back_by_its_own_age() -> None:
    buffer = PlayoutBuffer(500)
    for index in range(10):  # a second of history within 100 ms
        buffer.push(train(index * 100, 49), 5.0 + index * 0.01)
    assert len(out(buffer, 5.1)) > 200
    assert len(out(buffer, 5.6)) + buffer.held < 300


def test_start_is_the_least_number_that_comes_before_the_first_is_due() -> None:
    buffer = PlayoutBuffer(500)
    buffer.push(train(8, 1), 0.0)
    buffer.push(train(7, 1), 0.1)
    assert out(buffer, 1.0) == [7, 8]
    assert buffer.counters().lost == 0


def test_told_start_makes_a_lost_beginning_count() -> None:
    buffer = PlayoutBuffer(500, start=5)
    buffer.push(train(4, 1), 0.0)
    buffer.push(train(8, 1), 0.0)
    assert out(buffer, 1.0) == [8]
    assert (buffer.counters().lost, buffer.counters().duplicates) == (3, 1)


def flushed(buffer: PlayoutBuffer, since: float) -> list[int]:
    return [number_of(payload) for payload in buffer.flush_unbroken(since)]


def test_an_end_by_a_user_s_wish_is_in_front_of_what_may_yet_be_repaired() -> None:
    buffer = PlayoutBuffer(2000)
    buffer.push(train(0, 3), 100.0)
    buffer.push(train(5, 1), 100.2)
    assert flushed(buffer, since=99.0) == [0, 1, 2]
    assert buffer.counters().lost == 0


def test_a_hole_that_nobody_asks_for_any_more_ends_nothing() -> None:
    buffer = PlayoutBuffer(2000)
    buffer.push(train(0, 3), 100.0)
    buffer.push(train(5, 2), 100.2)
    buffer.push(train(8, 1), 101.5)
    assert flushed(buffer, since=100.5) == [0, 1, 2, 5, 6]
    assert buffer.counters().lost == 2


def test_flush_gives_all_and_counts_the_lacking_tail() -> None:
    buffer = PlayoutBuffer(500)
    buffer.push(train(0, 3), 0.0)
    buffer.push(train(5, 1), 0.0)
    assert [number_of(payload) for payload in buffer.flush(last=9)] == [0, 1, 2, 5]
    assert buffer.counters().lost == 2 + 4


def test_rtp_timestamps_may_wrap() -> None:
    first = 2**32 // 90 - 100
    buffer = PlayoutBuffer(500)
    for index in range(200):
        buffer.push(train(first + index, 1), index * STEP)
    popped = [(step, n) for step in range(1000) for n in out(buffer, step * STEP)]
    assert [n for _, n in popped] == list(range(first, first + 200))
    assert all(abs(step - (n - first) - 500) <= 1 for step, n in popped)


def test_broken_timestamps_hold_nothing_longer_than_the_latency() -> None:
    buffer = PlayoutBuffer(500)
    for number, ticks in enumerate((0, 2**31 - 1, 5, 2**31 - 9, 2**32 - 1, 77)):
        data = bytearray(train(number, 1).data)
        data[4:8] = ticks.to_bytes(4, "big")
        buffer.push(Train(number, len(data), bytes(data)), 1.0)
    assert out(buffer, 1.5) == list(range(6))


arrivals = st.lists(
    st.tuples(st.integers(0, 60), st.integers(1, 12), st.floats(0, 1.0, allow_nan=False)), max_size=40
)


@given(arrivals, st.floats(0.01, 0.2))
def test_any_arrival_order_gives_each_number_once_in_order_and_nothing_in_time_is_missing(
    pattern: list[tuple[int, int, float]], every: float
) -> None:
    """Check against the definition: a number that came is put out, or a higher one was due before it came."""
    buffer, popped = PlayoutBuffer(500, start=0), []
    events = sorted((at, first, count) for first, count, at in pattern)
    came: dict[int, float] = {}
    polls = iter(range(10_000))
    poll = 0.0
    for at, first, count in events:
        while poll < at:
            popped += out(buffer, poll)
            poll = next(polls) * every
        highest = max(popped, default=-1)
        for number in range(first, first + count):
            if number > highest:
                came.setdefault(number, at)
        buffer.push(train(first, count), at)
    popped += out(buffer, 100.0)
    assert popped == sorted(came)
    counters = buffer.counters()
    assert counters.datagrams == len(popped)
    assert counters.lost == (popped[-1] + 1 - len(popped) if popped else 0)
    assert counters.datagrams + counters.late + counters.duplicates == sum(count for _, count, _ in pattern)


@given(arrivals)
def test_nothing_waits_longer_than_the_latency_and_nothing_leaves_before_its_time(
    pattern: list[tuple[int, int, float]],
) -> None:
    buffer = PlayoutBuffer(500)
    least = min((at - (first + count - 1) * STEP for first, count, at in pattern), default=0.0)
    for first, count, at in sorted(pattern, key=lambda item: item[2]):
        while (due := buffer.next_due()) is not None and due <= at:
            for number in out(buffer, due):
                assert due >= number * STEP + least + LATENCY - 0.001
        buffer.push(train(first, count), at)
    assert buffer.next_due() is None or (buffer.next_due() or 0) <= 1.0 + LATENCY
    buffer.pop(1.0 + LATENCY)
    assert buffer.held == 0


def idle(first: int, count: int) -> Train:
    """Make datagrams of one null packet each."""
    data = b"".join(datagram(first + index)[:HEADER_SIZE] + NULL_PACKET for index in range(count))
    return Train(first, NULL_DATAGRAM, data)


def test_a_stream_begins_with_its_first_media_and_null_packets_before_it_do_not_go_out() -> None:
    buffer = PlayoutBuffer(0)
    buffer.push(idle(0, 5), 1.0)
    assert buffer.pop(2.0) == []
    assert (buffer.first, buffer.counters().bytes) == (None, 0)
    buffer.push(train(5, 2), 3.0)
    assert out(buffer, 4.0) == [5, 6]
    buffer.push(idle(7, 1), 4.1)
    assert len(buffer.pop(5.0)) == 1, "within the stream they are a part of it"
    assert (buffer.first, buffer.counters().lost) == (5, 0)
    assert buffer.counters().bytes == 15 * PACKET
