from hypothesis import given
from hypothesis import strategies as st

from mcast.media.source.restamp import shift
from mcast.wire.mpegts import PACKET, WRAP, continuity_at, pcr_at, pes_at, timestamp_at
from media.source.transport import VIDEO, packet, pes, stamp

TIME = st.integers(0, WRAP - 1)
TICKS = st.integers(0, 1 << 70)
PACKETS = st.lists(st.binary(min_size=187, max_size=187).map(lambda rest: b"\x47" + rest), max_size=5).map(
    b"".join
)


@given(TIME, TIME, TICKS, st.integers(0, 299))
def test_pts_dts_and_pcr_go_on_by_the_same_time(pts: int, dts: int, ticks: int, extension: int) -> None:
    moved = bytearray(packet(start=True, pcr=pts * 300 + extension, body=pes(pts, dts)))
    shift(moved, ticks, {})
    pts, dts = (pts + ticks) % WRAP, (dts + ticks) % WRAP
    assert bytes(moved) == packet(start=True, pcr=pts * 300 + extension, body=pes(pts, dts))


@given(TIME, TICKS)
def test_a_pts_alone_keeps_its_prefix(pts: int, ticks: int) -> None:
    moved = bytearray(packet(start=True, body=pes(pts)))
    shift(moved, ticks, {})
    assert bytes(moved) == packet(start=True, body=pes((pts + ticks) % WRAP))


@given(TIME)
def test_timestamps_are_read_as_the_standard_draws_them(time: int) -> None:
    assert timestamp_at(b"?" + stamp(time), 1) == time


def test_counters_go_on_per_pid_and_null_packets_are_left_alone() -> None:
    moved = bytearray(
        packet(VIDEO, count=14) + packet(257, count=3) + packet(0x1FFF, count=9) + packet(258, count=1)
    )
    shift(moved, 90_000, {VIDEO: 40_697 * 3, 257: 16, 0x1FFF: 5})
    counters = [continuity_at(moved, at) for at in range(0, len(moved), PACKET)]
    assert counters == [(14 + 40_697 * 3) % 16, 3, 9, 1]


def test_tables_and_headerless_streams_have_no_timestamps() -> None:
    table = packet(0, start=True, body=b"\x00\x00\xb0\x0d\x00\x01\xc1\x00\x00\x00\x01\xf0\x00")
    padding = packet(VIDEO, start=True, body=pes(1, stream=0xBE))
    cut_short = packet(VIDEO, start=True)[:4] + b"\xff" * 170 + pes(1)
    for one in (table, padding, cut_short):
        moved = bytearray(one)
        shift(moved, 12_345, {})
        assert bytes(moved) == one
        assert pes_at(one, 0) is None


@given(PACKETS, TICKS, TICKS, st.dictionaries(st.integers(0, 0x1FFF), st.integers(0, 1 << 40)))
def test_any_packets_can_be_shifted_and_two_shifts_are_one(
    data: bytes, one: int, two: int, counters: dict[int, int]
) -> None:
    twice, once = bytearray(data), bytearray(data)
    shift(twice, one, counters)
    shift(twice, two, counters)
    shift(once, one + two, {pid: 2 * count for pid, count in counters.items()})
    assert twice == once
    assert len(once) == len(data)


@given(PACKETS)
def test_no_shift_changes_no_packet_that_a_muxer_writes(data: bytes) -> None:
    moved = bytearray(data)
    shift(moved, 0, {})
    # Marker bits of a timestamp are set; nothing else may have changed.
    assert all(after | before == after for before, after in zip(data, moved, strict=True))


def test_a_pcr_keeps_its_extension() -> None:
    moved = bytearray(packet(pcr=299))
    shift(moved, 1, {})
    assert pcr_at(moved, 0) == 300 + 299
