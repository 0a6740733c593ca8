"""Packets are found in whatever comes; what is none is left out."""

from hypothesis import given
from hypothesis import strategies as st

from mcast.media.source.alignment import Aligner
from mcast.wire.mpegts import PACKET
from mcast.wire.rtp import RtpHeader

PIECES = st.lists(st.integers(1, 700), min_size=1, max_size=20)


def packets(count: int) -> bytes:
    """Make packets that hold no sync byte but their own."""
    return b"".join(
        b"\x47" + number.to_bytes(2, "big") + bytes(PACKET - 3) for number in range(256, 256 + count)
    )


def fed(data: bytes, sizes: list[int]) -> bytes:
    aligner, found, at = Aligner(), b"", 0
    while at < len(data):
        size = sizes[at % len(sizes)]
        found += aligner.feed(data[at : at + size])
        at += size
    return found


@given(PIECES, st.integers(0, PACKET - 1))
def test_a_stream_that_is_joined_within_a_packet_begins_with_the_next(sizes: list[int], cut: int) -> None:
    data = packets(20)
    found = fed(data[cut:], sizes)
    assert found == data[PACKET * (cut > 0) :]


@given(PIECES, st.integers(1, 7))
def test_rtp_headers_are_left_out(sizes: list[int], count: int) -> None:
    data = packets(21)
    stream = b"".join(
        RtpHeader(number, 0, 7).pack() + data[at : at + count * PACKET]
        for number, at in enumerate(range(0, len(data), count * PACKET))
    )
    found = fed(stream, sizes)
    # With fewer than three packets in a datagram there is nothing to begin with, and it is left.
    assert found == (data if count >= 3 else b"")


@given(PIECES)
def test_what_is_lost_within_costs_what_it_has_cut(sizes: list[int]) -> None:
    data = packets(20)
    found = fed(data[: 5 * PACKET + 50] + data[6 * PACKET :], sizes)
    assert found[: 5 * PACKET] == data[: 5 * PACKET]
    assert found.endswith(data[8 * PACKET :])


@given(st.binary(max_size=2_000), PIECES)
def test_any_bytes_give_whole_packets(data: bytes, sizes: list[int]) -> None:
    found = fed(data, sizes)
    assert len(found) % PACKET == 0
    assert set(found[::PACKET]) <= {0x47}
