from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcast.media.source.cutting import (
    MAX_AHEAD,
    MAX_PCR_STEP,
    NULL_INTERVAL,
    SPAN,
    Cut,
    Cutter,
    StreamFormatError,
)
from mcast.wire.mpegts import PACKET, PCR_WRAP
from media.source.transport import PMT, packet, pat


@dataclass(frozen=True)
class Frame:
    """A PCR's packets: how many, whether a keyframe, and the time until the next (27 MHz)."""

    packets: int
    keyframe: bool
    lasts: int


FRAMES = st.lists(
    st.builds(Frame, st.integers(1, 30), st.booleans(), st.integers(0, 27_000_000)), min_size=1, max_size=12
)
ROOM = st.integers(1, 7)


def stream(frames: Sequence[Frame], start: int = 0) -> bytes:
    parts, clock = [], start
    for frame in frames:
        if frame.keyframe:
            parts += [pat(), packet(PMT, start=True)]
        parts += [packet(start=True, pcr=clock), *[packet()] * (frame.packets - 1)]
        clock += frame.lasts
    return b"".join(parts)


def length(frames: Sequence[Frame]) -> int:
    return sum(frame.lasts for frame in frames) // 300


def due_times(data: bytes, end: int) -> list[int]:
    """Time each packet the slow way: between two PCRs by bytes."""
    clocks = [
        (index, int.from_bytes(data[at + 6 : at + 12], "big") >> 15)
        for index, at in enumerate(range(0, len(data), PACKET))
        if data[at + 3] & 0x20
    ]
    first = clocks[0][1]
    times = [0] * clocks[0][0]
    for (index, clock), (next_index, next_clock) in zip(
        clocks, [*clocks[1:], (len(data) // PACKET, first + end)], strict=True
    ):
        span = next_clock - clock
        times += [clock - first + span * i // (next_index - index) for i in range(next_index - index)]
    return times


def cut(data: bytes, room: int = 7, period: int | None = None) -> list[Cut]:
    cutter = Cutter(room)
    return cutter.feed(data) + cutter.finish(period)


def real(cuts: Sequence[Cut]) -> list[Cut]:
    return [one for one in cuts if one.packets]


@given(FRAMES, ROOM)
def test_every_packet_is_sent_once_and_in_order(frames: list[Frame], room: int) -> None:
    data = stream(frames)
    cuts = cut(data, room, length(frames))
    assert [n for one in cuts for n in range(one.first, one.first + one.packets)] == list(
        range(len(data) // PACKET)
    )
    assert all(one.packets <= room for one in cuts)


@given(FRAMES, ROOM)
def test_a_keyframe_starts_its_own_datagram_and_nothing_else_does(frames: list[Frame], room: int) -> None:
    data = stream(frames)
    tables = [
        n for n in range(len(data) // PACKET) if data[n * PACKET + 2] == 0 and data[n * PACKET + 1] == 0x40
    ]
    assert [one.first for one in cut(data, room) if one.keyframe] == tables


@given(FRAMES, ROOM)
def test_a_datagram_spans_at_most_40_ms_and_is_as_full_as_it_may_be(frames: list[Frame], room: int) -> None:
    data, end = stream(frames), length(frames)
    times = due_times(data, end)
    cuts = real(cut(data, room, end))
    for one, after in zip(cuts, [*cuts[1:], None], strict=True):
        assert one.time == times[one.first]
        assert times[one.first + one.packets - 1] - one.time <= SPAN
        if after is not None and not after.keyframe and one.packets < room:
            assert times[after.first] - one.time > SPAN


@given(FRAMES, ROOM)
def test_the_stream_is_never_silent_for_more_than_100_ms(frames: list[Frame], room: int) -> None:
    end = length(frames)
    times = [one.time for one in cut(stream(frames), room, end)]
    gaps = [after - before for before, after in zip(times, [*times[1:], end], strict=True)]
    assert min(gaps) >= 0
    assert max(gaps) <= NULL_INTERVAL


@given(FRAMES, ROOM, st.data())
def test_how_the_stream_arrives_makes_no_difference(
    frames: list[Frame], room: int, data: st.DataObject
) -> None:
    whole = stream(frames)
    cutter, cuts, at = Cutter(room), list[Cut](), 0
    while at < len(whole):
        step = data.draw(st.integers(1, 40)) * PACKET
        cuts += cutter.feed(whole[at : at + step])
        at += step
    assert cuts + cutter.finish(length(frames)) == cut(whole, room, length(frames))


@given(FRAMES, st.integers(0, PCR_WRAP - 1))
def test_where_the_clock_starts_makes_no_difference_and_it_may_wrap(frames: list[Frame], start: int) -> None:
    start -= start % 300
    assert cut(stream(frames, start)) == cut(stream(frames))


@given(
    st.binary(max_size=3 * PACKET)
    | st.lists(st.binary(min_size=187, max_size=187)).map(
        lambda rows: b"".join(b"\x47" + row for row in rows)
    )
)
def test_any_bytes_are_cut_or_refused(data: bytes) -> None:
    cutter = Cutter(7)
    try:
        cuts = cutter.feed(data)
    except StreamFormatError:
        return
    cuts += cutter.finish()
    assert sum(one.packets for one in cuts) == len(data) // PACKET


def test_null_packets_fill_a_gap_each_100_ms() -> None:
    frame = 27_000_000
    data = packet(pcr=0) + packet(pcr=frame)
    assert cut(data, period=90_000 + 18_001) == [
        Cut(0, 1, 0, False),
        *[Cut(1, 0, 9_000 * n, False) for n in range(1, 10)],
        Cut(1, 1, 90_000, False),
        Cut(2, 0, 99_000, False),
        Cut(2, 0, 108_000, False),
    ]


def test_without_a_clock_the_stream_is_refused_after_a_bounded_number_of_packets() -> None:
    cutter = Cutter(7)
    assert cutter.feed(packet() * MAX_AHEAD) == []
    with pytest.raises(StreamFormatError, match="no clock"):
        cutter.feed(packet())


def test_a_clock_that_ceases_holds_up_a_bounded_number_of_packets() -> None:
    cutter = Cutter(7)
    cuts = cutter.feed(packet(pcr=0) + packet() * MAX_AHEAD)
    assert sum(one.packets for one in cuts) > MAX_AHEAD - 7
    assert {one.time for one in cuts} == {0}


def test_a_jump_of_the_clock_takes_no_time() -> None:
    cuts = cut(packet(pcr=0) + packet(pcr=MAX_PCR_STEP + 300) + packet(pcr=MAX_PCR_STEP + 27_000_000))
    assert [(one.first, one.time) for one in real(cuts)] == [(0, 0), (2, 89_999)]


def test_a_silent_source_gives_null_packets_and_then_goes_on_from_there() -> None:
    cutter = Cutter(7)
    assert cutter.idle(9_000) == [Cut(0, 0, 9_000, False)]
    assert cutter.feed(pat() + packet(pcr=5) + packet()) == []
    assert cutter.needs == 0
    assert cutter.idle(18_000) == [Cut(0, 3, 9_000, True), Cut(3, 0, 18_000, False)]
    cutter.not_before(20_000)
    assert cutter.feed(packet(pcr=5 + 300) + packet(pcr=5 + 2 * 300 * 3_600)) == []
    assert cutter.finish() == [Cut(3, 1, 20_000, False), Cut(4, 1, 20_000 + 2 * 3_600 - 1, False)]


def test_another_run_of_the_source_goes_on_where_the_last_one_ended() -> None:
    cutter = Cutter(7)
    cuts = cutter.feed(packet(pcr=0) + packet(pcr=27_000)) + cutter.finish()
    assert cuts == [Cut(0, 2, 0, False)]
    cuts = cutter.feed(pat() + packet(pcr=900 * 27_000_000)) + cutter.finish()
    assert cuts == [Cut(2, 2, 90, True)]
