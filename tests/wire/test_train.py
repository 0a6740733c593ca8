"""Trains: what is inside, and how they are cut and made."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcast.wire.mpegts import NULL_PACKET, is_null
from mcast.wire.rtp import HEADER_SIZE
from mcast.wire.train import (
    MAX_TRAIN_BYTES,
    MAX_TRAIN_DATAGRAMS,
    NULL_DATAGRAM,
    Train,
    make_trains,
    only_nulls,
)
from media.plane.streams import PACKETS, SIZE, datagram, numbers_of, stream, train


def test_train_knows_its_numbers_and_gives_its_datagrams() -> None:
    whole = train(1000, 5, short=[1004])
    assert (whole.first, whole.count, whole.next, whole.size) == (1000, 5, 1005, SIZE)
    assert [bytes(part) for part in whole.datagrams()] == [
        datagram(n, packets=1 if n == 1004 else PACKETS) for n in range(1000, 1005)
    ]
    assert bytes(whole.datagram(4)) == datagram(1004, packets=1)
    assert (whole.timestamp(0), whole.last_timestamp()) == (90_000, 90_360)


@pytest.mark.parametrize(("begin", "end"), [(0, None), (10, 13), (12, None), (11, 12), (14, 99), (9, 11)])
def test_slice_holds_exactly_the_numbers_asked_for(begin: int, end: int | None) -> None:
    part = train(10, 5, short=[14]).slice(begin, end)
    assert numbers_of([part]) == list(range(max(begin, 10), min(end or 15, 15)))


def test_whole_slice_copies_nothing() -> None:
    whole = train(10, 5)
    assert whole.slice(3, 99) is whole


@given(st.lists(st.integers(1, 7), min_size=1, max_size=200), st.integers(0, 2**64 - 300))
def test_made_trains_hold_the_same_datagrams_in_few_pieces_that_one_send_can_carry(
    packets: list[int], first: int
) -> None:
    datagrams = [datagram(first + index, packets=count) for index, count in enumerate(packets)]
    trains = make_trains(first, datagrams)
    assert [bytes(part) for item in trains for part in item.datagrams()] == datagrams
    assert numbers_of(trains) == list(range(first, first + len(packets)))
    for item in trains:
        assert item.count <= MAX_TRAIN_DATAGRAMS
        assert len(item.data) <= MAX_TRAIN_BYTES
    shrinks = sum(a > b for a, b in pairwise(packets))
    grows = sum(a < b for a, b in pairwise(packets))
    assert len(trains) <= 1 + shrinks + grows + len(packets) // MAX_TRAIN_DATAGRAMS


def test_nothing_makes_no_train() -> None:
    assert make_trains(0, []) == []


@given(st.sets(st.integers(100, 148)))
def test_keyframes_are_found_wherever_they_are(keys: set[int]) -> None:
    assert train(100, 49, keys=keys).keyframes() == tuple(sorted(keys))


def test_other_tables_and_pes_starts_are_no_keyframes() -> None:
    for second, third in ((0x40, 0x11), (0x41, 0x00), (0x50, 0x00), (0x00, 0x00)):
        data = bytearray(datagram(0, key=True))
        data[13], data[14] = second, third
        assert Train(0, SIZE, bytes(data)).keyframes() == ()


def test_stream_of_mixed_sizes_is_one_train_per_shorter_datagram() -> None:
    assert [item.count for item in stream(0, 10, short=[3, 7])] == [4, 4, 2]


def test_only_datagrams_of_one_null_packet_each_are_nothing_but_nulls() -> None:
    null, media = datagram(0)[:HEADER_SIZE] + NULL_PACKET, datagram(0, packets=1)
    assert len(null) == len(media) == NULL_DATAGRAM
    for parts, expected in (([null], True), ([null] * 3, True), ([media], False), ([null, media], False)):
        assert only_nulls(b"".join(parts), NULL_DATAGRAM) is expected
    assert not only_nulls(datagram(0), SIZE)
    assert is_null(NULL_PACKET)
    assert not is_null(NULL_PACKET * 2)
    assert not is_null(media[HEADER_SIZE:])
