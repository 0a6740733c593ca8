"""What one receive brought is sorted without a mistake, whatever it is."""

from hypothesis import given
from hypothesis import strategies as st

from mcast.wire.burst import is_whole_run, sort_burst
from mcast.wire.rtcp import ReceiverReport, pack_compound
from media.plane.streams import SIZE, SSRC, datagram, number_of, train


def numbers(data: bytes, size: int = SIZE) -> list[list[int]]:
    return [
        [number_of(run.data[at + 12 :]) for at in range(0, len(run.data), run.size)]
        for run in sort_burst(data, size, SSRC).runs
    ]


def test_contiguous_train_is_one_run_and_its_bytes_are_not_copied() -> None:
    data = train(65_530, 12, short=[65_541]).data  # over the wrap of 16 bits
    burst = sort_burst(data, SIZE, SSRC)
    assert is_whole_run(data, SIZE, SSRC)
    assert [(run.sequence, run.size, run.count) for run in burst.runs] == [(65_530, SIZE, 12)]
    assert burst.runs[0].data is data


def test_gap_inside_parts_the_runs() -> None:
    data = b"".join(datagram(n) for n in (1, 2, 3, 7, 8))
    assert numbers(data) == [[1, 2, 3], [7, 8]]


def test_two_swapped_inside_are_seen_although_first_and_last_fit() -> None:
    data = b"".join(datagram(n) for n in (1, 3, 2, 4))
    assert not is_whole_run(data, SIZE, SSRC)
    assert numbers(data) == [[1], [3], [2], [4]]


def test_foreign_stream_garbage_and_rtcp_are_told_apart() -> None:
    report = pack_compound([ReceiverReport(1)])
    garbage = b"\x80" + bytes(SIZE - 1)
    data = datagram(5) + datagram(6, ssrc=9) + garbage + datagram(7) + report
    burst = sort_burst(data, SIZE, SSRC)
    assert (burst.foreign, burst.garbage, burst.rtcp) == (1, 1, [report])
    assert numbers(data) == [[5], [7]]


def test_rtcp_alone_is_rtcp_and_an_empty_datagram_is_garbage() -> None:
    report = pack_compound([ReceiverReport(1)])
    assert sort_burst(report, len(report), SSRC).rtcp == [report]
    assert sort_burst(b"", 0, SSRC).garbage == 1


@given(st.lists(st.integers(0, 30), max_size=20), st.binary(max_size=11))
def test_every_valid_datagram_comes_out_once_and_in_order(sequence: list[int], rest: bytes) -> None:
    data = b"".join(datagram(n) for n in sequence) + rest
    found = [n for run in numbers(data) for n in run]
    assert found == sequence


segments = (
    st.binary(max_size=SIZE)
    | st.builds(datagram, st.integers(0, 9), packets=st.integers(1, 7), ssrc=st.sampled_from([SSRC, 9]))
    | st.just(pack_compound([ReceiverReport(1)]))
)


@given(st.lists(segments, max_size=6).map(b"".join), st.just(SIZE) | st.integers(0, 1500))
def test_any_bytes_are_sorted_and_every_segment_is_counted_once(data: bytes, size: int) -> None:
    burst = sort_burst(data, size, SSRC)
    sorted_in = sum(run.count for run in burst.runs) + len(burst.rtcp) + burst.foreign + burst.garbage
    assert sorted_in == max(-(-len(data) // max(size, 1)), 1)  # an empty datagram is one, too


@given(st.integers(0, 48), st.integers(0, SIZE - 1), st.integers(1, 255))
def test_a_changed_header_byte_never_passes_as_a_whole_run_unless_it_does_not_matter(
    index: int, at: int, flip: int
) -> None:
    data = bytearray(train(40_000, 49).data)
    data[index * SIZE + at] ^= flip
    if is_whole_run(bytes(data), SIZE, SSRC):
        inner = 0 < index < 48
        assert at >= 13 or 4 <= at < 8 or (at == 1 and flip == 0x80) or (inner and at not in (3, 12))
