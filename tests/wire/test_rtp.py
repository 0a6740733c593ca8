"""RTP headers and what a media datagram must look like."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcast.errors import WireError
from mcast.wire import rtp
from mcast.wire.mpegts import NULL_PACKET
from mcast.wire.rtp import RtpHeader, is_rtcp, payload_packets
from wire.strategies import hostile, unsigned

headers = st.builds(RtpHeader, unsigned(16), unsigned(32), unsigned(32), st.booleans(), unsigned(7))


def datagram(packets: int) -> bytes:
    return RtpHeader(1, 2, 3).pack() + NULL_PACKET * packets


def test_rtp_header_is_written_and_read_byte_for_byte() -> None:
    wire = bytes.fromhex("80 21 ffff 00015f90 deadbeef")
    header = RtpHeader(sequence=0xFFFF, timestamp=90_000, ssrc=0xDEADBEEF)
    assert (header.pack(), RtpHeader.unpack(wire)) == (wire, header)


def test_the_marker_shares_a_byte_with_the_payload_type() -> None:
    wire, header = bytes.fromhex("80 a1 0001 00000002 00000003"), RtpHeader(1, 2, 3, marker=True)
    assert (header.pack(), RtpHeader.unpack(wire)) == (wire, header)


def test_a_header_written_in_place_takes_the_low_bits_of_its_number() -> None:
    buffer = bytearray(20)
    rtp.write_header(buffer, 4, number=0x1_2345_6789, timestamp=(1 << 32) + 7, ssrc=3)
    assert bytes(buffer[4:16]) == RtpHeader(0x6789, 7, 3).pack()
    assert rtp.timestamp_at(buffer, 4) == 7
    assert RtpHeader.unpack(memoryview(buffer), 4) == RtpHeader(0x6789, 7, 3)


@pytest.mark.parametrize(
    ("wire", "problem"),
    [
        ("80 21 0000 00000000 000000", "cut short: 11 of 12"),
        ("40 21 0000 00000000 00000000", "0x40"),  # version 1
        ("a0 21 0000 00000000 00000000", "0xa0"),  # padding
        ("90 21 0000 00000000 00000000", "0x90"),  # extension
        ("81 21 0000 00000000 00000000", "0x81"),  # one contributing source
    ],
)
def test_options_that_mcast_does_not_use_are_wire_errors(wire: str, problem: str) -> None:
    with pytest.raises(WireError, match=problem):
        RtpHeader.unpack(bytes.fromhex(wire))


@pytest.mark.parametrize(
    "header", [RtpHeader(1 << 16, 0, 0), RtpHeader(0, -1, 0), RtpHeader(0, 0, 0, payload_type=128)]
)
def test_a_header_that_does_not_fit_is_our_bug(header: RtpHeader) -> None:
    with pytest.raises(ValueError):
        header.pack()


@pytest.mark.parametrize("packets", range(1, 8))
def test_a_datagram_holds_one_to_seven_packets(packets: int) -> None:
    assert payload_packets(datagram(packets)) == packets
    train = b"before" + datagram(packets) + b"behind"
    assert payload_packets(memoryview(train), 6, len(train) - 6) == packets


@pytest.mark.parametrize("data", [b"", datagram(0), datagram(8), datagram(2)[:-1], datagram(1) + b"\0"])
def test_anything_but_whole_packets_is_a_wire_error(data: bytes) -> None:
    with pytest.raises(WireError, match="RTP payload of"):
        payload_packets(data)


def test_a_packet_without_sync_byte_or_of_another_payload_type_is_a_wire_error() -> None:
    damaged = bytearray(datagram(3))
    damaged[12 + 2 * 188] = 0x48
    with pytest.raises(WireError, match="sync byte"):
        payload_packets(damaged)
    with pytest.raises(WireError, match="payload type 96"):
        payload_packets(RtpHeader(1, 2, 3, payload_type=96).pack() + NULL_PACKET)


def test_rtcp_is_told_by_the_second_byte() -> None:
    assert [second for second in range(256) if is_rtcp(bytes([0x80, second]))] == list(range(192, 224))
    assert not is_rtcp(b"\x80")
    assert is_rtcp(b"xx\x80\xc8", 2)


@given(headers)
def test_every_header_round_trips(header: RtpHeader) -> None:
    assert RtpHeader.unpack(header.pack()) == header


@given(hostile(headers.map(RtpHeader.pack)))
def test_any_bytes_give_a_header_or_a_wire_error(data: bytes) -> None:
    with contextlib.suppress(WireError):
        assert RtpHeader.unpack(data).pack() == data[:12]


@given(hostile(st.integers(0, 8).map(datagram)))
def test_any_bytes_give_a_count_or_a_wire_error(data: bytes) -> None:
    with contextlib.suppress(WireError):
        assert len(data) == 12 + 188 * payload_packets(data)
    is_rtcp(data)
