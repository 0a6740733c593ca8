"""Where a stream may be begun, segments of it, and fragments of MP4: pure, on bytes that ffmpeg has made."""

import contextlib
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.conftest import KEYFRAME_SECONDS, SECONDS, make
from mcast.gateway.boxes import BoxError, FragmentReader
from mcast.gateway.hls import FIRST, KEPT, LISTED, Segments
from mcast.gateway.pieces import Piece, PieceCutter
from mcast.media.keyframes import Keyframes
from mcast.media.programme import Programme, seconds_between
from mcast.wire.mpegts import NULL_PACKET, PACKET, PAT_PID, WRAP, pid_at, random_access_at, starts_with_pat
from media.source.foreign import (
    CODECS,
    FOREIGN_SECONDS,
    TRACKS,
    foreign,
    later,
    with_table,
    without_indicators,
    without_tables,
)
from media.source.transport import PMT, any_packet, packet, pat_section, pes, run

pytestmark = pytest.mark.ffmpeg
CLOCK = 90_000


def fed(stream: bytes, step: int, cutter: PieceCutter | None = None) -> list[Piece]:
    cutter = cutter or PieceCutter()
    chunks = [stream[at : at + step * PACKET] for at in range(0, len(stream), step * PACKET)]
    return [piece for chunk in chunks for piece in cutter.feed(chunk)]


@pytest.mark.parametrize("step", [1, 7, 50, 100_000])
def test_a_stream_may_be_begun_at_each_keyframe_however_it_arrives(stream: bytes, step: int) -> None:
    pieces = fed(stream, step)
    starts = [piece for piece in pieces if piece.is_start]
    assert len(starts) == SECONDS / KEYFRAME_SECONDS
    assert all(
        starts_with_pat(start.data, 0) and random_access_at(start.data, 2 * PACKET) for start in starts
    )
    times = [start.time for start in starts]
    gaps = [seconds_between(a, b) for a, b in pairwise(times)]
    assert gaps == pytest.approx([KEYFRAME_SECONDS] * len(gaps))


def test_no_byte_is_altered_or_lost_from_the_first_keyframe_on(stream: bytes) -> None:
    pieces = fed(stream, 100_000)
    assert pieces[0].is_start
    assert stream.endswith(b"".join(piece.data for piece in pieces))


def test_tables_that_stand_elsewhere_are_repeated_in_front_of_a_keyframe(stream: bytes) -> None:
    cutter = PieceCutter()
    cutter.feed(stream)
    second = next(at for at in range(2 * PACKET, len(stream), PACKET) if starts_with_pat(stream, at))
    apart = stream[second : second + 2 * PACKET] + NULL_PACKET + stream[second + 2 * PACKET :]
    start = next(piece for piece in cutter.feed(apart) if piece.is_start)
    assert starts_with_pat(start.data, 0)
    assert random_access_at(start.data, 2 * PACKET)


@pytest.mark.parametrize("has_indicators", [True, False])
@pytest.mark.parametrize("codec", CODECS)
def test_what_was_copied_may_be_begun_at_its_keyframes_whatever_its_muxer_marks(
    shared_directory: Path, codec: str, has_indicators: bool
) -> None:
    data = foreign(shared_directory, codec).read_bytes()
    data = data if has_indicators else without_indicators(data)
    starts = [piece for piece in fed(data, 37) if piece.is_start]
    gaps = [seconds_between(a.time, b.time) for a, b in pairwise(starts)]
    assert gaps == pytest.approx([1.0] * (FOREIGN_SECONDS - 1))
    assert all(starts_with_pat(start.data, 0) for start in starts)


@pytest.mark.parametrize("step", [1, 37, 100_000])
def test_a_table_of_several_packets_stands_whole_in_front_of_each_start(
    shared_directory: Path, step: int, tmp_path: Path
) -> None:
    cutter = PieceCutter()
    starts = [
        piece for piece in fed(foreign(shared_directory, "many").read_bytes(), step, cutter) if piece.is_start
    ]
    assert len(starts) == FOREIGN_SECONDS
    assert len(cutter.programme.streams) == 1 + TRACKS
    for start in starts:
        assert [pid_at(start.data, n * PACKET) for n in range(4)] == [PAT_PID, PMT, PMT, 0x100]
    segment = tmp_path / "segment.ts"
    segment.write_bytes(starts[1].data)
    found = run("ffprobe", "-v", "error", "-show_entries", "program=nb_streams", "-of", "csv=p=0", segment)
    assert found.split(",")[0].strip() == str(1 + TRACKS)


def test_of_a_multiplex_the_programme_with_a_picture_is_cut(shared_directory: Path) -> None:
    cutter = PieceCutter()
    starts = [
        piece
        for piece in fed(foreign(shared_directory, "multiplex").read_bytes(), 37, cutter)
        if piece.is_start
    ]
    assert len(starts) == FOREIGN_SECONDS
    assert (cutter.programme.video, cutter.programme.audio) == (0x101, 0x102)
    assert all(pid_at(start.data, PACKET) == PMT + 1 for start in starts)


def test_a_programme_that_was_filtered_out_of_a_multiplex_is_cut_at_its_keyframes(
    shared_directory: Path,
) -> None:
    data = with_table(
        foreign(shared_directory, "h264").read_bytes(), PAT_PID, pat_section({7: 0x700, 1: PMT})
    )
    assert sum(piece.is_start for piece in fed(data, 37)) == FOREIGN_SECONDS


def test_a_stream_whose_programme_cannot_be_read_is_cut_by_time(shared_directory: Path) -> None:
    data = without_tables(without_indicators(foreign(shared_directory, "h264").read_bytes()))
    cutter = PieceCutter()
    starts = [
        piece
        for piece in fed(data + later(data, FOREIGN_SECONDS, is_marked=False), 7, cutter)
        if piece.is_start
    ]
    assert [seconds_between(a.time, b.time) for a, b in pairwise(starts)] == pytest.approx([2, 2], abs=0.1)
    assert starts_with_pat(starts[0].data, 0)
    assert cutter.programme == Programme()


def test_ac_3_as_dvb_says_it_is_named(shared_directory: Path) -> None:
    cutter = PieceCutter()
    cutter.feed(foreign(shared_directory, "dvb").read_bytes())
    assert cutter.programme.unplayable == ("AC-3",)


@pytest.mark.parametrize("gap", [0.0, 3.0])
@pytest.mark.parametrize("is_marked", [True, False])
def test_a_break_that_the_stream_marks_is_one_however_near_the_new_clock_is(
    stream: bytes, gap: float, is_marked: bool
) -> None:
    segments = Segments(1)
    for piece in fed(stream + later(stream, SECONDS + gap, is_marked=is_marked), 7):
        segments.add(piece)
    assert segments.playlist().count("#EXT-X-DISCONTINUITY\n") == is_marked
    if is_marked:
        before, behind = segments.last(9)[SECONDS - 1 : SECONDS + 1]
        assert (before.is_break, behind.is_break) == (False, True)
        assert before.seconds == pytest.approx(KEYFRAME_SECONDS, abs=0.1)  # the gap belongs to nobody


def test_another_stream_that_marks_nothing_is_a_break_if_it_is_said_to_be_one(stream: bytes) -> None:
    cutter = PieceCutter()
    pieces = fed(stream, 7, cutter)
    cutter.begin_anew()
    pieces += fed(later(stream, SECONDS, is_marked=False), 7, cutter)
    breaks = [piece.is_break for piece in pieces if piece.is_start]
    assert breaks == [False] * SECONDS + [True] + [False] * (SECONDS - 1)


def test_where_no_picture_says_that_it_is_a_keyframe_time_decides(stream: bytes) -> None:
    judge = Keyframes()
    packets = [stream[at : at + PACKET] for at in range(0, 4 * PACKET, PACKET)]
    for each in packets:
        judge.take_table(each)
    begun = [n for n in range(25) if judge.begins(packet(start=True, body=pes(n * CLOCK)))]
    assert begun == [10, 20]


def test_the_cutter_knows_the_pids_of_picture_and_sound(stream: bytes) -> None:
    cutter = PieceCutter()
    cutter.feed(stream)
    assert (cutter.programme.video, cutter.programme.audio) == (0x100, 0x101)
    assert cutter.programme.has_adts
    assert cutter.programme.unplayable == ()


def test_sound_alone_may_be_begun_each_few_seconds(tmp_path: Path) -> None:
    make(tmp_path / "sound.ts", video=False)
    cutter = PieceCutter()
    starts = [piece for piece in fed((tmp_path / "sound.ts").read_bytes(), 7, cutter) if piece.is_start]
    assert cutter.programme.video is None
    assert len(starts) == 2


def test_what_browsers_cannot_play_is_named() -> None:
    assert Programme(((0x100, 0x24), (0x101, 0x81))).unplayable == ("HEVC", "AC-3")
    assert Programme(((0x100, 0x02), (0x101, 0x03), (0x102, 0x04))).unplayable == (
        "MPEG-2 video",
        "MP2 audio",
    )
    assert Programme(((0x100, 0x1B), (0x101, 0x0F), (0x102, 0x06))).unplayable == ()


@given(st.lists(any_packet, max_size=8))
def test_any_packets_are_handed_on_or_left_out_and_nothing_is_raised(broken: list[bytes]) -> None:
    cutter = PieceCutter()
    data = b"".join(broken)
    for piece in cutter.feed(data) + cutter.feed(data):
        assert len(piece.data) % PACKET == 0


@given(st.integers(0, WRAP - 1), st.integers(-CLOCK * 1000, CLOCK * 1000))
def test_time_between_two_stamps_is_right_over_the_wrap(first: int, ticks: int) -> None:
    assert seconds_between(first, (first + ticks) % WRAP) == pytest.approx(ticks / CLOCK)


# Segments


def segments_of(*times: float | None) -> Segments:
    """Return the segments of groups of pictures that begin at these seconds."""
    segments = Segments(100)
    for number, time in enumerate(times):
        stamp = None if time is None else round(time * CLOCK) % WRAP
        segments.add(Piece(bytes([number]), is_start=True, time=stamp))
        segments.add(Piece(b"x"))
    return segments


def test_a_list_names_the_last_segments_with_their_lengths() -> None:
    playlist = segments_of(*range(0, 16, 2)).playlist()
    lines = playlist.splitlines()
    assert lines[0] == "#EXTM3U"
    assert "#EXT-X-TARGETDURATION:2" in lines
    assert f"#EXT-X-MEDIA-SEQUENCE:{100 + 7 - LISTED}" in lines
    assert [line for line in lines if line.endswith(".ts")] == [f"{100 + n}.ts" for n in range(7 - LISTED, 7)]
    assert lines.count("#EXTINF:2.000,") == LISTED
    assert "#EXT-X-ENDLIST" not in lines
    assert "#EXT-X-DISCONTINUITY" not in lines


def test_short_groups_of_pictures_are_put_together() -> None:
    segments = segments_of(0, 0.5, 1.0, 1.5, 2.0)
    assert [(segment.data, segment.seconds) for segment in segments.last(9)] == [
        (b"\0x\1x", 1.0),
        (b"\2x\3x", 1.0),
    ]


@pytest.mark.parametrize("leap", [-100.0, 500.0])
def test_where_the_clock_leaps_the_list_says_so(leap: float) -> None:
    segments = segments_of(200, 202, 204, 204 + leap, 206 + leap, 208 + leap)
    lines = segments.playlist().splitlines()
    assert lines[lines.index("#EXT-X-DISCONTINUITY") + 2] == "103.ts"
    assert lines.count("#EXT-X-DISCONTINUITY") == 1
    for time in range(210, 230, 2):
        segments.add(Piece(b"y", is_start=True, time=round((time + leap) * CLOCK) % WRAP))
    assert "#EXT-X-DISCONTINUITY-SEQUENCE:1" in segments.playlist()
    assert "#EXT-X-DISCONTINUITY\n" not in segments.playlist()


def test_a_segment_is_kept_a_little_longer_than_it_is_listed() -> None:
    segments = segments_of(*range(0, 60, 2))
    newest = 100 + 28
    assert segments.get(newest) is not None
    assert segments.get(newest - KEPT + 1) is not None
    assert segments.get(newest - KEPT) is None
    assert segments.get(newest + 1) is None


def test_the_first_list_waits_for_as_many_segments_as_players_want() -> None:
    assert not segments_of(0).wait_first(0)
    assert segments_of(0, 2).wait_first(0)
    assert len(segments_of(*range(0, 2 * FIRST + 1, 2)).last(FIRST)) == FIRST


def test_the_end_is_in_the_list_and_what_was_unfinished_is_a_segment() -> None:
    segments = segments_of(0, 2)
    segments.finish()
    assert segments.playlist().endswith("#EXTINF:1.000,\n101.ts\n#EXT-X-ENDLIST\n")


def test_a_stream_without_keyframes_does_not_eat_the_memory() -> None:
    segments = segments_of(0)
    for _ in range(80):
        segments.add(Piece(bytes(1 << 20)))
    assert sum(len(segment.data) for segment in segments.last(KEPT)) <= 17 * (1 << 20) * KEPT


# MP4


@pytest.fixture(scope="module")
def mp4(stream: bytes, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    file = tmp_path_factory.mktemp("mp4") / "earth.mp4"
    flags = "frag_keyframe+empty_moov+default_base_moof"
    command = ["ffmpeg", "-v", "error", "-i", "pipe:0", "-c", "copy", "-bsf:a", "aac_adtstoasc",
               "-frag_duration", "200000", "-movflags", flags, str(file)]  # fmt: skip
    subprocess.run(command, input=stream, check=True)
    return file.read_bytes()


@pytest.mark.parametrize("step", [1, 1000, 10_000_000])
def test_fragments_are_told_apart_and_those_with_a_keyframe_are_known(mp4: bytes, step: int) -> None:
    reader = FragmentReader()
    steps = [mp4[at : at + step] for at in range(0, len(mp4), step)]
    fragments = [fragment for part in steps for fragment in reader.feed(part)]
    assert reader.head[4:8] == b"ftyp"
    assert mp4.startswith(reader.head + b"".join(fragment.data for fragment in fragments))
    assert len(fragments) > SECONDS * 4
    assert sum(fragment.is_start for fragment in fragments) == SECONDS / KEYFRAME_SECONDS
    assert fragments[0].is_start


@given(st.binary(max_size=200))
def test_any_bytes_are_fragments_or_no_mp4(data: bytes) -> None:
    reader = FragmentReader()
    with contextlib.suppress(BoxError):
        assert all(fragment.data in data for fragment in reader.feed(data))
