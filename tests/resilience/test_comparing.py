"""What a recording lacks, held against the witness's."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcast.wire.mpegts import PACKET
from tools.resilience.comparing import Comparison, compare

RANDOM = random.Random(8)
PACKETS = [b"\x47" + RANDOM.randbytes(PACKET - 1) for _ in range(3000)]
WITNESS = b"".join(PACKETS)


def recording(*ranges: tuple[int, int]) -> bytes:
    """Return some of the witness's packets."""
    return b"".join(b"".join(PACKETS[first:last]) for first, last in ranges)


def test_a_recording_that_has_everything_is_complete() -> None:
    assert compare(WITNESS, WITNESS, 0, len(WITNESS)) == Comparison(3000, 0)


def test_a_client_that_joined_later_is_held_to_what_came_then() -> None:
    assert compare(recording((700, 3000)), WITNESS, 700 * PACKET, len(WITNESS)) == Comparison(2300, 0)


def test_a_client_that_has_older_packets_than_the_witness_is_not_blamed_for_them() -> None:
    assert compare(WITNESS, recording((10, 3000)), -10 * PACKET, 2990 * PACKET) == Comparison(2990, 0)


def test_what_comes_behind_the_end_does_not_matter() -> None:
    assert compare(recording((0, 3000)), WITNESS, 0, 2000 * PACKET) == Comparison(2000, 0)
    assert compare(recording((0, 2000)), WITNESS, 0, 2000 * PACKET) == Comparison(2000, 0)


def test_a_recording_that_stops_early_lacks_the_rest() -> None:
    assert compare(recording((0, 2500)), WITNESS, 0, len(WITNESS)) == Comparison(3000, 500)


def test_an_empty_recording_lacks_everything() -> None:
    assert compare(b"", WITNESS, 0, len(WITNESS)) == Comparison(3000, 3000)


def test_each_hole_is_counted() -> None:
    with_holes = recording((0, 5), (6, 1500), (1507, 2999))
    assert compare(with_holes, WITNESS, 0, len(WITNESS)) == Comparison(3000, 1 + 7 + 1)


def test_an_altered_packet_is_foreign_and_the_true_one_missing() -> None:
    altered = bytearray(WITNESS)
    altered[1700 * PACKET + 90] ^= 1
    assert compare(bytes(altered), WITNESS, 0, len(WITNESS)) == Comparison(3000, 1, 1)


def test_packets_that_come_twice_are_foreign() -> None:
    found = compare(recording((0, 100), (93, 3000)), WITNESS, 0, len(WITNESS))
    assert found == Comparison(3000, 0, 7)
    assert not found.is_complete


def test_a_recording_in_which_nothing_could_be_is_not_complete() -> None:
    assert not compare(b"", WITNESS, 0, 0).is_complete


@given(st.sets(st.integers(0, 299), max_size=40), st.integers(0, 299))
def test_so_many_are_missing_as_were_left_out(gone: set[int], start: int) -> None:
    kept = b"".join(
        packet for number, packet in enumerate(PACKETS[:300]) if number not in gone and number >= start
    )
    missing = len([number for number in gone if number >= start])
    assert compare(kept, WITNESS, start * PACKET, 300 * PACKET) == Comparison(300 - start, missing)


@pytest.mark.parametrize("cut", [1, 187])
def test_half_a_packet_is_none(cut: int) -> None:
    found = compare(recording((0, 10)) + PACKETS[10][:cut], WITNESS, 0, 11 * PACKET)
    assert found == Comparison(11, 1, 1)
