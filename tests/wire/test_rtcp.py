"""RTCP: the packets byte for byte, compounds as RFC 3550, A.2 checks them, mcast's own APPs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcast.errors import WireError
from mcast.wire import rtcp
from mcast.wire.rtcp import (
    App,
    Bye,
    ExtendedReport,
    FeedState,
    Nack,
    Packet,
    ReceiverReport,
    ReferenceDelay,
    ReportBlock,
    Sdes,
    SenderReport,
    Unknown,
    UpstreamState,
    pack_compound,
    unpack_compound,
)
from mcast.wire.rtcp_packets import MAX_NACK_NUMBERS, group
from mcast.wire.rtp import is_rtcp
from wire.strategies import compounds, feed_states, hostile, taken, unsigned

TOKEN = bytes(range(16))
BLOCK = ReportBlock(0xDEADBEEF, 64, -2, 0x1_0005, 90, 0x89AB_CDEF, 65_536)
BLOCK_WIRE = "deadbeef 40 fffffe 00010005 0000005a 89abcdef 00010000"
EMPTY_REPORT = ReceiverReport(0x1111_1111)
EMPTY_REPORT_WIRE = "80c90001 11111111"

EXAMPLES: list[tuple[Packet, str]] = [
    (EMPTY_REPORT, EMPTY_REPORT_WIRE),
    (ReceiverReport(1, (BLOCK,)), "81c90007 00000001" + BLOCK_WIRE),
    (
        SenderReport(1, ntp=0x1234567_89ABCDEF, rtp=90_000, packets=7, octets=9_296),
        "80c80006 00000001 0123456789abcdef 00015f90 00000007 00002450",
    ),
    (
        SenderReport(1, 2, 3, 4, 5, (BLOCK,)),
        "81c8000c 00000001 0000000000000002 00000003 00000004 00000005" + BLOCK_WIRE,
    ),
    (Sdes(1, "n1"), "81ca0003 00000001 01 02 6e31 00 000000"),
    (Sdes(1, "rp2"), "81ca0003 00000001 01 03 727032 00 0000"),
    (Bye((1,)), "81cb0001 00000001"),
    (Bye((1, 2), "bye"), "82cb0003 00000001 00000002 03 627965"),
    (App(1, 2, b"NAME", b"data"), "82cc0003 00000001 4e414d45 64617461"),
    (rtcp.token_app(1, TOKEN), "80cc0006 00000001 4d435354 000102030405060708090a0b0c0d0e0f"),
    (
        rtcp.state_app(1, UpstreamState(FeedState.CUT, cut_ms=300, next=65_536)),
        "81cc0006 00000001 4d435354 01 000000 0000012c 0000000000010000",
    ),
    (
        rtcp.state_app(1, UpstreamState(FeedState.CUT, cut_ms=300, next=65_536, no_way=True)),
        "81cc0006 00000001 4d435354 01 01 0000 0000012c 0000000000010000",
    ),
    (rtcp.beside_app(1), "82cc0002 00000001 4d435354"),
    (ExtendedReport(1, reference=0x1234567_89ABCDEF), "80cf0004 00000001 04000002 0123456789abcdef"),
    (
        ExtendedReport(1, delays=(ReferenceDelay(2, 0x4567_89AB, 65_536),)),
        "80cf0005 00000001 05000003 00000002 456789ab 00010000",
    ),
    (Nack(1, 2, (10, 11, 26)), "81cd0003 00000001 00000002 000a 8001"),
    (Nack(1, 2, (10, 27, 0xFFFF, 0)), "81cd0005 00000001 00000002 000a0000 001b0000 ffff0001"),
    (Unknown(208, 3, b"body"), "83d00001 626f6479"),
]


@pytest.mark.parametrize(("packet", "wire"), EXAMPLES, ids=lambda value: type(value).__name__)
def test_packets_are_written_and_read_byte_for_byte(packet: Packet, wire: str) -> None:
    assert packet.pack() == bytes.fromhex(wire)
    compound = bytes.fromhex(EMPTY_REPORT_WIRE + wire)
    assert is_rtcp(compound)
    assert unpack_compound(compound) == (EMPTY_REPORT, packet)


def test_a_hello_is_a_report_a_name_and_the_token() -> None:
    hello = (EMPTY_REPORT, Sdes(0x1111_1111, "n1"), rtcp.token_app(0x1111_1111, TOKEN))
    wire = pack_compound(hello)
    assert unpack_compound(bytearray(wire)) == unpack_compound(memoryview(wire)) == hello
    assert rtcp.read_token(hello) == TOKEN
    assert rtcp.read_state(hello) is None


def test_a_parent_tells_its_state_behind_its_clock() -> None:
    state = UpstreamState(FeedState.FED, 0, 7)
    assert rtcp.read_state((SenderReport(1, 2, 3, 4, 5), rtcp.state_app(1, state))) == state
    assert rtcp.read_token((SenderReport(1, 2, 3, 4, 5), rtcp.state_app(1, state))) is None


def test_a_state_of_an_older_parent_knows_no_flags_and_one_of_a_newer_parent_may_have_others() -> None:
    for flags, no_way in ((0x00, False), (0x01, True), (0xFE, False), (0xFF, True)):
        data = bytes([1, flags]) + bytes(14)
        assert UpstreamState.unpack(data) == UpstreamState(FeedState.CUT, 0, 0, no_way)


def test_an_extended_report_may_hold_blocks_of_no_use_here() -> None:
    statistics = "06000001 00000000"
    wire = "80cf0006 00000001" + statistics + "04000002 0123456789abcdef"
    _, packet = unpack_compound(bytes.fromhex(EMPTY_REPORT_WIRE + wire))
    assert packet == ExtendedReport(1, reference=0x1234567_89ABCDEF)


def test_of_a_flood_of_missing_numbers_only_the_first_are_read() -> None:
    flood = Nack(1, 2, tuple(range(0, 60_000, 17)))
    _, packet = unpack_compound(bytes.fromhex(EMPTY_REPORT_WIRE) + flood.pack())
    assert isinstance(packet, Nack)
    assert packet.sequences == flood.sequences[:MAX_NACK_NUMBERS]


def test_a_strangers_app_is_neither_token_nor_state() -> None:
    other = App(1, 0, b"ELSE", TOKEN)
    assert (rtcp.read_token([other]), rtcp.read_state([other])) == (None, None)


@pytest.mark.parametrize("data", [b"", bytes(12), bytes(20)])
def test_a_token_of_another_length_is_a_wire_error(data: bytes) -> None:
    with pytest.raises(WireError, match="APP token"):
        rtcp.read_token([App(1, 0, b"MCST", data)])
    with pytest.raises(ValueError, match="16 bytes"):
        rtcp.token_app(1, data)


def test_a_state_that_is_short_or_too_far_is_a_wire_error_a_longer_one_is_newer() -> None:
    with pytest.raises(WireError, match="APP state has 12 bytes"):
        rtcp.read_state([App(1, 1, b"MCST", bytes(12))])
    with pytest.raises(WireError, match="datagram number"):
        rtcp.read_state([App(1, 1, b"MCST", bytes(8) + b"\xff" * 7 + b"\xfe")])
    assert rtcp.read_state([App(1, 1, b"MCST", bytes(20))]) == UpstreamState(FeedState.FED, 0, 0)


@pytest.mark.parametrize(
    ("wire", "problem"),
    [
        ("", "without a packet"),
        ("80cb0001 00000001", "starts with packet type 203"),
        ("40c90001 00000001", "version 1"),
        ("80c90001 00000001 40c90001 00000001", "version 1"),
        ("80c90002 00000001", "cut short"),
        ("80c900", "cut short"),
        ("81c90001 00000001", "ReceiverReport: cut short"),
        ("81c80006 00000001 0000000000000002 00000003 00000004 00000005", "SenderReport: cut short"),
        (EMPTY_REPORT_WIRE + "82cb0001 00000001", "Bye: cut short"),
        (EMPTY_REPORT_WIRE + "81cb0002 00000001 09616161", "Bye: cut short"),
        (EMPTY_REPORT_WIRE + "81cb0002 00000001 02ff6100", "Bye: text is not UTF-8"),
        (EMPTY_REPORT_WIRE + "80cc0001 00000001", "App: cut short"),
        (EMPTY_REPORT_WIRE + "81ca0002 00000001 01026161", "Sdes: cut short"),
        (EMPTY_REPORT_WIRE + "81cd0002 00000001 00000002", "NACK without"),
        (EMPTY_REPORT_WIRE + "80cf0002 00000001 04000002", "ExtendedReport: cut short"),
        ("a0c90002 00000001 00000004", "padding before the last"),
        (EMPTY_REPORT_WIRE + "a0c90002 00000001 00000003", "padding of 3 bytes"),
        (EMPTY_REPORT_WIRE + "a0c90002 00000001 0000000c", "padding of 12 bytes"),
        (EMPTY_REPORT_WIRE + "a0c90002 00000001 00000000", "padding of 0 bytes"),
        (EMPTY_REPORT_WIRE + "a0c90000", "padding of 0 bytes"),
    ],
)
def test_what_breaks_the_rules_of_a_compound_is_a_wire_error(wire: str, problem: str) -> None:
    with pytest.raises(WireError, match=problem):
        unpack_compound(bytes.fromhex(wire))


def test_the_last_packet_may_be_padded() -> None:
    padded = bytes.fromhex(EMPTY_REPORT_WIRE + "a0c90003 00000002 00000000 00000008")
    assert unpack_compound(padded) == (EMPTY_REPORT, ReceiverReport(2))


def test_a_reports_extension_is_skipped() -> None:
    assert unpack_compound(bytes.fromhex("80c90002 11111111 ffffffff")) == (EMPTY_REPORT,)


@pytest.mark.parametrize(
    "wire",
    [
        "80ca0000",  # no source
        "81ca0002 00000001 02 00 00 00",  # a name, but no CNAME
        "82ca0004 00000001 01 00 00 00 00000002 01 00 00 00",  # a mixer's, of two sources
        "8fcd0003 00000001 00000002 00000003",  # another feedback of the same type
    ],
)
def test_what_mcast_has_no_use_for_is_kept_unread(wire: str) -> None:
    _, packet = unpack_compound(bytes.fromhex(EMPTY_REPORT_WIRE + wire))
    assert isinstance(packet, Unknown)
    assert packet.pack() == bytes.fromhex(wire)


@pytest.mark.parametrize(
    "packet",
    [
        ReceiverReport(1, (ReportBlock(1, 256, 0, 0, 0),)),
        ReceiverReport(1, (ReportBlock(1, 0, 1 << 23, 0, 0),)),
        ReceiverReport(1, (ReportBlock(1, 0, 0, 0, 1 << 32),)),
        ReceiverReport(1, (BLOCK,) * 32),
        ReceiverReport(1 << 32),
        SenderReport(1 << 32, 0, 0, 0, 0),
        Sdes(1, "x" * 256),
        Bye((1,) * 32),
        App(1, 0, b"MCSTX", b""),
        App(1, 32, b"MCST", b""),
        App(1, 0, b"MCST", b"x"),
        Nack(1, 2, ()),
        rtcp.App(1, 1, b"MCST", b"123"),
    ],
)
def test_a_packet_that_does_not_fit_is_our_bug(packet: Packet) -> None:
    with pytest.raises(ValueError):
        packet.pack()


@pytest.mark.parametrize(
    "state", [UpstreamState(FeedState.FED, -1, 0), UpstreamState(FeedState.FED, 0, 1 << 64)]
)
def test_a_state_that_does_not_fit_is_our_bug(state: UpstreamState) -> None:
    with pytest.raises(ValueError):
        rtcp.state_app(1, state)


def test_a_compound_without_a_report_in_front_is_our_bug() -> None:
    for packets in ([], [Bye((1,))]):
        with pytest.raises(ValueError, match="starts with a report"):
            pack_compound(packets)


def test_a_senders_counters_go_out_modulo_32_bits() -> None:
    long_lived = SenderReport(1, 2, (1 << 32) + 3, (1 << 32) + 4, (1 << 32) + 5)
    assert unpack_compound(long_lived.pack()) == (SenderReport(1, 2, 3, 4, 5),)


def test_missing_numbers_share_entries_of_seventeen() -> None:
    assert group([100, *range(101, 117)]) == [(100, 0xFFFF)]
    assert group([65_530, 65_535, 3, 11]) == [(65_530, 1 << 4 | 1 << 8), (11, 0)]


def test_ntp_time_counts_from_1900_in_fractions_of_two_to_the_32() -> None:
    assert rtcp.ntp_from_unix(0.0) == 2_208_988_800 << 32
    assert rtcp.ntp_from_unix(1.5) == 2_208_988_801 << 32 | 1 << 31
    assert rtcp.ntp_from_unix((1 << 32) - 2_208_988_800) == 0  # 2036: the era ends
    assert rtcp.middle32(0x0123_4567_89AB_CDEF) == 0x4567_89AB


@given(st.floats(0, 4e9))
def test_every_unix_time_is_an_ntp_time(seconds: float) -> None:
    assert 0 <= rtcp.ntp_from_unix(seconds) < 1 << 64


@given(compounds)
def test_every_compound_round_trips(packets: tuple[Packet, ...]) -> None:
    wire = pack_compound(packets)
    assert len(wire) % 4 == 0
    read = unpack_compound(wire)
    assert pack_compound(read) == wire
    assert [packet for packet in read if not isinstance(packet, Unknown)] == [
        packet for packet in packets if not isinstance(packet, Unknown)
    ]


@given(st.lists(unsigned(16), min_size=1, max_size=60))
def test_a_nack_names_exactly_what_is_missing_in_any_order(sequences: list[int]) -> None:
    _, read = unpack_compound(EMPTY_REPORT.pack() + Nack(1, 2, tuple(sequences)).pack())
    assert isinstance(read, Nack)
    assert set(read.sequences) == set(sequences)


@given(hostile(compounds.map(pack_compound)))
def test_any_bytes_give_packets_or_a_wire_error(data: bytes) -> None:
    if (packets := taken(unpack_compound, data)) is not None:
        assert packets
        token = taken(rtcp.read_token, packets)
        assert token is None or len(token) == len(TOKEN)
        if (state := taken(rtcp.read_state, packets)) is not None:
            assert UpstreamState.unpack(state.pack()) == state


@given(feed_states.map(UpstreamState.pack) | st.binary(max_size=20))
def test_any_bytes_give_a_state_or_a_wire_error(data: bytes) -> None:
    if (state := taken(UpstreamState.unpack, data)) is not None:
        assert UpstreamState.unpack(state.pack()) == state


@given(unsigned(32), st.builds(ReferenceDelay, unsigned(32), unsigned(32), unsigned(32)))
def test_an_answer_to_one_child_is_what_the_report_with_one_delay_is(
    ssrc: int, answer: ReferenceDelay
) -> None:
    assert ExtendedReport.pack_answer(ssrc, answer) == ExtendedReport(ssrc, delays=(answer,)).pack()
